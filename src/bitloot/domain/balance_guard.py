"""Whether the balance at a supplier shows that an order of which nobody heard was never placed.

The balance is one purse for every order of the shop, so a fall of it says little by itself. It is
followed from each reading up to ours: what was taken since then is what the orders that were
intended later cost, and nothing else, or money is missing. Money counts as somebody else's only
where that is certain; what came back since then hides a fall and is added to it. A call that was
on its way during a reading counts for nothing, so it can only raise a doubt; an earlier reading,
from before that call, may end it. One reading that explains every cent is enough, because money of
ours would be missing from each of them.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from bitloot.domain.fulfilment import AttemptState, SupplierAttempt
from bitloot.domain.limits import Limits
from bitloot.domain.money import CENT, ZERO, Eur

# A definite no, and what was searched for in vain, took nothing.
_FREE: Final = frozenset[AttemptState]({"rejected", "absent"})
_OPEN: Final = frozenset[AttemptState]({"intent", "unknown"})
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class BalanceReading(msgspec.Struct, frozen=True, kw_only=True):
    """What was left at a supplier, EUR; `at` is before it was asked."""

    amount: Eur
    at: datetime


class Purchases(msgspec.Struct, frozen=True, kw_only=True):
    """The shop's other attempts at a supplier that were at work, or got money back, `since` then.

    `is_whole`: none was left out.
    """

    since: datetime
    attempts: Sequence[SupplierAttempt] = ()
    is_whole: bool = True


def looked_at_since(attempt: SupplierAttempt, limits: Limits) -> datetime:
    """From when on the purchases of others are to be known."""
    return attempt.intent_at - limits.settle_window


def is_money_missing(
    attempt: SupplierAttempt, balance: BalanceReading | None, purchases: Purchases
) -> bool:
    """Whether the order may have been paid for: the balance fell by more than others explain.

    An attempt before which no balance could be read has nothing to be compared with.
    """
    if attempt.balance_before is None:
        return False
    if balance is None or not purchases.is_whole:
        return True
    others = [a for a in purchases.attempts if a.id != attempt.id and a.state not in _FREE]
    return all(
        _unexplained(reading, balance, others) >= CENT
        for reading in _readings(attempt, others, purchases.since)
    )


def _readings(
    attempt: SupplierAttempt, others: Sequence[SupplierAttempt], since: datetime
) -> list[SupplierAttempt]:
    """The attempts before which the balance was read, ours and those up to ours."""
    return [
        a
        for a in (attempt, *others)
        if a.balance_before is not None
        and since <= _read_from(a)
        and (a.intent_at < attempt.intent_at or a.id == attempt.id)
    ]


def _unexplained(
    reading: SupplierAttempt, balance: BalanceReading, others: Sequence[SupplierAttempt]
) -> Eur:
    """What was taken since a reading beside what was certainly somebody else's, EUR."""
    before = reading.balance_before or ZERO
    explained = _taken(others, since=reading.intent_at, until=balance.at)
    return before - balance.amount - explained + _given_back(others, since=_read_from(reading))


def _taken(others: Iterable[SupplierAttempt], *, since: datetime, until: datetime) -> Eur:
    """What the orders cost that were both intended and answered in between."""
    return sum(
        (
            a.cost
            for a in others
            if a.cost is not None
            and a.state not in _OPEN
            and a.refusal != "surplus"
            and a.intent_at >= since
            and _known_from(a) <= until
        ),
        ZERO,
    )


def _given_back(others: Iterable[SupplierAttempt], *, since: datetime) -> Eur:
    """What came back since then, at most."""
    return sum(
        (
            a.cost * a.units_back / a.quantity
            for a in others
            if a.cost is not None and a.back_at is not None and a.back_at >= since
        ),
        ZERO,
    )


def _read_from(attempt: SupplierAttempt) -> datetime:
    return attempt.balance_at or attempt.intent_at


def _known_from(attempt: SupplierAttempt) -> datetime:
    """When its order was known; one of which that is not noted may be answered at any time."""
    return attempt.created_at or _NEVER
