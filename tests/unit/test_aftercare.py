"""What people do after the payment: reveal, download, revoke, refund, retry, replace, give up."""

from datetime import timedelta
from decimal import Decimal

import pytest

from bitloot.domain.errors import Refused
from bitloot.domain.idempotency import Once
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.refund import RefundRecord
from bitloot.domain.reveal import Grant
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_adapters.memory.supplier import NextOrder

RECORD = RefundRecord(
    amount="0.0002",
    asset="btc",
    address="bc1q",
    tx_id="tx-1",
    basis="then",
    eur=Decimal("12.50"),
    reason="changed their mind",
)


def once(key: str = "k" * 16) -> Once:
    return Once(route="reveal", caller="order", key=key, request_hash="same")


async def delivered(shop: PaidOrders, *serials: str) -> tuple[str, str]:
    goods = await shop.own_goods(*serials) if serials else await shop.goods()
    order_id = await shop.paid(goods)
    await shop.work()
    return order_id, shop.fulfilments(order_id)[0].order_item_id


async def test_the_same_reveal_twice_gives_the_same_link() -> None:
    shop = PaidOrders()
    order_id, item_id = await delivered(shop)
    first = await shop.reveal.reveal(order_id, item_id, granted_to="order_session", once=once())
    again = await shop.reveal.reveal(order_id, item_id, granted_to="order_session", once=once())
    assert first == again
    assert len(shop.store.rows(Grant)) == 1
    assert first.token not in repr(first)
    assert [line.entry.action for line in shop.store.audit.lines] == ["key.reveal"]


async def test_a_link_ends_after_fifteen_minutes_and_five_downloads() -> None:
    shop = PaidOrders()
    order_id, item_id = await delivered(shop)
    link = await shop.reveal.reveal(order_id, item_id, granted_to="s", once=once())
    for _ in range(5):
        await shop.reveal.download(link.token, client="c")
    with pytest.raises(Refused, match="link-used-up"):
        await shop.reveal.download(link.token, client="c")
    fresh = await shop.reveal.reveal(order_id, item_id, granted_to="s", once=once("x" * 16))
    shop.clock.advance(timedelta(minutes=15))
    with pytest.raises(Refused, match="link-expired"):
        await shop.reveal.download(fresh.token, client="c")
    [key] = shop.store.rows(SealedKey)
    assert key.downloads == 5
    assert key.first_download_at is not None


async def test_a_revoked_link_opens_nothing() -> None:
    shop = PaidOrders()
    order_id, item_id = await delivered(shop)
    link = await shop.reveal.reveal(order_id, item_id, granted_to="s", once=once())
    assert await shop.reveal.revoke(order_id, item_id, actor="admin", reason="asked") == 1
    with pytest.raises(Refused, match="link-revoked"):
        await shop.reveal.download(link.token, client="c")


async def test_a_forged_token_opens_nothing() -> None:
    shop = PaidOrders()
    await delivered(shop)
    for token in ("", "a.b", "x" * 300, "é", "aaaa.bbbb"):
        with pytest.raises(Refused, match="not-found"):
            await shop.reveal.download(token, client="c")


async def test_an_item_that_is_not_delivered_cannot_be_revealed() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(units=0))
    order_id, item_id = await delivered(shop)
    with pytest.raises(Refused, match="not-revealable"):
        await shop.reveal.reveal(order_id, item_id, granted_to="s", once=once())
    with pytest.raises(Refused, match="not-found"):
        await shop.reveal.reveal(order_id, "another", granted_to="s", once=once())


async def test_each_key_of_the_file_carries_a_receipt_of_the_key_as_given() -> None:
    shop = PaidOrders()
    order_id, item_id = await delivered(shop, "PLAIN-1")
    link = await shop.reveal.reveal(order_id, item_id, granted_to="s", once=once())
    file = await shop.reveal.download(link.token, client="client-digest")
    [entry] = file.keys
    assert entry.key == "PLAIN-1"
    assert entry.receipt.receipt.client == "client-digest"
    assert entry.receipt.signature.startswith("signed-")
    assert "PLAIN-1" not in repr(entry)


