"""What buyers see of orders, from the memory tables."""

from collections.abc import Iterable

from bitloot.domain.buyer_timeline import BUYER_EVENTS
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.hold import Hold
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.money import ZERO, Eur
from bitloot.domain.order import Order, OrderItem
from bitloot.domain.payment import Invoice, Payment
from bitloot.ports.views.order_facts import (
    KeyFacts,
    LineFacts,
    OrderFacts,
    PartFacts,
    buyer_entries,
    deliveries,
    entries,
    order_view,
    receipt,
)
from bitloot.ports.views.orders import DeliveryView, OrderView, ReceiptView, TimelineEntry
from bitloot_adapters.memory.tables import Tables
from bitloot_adapters.memory.unit_of_work import MemoryStore


class MemoryOrderViews:
    """The port `OrderViews`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def order(self, order_id: str) -> OrderView | None:
        """One order with its lines and its present payment."""
        facts = self._facts(order_id)
        return order_view(facts) if facts else None

    async def deliveries(self, order_id: str) -> tuple[DeliveryView, ...] | None:
        """What was delivered of each line."""
        facts = self._facts(order_id)
        return deliveries(facts) if facts else None

    async def receipt(self, order_id: str) -> ReceiptView | None:
        """The facts of a receipt."""
        facts = self._facts(order_id)
        return receipt(facts) if facts else None

    async def timeline(
        self, order_id: str, *, after: int, limit: int, kinds: frozenset[str] | None
    ) -> tuple[TimelineEntry, ...]:
        """Events above `after`, oldest first."""
        self._store.reach()
        found = [
            event
            for event in self._store.timeline(order_id)
            if event.seq > after and (kinds is None or event.kind in kinds)
        ]
        return entries(found[:limit])

    async def buyer_timeline(
        self, order_id: str, *, after: int, limit: int
    ) -> tuple[TimelineEntry, ...]:
        """What a buyer may see of it."""
        found = await self.timeline(order_id, after=after, limit=limit, kinds=BUYER_EVENTS)
        return buyer_entries(found)

    def _facts(self, order_id: str) -> OrderFacts | None:
        self._store.reach()
        tables = self._store.tables
        order = tables.get(Order, order_id)
        if order is None:
            return None
        items = sorted(tables.of_order(OrderItem, order_id), key=lambda item: item.item_no)
        return OrderFacts(
            order=order,
            is_held=_is_held(tables, order_id, order_id),
            lines=tuple(_line(tables, item) for item in items),
            payments=tuple(tables.of_order(Payment, order_id)),
            invoices=tuple(tables.of_order(Invoice, order_id)),
            refunded=_refunded(tables, order_id),
        )


def _is_held(tables: Tables, order_id: str, subject_id: str) -> bool:
    holds = tables.of_order(Hold, order_id)
    return any(hold.is_open and hold.subject_id == subject_id for hold in holds)


def _line(tables: Tables, item: OrderItem) -> LineFacts:
    parts = sorted(
        (f for f in tables.of_order(Fulfilment, item.order_id) if f.order_item_id == item.id),
        key=lambda part: part.part,
    )
    delivered = {part.id for part in parts if part.state == "delivered"}
    keys = [
        key
        for key in tables.all(SealedKey)
        if key.order_item_id == item.id and key.state == "live" and key.fulfilment_id in delivered
    ]
    return LineFacts(
        item=item,
        parts=tuple(PartFacts(part.state, part.slots) for part in parts),
        keys=_key_facts(keys),
        is_held=_is_held(tables, item.order_id, item.id),
    )


def _key_facts(keys: Iterable[SealedKey]) -> KeyFacts:
    live = tuple(keys)
    firsts = [key.first_download_at for key in live if key.first_download_at is not None]
    lasts = [key.last_download_at for key in live if key.last_download_at is not None]
    return KeyFacts(
        live=len(live),
        downloads=sum(key.downloads for key in live),
        first_download_at=min(firsts, default=None),
        last_download_at=max(lasts, default=None),
    )


def _refunded(tables: Tables, order_id: str) -> Eur | None:
    lines = [
        line.amount for line in tables.of_order(LedgerLine, order_id) if line.account == "refund"
    ]
    return sum(lines, ZERO) if lines else None
