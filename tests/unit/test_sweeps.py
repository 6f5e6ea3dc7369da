"""Sweeps find work that lost its job, and goods that nobody waits for; stock is counted in."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256

import msgspec
import pytest

from bitloot.domain.decision import Decision
from bitloot.domain.errors import Refused
from bitloot.domain.failpoints import AFTER_INTENT_COMMIT
from bitloot.domain.hold import Hold
from bitloot.domain.idempotency import IdempotencyRecord
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.own_stock import Batch, LineReport, StockLine
from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.ports.jobs import Done
from bitloot.ports.supplier import SupplierOrder, SupplierRequest
from bitloot.testing.rows import COST, SUPPLIER
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_adapters.memory.supplier import MemorySupplier, NextOrder


async def sweep(shop: PaidOrders, name: str) -> None:
    await shop.jobs.tick(name, shop.clock.now(), "sweep", f"{name}/{shop.clock.now()}")
    await shop.work()


async def test_a_fulfilment_that_lost_its_job_gets_one() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    due = next(j for j in shop.store.jobs.pending() if j.kind == "fulfil")
    lease = await shop.jobs.lease(due.id)
    assert lease is not None
    async with shop.uow.begin() as tx:
        await tx.record(Decision(), lease=lease, outcome=Done())
    await shop.work_for(timedelta(minutes=2))
    assert shop.order(order_id).status == "paid"
    await sweep(shop, "redrive")
    assert shop.order(order_id).status == "fulfilled"


async def test_a_supplier_order_that_nobody_needs_is_written_down_and_given_back() -> None:
    shop = PaidOrders()
    goods = await shop.goods()
    assert goods.offer is not None
    order_id = await shop.paid(goods)
    await shop.work()
    [ours] = shop.attempts(order_id)
    await shop.supplier.place(
        SupplierRequest(
            external_id=ours.external_id,
            supplier_product_id=ours.supplier_product_id,
            offer_id=None,
            quantity=1,
            max_price=Decimal(10),
        )
    )
    await sweep(shop, "reconcile-supplier")
    _, surplus = shop.attempts(order_id)
    assert (surplus.state, surplus.refusal, surplus.returning) == ("canceled", "surplus", "asked")
    await sweep(shop, "reconcile-supplier")
    assert len(shop.attempts(order_id)) == 2
    assert [f.state for f in shop.fulfilments(order_id)] == ["delivered"]


def costs(shop: PaidOrders) -> Decimal:
    """What the books say that supplier orders cost us, after what came back."""
    lines = shop.store.rows(LedgerLine)
    assert sum(line.amount for line in lines) == 0
    return sum((line.amount for line in lines if line.account == "cost"), Decimal(0))


async def bought_twice(shop: PaidOrders, *, quantity: int) -> tuple[str, str]:
    """A delivered order with a second supplier order that nobody needs; gives both their ids."""
    goods = await shop.goods()
    order_id = await shop.paid(goods, quantity=quantity)
    await shop.work()
    (ours,) = shop.attempts(order_id)
    request = SupplierRequest(
        external_id=ours.external_id,
        supplier_product_id=ours.supplier_product_id,
        offer_id=None,
        quantity=quantity,
        max_price=Decimal(10),
    )
    return order_id, (await shop.supplier.place(request)).supplier_order_id


async def test_the_money_of_a_supplier_order_given_back_is_booked_once() -> None:
    shop = PaidOrders()
    order_id, _ = await bought_twice(shop, quantity=3)
    assert costs(shop) == 3 * COST
    await sweep(shop, "reconcile-supplier")
    assert costs(shop) == 6 * COST
    for _ in range(2):
        shop.clock.advance(timedelta(minutes=1))
        await sweep(shop, "reconcile-supplier")
        assert costs(shop) == 3 * COST
    assert [a.units_back for a in shop.attempts(order_id)] == [0, 3]


async def test_the_money_of_a_surplus_order_is_booked_when_a_webhook_tells_of_it() -> None:
    shop = PaidOrders()
    _, surplus = await bought_twice(shop, quantity=1)
    await sweep(shop, "reconcile-supplier")
    shop.supplier.end(surplus, "refunded")
    headers, body = shop.supplier.webhook(surplus)
    await shop.hints.accept("supplier", headers, body)
    await shop.work()
    assert costs(shop) == COST


async def doubtful_second_round(shop: PaidOrders) -> tuple[str, SupplierRequest]:
    """A first supplier order was cancelled; nobody knows yet whether the second was placed."""
    shop.supplier.next_order(NextOrder(units=0))
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    (first,) = shop.attempts(order_id)
    shop.supplier.end(shop.bought(order_id)[0], "canceled")
    shop.at_failpoint[AFTER_INTENT_COMMIT] = shop.supplier.faults.time_out_next
    await shop.work_for(timedelta(minutes=1))
    assert [a.state for a in shop.attempts(order_id)] == ["canceled", "unknown"]
    request = SupplierRequest(
        external_id=first.external_id,
        supplier_product_id=first.supplier_product_id,
        offer_id=None,
        quantity=1,
        max_price=Decimal(10),
    )
    return order_id, request


async def told(shop: PaidOrders, supplier_order_id: str) -> None:
    """The supplier's webhook about an order comes in and is followed up."""
    headers, body = shop.supplier.webhook(supplier_order_id)
    assert await shop.hints.accept("supplier", headers, body) == "accepted"
    await shop.work()


