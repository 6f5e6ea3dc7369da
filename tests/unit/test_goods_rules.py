"""The rules between a paid order and its keys, one by one."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import count

import msgspec
import pytest

from bitloot.domain import link_token, resolution, retry, reveal, routing
from bitloot.domain.balance_guard import BalanceReading, Purchases
from bitloot.domain.delivery import is_delivered
from bitloot.domain.email import Email
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.fulfilment_plan import plan
from bitloot.domain.limits import Limits
from bitloot.domain.mailing import email_kind, next_try
from bitloot.domain.order import OrderFile
from bitloot.domain.product import WholesaleTier
from bitloot.domain.routing import Found
from bitloot.domain.supply import SupplierOffer, SupplierOrder
from bitloot.testing.order_cases import applied
from bitloot.testing.rows import COST, Rows
from bitloot.testing.virtual_time import START

LIMITS = Limits()
DAY = timedelta(days=1)
NEXT = count(1)
ROWS = Rows(clock=lambda: START, new_id=lambda: f"id-{next(NEXT):06d}")


def paid(
    *, quantity: int = 1, own: bool = False, status: str = "paid", **fields: object
) -> OrderFile:
    bought = ROWS.purchase(ROWS.goods(own=own), quantity=quantity)
    order = msgspec.structs.replace(bought.order, version=1, status=status, **fields)
    return OrderFile(order=order, items=bought.items)


def planned(file: OrderFile, wholesale: dict[str, int] | None = None) -> list[tuple[int, ...]]:
    found = plan(file, at=START, new_id=ROWS.new_id, limits=LIMITS, wholesale_units=wholesale or {})
    return [f.slots for f in found]


# --- the plan ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "sizes"), [(1, [1]), (9, [9]), (10, [9, 1]), (28, [9, 9, 9, 1]), (90, [9] * 10)]
)
def test_an_item_is_cut_into_parts_of_at_most_nine(quantity: int, sizes: list[int]) -> None:
    slots = planned(paid(quantity=quantity))
    assert [len(part) for part in slots] == sizes
    assert [slot for part in slots for slot in part] == list(range(1, quantity + 1))


def test_own_stock_is_one_part_whatever_its_size() -> None:
    assert [len(part) for part in planned(paid(quantity=90, own=True))] == [90]


def test_a_wholesale_offer_is_one_order_up_to_its_limit() -> None:
    file = paid(quantity=50)
    offer_id = file.items[0].offer_id or ""
    assert [len(part) for part in planned(file, {offer_id: 1000})] == [50]
    assert [len(part) for part in planned(file, {offer_id: 40})] == [40, 10]
    assert [len(part) for part in planned(file, {"another": 1000})] == [9, 9, 9, 9, 9, 5]


def test_the_ceiling_is_what_the_price_paid_leaves_after_the_gateway() -> None:
    file = paid()
    [one] = plan(file, at=START, new_id=ROWS.new_id, limits=LIMITS, wholesale_units={})
    assert one.max_unit_price == Decimal("12.37")
    again = msgspec.structs.replace(file, fulfilments=(one,))
    assert planned(again) == []


# --- the offer -----------------------------------------------------------------------------------


def offer(price: str, stock: int = 9, offer_id: str = "o1", **fields: object) -> SupplierOffer:
    row = SupplierOffer(
        supplier_product_id="sp", offer_id=offer_id, price=Decimal(price), stock=stock
    )
    return msgspec.structs.replace(row, **fields)


def choice(row: Fulfilment, offers: Sequence[SupplierOffer]) -> SupplierOffer | str:
    """What is chosen of one supplier's offers."""
    chosen = routing.choose(row, [Found("kinguin", each) for each in offers], limits=LIMITS)
    return chosen.offer if isinstance(chosen, Found) else chosen


def wanted(quantity: int = 1, **fields: object) -> Fulfilment:
    file = paid(quantity=quantity)
    return ROWS.fulfilment(file.items[0], max_unit_price=Decimal(10), **fields)


def test_the_cheapest_offer_within_the_ceiling_is_chosen() -> None:
    chosen = choice(
        wanted(), [offer("9.50", offer_id="b"), offer("9.00", offer_id="a"), offer("8", stock=0)]
    )
    assert isinstance(chosen, SupplierOffer)
    assert chosen.offer_id == "a"


def test_a_refused_offer_makes_room_for_the_next() -> None:
    chosen = choice(
        wanted(tried_offers=("kinguin/a",)),
        [offer("9.50", offer_id="b"), offer("9.00", offer_id="a")],
    )
    assert isinstance(chosen, SupplierOffer)
    assert chosen.offer_id == "b"


@pytest.mark.parametrize(
    ("offers", "reason"),
    [
        ([], "stock"),
        ([offer("9", stock=1)], "stock"),
        ([offer("10.01")], "price"),
        ([offer("9", stock=1), offer("10.01")], "price"),
    ],
)
def test_without_an_offer_the_reason_is_price_or_stock(
    offers: list[SupplierOffer], reason: str
) -> None:
    assert choice(wanted(quantity=2), offers) == reason


