"""Whether the balance at a supplier shows that an order of which nobody heard was never placed.

The balance is one purse for every order of the shop, so a fall of it says little by itself. It is
followed from a reading during which no other call was on its way: from there on, what was taken
is what the orders answered since then cost. Money counts as somebody else's only where that is
certain; what came back since then hides a fall and is added to it. In doubt money is missing.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
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
    start = _quiet_reading(attempt, others, purchases.since)
    if start is None or start.balance_before is None:
        return True
    explained = _taken(others, since=start.intent_at, until=balance.at)
    came_back = _given_back(others, since=_read_from(start))
    return start.balance_before - balance.amount - explained + came_back >= CENT


def _quiet_reading(
    attempt: SupplierAttempt, others: Sequence[SupplierAttempt], since: datetime
) -> SupplierAttempt | None:
    """The last attempt up to ours during whose reading of the balance no other call was open."""
    readings = sorted(
        (
            a
            for a in (attempt, *others)
            if a.balance_before is not None
            and since <= _read_from(a)
            and (a.intent_at < attempt.intent_at or a.id == attempt.id)
        ),
        key=lambda a: a.intent_at,
        reverse=True,
    )
    window = attempt.intent_at - since
    return next(
        (a for a in readings if not any(_overlaps(o, a, window) for o in others if o.id != a.id)),
        None,
    )


def _overlaps(other: SupplierAttempt, reading: SupplierAttempt, window: timedelta) -> bool:
    """Whether the other's money may have been taken while the balance was read.

    A call is over long before the settle `window` is: what nobody ever found out about was paid
    for by then, or never, and disturbs no later reading.
    """
    if other.state in _OPEN and _read_from(reading) - other.intent_at >= window:
        return False
    if other.refusal == "surplus":
        # Found without having been intended: it was placed at some time before that.
        return other.intent_at >= _read_from(reading)
    is_over = other.state not in _OPEN and _known_from(other) < _read_from(reading)
    return not is_over and other.intent_at <= reading.intent_at


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