async def test_an_image_key_is_given_as_base64() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(serials=(b"\x89PNG\xff",), content_type="image/png"))
    order_id, item_id = await delivered(shop)
    assert await shop.read_keys(order_id, item_id) == ["iVBOR/8="]


async def test_a_refund_before_the_reveal_returns_the_key_to_the_supplier_once() -> None:
    shop = PaidOrders()
    order_id, item_id = await delivered(shop)
    await shop.reveal.reveal(order_id, item_id, granted_to="s", once=once())
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    await shop.work()
    assert shop.order(order_id).status == "refunded"
    assert [f.state for f in shop.fulfilments(order_id)] == ["returned"]
    assert [a.returning for a in shop.attempts(order_id)] == ["asked"]
    assert [key.state for key in shop.store.rows(SealedKey)] == ["returned"]
    assert shop.vault.objects == {}
    assert all(grant.revoked_at for grant in shop.store.rows(Grant))
    assert sum(line.amount for line in shop.store.rows(LedgerLine)) == 0


async def test_a_refund_after_the_reveal_asks_twice_and_burns_the_key() -> None:
    shop = PaidOrders()
    order_id, item_id = await delivered(shop, "OWN-1")
    await shop.read_keys(order_id, item_id)
    with pytest.raises(Refused, match="refund-needs-confirmation"):
        await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=True)
    assert [key.state for key in shop.store.rows(InventoryKey)] == ["burned"]


async def test_an_own_key_nobody_saw_is_sold_again_after_a_refund() -> None:
    shop = PaidOrders()
    goods = await shop.own_goods("OWN-1")
    first = await shop.paid(goods)
    await shop.work()
    await shop.aftercare.refund(first, RECORD, actor="admin", confirmed=False)
    assert list(shop.store.tables.of_order(SealedKey, first)) == []
    second = await shop.paid(goods)
    await shop.work()
    item_id = shop.fulfilments(second)[0].order_item_id
    assert await shop.read_keys(second, item_id) == ["OWN-1"]
    assert sum(line.amount for line in shop.store.rows(LedgerLine)) == 0


async def test_goods_that_come_after_the_refund_are_returned_and_never_delivered() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(units=0))
    order_id, _ = await delivered(shop)
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    [placed] = shop.bought(order_id)
    shop.supplier.deliver(placed)
    await shop.work_for(timedelta(minutes=10))
    assert shop.order(order_id).status == "refunded"
    assert [f.state for f in shop.fulfilments(order_id)] == ["returned"]
    assert [a.returning for a in shop.attempts(order_id)] == ["asked"]


async def test_a_refund_stops_what_was_not_bought_yet() -> None:
    shop = PaidOrders()
    goods = await shop.goods()
    shop.supplier.set_balance(Decimal(0))
    order_id = await shop.paid(goods)
    await shop.work()
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    shop.supplier.set_balance(Decimal(100))
    await shop.work_for(timedelta(hours=1))
    assert [f.state for f in shop.fulfilments(order_id)] == ["cancelled"]
    assert shop.bought(order_id) == []


async def test_two_retries_at_once_end_with_one_running() -> None:
    shop = PaidOrders()
    goods = await shop.goods()
    shop.supplier.set_balance(Decimal(0))
    order_id = await shop.paid(goods)
    await shop.work()
    shop.supplier.set_balance(Decimal(100))
    await shop.aftercare.retry(order_id, actor="admin", reason="topped up")
    with pytest.raises(Refused) as refusal:
        await shop.aftercare.retry(order_id, actor="other", reason="topped up")
    assert refusal.value.code == "retry-in-progress"
    assert refusal.value.facts == {"running": shop.fulfilments(order_id)[0].id}
    await shop.work()
    assert shop.order(order_id).status == "fulfilled"