def test_a_wholesale_tier_counts_from_its_units_on() -> None:
    tiers = (WholesaleTier(10, Decimal(8)), WholesaleTier(50, Decimal(7)))
    bulk = offer("11", stock=100, wholesale=tiers)
    assert routing.unit_price(bulk, 9) == Decimal(11)
    assert routing.unit_price(bulk, 49) == Decimal(8)
    assert choice(wanted(quantity=50), [bulk]) == bulk
    assert choice(wanted(quantity=50), [offer("1", stock=100)]) == "stock"


# --- finding an order again ----------------------------------------------------------------------


def doubtful(**fields: object) -> tuple[OrderFile, Fulfilment, SupplierAttempt]:
    file = paid()
    row = ROWS.fulfilment(file.items[0], version=1, state="reserving", gen=1, rebuys=0)
    attempt = ROWS.attempt(row, version=1, state="unknown", balance_before=Decimal(100), **fields)
    return (
        msgspec.structs.replace(file, fulfilments=(row,), attempts=(attempt,)),
        row,
        attempt,
    )


def found(order_id: str, minute: int, state: str = "processing") -> SupplierOrder:
    row = SupplierOrder(
        supplier_order_id=order_id,
        external_id="x",
        state="processing",
        quantity=1,
        total=COST,
        is_preorder=False,
        keys=(),
        created_at=START + timedelta(minutes=minute),
        updated_at=None,
    )
    return msgspec.structs.replace(row, state=state)


def search(
    file: OrderFile,
    orders: list[SupplierOrder],
    *,
    after: timedelta,
    balance: str = "100",
    others: tuple[SupplierAttempt, ...] = (),
) -> OrderFile:
    decision = resolution.searched(
        file,
        file.fulfilments[0],
        file.attempts[0],
        orders,
        balance=BalanceReading(amount=Decimal(balance), at=START + after),
        purchases=Purchases(since=START, attempts=others),
        at=START + after,
        new_id=ROWS.new_id,
        limits=LIMITS,
    )
    return applied(file, decision)


def test_searches_follow_after_2_5_15_30_60_seconds_then_every_two_minutes() -> None:
    _, _, attempt = doubtful()
    due = [resolution.search_due(attempt, LIMITS) - START]
    for checks in range(1, 7):
        due.append(due[-1] + resolution.search_pause(checks, LIMITS))
    assert [int(each.total_seconds()) for each in due] == [2, 5, 15, 30, 60, 180, 300]


def test_of_several_orders_the_oldest_living_one_is_adopted_and_the_rest_given_back() -> None:
    file, _, _ = doubtful()
    orders = [found("dead", 0, "canceled"), found("young", 2), found("old", 1)]
    after = search(file, orders, after=timedelta(minutes=3))
    adopted, *rest = after.attempts
    assert (adopted.state, adopted.supplier_order_id) == ("created", "old")
    assert {a.supplier_order_id: a.returning for a in rest} == {"young": "wanted", "dead": "none"}
    assert after.fulfilments[0].state == "reserved"


@pytest.mark.parametrize(
    ("minutes", "checks", "balance", "state"),
    [
        (14, 9, "100", "unknown"),
        (16, 3, "100", "unknown"),
        (16, 9, "91", "unknown"),
        (16, 4, "100", "absent"),
        (16, 9, "100", "absent"),
    ],
)
def test_an_attempt_is_absent_only_after_the_window_the_searches_and_the_balance(
    minutes: int, checks: int, balance: str, state: str
) -> None:
    file, _, _ = doubtful(checks=checks)
    after = search(file, [], after=timedelta(minutes=minutes), balance=balance)
    assert after.attempts[0].state == state


def test_after_one_new_try_an_absent_order_waits_for_a_person() -> None:
    file, row, _ = doubtful(checks=9)
    once = search(file, [], after=timedelta(minutes=16))
    assert (once.fulfilments[0].state, once.fulfilments[0].rebuys) == ("reserving", 1)
    spent = msgspec.structs.replace(row, rebuys=1)
    twice = search(
        msgspec.structs.replace(file, fulfilments=(spent,)), [], after=timedelta(minutes=16)
    )
    assert twice.fulfilments[0].state == "failed_terminal"
    assert [hold.reason for hold in twice.holds] == ["fulfilment"]


@pytest.mark.parametrize(("after", "balance"), [(timedelta(minutes=16), "100"), (DAY, "91")])
def test_a_lost_answer_of_a_refunded_order_ends_without_a_person(
    after: timedelta, balance: str
) -> None:
    file, row, _ = doubtful(checks=9)
    refunded = msgspec.structs.replace(
        file,
        order=msgspec.structs.replace(file.order, status="refunded"),
        fulfilments=(msgspec.structs.replace(row, rebuys=1),),
    )
    ended = search(refunded, [], after=after, balance=balance)
    assert ended.fulfilments[0].state == "cancelled"
    assert ended.holds == ()


# --- retry, reveal, links, mails -----------------------------------------------------------------


def retried(status: str, reason: str | None) -> str:
    file = paid(status=status, failure_reason=reason)
    decision = retry.retry(
        file, actor="admin", reason="r", at=START, new_id=ROWS.new_id, limits=LIMITS
    )
    return applied(file, decision).order.status