async def test_a_webhook_about_an_older_order_is_heeded_while_a_newer_one_is_in_doubt() -> None:
    shop = PaidOrders()
    order_id, request = await doubtful_second_round(shop)
    late = (await shop.supplier.place(request)).supplier_order_id
    await told(shop, late)
    states = {a.supplier_order_id: (a.state, a.returning) for a in shop.attempts(order_id)}
    assert states[late] == ("canceled", "asked")
    assert states[None] == ("unknown", "none")
    shop.clock.advance(timedelta(seconds=1))
    shop.supplier.end(late, "refunded")
    await told(shop, late)
    assert costs(shop) == 0


async def test_a_webhook_that_our_credentials_keep_us_from_following_up_is_followed_later() -> None:
    shop = PaidOrders()
    order_id, _ = await delivered_order(shop)
    (placed,) = shop.bought(order_id)
    shop.supplier.end(placed, "refunded")
    shop.supplier.faults.knows_credentials = False
    await told(shop, placed)
    assert shop.store.rows(Hold) == []
    shop.supplier.faults.knows_credentials = True
    await shop.work_for(timedelta(minutes=6))
    assert [h.reason for h in shop.store.rows(Hold)] == ["supplier_refund"]


async def test_a_surplus_order_that_had_ended_before_it_was_found_costs_nothing() -> None:
    shop = PaidOrders()
    _, surplus = await bought_twice(shop, quantity=1)
    shop.supplier.end(surplus, "canceled")
    for _ in range(2):
        shop.clock.advance(timedelta(minutes=1))
        await sweep(shop, "reconcile-supplier")
        assert costs(shop) == COST


async def test_a_refund_after_the_delivery_is_found_by_the_sweep_when_its_webhook_was_lost() -> (
    None
):
    shop = PaidOrders()
    order_id, _ = await delivered_order(shop)
    shop.supplier.end(shop.bought(order_id)[0], "refunded")
    await sweep(shop, "reconcile-supplier")
    assert [h.reason for h in shop.store.rows(Hold)] == ["supplier_refund"]
    assert costs(shop) == 0


async def test_records_of_requests_are_forgotten_after_a_day() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.own_goods("OWN-1"))
    await shop.work()
    await shop.read_keys(order_id, shop.fulfilments(order_id)[0].order_item_id)
    await shop.work_for(timedelta(hours=25))
    await sweep(shop, "housekeeping")
    assert shop.store.rows(IdempotencyRecord) == []


async def test_keys_past_their_end_are_taken_off_the_shelf() -> None:
    shop = PaidOrders()
    goods = await shop.own_goods("OWN-1")
    batch = Batch(
        product_id=goods.product.id,
        name="short",
        cost=Decimal(1),
        expires_at=shop.clock.now() + timedelta(days=1),
    )
    await shop.inventory.import_keys(b"SHORT-1\n", batch, actor="admin")
    shop.clock.advance(timedelta(days=2))
    assert await shop.inventory.expire() == 1
    assert [key.state for key in shop.store.rows(InventoryKey)] == ["available", "expired"]


