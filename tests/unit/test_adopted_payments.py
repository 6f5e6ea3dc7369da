"""Payments that we did not open: made on a hosted page, or further deposits to one of ours."""

from datetime import timedelta
from decimal import Decimal

import pytest

from bitloot.domain.ledger import LedgerLine
from bitloot.domain.limits import Limits
from bitloot_adapters.memory.unpaid_orders import UnpaidOrders

HOUR = timedelta(hours=1)


@pytest.fixture
def shop() -> UnpaidOrders:
    return UnpaidOrders()


def sales(shop: UnpaidOrders) -> int:
    return len({line.entry for line in shop.store.rows(LedgerLine) if "sale/" in line.entry})


async def test_a_child_deposit_is_linked_and_held(shop: UnpaidOrders) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    await shop.call_back(there)
    await shop.work()
    child = shop.gateway.redeposit(there, Decimal("0.0001"))
    await shop.call_back(child.gateway_payment_id)
    await shop.work()
    assert shop.webhook_classes() == ["applied", "linked"]
    assert [h.reason for h in shop.holds(placed.order_id)] == ["redeposit"]
    assert shop.order_row(placed.order_id).remarks == ("redeposit",)
    assert sales(shop) == 1


async def test_a_child_that_nobody_called_back_about_is_found_in_its_parent(
    shop: UnpaidOrders,
) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there, Decimal("0.5"))
    shop.gateway.redeposit(there, Decimal("0.0001"), asset="ltc")
    await shop.work_for(timedelta(minutes=2))
    assert [p.is_child for p in shop.payments(placed.order_id)] == [False, True]
    assert [h.reason for h in shop.holds(placed.order_id)] == ["wrong_asset"]


@pytest.mark.parametrize("told", ["by a callback", "by a poll"])
async def test_a_child_that_cannot_be_read_waits_by_itself_and_its_parent_is_settled(
    shop: UnpaidOrders, told: str
) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    first = shop.gateway.redeposit(there, Decimal("0.0001"))
    shop.gateway.redeposit(there, Decimal("0.0002"))
    shop.gateway.unreadable.add(first.gateway_payment_id)
    if told == "by a callback":
        await shop.call_back(there)
        await shop.work()
    else:
        await shop.work_for(timedelta(minutes=2))
    assert shop.order_row(placed.order_id).status == "paid"
    assert [h.reason for h in shop.holds(placed.order_id)] == ["redeposit"] * 2
    unread = shop.payments(placed.order_id)[1]
    assert (unread.is_child, unread.rank, unread.pay_currency) == (True, 0, "")
    shop.gateway.unreadable.clear()
    await shop.work_for(2 * HOUR)
    children = shop.payments(placed.order_id)[1:]
    assert [(c.status, c.pay_currency) for c in children] == [("finished", "btc")] * 2
    assert len(shop.holds(placed.order_id)) == 2
    assert sales(shop) == 1


async def test_a_child_that_can_never_be_read_ends_as_a_dead_letter_with_its_hold(
    shop: UnpaidOrders,
) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    child = shop.gateway.redeposit(there, Decimal("0.0001"))
    shop.gateway.unreadable.add(child.gateway_payment_id)
    await shop.work_for(timedelta(days=8), step=4 * HOUR)
    [letter] = await shop.jobs.dead(limit=10, after=None)
    assert (letter.kind, letter.last_error) == ("apply_payment", "gateway_invalid")
    assert [h.is_open for h in shop.holds(placed.order_id)] == [True]


async def test_a_payment_that_names_our_order_without_being_ours_is_linked_never_settled(
    shop: UnpaidOrders,
) -> None:
    placed = await shop.order(await shop.stock())
    stranger = shop.gateway._open(placed.number, placed.total, "btc")
    shop.gateway.pay(stranger.gateway_payment_id)
    await shop.call_back(stranger.gateway_payment_id)
    await shop.work()
    assert shop.order_row(placed.order_id).status == "created"
    assert shop.webhook_classes() == ["linked"]
    assert [h.subject for h in shop.holds(placed.order_id)] == ["payment"]