@pytest.mark.parametrize(
    ("status", "reason", "following"),
    [
        ("paid", None, "paid"),
        ("partially_fulfilled", None, "partially_fulfilled"),
        ("failed", "fulfilment_failed", "paid"),
    ],
)
def test_a_retry_takes_up_what_is_owed(status: str, reason: str | None, following: str) -> None:
    assert retried(status, reason) == following


@pytest.mark.parametrize(
    ("slots", "following"),
    [((1,), "paid"), ((1, 2), "partially_fulfilled")],
    ids=["a part", "an item"],
)
def test_a_retried_order_is_partly_fulfilled_only_if_an_item_was_delivered_whole(
    slots: tuple[int, ...], following: str
) -> None:
    bought = ROWS.purchase(ROWS.goods(), ROWS.goods(), quantity=2)
    order = msgspec.structs.replace(
        bought.order, version=1, status="failed", failure_reason="fulfilment_failed"
    )
    done = ROWS.fulfilment(bought.items[0], slots=slots, state="delivered")
    file = OrderFile(order=order, items=bought.items, fulfilments=(done,))
    decision = retry.retry(
        file, actor="admin", reason="r", at=START, new_id=ROWS.new_id, limits=LIMITS
    )
    assert applied(file, decision).order.status == following


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        ("failed", "underpaid", "underpaid-non-refundable"),
        ("failed", "provider_failed", "payment-not-settled"),
        ("failed", "late_payment", "payment-not-settled"),
        ("waiting", None, "payment-not-settled"),
        ("confirming", None, "payment-not-settled"),
        ("created", None, "retry-not-allowed"),
        ("fulfilled", None, "retry-not-allowed"),
        ("expired", None, "retry-not-allowed"),
        ("cancelled", None, "retry-not-allowed"),
        ("refunded", None, "retry-not-allowed"),
    ],
)
def test_a_retry_never_gives_goods_for_an_unpaid_order(
    status: str, reason: str | None, code: str
) -> None:
    with pytest.raises(Refused, match=code):
        retried(status, reason)


@pytest.mark.parametrize(
    ("status", "reason", "shows"),
    [
        ("partially_fulfilled", None, True),
        ("fulfilled", None, True),
        ("failed", "fulfilment_failed", True),
        ("failed", "underpaid", False),
        ("paid", None, False),
        ("refunded", None, False),
        ("waiting", None, False),
    ],
)
def test_keys_are_shown_only_in_three_statuses_and_without_a_hold(
    status: str, reason: str | None, shows: bool
) -> None:
    file = paid(status=status, failure_reason=reason)
    assert reveal.allows_reveal(file) is shows
    held = msgspec.structs.replace(file, holds=(ROWS.hold(file.order),))
    assert reveal.allows_reveal(held) is False


def test_an_item_is_delivered_with_its_last_unit() -> None:
    file = paid(quantity=2)
    first = ROWS.fulfilment(file.items[0], slots=(1,), state="delivered")
    second = ROWS.fulfilment(file.items[0], slots=(2,), state="vaulted")
    assert not is_delivered(file.items[0], [first, second])
    done = msgspec.structs.replace(second, state="delivered")
    assert is_delivered(file.items[0], [first, done])


def test_a_link_token_opens_only_with_its_secret_and_unchanged() -> None:
    ends = START + timedelta(minutes=15)
    token = link_token.mint(b"s" * 32, "grant-1", ends)
    assert link_token.read(b"s" * 32, token) == link_token.Link("grant-1", ends)
    assert link_token.read(b"t" * 32, token) is None
    for at in range(len(token)):
        for other in "Ab0-_.=":
            changed = token[:at] + other + token[at + 1 :]
            if changed != token:
                assert link_token.read(b"s" * 32, changed) is None


def test_a_mail_keeps_its_key_for_23_hours_gets_one_more_and_then_waits_for_a_person() -> None:
    key = "order-ready/o-1/1"
    mail = Email(
        id="m",
        key=key,
        kind="order-ready",
        order_id="o-1",
        to="b@shop.example",
        to_key="b@shop.example",
        subject="s",
        html="h",
        text="t",
        provider="p",
        provider_key=key,
        first_try_at=START,
        created_at=START,
    )
    assert email_kind(key) == ("order-ready", "o-1")
    assert email_kind("nonsense") == (None, "")
    soon, late = START + timedelta(hours=22), START + timedelta(hours=23)
    assert next_try(mail, at=soon, limits=LIMITS).provider_key == key
    again = next_try(mail, at=late, limits=LIMITS)
    assert (again.provider_key, again.doubtful_since) == (f"{key}/again", late)
    assert next_try(again, at=late + timedelta(hours=22), limits=LIMITS) == again
    assert next_try(again, at=late + timedelta(hours=23), limits=LIMITS).state == "unknown"
    certain = msgspec.structs.replace(again, doubtful_since=None)
    much_later = late + timedelta(days=9)
    assert next_try(certain, at=much_later, limits=LIMITS).provider_key == f"{key}/again"