async def test_a_product_is_priced_anew_when_keys_of_it_come_in_or_end() -> None:
    shop = PaidOrders()
    goods = await shop.own_goods("OWN-1")
    assert await repriced(shop) == [goods.product.id]
    batch = Batch(product_id=goods.product.id, name="again", cost=Decimal(9))
    with pytest.raises(Refused, match="duplicate-keys"):
        await shop.inventory.import_keys(b"OWN-1", batch, actor="admin")
    assert await repriced(shop) == []
    batch = msgspec.structs.replace(batch, expires_at=shop.clock.now() + timedelta(days=1))
    await shop.inventory.import_keys(b"DEAR-1", batch, actor="admin")
    assert await repriced(shop) == [goods.product.id]
    shop.clock.advance(timedelta(days=2))
    await shop.inventory.expire()
    assert await repriced(shop) == [goods.product.id]


async def repriced(shop: PaidOrders) -> list[str]:
    """The products whose price is asked for anew; asked once."""
    wished = [job.ref for job in shop.store.jobs.pending() if job.kind == "reprice"]
    await shop.work()
    return wished


async def test_an_import_reports_each_line_that_did_not_come_in() -> None:
    shop = PaidOrders()
    goods = await shop.own_goods("KNOWN-1")
    batch = Batch(product_id=goods.product.id, name="batch-2", cost=Decimal(3))
    raw = b"\xef\xbb\xbfNEW-1\r\n\n KNOWN-1 \nNEW-1\n\xff\xfe\n" + b"x" * 5000 + b"\nNEW-2"
    report = await shop.inventory.import_keys(raw, batch, actor="admin")
    assert report.imported == 2
    assert report.refused == (
        LineReport(number=3, outcome="known_already"),
        LineReport(number=4, outcome="repeated_in_file"),
        LineReport(number=5, outcome="not_text"),
        LineReport(number=6, outcome="too_long"),
    )
    assert len(shop.store.rows(SealedKey)) == 3
    with pytest.raises(Refused, match="duplicate-keys"):
        await shop.inventory.import_keys(b"NEW-1\nNEW-2", batch, actor="admin")


async def test_nothing_is_imported_for_a_product_of_a_supplier_or_without_keys() -> None:
    shop = PaidOrders()
    goods = await shop.goods()
    batch = Batch(product_id=goods.product.id, name="b", cost=Decimal(3))
    with pytest.raises(Refused, match="not-found"):
        await shop.inventory.import_keys(b"KEY", batch, actor="admin")
    with pytest.raises(Refused, match="invalid-input"):
        await shop.inventory.import_keys(b"\n\n", batch, actor="admin")


async def test_a_hundred_buyers_of_the_same_shelf_share_no_key() -> None:
    shop = PaidOrders()
    goods = await shop.own_goods(*(f"KEY-{n:03d}" for n in range(60)))
    orders = [await shop.paid(goods) for _ in range(100)]
    await shop.work()
    done = [each for each in orders if shop.order(each).status == "fulfilled"]
    assert len(done) == 60
    slots = [key.order_id for key in shop.store.rows(SealedKey) if key.order_id]
    assert len(set(slots)) == 60
    blocked = {shop.fulfilments(each)[0].blocked_reason for each in orders if each not in done}
    assert blocked == {"stock"}


def test_a_key_in_memory_is_not_shown() -> None:
    assert "SECRET" not in repr(StockLine(number=1, serial=b"SECRET"))


async def bought_elsewhere(shop: PaidOrders, external_id: str, *, of: str) -> str:
    """Somebody places an order at the supplier without us; gives its id there."""
    placed = await shop.supplier.place(
        SupplierRequest(
            external_id=external_id,
            supplier_product_id=of,
            offer_id=None,
            quantity=1,
            max_price=Decimal(10),
        )
    )
    return placed.supplier_order_id


async def delivered_order(shop: PaidOrders) -> tuple[str, str]:
    goods = await shop.goods()
    assert goods.offer is not None
    order_id = await shop.paid(goods)
    await shop.work()
    return order_id, goods.offer.supplier_product_id