async def test_payments_made_on_a_hosted_page_are_adopted(shop: UnpaidOrders) -> None:
    placed = await shop.order(await shop.stock())
    page = await shop.opening.pay_hosted(
        placed.order_id, asset=None, return_url=None, once=shop.once("payments")
    )
    assert page.url
    invoice_id = next(iter(shop.gateway._invoices))
    paid = shop.gateway.pay_invoice(invoice_id, "ltc")
    await shop.call_back(paid.gateway_payment_id)
    await shop.work()
    assert shop.order_row(placed.order_id).status == "paid"
    assert shop.webhook_classes() == ["applied"]


async def test_a_hosted_payment_whose_callback_is_lost_is_found_by_listing(
    shop: UnpaidOrders,
) -> None:
    placed = await shop.order(await shop.stock())
    await shop.opening.pay_hosted(
        placed.order_id, asset=None, return_url=None, once=shop.once("payments")
    )
    shop.gateway.pay_invoice(next(iter(shop.gateway._invoices)), "ltc")
    await shop.work_for(timedelta(minutes=7))
    assert shop.order_row(placed.order_id).status == "paid"


async def on_a_page(shop: UnpaidOrders, *fractions: str) -> str:
    """An order with a hosted page on which so many payments were made, oldest first."""
    placed = await shop.order(await shop.stock())
    await shop.opening.pay_hosted(
        placed.order_id, asset=None, return_url=None, once=shop.once("payments")
    )
    [page] = shop.gateway._invoices
    for fraction in fractions:
        made = shop.gateway.pay_invoice(page, "ltc", Decimal(0))
        shop.gateway.move(made.gateway_payment_id, "waiting")
        if fraction != "0":
            shop.gateway.pay(made.gateway_payment_id, Decimal(fraction))
    return placed.order_id


async def test_a_page_with_many_payments_is_taken_in_a_few_for_each_lease() -> None:
    shop = UnpaidOrders(Limits(payment_reads_per_lease=2))
    order_id = await on_a_page(shop, "1", *["0"] * 6)
    await shop.work_for(timedelta(minutes=6))
    assert len(shop.payments(order_id)) == 7
    assert shop.order_row(order_id).status == "paid"


async def test_one_unreadable_payment_of_a_page_does_not_hide_the_others(
    shop: UnpaidOrders,
) -> None:
    order_id = await on_a_page(shop, "0", "1", "0")
    shop.gateway.unreadable |= {min(shop.gateway._payments), max(shop.gateway._payments)}
    await shop.work_for(timedelta(minutes=6))
    assert shop.order_row(order_id).status == "paid"


async def test_a_page_with_more_payments_than_are_taken_in_is_told_as_a_dead_letter() -> None:
    shop = UnpaidOrders(Limits(payments_per_invoice=6))
    order_id = await on_a_page(shop, "1", *["0"] * 6)
    await shop.work_for(timedelta(minutes=6))
    assert shop.order_row(order_id).status == "paid"
    assert len(shop.payments(order_id)) == 6
    letters = await shop.jobs.dead(limit=10, after=None)
    assert [(row.kind, row.last_error) for row in letters] == [
        ("adopt_invoice", "too_many_payments")
    ]


async def test_more_deposits_than_are_taken_in_put_a_hold_on_their_parent_after_it_paid() -> None:
    shop = UnpaidOrders(Limits(deposits_per_payment=3, payment_reads_per_lease=2))
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    for _ in range(5):
        shop.gateway.redeposit(there, Decimal("0.0001"))
    await shop.work_for(timedelta(minutes=2))
    assert shop.order_row(placed.order_id).status == "paid"
    assert [p.is_child for p in shop.payments(placed.order_id)] == [False, True, True, True]
    held = [h.subject_id for h in shop.holds(placed.order_id)]
    assert sorted(held) == sorted(p.id for p in shop.payments(placed.order_id))
    await shop.applying.refresh(payment.payment_id)
    assert len(shop.holds(placed.order_id)) == 4


async def test_asking_now_settles_what_was_paid_on_a_page_and_nothing_else() -> None:
    shop = UnpaidOrders()
    order_id = await on_a_page(shop, "0")
    assert not await shop.applying.settle_order(order_id, actor="admin/1", reason="he asked")
    [made] = shop.gateway._payments
    shop.gateway.pay(made)
    assert await shop.applying.settle_order(order_id, actor="admin/1", reason="he asked")
    assert shop.order_row(order_id).status == "paid"
    assert not await shop.applying.settle_order(order_id, actor="admin/1", reason="he asked")
