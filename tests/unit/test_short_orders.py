"""A supplier order that is said to be delivered while a key of it cannot be read."""

from datetime import timedelta
from decimal import Decimal

from bitloot.domain.hold import Hold
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.refund import RefundRecord
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_adapters.memory.supplier import NextOrder

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
RECORD = RefundRecord(
    amount="1",
    asset="btc",
    address="a",
    tx_id="t",
    basis="fiat",
    eur=Decimal("12.50"),
    reason="r",
)


async def short_by_one(shop: PaidOrders, *, own: bool = False) -> str:
    """A paid order of three units of which the supplier shows two, all being delivered."""
    shop.supplier.next_order(NextOrder(units=0))
    goods = [await shop.goods()]
    if own:
        goods.append(await shop.own_goods("OWN-1", "OWN-2", "OWN-3"))
    order_id = await shop.paid(*goods, quantity=3)
    await shop.work()
    (placed,) = shop.bought(order_id)
    shop.supplier.hide(placed)
    shop.supplier.deliver(placed)
    return order_id


def open_holds(shop: PaidOrders) -> list[tuple[str, str]]:
    return [(h.subject, h.reason) for h in shop.store.rows(Hold) if h.is_open]


def mails(shop: PaidOrders) -> list[str]:
    return [sent.message.kind for sent in shop.mailer.mailbox]


async def test_a_completed_order_that_stays_short_of_a_key_is_held_and_its_buyer_is_told() -> None:
    shop = PaidOrders()
    order_id = await short_by_one(shop)
    await shop.work_for(50 * MINUTE)
    assert len(shop.store.rows(SealedKey)) == 2
    assert (open_holds(shop), mails(shop)) == ([], [])
    await shop.work_for(20 * MINUTE)
    assert open_holds(shop) == [("item", "fulfilment")]
    assert mails(shop) == ["order-delayed"]
    assert [f.last_error for f in shop.fulfilments(order_id)] == ["short"]
    shown = [e.kind for e in shop.store.timeline(order_id) if e.kind == "item_failed"]
    assert shown == ["item_failed"]


async def test_the_other_items_of_an_order_that_is_short_of_a_key_are_delivered() -> None:
    shop = PaidOrders()
    order_id = await short_by_one(shop, own=True)
    await shop.work_for(2 * HOUR)
    assert shop.order(order_id).status == "partially_fulfilled"
    _, own = shop.fulfilments(order_id)
    assert own.state == "delivered"
    assert len(await shop.read_keys(order_id, own.order_item_id)) == 3


async def test_a_key_that_comes_after_all_within_the_hour_is_delivered_without_a_word() -> None:
    shop = PaidOrders()
    order_id = await short_by_one(shop)
    await shop.work_for(30 * MINUTE)
    shop.supplier.show()
    await shop.work_for(2 * HOUR)
    assert shop.order(order_id).status == "fulfilled"
    assert (open_holds(shop), mails(shop)) == ([], ["order-ready"])
    assert [a.short_since for a in shop.attempts(order_id)] == [None]


async def test_an_unreadable_key_of_an_order_still_in_processing_is_told_of_too() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(units=0))
    order_id = await shop.paid(await shop.goods(), quantity=2)
    await shop.work()
    (placed,) = shop.bought(order_id)
    shop.supplier.hide(placed, 2)
    shop.supplier.deliver(placed, 1)
    await shop.work_for(2 * HOUR)
    assert open_holds(shop) == [("item", "fulfilment")]


async def test_a_held_order_is_read_once_an_hour_and_goes_on_when_a_person_says_so() -> None:
    shop = PaidOrders()
    order_id = await short_by_one(shop)
    await shop.work_for(2 * HOUR)
    (job,) = [j for j in shop.store.jobs.pending() if j.kind == "fulfil"]
    assert job.available_at - shop.clock.now() > 5 * MINUTE
    await shop.aftercare.retry(order_id, actor="admin", reason="the supplier was asked")
    assert open_holds(shop) == []
    await shop.work_for(30 * MINUTE)
    assert open_holds(shop) == []
    shop.supplier.show()
    await shop.work_for(6 * MINUTE)
    assert shop.order(order_id).status == "fulfilled"
    assert len(shop.bought(order_id)) == 1


async def test_an_order_that_stays_short_after_a_retry_is_held_anew() -> None:
    shop = PaidOrders()
    order_id = await short_by_one(shop)
    await shop.work_for(2 * HOUR)
    await shop.aftercare.retry(order_id, actor="admin", reason="the supplier was asked")
    await shop.work_for(2 * HOUR)
    assert open_holds(shop) == [("item", "fulfilment")]
    assert len(shop.bought(order_id)) == 1


async def test_a_refunded_order_that_is_short_of_a_key_is_given_back_as_it_is() -> None:
    shop = PaidOrders()
    order_id = await short_by_one(shop)
    await shop.work_for(2 * HOUR)
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    await shop.work_for(2 * HOUR)
    assert [f.state for f in shop.fulfilments(order_id)] == ["cancelled"]
    assert [a.returning for a in shop.attempts(order_id)] == ["asked"]
    assert {key.state for key in shop.store.rows(SealedKey)} == {"returned"}
    assert [j.kind for j in shop.store.jobs.pending() if j.kind == "fulfil"] == []
    assert sum(line.amount for line in shop.store.rows(LedgerLine)) == 0
