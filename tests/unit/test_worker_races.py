"""Two workers at one fulfilment, a refund in mid-purchase, a hold in mid-delivery."""

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from bitloot.domain.decision import Decision, Event, insert, update
from bitloot.domain.failpoints import AFTER_OUTCOME_COMMIT
from bitloot.domain.hold import Hold
from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.domain.refund import RefundRecord
from bitloot.domain.supplier_return import return_noted
from bitloot.ports.errors import LeaseLost, Rejected
from bitloot.ports.jobs import Lease
from bitloot.ports.supplier import SupplierOrder, SupplierRequest
from bitloot.testing.rows import SUPPLIER
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_adapters.memory.supplier import MemorySupplier, NextOrder

RECORD = RefundRecord(
    amount="1",
    asset="btc",
    address="a",
    tx_id="t",
    basis="fiat",
    eur=Decimal("12.50"),
    reason="r",
)


async def taken(shop: PaidOrders) -> Lease:
    due = next(j for j in shop.store.jobs.pending() if j.kind == "fulfil")
    lease = await shop.jobs.lease(due.id)
    assert lease is not None
    return lease


async def hold_order(shop: PaidOrders, order_id: str) -> Hold:
    order = shop.order(order_id)
    hold = shop.rows.hold(order, reason="gateway_refund")
    event = Event(kind="order_held", at=shop.clock.now(), subject=hold.id)
    async with shop.uow.begin() as tx:
        await tx.record(
            Decision(save=(insert(hold), update(order)), events=(event,), order_id=order_id)
        )
    return hold


async def release(shop: PaidOrders, order_id: str, hold: Hold) -> None:
    order = shop.order(order_id)
    stored = next(h for h in shop.store.rows(Hold) if h.id == hold.id)
    event = Event(kind="hold_closed", at=shop.clock.now(), subject=hold.id)
    async with shop.uow.begin() as tx:
        await tx.record(
            Decision(
                save=(update(stored, state="accepted"), update(order)),
                events=(event,),
                order_id=order_id,
            )
        )


async def test_a_worker_whose_lease_was_taken_over_writes_nothing_more() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    old = await taken(shop)
    shop.clock.advance(timedelta(seconds=61))
    fresh = await taken(shop)
    assert fresh.fence == old.fence + 1
    with pytest.raises(LeaseLost):
        await shop.fulfil.run(old)
    assert shop.attempts(order_id) == []
    await shop.fulfil.run(fresh)
    assert shop.order(order_id).status == "fulfilled"
    assert len(shop.bought(order_id)) == 1


async def test_a_hold_stops_the_purchase_and_its_end_lets_it_go_on() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    hold = await hold_order(shop, order_id)
    await shop.work_for(timedelta(hours=2))
    assert shop.bought(order_id) == []
    assert [f.state for f in shop.fulfilments(order_id)] == ["pending"]
    await release(shop, order_id, hold)
    await shop.work_for(timedelta(minutes=6))
    assert shop.order(order_id).status == "fulfilled"


async def test_a_hold_during_the_delivery_keeps_the_keys_in_the_vault() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(units=0))
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    hold = await hold_order(shop, order_id)
    shop.supplier.deliver(shop.bought(order_id)[0])
    await shop.work_for(timedelta(minutes=10))
    assert [f.state for f in shop.fulfilments(order_id)] == ["vaulted"]
    assert shop.order(order_id).status == "paid"
    await release(shop, order_id, hold)
    await shop.work_for(timedelta(minutes=6))
    assert shop.order(order_id).status == "fulfilled"


async def test_a_refund_between_purchase_and_delivery_gives_the_keys_back() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.crash_at = AFTER_OUTCOME_COMMIT
    await shop.work()
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    await shop.work_for(timedelta(minutes=10))
    assert shop.order(order_id).status == "refunded"
    assert [f.state for f in shop.fulfilments(order_id)] == ["returned"]
    assert [a.returning for a in shop.attempts(order_id)] == ["asked"]


async def test_a_refund_while_the_answer_is_lost_buys_nothing_more() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.supplier.faults.lose_next_reply()
    await shop.work()
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    await shop.work_for(timedelta(hours=1))
    assert len(shop.bought(order_id)) == 1
    assert [f.state for f in shop.fulfilments(order_id)] == ["returned"]


