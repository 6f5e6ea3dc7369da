"""From a paid order to keys that can be revealed, with everything that goes wrong on the way."""

from datetime import timedelta
from decimal import Decimal

import pytest

from bitloot.domain.failpoints import (
    AFTER_DELIVER_COMMIT,
    AFTER_INTENT_COMMIT,
    AFTER_OUTCOME_COMMIT,
    AFTER_SEAL,
    KEYS_READ_BEFORE_SEAL,
    REPLY_BEFORE_OUTCOME,
    SUPPLIER_DONE_NO_REPLY,
    UPLOADED_BEFORE_DELIVER,
)
from bitloot.domain.hold import Hold
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_adapters.memory.supplier import NextOrder

HOUR = timedelta(hours=1)


async def test_a_paid_item_is_bought_sealed_stored_and_delivered_at_once() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods(), quantity=2)
    await shop.work()
    assert shop.order(order_id).status == "fulfilled"
    [fulfilment] = shop.fulfilments(order_id)
    assert fulfilment.state == "delivered"
    keys = await shop.read_keys(order_id, fulfilment.order_item_id)
    assert len(set(keys)) == 2
    assert all(key.ciphertext is None for key in shop.store.rows(SealedKey))
    assert [sent.message.kind for sent in shop.mailer.mailbox] == ["order-ready"]


async def test_a_basket_of_both_kinds_is_delivered_item_by_item() -> None:
    shop = PaidOrders()
    bought, own = await shop.goods(), await shop.own_goods("AAA-1", "AAA-2")
    shop.supplier.next_order(NextOrder(after=timedelta(minutes=3)))
    order_id = await shop.paid(bought, own)
    await shop.work()
    assert shop.order(order_id).status == "partially_fulfilled"
    first, second = shop.fulfilments(order_id)
    assert await shop.read_keys(order_id, second.order_item_id) == ["AAA-1"]
    await shop.work_for(timedelta(minutes=6))
    assert shop.order(order_id).status == "fulfilled"
    assert len(await shop.read_keys(order_id, first.order_item_id, key="other-key-16-long")) == 1
    kinds = [sent.message.kind for sent in shop.mailer.mailbox]
    assert kinds == ["order-partly-ready", "order-ready"]


async def test_eleven_units_become_two_supplier_orders() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods(), quantity=11)
    await shop.work()
    assert [f.quantity for f in shop.fulfilments(order_id)] == [9, 2]
    assert shop.order(order_id).status == "fulfilled"
    assert len(shop.bought(order_id)) == 2


@pytest.mark.parametrize(
    "boundary",
    [
        AFTER_INTENT_COMMIT,
        SUPPLIER_DONE_NO_REPLY,
        REPLY_BEFORE_OUTCOME,
        AFTER_OUTCOME_COMMIT,
        KEYS_READ_BEFORE_SEAL,
        AFTER_SEAL,
        UPLOADED_BEFORE_DELIVER,
        AFTER_DELIVER_COMMIT,
    ],
)
async def test_a_death_at_any_boundary_neither_loses_nor_doubles_the_order(boundary: str) -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods(), quantity=2)
    shop.crash_at = boundary
    await shop.work_for(HOUR)
    assert not shop.crash_at
    assert shop.order(order_id).status == "fulfilled"
    assert len(shop.bought(order_id)) == 1
    assert len(shop.store.rows(SealedKey)) == 2
    assert len(shop.mailer.mailbox) == 1


async def test_an_order_whose_answer_was_lost_is_found_and_not_bought_again() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.supplier.faults.lose_next_reply()
    await shop.work_for(HOUR)
    assert shop.order(order_id).status == "fulfilled"
    assert len(shop.bought(order_id)) == 1
    assert [a.state for a in shop.attempts(order_id)] == ["completed"]


async def test_an_order_that_was_never_placed_is_bought_once_more_under_the_same_id() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.at_failpoint[AFTER_INTENT_COMMIT] = shop.supplier.faults.time_out_next
    await shop.work_for(timedelta(minutes=10))
    assert [a.state for a in shop.attempts(order_id)] == ["unknown"]
    await shop.work_for(HOUR)
    first, second = shop.attempts(order_id)
    assert (first.state, second.state) == ("absent", "completed")
    assert first.external_id == second.external_id
    assert first.checks >= shop.limits.settle_searches
    assert shop.order(order_id).status == "fulfilled"


async def test_a_worker_that_slept_half_its_lease_away_does_not_send() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    nap = timedelta(seconds=31)
    shop.at_failpoint[AFTER_INTENT_COMMIT] = lambda: shop.clock.advance(nap)
    due = next(j for j in shop.store.jobs.pending() if j.kind == "fulfil")
    lease = await shop.jobs.lease(due.id)
    assert lease is not None
    await shop.fulfil.run(lease)
    [attempt] = shop.attempts(order_id)
    assert (attempt.state, attempt.refusal) == ("rejected", "lease")
    assert shop.bought(order_id) == []


async def test_a_price_above_the_ceiling_blocks_until_it_falls() -> None:
    shop = PaidOrders()
    goods = await shop.goods()
    assert goods.offer is not None
    order_id = await shop.paid(goods)
    shop.supplier.change_offer(goods.offer.offer_id, price=Decimal("12.38"))
    await shop.work()
    [fulfilment] = shop.fulfilments(order_id)
    assert (fulfilment.state, fulfilment.blocked_reason) == ("blocked", "price")
    shop.supplier.change_offer(goods.offer.offer_id, price=Decimal("12.37"))
    await shop.work_for(timedelta(minutes=6))
    assert shop.order(order_id).status == "fulfilled"


