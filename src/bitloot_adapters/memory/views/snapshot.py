"""The stored rows at one moment, with the questions that sweeps and invariants share."""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

import msgspec

from bitloot.domain.decision import Row
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.hold import Hold
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order, OrderItem
from bitloot_adapters.memory.unit_of_work import MemoryStore

R = TypeVar("R", bound=Row)


class Snapshot(msgspec.Struct, frozen=True):
    """Reads of one store; nothing else runs between them."""

    store: MemoryStore
    limits: Limits

    @property
    def now(self) -> datetime:
        """The store's time."""
        return self.store.clock()

    def all(self, row: type[R]) -> Iterator[R]:
        """Every row of a table."""
        return self.store.tables.all(row)

    def of(self, row: type[R], order_id: str) -> Iterator[R]:
        """The rows of one order."""
        return self.store.tables.of_order(row, order_id)

    def order(self, order_id: str) -> Order:
        """The order that a row belongs to."""
        found = self.store.tables.get(Order, order_id)
        assert found is not None
        return found

    def orders(self, *statuses: str) -> Iterator[Order]:
        """The orders in one of these statuses."""
        return (order for order in self.all(Order) if order.status in statuses)

    def parts(self, item: OrderItem) -> list[Fulfilment]:
        """The fulfilments of an item."""
        return [f for f in self.of(Fulfilment, item.order_id) if f.order_item_id == item.id]

    def open_holds(self, order_id: str) -> list[Hold]:
        """What waits for a person about an order."""
        return [hold for hold in self.of(Hold, order_id) if hold.is_open]

    def has_order_hold(self, order_id: str) -> bool:
        """Whether an open hold stops the whole order."""
        return any(hold.subject == "order" for hold in self.open_holds(order_id))