async def test_a_return_that_the_supplier_refuses_is_asked_once() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    await shop.supplier.give_back(shop.bought(order_id)[0])
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    await shop.work_for(timedelta(hours=1))
    assert [a.returning for a in shop.attempts(order_id)] == ["refused"]


async def test_a_return_asked_for_during_an_outage_is_asked_after_it() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    shop.supplier.faults.go_down()
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    await shop.work_for(timedelta(minutes=2))
    assert [a.returning for a in shop.attempts(order_id)] == ["wanted"]
    shop.supplier.faults.come_back()
    await shop.work_for(timedelta(minutes=11))
    assert [a.returning for a in shop.attempts(order_id)] == ["asked"]


async def test_a_wrong_product_or_an_unknown_kind_of_key_is_held() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(content_type="application/zip"))
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    assert shop.order(order_id).status == "paid"
    assert [(h.subject, h.reason) for h in shop.store.rows(Hold)] == [("item", "fulfilment")]


async def test_a_key_kept_aside_holds_its_item_again_until_it_is_replaced() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(content_type="application/zip"))
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    [hold] = shop.store.rows(Hold)
    await release(shop, order_id, hold)
    await shop.work_for(timedelta(minutes=6))
    assert [h.is_open for h in shop.store.rows(Hold)] == [False, True]
    [item] = shop.fulfilments(order_id)
    await shop.aftercare.replace_key(order_id, item.order_item_id, 1, actor="a", reason="r")
    await shop.work()
    assert shop.order(order_id).status == "fulfilled"


async def test_a_key_that_waits_to_be_stored_is_replaced_while_the_store_of_objects_is_away() -> (
    None
):
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods(), quantity=2)
    shop.vault.faults.go_down()
    await shop.work()
    [item] = shop.fulfilments(order_id)
    for slot in item.slots:
        await shop.aftercare.replace_key(order_id, item.order_item_id, slot, actor="a", reason="r")
    shop.vault.faults.come_back()
    await shop.work_for(timedelta(minutes=11))
    assert shop.order(order_id).status == "fulfilled"


async def test_an_object_of_a_returned_key_is_removed_after_an_outage_of_hours() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    shop.vault.faults.go_down()
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    await shop.work_for(timedelta(hours=5))
    assert len(shop.vault.objects) == 1
    shop.vault.faults.come_back()
    await shop.work_for(timedelta(minutes=11))
    assert len(shop.vault.objects) == 0


async def test_a_supplier_refund_told_during_an_outage_is_noticed_after_it() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    [placed] = shop.bought(order_id)
    shop.supplier.end(placed, "refunded")
    headers, body = shop.supplier.webhook(placed)
    await shop.hints.accept("supplier", headers, body)
    shop.supplier.faults.go_down()
    await shop.work_for(timedelta(hours=5))
    shop.supplier.faults.come_back()
    await shop.work_for(timedelta(minutes=6))
    assert [h.reason for h in shop.store.rows(Hold)] == ["supplier_refund"]
    assert shop.order(order_id).status == "fulfilled"


async def given_back(shop: PaidOrders) -> str:
    """A delivered order whose refund was just recorded; the return of its keys is due."""
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    return order_id


async def test_a_return_whose_answer_was_lost_is_never_asked_for_again() -> None:
    shop = PaidOrders()
    order_id = await given_back(shop)
    shop.supplier.faults.lose_next_reply()
    await shop.work_for(timedelta(hours=3))
    assert [a.returning for a in shop.attempts(order_id)] == ["unknown"]
    assert [found.kind for found in shop.store.rows(ReconciliationBreak)] == ["return_unclear"]
    await shop.jobs.tick("t", shop.clock.now(), "return_keys", shop.attempts(order_id)[0].id)
    await shop.work()
    assert [a.returning for a in shop.attempts(order_id)] == ["unknown"]


async def test_a_return_that_may_not_have_arrived_is_not_sent_a_second_time() -> None:
    shop = PaidOrders()
    order_id = await given_back(shop)
    shop.supplier.faults.time_out_next()
    await shop.work_for(timedelta(hours=3))
    assert [a.returning for a in shop.attempts(order_id)] == ["unknown"]
    [placed] = shop.bought(order_id)
    assert [unit.state for unit in (await shop.supplier.order(placed)).keys] == ["delivered"]
    [unclear] = shop.store.rows(ReconciliationBreak)
    assert (unclear.kind, unclear.subject) == ("return_unclear", f"supplier/{placed}")