async def test_an_order_that_is_none_of_ours_is_told_once_and_stays_open_until_explained() -> None:
    shop = PaidOrders()
    _, product = await delivered_order(shop)
    foreign = await bought_elsewhere(shop, "bought-by-hand", of=product)
    for _ in range(2):
        await sweep(shop, "reconcile-supplier")
        shop.clock.advance(timedelta(hours=20))
    (found,) = shop.store.rows(ReconciliationBreak)
    assert (found.kind, found.subject) == ("supplier_order_foreign", f"supplier/{foreign}")
    assert found.state == "open"
    shop.supplier.end(foreign, "canceled")
    shop.clock.advance(timedelta(hours=20))
    await sweep(shop, "reconcile-supplier")
    (explained,) = shop.store.rows(ReconciliationBreak)
    assert (explained.state, explained.note) == ("settled", "the supplier says canceled")


async def test_what_a_person_has_explained_is_not_told_again() -> None:
    shop = PaidOrders()
    _, product = await delivered_order(shop)
    await bought_elsewhere(shop, "bought-by-hand", of=product)
    await sweep(shop, "reconcile-supplier")
    (found,) = shop.store.rows(ReconciliationBreak)
    await shop.reconciliation.explain(found.id, actor="admin", reason="a test purchase")
    with pytest.raises(Refused, match="not-found"):
        await shop.reconciliation.explain(found.id, actor="admin", reason="again")
    shop.clock.advance(timedelta(hours=20))
    await sweep(shop, "reconcile-supplier")
    (explained,) = shop.store.rows(ReconciliationBreak)
    assert (explained.state, explained.note) == ("settled", "a test purchase")
    (line,) = shop.store.audit.lines
    assert (line.entry.action, line.entry.subject) == ("reconciliation.explain", found.subject)


async def test_an_order_under_our_id_whose_attempt_was_lost_is_given_back_once() -> None:
    shop = PaidOrders()
    order_id, product = await delivered_order(shop)
    lost = await bought_elsewhere(shop, f"{shop.order(order_id).number}-1-1-9", of=product)
    for _ in range(2):
        await sweep(shop, "reconcile-supplier")
        shop.clock.advance(timedelta(minutes=1))
    _, surplus = shop.attempts(order_id)
    assert (surplus.supplier_order_id, surplus.refusal) == (lost, "surplus")
    assert surplus.returning == "asked"
    [found] = shop.store.rows(ReconciliationBreak)
    assert (found.kind, found.subject) == ("surplus_order", f"supplier/{lost}")
    # The second look found that the supplier has taken it back.
    assert found.state == "settled"


async def test_of_two_orders_under_our_id_one_is_kept_and_the_other_is_told_and_given_back() -> (
    None
):
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.supplier.faults.lose_next_reply()
    await shop.work()
    [kept] = shop.bought(order_id)
    [ours] = shop.attempts(order_id)
    request = SupplierRequest(
        external_id=ours.external_id,
        supplier_product_id=ours.supplier_product_id,
        offer_id=None,
        quantity=1,
        max_price=Decimal(10),
    )
    shop.clock.advance(timedelta(seconds=1))
    extra = (await shop.supplier.place(request)).supplier_order_id
    await shop.work_for(timedelta(minutes=1))
    assert shop.order(order_id).status == "fulfilled"
    states = {a.supplier_order_id: (a.state, a.returning) for a in shop.attempts(order_id)}
    assert states == {kept: ("completed", "none"), extra: ("canceled", "asked")}
    [found] = shop.store.rows(ReconciliationBreak)
    told = (found.kind, found.subject, found.state)
    assert told == ("surplus_order", f"supplier/{extra}", "open")
    await shop.work_for(timedelta(minutes=5))
    assert [row.state for row in shop.store.rows(ReconciliationBreak)] == ["settled"]


@pytest.mark.parametrize("external_id", ["{}-1-7-1", "{}-9-1-1", "{}-1-1", "BLZZZZZZZZ-1-1-1"])
async def test_an_id_that_only_looks_like_ours_is_none_of_ours(external_id: str) -> None:
    shop = PaidOrders()
    order_id, product = await delivered_order(shop)
    await bought_elsewhere(shop, external_id.format(shop.order(order_id).number), of=product)
    await sweep(shop, "reconcile-supplier")
    assert [row.kind for row in shop.store.rows(ReconciliationBreak)] == ["supplier_order_foreign"]
    assert len(shop.attempts(order_id)) == 1


