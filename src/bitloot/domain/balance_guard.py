"""Whether the balance at a supplier shows that an order of which nobody heard was never placed.

The balance is one purse for every order of the shop, so a fall of it says little by itself. It is
followed from a reading up to our call to one after the time in which our order must have been paid
for: what was taken in between is what the orders that were intended meanwhile cost, and nothing
else, or money is missing. Money counts as somebody else's only where that is certain; what came
back meanwhile hides a fall and is added to it. A call that was on its way during a reading counts
for nothing, so it can only raise a doubt; another pair of readings may end it. One pair that
explains every cent is enough, because money of ours would be missing from each of them.

Readings are taken before every purchase, so a busy shop has many: those count that the fewest calls
were on their way during.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Final

import msgspec

from bitloot.domain.fulfilment import AttemptState, SupplierAttempt
from bitloot.domain.limits import Limits
from bitloot.domain.money import CENT, ZERO, Eur

# A definite no, and what was searched for in vain, took nothing.
_FREE: Final = frozenset[AttemptState]({"rejected", "absent"})
_OPEN: Final = frozenset[AttemptState]({"intent", "unknown"})
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
# So many readings before our call are compared with so many after it.
MOST_READINGS: Final = 12


class BalanceReading(msgspec.Struct, frozen=True, kw_only=True):
    """What was left at a supplier, EUR; `at` is before it was asked."""

    amount: Eur
    at: datetime


class _Reading(BalanceReading, frozen=True, kw_only=True):
    """One that was taken before a purchase: `until` is when that was intended."""

    until: datetime


class Purchases(msgspec.Struct, frozen=True, kw_only=True):
    """The shop's other attempts at a supplier that were at work, or got money back, `since` then.

    `known_until`: those that were intended from then on are not all among them; None: all are.
    """

    since: datetime
    attempts: Sequence[SupplierAttempt] = ()
    known_until: datetime | None = None


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
    if balance is None:
        return True
    others = [a for a in purchases.attempts if a.id != attempt.id and a.state not in _FREE]
    before = _quietest(_readings_before(attempt, others, purchases.since), others)
    after: list[BalanceReading] = [
        *_quietest(_readings_after(attempt, others, purchases), others),
        *([balance] if purchases.known_until is None else []),
    ]
    return all(
        _unexplained(earlier, later, others) >= CENT for earlier, later in product(before, after)
    )


def _readings_before(
    attempt: SupplierAttempt, others: Sequence[SupplierAttempt], since: datetime
) -> list[_Reading]:
    """What was read before our attempt and before those that were intended ahead of it."""
    return [
        _Reading(amount=a.balance_before, at=_read_from(a), until=a.intent_at)
        for a in (attempt, *others)
        if a.balance_before is not None
        and since <= _read_from(a)
        and (a.intent_at < attempt.intent_at or a.id == attempt.id)
    ]


def _readings_after(
    attempt: SupplierAttempt, others: Sequence[SupplierAttempt], purchases: Purchases
) -> list[_Reading]:
    """What was read when our order must long have been paid for, if ever it was."""
    settled = attempt.intent_at + (attempt.intent_at - purchases.since)
    return [
        _Reading(amount=a.balance_before, at=_read_from(a), until=a.intent_at)
        for a in others
        if a.balance_before is not None
        and settled <= _read_from(a)
        and (purchases.known_until is None or _read_from(a) < purchases.known_until)
    ]


def _quietest(readings: Iterable[_Reading], others: Sequence[SupplierAttempt]) -> list[_Reading]:
    """The readings during which the fewest calls were on their way."""
    begun = sorted(a.intent_at for a in others)
    ended = sorted(_known_from(a) for a in others)

    def at_work(reading: _Reading) -> int:
        return bisect_right(begun, reading.until) - bisect_right(ended, reading.at)

    return sorted(readings, key=at_work)[:MOST_READINGS]


def _unexplained(
    earlier: _Reading, later: BalanceReading, others: Sequence[SupplierAttempt]
) -> Eur:
    """What was taken between two readings beside what was certainly somebody else's, EUR."""
    explained = _taken(others, since=earlier.until, until=later.at)
    return earlier.amount - later.amount - explained + _given_back(others, since=earlier.at)


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