async def test_goods_that_stay_out_of_stock_for_a_day_wait_for_a_person() -> None:
    shop = PaidOrders()
    goods = await shop.goods()
    assert goods.offer is not None
    order_id = await shop.paid(goods)
    shop.supplier.change_offer(goods.offer.offer_id, stock=0)
    await shop.work_for(timedelta(hours=25))
    assert shop.fulfilments(order_id)[0].state == "failed_terminal"
    assert [h.reason for h in shop.store.rows(Hold)] == ["fulfilment"]
    assert [sent.message.kind for sent in shop.mailer.mailbox] == ["order-delayed"]
    shop.supplier.change_offer(goods.offer.offer_id, stock=5)
    await shop.aftercare.retry(order_id, actor="admin", reason="restocked")
    await shop.work()
    assert shop.order(order_id).status == "fulfilled"


async def test_an_empty_balance_blocks_and_goes_on_when_it_is_filled() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.supplier.set_balance(Decimal(1))
    await shop.work_for(timedelta(minutes=20))
    assert shop.fulfilments(order_id)[0].blocked_reason == "balance"
    assert len(shop.attempts(order_id)) <= 5
    shop.supplier.set_balance(Decimal(100))
    await shop.work_for(timedelta(minutes=6))
    assert shop.order(order_id).status == "fulfilled"


async def test_an_outage_of_hours_ends_with_the_delivery() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.supplier.faults.go_down()
    await shop.work_for(timedelta(hours=5))
    shop.supplier.faults.come_back()
    await shop.work_for(timedelta(minutes=11))
    assert shop.order(order_id).status == "fulfilled"
    assert len(shop.bought(order_id)) == 1


async def test_keys_that_come_one_by_one_are_sealed_as_they_come() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(units=1, after=timedelta(0)))
    order_id = await shop.paid(await shop.goods(), quantity=3)
    await shop.work()
    assert len(shop.store.rows(SealedKey)) == 1
    assert shop.order(order_id).status == "paid"
    [placed] = shop.bought(order_id)
    shop.supplier.deliver(placed)
    await shop.work_for(timedelta(minutes=2))
    assert shop.order(order_id).status == "fulfilled"
    assert sorted(key.slot or 0 for key in shop.store.rows(SealedKey)) == [1, 2, 3]


async def test_a_refused_supplier_order_is_bought_under_a_new_id_after_a_refund() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(units=0))
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    [placed] = shop.bought(order_id)
    shop.supplier.end(placed, "canceled")
    await shop.work_for(timedelta(minutes=2))
    assert shop.order(order_id).status == "fulfilled"
    first, second = shop.attempts(order_id)
    assert first.state == "canceled"
    assert first.external_id.endswith("-1")
    assert second.external_id.endswith("-2")
    assert sum(line.amount for line in shop.store.rows(LedgerLine)) == 0


async def test_a_supplier_that_cancels_every_order_is_not_bought_from_for_ever() -> None:
    shop = PaidOrders()
    for _ in range(9):
        shop.supplier.next_order(NextOrder(units=0))
    order_id = await shop.paid(await shop.goods())
    for _ in range(4):
        await shop.work()
        for placed in shop.bought(order_id):
            shop.supplier.end(placed, "canceled")
        await shop.work_for(timedelta(minutes=2))
    assert [attempt.state for attempt in shop.attempts(order_id)] == ["canceled", "canceled"]
    (fulfilment,) = shop.fulfilments(order_id)
    assert (fulfilment.state, fulfilment.round) == ("failed_terminal", 3)


async def test_a_key_sold_twice_is_kept_aside_and_never_reaches_the_second_buyer() -> None:
    shop = PaidOrders()
    goods = await shop.goods()
    shop.supplier.next_order(NextOrder(serials=(b"SAME-KEY",)))
    shop.supplier.next_order(NextOrder(serials=(b" SAME-KEY\n",)))
    first = await shop.paid(goods)
    await shop.work()
    second = await shop.paid(goods)
    await shop.work()
    assert shop.order(first).status == "fulfilled"
    assert shop.order(second).status == "paid"
    assert [h.reason for h in shop.store.rows(Hold)] == ["repeated_key"]
    [held] = shop.fulfilments(second)
    await shop.aftercare.replace_key(
        second, held.order_item_id, 1, actor="admin", reason="sold twice"
    )
    await shop.work()
    assert shop.order(second).status == "fulfilled"
    assert await shop.read_keys(second, held.order_item_id) != ["SAME-KEY"]


async def test_a_store_that_is_away_delays_the_upload_and_encrypts_nothing_again() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.vault.faults.go_down()
    await shop.work_for(timedelta(minutes=30))
    [before] = shop.store.rows(SealedKey)
    assert before.ciphertext is not None
    shop.vault.faults.come_back()
    await shop.work_for(timedelta(minutes=11))
    [after] = shop.store.rows(SealedKey)
    assert after.sha256 == before.sha256
    assert shop.order(order_id).status == "fulfilled"


async def test_a_webhook_shortens_the_wait_for_the_keys() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(units=0))
    order_id = await shop.paid(await shop.goods())
    await shop.work_for(timedelta(hours=2))
    [placed] = shop.bought(order_id)
    shop.supplier.deliver(placed)
    headers, body = shop.supplier.webhook(placed)
    assert await shop.hints.accept("supplier", headers, body) == "accepted"
    assert await shop.hints.accept("supplier", headers, body) == "duplicate"
    assert await shop.hints.accept("supplier", {}, body) == "forged"
    await shop.work()
    assert shop.order(order_id).status == "fulfilled"