async def test_an_order_too_old_to_be_given_back_is_told_instead() -> None:
    shop = PaidOrders()
    order_id, product = await delivered_order(shop)
    (ours,) = shop.attempts(order_id)
    late = await bought_elsewhere(shop, ours.external_id, of=product)
    shop.clock.advance(timedelta(hours=25))
    for _ in range(2):
        await sweep(shop, "reconcile-supplier")
        shop.clock.advance(timedelta(minutes=1))
    _, surplus = shop.attempts(order_id)
    assert (surplus.supplier_order_id, surplus.returning) == (late, "none")
    assert [(row.kind, row.state) for row in shop.store.rows(ReconciliationBreak)] == [
        ("surplus_too_late", "open")
    ]


class SlowPages(MemorySupplier):
    """A supplier whose every page of orders takes a while to compare."""

    def __init__(self, shop: PaidOrders, span: timedelta) -> None:
        super().__init__(clock=shop.clock.now, random_bytes=shop.random, name=SUPPLIER)
        self._shop, self._span = shop, span
        self.pages_read = 0

    async def orders_since(
        self, since: datetime, *, first_page: int = 1
    ) -> AsyncIterator[Sequence[SupplierOrder]]:
        """Time passes while a page is compared."""
        async for page in super().orders_since(since, first_page=first_page):
            self.pages_read += 1
            self._shop.clock.advance(self._span)
            yield page


@pytest.mark.parametrize(("seconds", "jobs"), [(20, 6), (1, 3)])
async def test_a_sweep_longer_than_a_lease_goes_on_page_by_page_in_jobs_of_their_own(
    seconds: int, jobs: int
) -> None:
    shop = PaidOrders()
    goods = await shop.goods(stock=500)
    assert goods.offer is not None
    slow = SlowPages(shop, timedelta(seconds=seconds))
    slow.stock(shop.supplier.listed(goods.offer.supplier_product_id))
    for n in range(150):
        request = SupplierRequest(
            external_id=f"by-hand-{n}",
            supplier_product_id=goods.offer.supplier_product_id,
            offer_id=None,
            quantity=1,
            max_price=Decimal(10),
        )
        await slow.place(request)
    shop.reconciliation = replace(shop.reconciliation, suppliers={SUPPLIER: slow})
    at = shop.clock.now()
    await shop.jobs.tick("reconcile-supplier", at, "sweep", f"reconcile-supplier/{at}")
    ran = 0
    while due := next((j for j in shop.store.jobs.pending() if j.kind == "sweep"), None):
        lease = await shop.jobs.lease(due.id)
        assert lease is not None
        begun = shop.clock.now()
        await shop.run(lease)
        assert shop.clock.now() - begun < shop.limits.job_lease
        ran += 1
    assert (ran, slow.pages_read) == (jobs, 6)
    assert len(shop.store.rows(ReconciliationBreak)) == 150


async def test_a_sweep_reads_so_many_pages_in_one_job_and_every_order_once() -> None:
    shop = PaidOrders()
    shop.reconciliation = replace(
        shop.reconciliation, limits=msgspec.structs.replace(shop.limits, reconcile_pages=1)
    )
    _, product = await delivered_order(shop)
    for n in range(40):
        await bought_elsewhere(shop, f"by-hand-{n}", of=product)
    await sweep(shop, "reconcile-supplier")
    assert len(shop.store.rows(ReconciliationBreak)) == 40
    done = [j.ref for j in shop.store.jobs.all() if j.ref.startswith("reconcile-supplier")]
    assert len(done) == 4


async def test_stored_bytes_that_no_key_knows_are_told_once_they_are_an_hour_old() -> None:
    shop = PaidOrders()
    shop.reconciliation = replace(
        shop.reconciliation, limits=msgspec.structs.replace(shop.limits, reconcile_objects=2)
    )
    await shop.paid(await shop.goods(), quantity=5)
    await shop.work()
    orphan = f"keys/{shop.new_id()}"
    await shop.vault.put(orphan, b"x", sha256(b"x").hexdigest())
    await sweep(shop, "objects")
    assert shop.store.rows(ReconciliationBreak) == []
    shop.clock.advance(timedelta(minutes=61))
    for _ in range(2):
        await sweep(shop, "objects")
        shop.clock.advance(timedelta(minutes=1))
    assert [(row.kind, row.subject) for row in shop.store.rows(ReconciliationBreak)] == [
        ("key_object_orphan", orphan)
    ]
    await shop.vault.delete(orphan)
    await sweep(shop, "objects")
    assert [row.state for row in shop.store.rows(ReconciliationBreak)] == ["settled"]