async def test_a_worker_that_dies_while_it_asks_for_a_return_leaves_it_unclear() -> None:
    shop = PaidOrders()
    order_id = await given_back(shop)
    due = next(j for j in shop.store.jobs.pending() if j.kind == "return_keys")
    shop.supplier.faults.lose_next_reply()
    lease = await shop.jobs.lease(due.id)
    assert lease is not None
    shop.clock.advance(timedelta(seconds=61))
    fresh = await shop.jobs.lease(due.id)
    assert fresh is not None
    with pytest.raises(LeaseLost):
        await shop.aftercare.return_keys(lease)
    assert [a.returning for a in shop.attempts(order_id)] == ["wanted"]
    [attempt] = shop.attempts(order_id)
    async with shop.uow.begin() as tx:
        file = await tx.orders.file(order_id)
        assert file is not None
        begun = return_noted(
            file,
            attempt,
            "sending",
            at=shop.clock.now(),
            new_id=shop.new_id,
            limits=shop.limits,
        )
        await tx.record(begun)
    await shop.aftercare.return_keys(fresh)
    assert [a.returning for a in shop.attempts(order_id)] == ["unknown"]
    [placed] = shop.bought(order_id)
    assert [unit.state for unit in (await shop.supplier.order(placed)).keys] == ["delivered"]


async def test_an_unclear_return_is_settled_once_the_supplier_shows_the_keys_back() -> None:
    shop = PaidOrders()
    order_id = await given_back(shop)
    shop.supplier.faults.lose_next_reply()
    await shop.work()
    assert [row.state for row in shop.store.rows(ReconciliationBreak)] == ["open"]
    at = shop.clock.now()
    await shop.jobs.tick("reconcile-supplier", at, "sweep", f"reconcile-supplier/{at}")
    await shop.work()
    assert [row.state for row in shop.store.rows(ReconciliationBreak)] == ["settled"]
    assert shop.order(order_id).status == "refunded"


async def test_a_return_that_our_credentials_kept_from_the_supplier_is_asked_for_later() -> None:
    shop = PaidOrders()
    order_id = await given_back(shop)
    shop.supplier.faults.knows_credentials = False
    await shop.work()
    assert [a.returning for a in shop.attempts(order_id)] == ["wanted"]
    shop.supplier.faults.knows_credentials = True
    await shop.work_for(timedelta(minutes=11))
    assert [a.returning for a in shop.attempts(order_id)] == ["asked"]


class Hasty(MemorySupplier):
    """Its notice of an order is read before the answer to the call; `repeats` are placed first."""

    def __init__(self, shop: PaidOrders, *, repeats: int = 0, refuses: str | None = None) -> None:
        inside = shop.uow.in_transaction
        super().__init__(
            clock=shop.clock.now, random_bytes=shop.random, name=SUPPLIER, in_transaction=inside
        )
        self._shop, self._repeats, self._refuses = shop, repeats, refuses

    async def place(self, request: SupplierRequest) -> SupplierOrder:
        placed = [await super(Hasty, self).place(request) for _ in range(1 + self._repeats)]
        shop = self._shop
        await shop.hints.accept(SUPPLIER, *self.webhook(placed[0].supplier_order_id))
        due = next(j for j in shop.store.jobs.pending() if j.kind == "supplier_hint")
        lease = await shop.jobs.lease(due.id)
        assert lease is not None
        await shop.hints.follow_up(lease)
        if self._refuses is not None:
            raise Rejected(SUPPLIER, self._refuses)
        return placed[-1]


def opened_with(shop: PaidOrders, supplier: MemorySupplier) -> PaidOrders:
    suppliers = {SUPPLIER: supplier}
    shop.supplier = supplier
    shop.fulfil = dataclasses.replace(
        shop.fulfil, desk=dataclasses.replace(shop.fulfil.desk, suppliers=suppliers)
    )
    shop.hints = dataclasses.replace(shop.hints, suppliers=suppliers)
    shop.aftercare = dataclasses.replace(shop.aftercare, suppliers=suppliers)
    return shop


async def test_a_notice_that_is_read_before_the_reply_takes_the_order_up_once() -> None:
    shop = PaidOrders()
    order_id = await opened_with(shop, Hasty(shop)).paid(await shop.goods())
    await shop.work()
    assert shop.order(order_id).status == "fulfilled"
    [attempt] = shop.attempts(order_id)
    assert [attempt.supplier_order_id] == shop.bought(order_id)


