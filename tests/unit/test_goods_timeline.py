"""What the timeline of an order tells of its goods: everything that changed, and no key."""

from datetime import timedelta
from decimal import Decimal

import msgspec

from bitloot.domain.decision import Row, as_folded, fold, row_name
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.hold import Hold
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.order import Order
from bitloot.domain.reveal import Grant
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_adapters.memory.supplier import NextOrder

TOLD: tuple[type[Row], ...] = (
    Order,
    Fulfilment,
    SupplierAttempt,
    SealedKey,
    LedgerLine,
    Hold,
    Grant,
)


async def eventful(shop: PaidOrders) -> str:
    """An order with a lost answer, late keys, a unit taken back, a reveal and a replacement."""
    supplied, own = await shop.goods(), await shop.own_goods("OWN-SECRET-1", "OWN-SECRET-2")
    shop.supplier.faults.lose_next_reply()
    shop.supplier.next_order(NextOrder(units=1, serials=(b"BOUGHT-SECRET",)))
    order_id = await shop.paid(supplied, own, quantity=2)
    await shop.work_for(timedelta(minutes=5))
    [placed] = shop.bought(order_id)
    shop.supplier.end(placed, "refunded")
    await shop.work_for(timedelta(minutes=5))
    item_id = shop.fulfilments(order_id)[-1].order_item_id
    await shop.read_keys(order_id, item_id)
    await shop.aftercare.replace_key(order_id, item_id, 1, actor="admin", reason="used")
    await shop.work()
    return order_id


async def test_the_rows_of_the_goods_can_be_rebuilt_from_the_timeline() -> None:
    shop = PaidOrders()
    order_id = await eventful(shop)
    told = msgspec.json.decode(msgspec.json.encode(fold(shop.store.timeline(order_id))))
    rows = [row for kind in TOLD for row in shop.store.rows(kind)]
    ours = [row for row in rows if order_id in {row.id, getattr(row, "order_id", None)}]
    assert len(ours) > 15
    for row in ours:
        stands = as_folded(row)
        if isinstance(row, SealedKey) and row.product_id is not None:
            # A key of our stock has a life before its order: the order tells what it did to it.
            assert told[row_name(row)].items() <= stands.items()
        else:
            assert told[row_name(row)] == stands, row_name(row)


async def test_neither_events_nor_audit_lines_nor_jobs_hold_a_key() -> None:
    shop = PaidOrders()
    order_id = await eventful(shop)
    events = msgspec.json.encode(list(shop.store.timeline(order_id)))
    audit = repr(list(shop.store.audit.lines))
    jobs = repr(list(shop.store.jobs.all()))
    assert "SECRET" not in events.decode() + audit + jobs
    assert b"SECRET" not in b"".join(shop.vault.objects.values())


async def test_the_ledger_of_an_eventful_order_sums_to_zero_entry_by_entry() -> None:
    shop = PaidOrders()
    await eventful(shop)
    sums: dict[str, Decimal] = {}
    for line in shop.store.rows(LedgerLine):
        sums[line.entry] = sums.get(line.entry, Decimal(0)) + line.amount
    assert set(sums.values()) == {Decimal(0)}