async def test_goods_that_are_at_work_by_themselves_are_no_retry_that_runs_already() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    await shop.aftercare.retry(order_id, actor="admin", reason="asked at once")
    shop.clock.advance(shop.limits.job_lease - timedelta(seconds=1))
    with pytest.raises(Refused, match="retry-in-progress"):
        await shop.aftercare.retry(order_id, actor="other", reason="asked at once")
    shop.clock.advance(timedelta(seconds=1))
    await shop.aftercare.retry(order_id, actor="other", reason="still nothing")
    await shop.work()
    assert shop.order(order_id).status == "fulfilled"


async def test_an_order_given_up_can_be_retried_to_its_end() -> None:
    shop = PaidOrders()
    supplied, own = await shop.goods(), await shop.own_goods("OWN-1")
    shop.supplier.set_balance(Decimal(0))
    order_id = await shop.paid(supplied, own)
    await shop.work()
    await shop.aftercare.give_up(order_id, actor="admin", reason="no end in sight")
    assert shop.order(order_id).status == "failed"
    own_item = shop.fulfilments(order_id)[1].order_item_id
    assert await shop.read_keys(order_id, own_item) == ["OWN-1"]
    shop.supplier.set_balance(Decimal(100))
    await shop.work_for(timedelta(minutes=30))
    assert shop.bought(order_id) == []
    await shop.aftercare.retry(order_id, actor="admin", reason="topped up")
    assert shop.order(order_id).status == "partially_fulfilled"
    await shop.work()
    assert shop.order(order_id).status == "fulfilled"


async def test_a_replaced_key_stays_in_the_history_and_its_order_stays_fulfilled() -> None:
    shop = PaidOrders()
    order_id, item_id = await delivered(shop, "OLD-1", "NEW-2")
    assert await shop.read_keys(order_id, item_id) == ["OLD-1"]
    await shop.aftercare.replace_key(order_id, item_id, 1, actor="admin", reason="used")
    assert shop.order(order_id).status == "fulfilled"
    await shop.work()
    assert await shop.read_keys(order_id, item_id, key="y" * 16) == ["NEW-2"]
    assert [f.state for f in shop.fulfilments(order_id)] == ["replaced", "delivered"]
    assert [k.state for k in shop.store.rows(InventoryKey)] == ["burned", "sold"]
    with pytest.raises(Refused, match="key-not-replaceable"):
        await shop.aftercare.replace_key(order_id, item_id, 9, actor="admin", reason="used")


async def test_reveals_go_on_while_every_data_key_is_wrapped_anew() -> None:
    shop = PaidOrders()
    order_id, item_id = await delivered(shop, "OWN-1", "OWN-2")
    shop.vault.rotate("kek-new")
    assert await shop.read_keys(order_id, item_id) == ["OWN-1"]
    assert [(await shop.inventory.rotate()).count for _ in range(2)] == [2, 0]
    shop.vault.forget_kek("memory-1")
    assert await shop.read_keys(order_id, item_id, key="z" * 16) == ["OWN-1"]


async def test_a_refund_stands_in_the_books_once_and_to_the_cent() -> None:
    shop = PaidOrders()
    order_id, _ = await delivered(shop)
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    with pytest.raises(Refused, match="refund-not-allowed"):
        await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=True)
    await shop.work_for(timedelta(days=2))
    refunds = [line for line in shop.store.rows(LedgerLine) if line.account == "refund"]
    assert [line.amount for line in refunds] == [RECORD.eur]


async def test_a_failed_order_that_is_refunded_bears_no_reason_of_a_failure_any_more() -> None:
    shop = PaidOrders()
    shop.supplier.set_balance(Decimal(0))
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    await shop.aftercare.give_up(order_id, actor="admin", reason="no end in sight")
    assert shop.order(order_id).failure_reason == "fulfilment_failed"
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    assert (shop.order(order_id).status, shop.order(order_id).failure_reason) == ("refunded", None)
