"""The balance at a supplier proves that an order was never placed, or it does not."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest

from bitloot.domain.balance_guard import BalanceReading, Purchases, is_money_missing
from bitloot.domain.fulfilment import SupplierAttempt
from bitloot.domain.limits import Limits
from bitloot.testing.rows import Rows
from bitloot.testing.virtual_time import START

LIMITS = Limits()
NEXT = count(1)
ROWS = Rows(clock=lambda: START, new_id=lambda: f"id-{next(NEXT):06d}")
SINCE = START - LIMITS.settle_window
SETTLED = LIMITS.settle_window.total_seconds()


def moment(second: float) -> datetime:
    return START + timedelta(seconds=second)


def attempt(second: float, **fields: object) -> SupplierAttempt:
    """One whose balance was read a second before it was intended, 100 being there."""
    fulfilment = ROWS.fulfilment(ROWS.purchase(ROWS.goods()).item)
    given: dict[str, object] = {
        "state": "unknown",
        "balance_before": Decimal(100),
        "balance_at": moment(second - 1),
        "intent_at": moment(second),
        **fields,
    }
    return ROWS.attempt(fulfilment, **given)


def other(second: float, *, answered: float, **fields: object) -> SupplierAttempt:
    """A purchase of the shop besides: intended then, answered then."""
    given: dict[str, object] = {
        "state": "completed",
        "created_at": moment(answered),
        "cost": Decimal(9),
        **fields,
    }
    return attempt(second, **given)


OURS = attempt(0)


def is_missing(balance: str, *others: SupplierAttempt, at: float = 1000) -> bool:
    reading = BalanceReading(amount=Decimal(balance), at=moment(at))
    return is_money_missing(OURS, reading, Purchases(since=SINCE, attempts=(OURS, *others)))


def test_a_balance_that_did_not_fall_shows_that_nothing_was_bought() -> None:
    assert not is_missing("100")
    assert is_missing("91")
    assert is_missing("99.99")


def test_what_others_bought_after_us_explains_a_fall() -> None:
    assert not is_missing("91", other(5, answered=7))
    assert is_missing("82", other(5, answered=7))


def test_what_others_bought_before_us_explains_nothing() -> None:
    assert is_missing("91", other(-30, answered=-20, balance_before=Decimal(109)))


def test_a_purchase_that_was_cancelled_explains_nothing() -> None:
    given_back = {"units_back": 1, "back_at": moment(60)}
    assert is_missing("91", other(5, answered=7, state="canceled", **given_back))
    assert not is_missing("100", other(5, answered=7, state="canceled", **given_back))


def test_money_that_came_back_meanwhile_does_not_hide_what_our_order_took() -> None:
    given_back = {"units_back": 1, "back_at": moment(60)}
    before = other(-50, answered=-40, balance_before=Decimal(109), state="refunded", **given_back)
    assert is_missing("100", before)
    assert not is_missing("109", before)


def test_a_purchase_that_was_on_its_way_while_the_balance_was_read_is_nobody_s_for_certain() -> (
    None
):
    assert is_missing("91", other(-2, answered=2, balance_before=None))


def test_a_reading_in_which_nobody_was_on_the_way_tells_what_all_have_taken_since() -> None:
    at_work = other(-2, answered=2, balance_before=Decimal(100), balance_at=moment(-3))
    assert not is_missing("91", at_work)
    assert is_missing("82", at_work)


def test_a_reading_as_late_as_our_own_may_have_seen_our_money_go() -> None:
    assert is_missing("82", other(0, answered=0, balance_before=Decimal(91)))


def test_an_order_answered_after_the_balance_was_read_explains_nothing() -> None:
    late = other(990, answered=1001, balance_before=None)
    assert is_missing("91", late, at=1000)


def test_an_open_attempt_of_another_explains_nothing_and_hides_nothing() -> None:
    for another in (attempt(5), attempt(-5, balance_before=None), attempt(-3 * 86400)):
        assert is_missing("91", another)
        assert not is_missing("100", another)


def test_what_was_on_its_way_during_every_reading_spoils_none_that_explains_every_cent() -> None:
    long_ago = other(-600, answered=400, balance_before=Decimal(109))
    late = other(-1, answered=300, balance_before=Decimal(100), cost=Decimal(7))
    after = other(5, answered=7)
    # Ours explains all: what was on its way had been paid for before, or never was.
    assert not is_missing("91", long_ago, late, after)
    # It does not: the money of the late one or ours went after our reading.
    assert not is_missing("84", long_ago, late, after)
    assert is_missing("82", long_ago, late, after)


@pytest.mark.parametrize("state", ["rejected", "absent"])
def test_a_call_that_was_refused_disturbs_no_reading(state: str) -> None:
    assert not is_missing("100", attempt(-2, state=state, balance_before=None))


def test_a_supplier_order_that_was_found_unasked_for_explains_nothing() -> None:
    assert is_missing("91", other(5, answered=7, refusal="surplus"))


def later(second: float, *, answered: float, left: int, **fields: object) -> SupplierAttempt:
    """A purchase long after ours, before which so much was left."""
    return other(second, answered=answered, balance_before=Decimal(left), **fields)


def test_an_earlier_moment_at_which_every_cent_was_explained_is_enough() -> None:
    bought = other(5, answered=7)
    quiet = later(SETTLED + 10, answered=SETTLED + 12, left=91)
    at_work = attempt(SETTLED + 20, balance_before=None)
    # What is on its way now lowers the balance and is nobody's for certain.
    assert is_missing("70", bought, at_work)
    assert not is_missing("70", bought, quiet, at_work)


def test_a_moment_at_which_ours_may_not_have_been_paid_for_yet_shows_nothing() -> None:
    early = later(SETTLED - 1, answered=SETTLED, left=100)
    assert is_missing("70", early)


def test_money_that_is_missing_is_missing_at_every_moment() -> None:
    bought = other(5, answered=7)
    moments = [
        later(SETTLED + 2 * n, answered=SETTLED + 2 * n + 0.5, left=82 - n, cost=Decimal(1))
        for n in range(40)
    ]
    assert is_missing("42", bought, *moments)
    assert not is_missing("51", bought, *moments)


def test_a_shop_that_never_rests_finds_the_moments_that_were_quiet() -> None:
    """Each second something is bought, and each answer takes two and a half, but for one pause."""
    at_work = later(SETTLED - 1, answered=SETTLED + 1.5, left=100, cost=Decimal("0.01"))
    spent, busy = Decimal("99.99"), [at_work]
    for n in range(300):
        second = SETTLED + 1 + n + (60 if n >= 150 else 0)
        price, spent = Decimal("0.01"), spent - Decimal("0.01")
        busy.append(other(second, answered=second + 2.5, balance_before=spent + price, cost=price))
    assert not is_missing("1", *busy)


def test_of_more_purchases_than_are_looked_at_the_first_ones_are_enough() -> None:
    reading = BalanceReading(amount=Decimal(1), at=moment(SETTLED + 500))
    known = (later(SETTLED + 10, answered=SETTLED + 11, left=100), attempt(SETTLED + 20))
    whole = Purchases(since=SINCE, attempts=known, known_until=moment(SETTLED + 20))
    assert not is_money_missing(OURS, reading, whole)
    cut = Purchases(since=SINCE, attempts=known, known_until=moment(SETTLED + 9))
    assert is_money_missing(OURS, reading, cut)


def test_without_a_balance_or_without_every_purchase_money_is_missing() -> None:
    reading = BalanceReading(amount=Decimal(100), at=moment(1000))
    assert is_money_missing(OURS, None, Purchases(since=SINCE))
    assert is_money_missing(OURS, reading, Purchases(since=SINCE, known_until=moment(900)))
    never_read = attempt(0, balance_before=None)
    assert not is_money_missing(never_read, reading, Purchases(since=SINCE))