async def test_an_older_order_that_turns_up_during_the_call_serves_and_the_new_one_goes_back() -> (
    None
):
    shop = PaidOrders()
    order_id = await opened_with(shop, Hasty(shop, repeats=1)).paid(await shop.goods())
    await shop.work()
    assert shop.order(order_id).status == "fulfilled"
    older, newer = shop.bought(order_id)
    kept = {a.supplier_order_id: (a.state, a.returning) for a in shop.attempts(order_id)}
    assert kept == {older: ("completed", "none"), newer: ("canceled", "asked")}


async def test_a_refused_repetition_of_an_order_that_turned_up_changes_nothing() -> None:
    shop = PaidOrders()
    order_id = await opened_with(shop, Hasty(shop, refuses="invalid")).paid(await shop.goods())
    await shop.work()
    assert shop.order(order_id).status == "fulfilled"
    assert [a.state for a in shop.attempts(order_id)] == ["completed"]


class Chatty(MemorySupplier):
    """Its notice of an order is followed up while it is searched for the order."""

    def __init__(self, shop: PaidOrders) -> None:
        super().__init__(clock=shop.clock.now, random_bytes=shop.random, name=SUPPLIER)
        self._shop = shop

    async def find(self, external_id: str) -> Sequence[SupplierOrder]:
        found = await super().find(external_id)
        shop = self._shop
        await shop.hints.accept(SUPPLIER, *self.webhook(found[0].supplier_order_id))
        due = next(j for j in shop.store.jobs.pending() if j.kind == "supplier_hint")
        lease = await shop.jobs.lease(due.id)
        assert lease is not None
        await shop.hints.follow_up(lease)
        return found


async def test_an_order_that_is_told_of_during_its_search_is_taken_up_and_a_second_goes_back() -> (
    None
):
    shop = PaidOrders()
    order_id = await opened_with(shop, Chatty(shop)).paid(await shop.goods())
    shop.supplier.faults.lose_next_reply()
    await shop.work()
    [attempt] = shop.attempts(order_id)
    shop.clock.advance(timedelta(seconds=1))
    await shop.supplier.place(
        SupplierRequest(
            external_id=attempt.external_id,
            supplier_product_id=attempt.supplier_product_id,
            offer_id=None,
            quantity=1,
            max_price=attempt.max_price,
        )
    )
    await shop.work_for(timedelta(seconds=5))
    assert shop.order(order_id).status == "fulfilled"
    older, newer = shop.bought(order_id)
    kept = {a.supplier_order_id: (a.state, a.returning) for a in shop.attempts(order_id)}
    assert kept == {older: ("completed", "none"), newer: ("canceled", "asked")}


class Counting(MemorySupplier):
    """Counts the calls that reach for it."""

    def __init__(self, shop: PaidOrders) -> None:
        super().__init__(clock=shop.clock.now, random_bytes=shop.random, name=SUPPLIER)
        self.calls = 0

    async def order(self, supplier_order_id: str) -> SupplierOrder:
        self.calls += 1
        return await super().order(supplier_order_id)

    async def give_back(self, supplier_order_id: str) -> None:
        self.calls += 1
        await super().give_back(supplier_order_id)


async def test_during_an_outage_news_and_returns_are_tried_by_probes_only() -> None:
    shop = PaidOrders()
    supplier = Counting(shop)
    goods = await opened_with(shop, supplier).goods()
    orders = [await shop.paid(goods) for _ in range(20)]
    await shop.work()
    for order_id in orders[:10]:
        supplier.end(shop.bought(order_id)[0], "refunded")
        await shop.hints.accept(SUPPLIER, *supplier.webhook(shop.bought(order_id)[0]))
    for order_id in orders[10:]:
        await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    supplier.faults.go_down()
    supplier.calls = 0
    await shop.work_for(timedelta(minutes=10))
    # Five failures open the breaker; then one call each half a minute.
    assert supplier.calls <= 5 + 20
    supplier.faults.come_back()
    await shop.work_for(timedelta(minutes=11))
    returns = [a.returning for order_id in orders[10:] for a in shop.attempts(order_id)]
    assert returns == ["asked"] * 10
    assert {h.reason for h in shop.store.rows(Hold)} == {"supplier_refund"}
