"""The delivery engine: what becomes of an order as time passes, and returns of keys."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import msgspec

from bitloot_adapters.sandbox.kinguin.catalogue import Product
from bitloot_adapters.sandbox.kinguin.config import Delivery
from bitloot_adapters.sandbox.kinguin.errors import EsaError
from bitloot_adapters.sandbox.kinguin.orders import (
    OPEN_KEYS,
    KeyStatus,
    Order,
    OrderStatus,
    Unit,
)
from bitloot_adapters.sandbox.kinguin.state import Store, Task, TaskKind
from bitloot_adapters.sandbox.kinguin.webhooks import Outbox

RETURN_WINDOW = timedelta(hours=24)


class DeliveryEngine:
    """Moves orders along. Everything is a task with a due time, done when time has come."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox

    def start(self, order: Order, plan: Delivery) -> None:
        """Schedule a new order's deliveries, doing at once what is due at once."""
        now = self._store.now()
        if order.is_preorder and plan.delivery not in {"canceled", "refunded", "stuck"}:
            released = order.lines[0].release_date
            if released is not None:
                self._schedule("deliver", order, datetime.combine(released, time(), UTC))
            return
        at_once, later = _split(order, plan)
        if plan.delivery == "delayed":
            order = order.with_units(_with_status(order.units, "PROCESSING"))
            self._store.save_order(order)
        end = now + timedelta(seconds=plan.seconds)
        if plan.delivery in {"canceled", "refunded"}:
            self._schedule("cancel" if plan.delivery == "canceled" else "refund", order, end)
        else:
            late_by = timedelta(seconds=self._store.config.late_key_seconds)
            self._schedule_keys(order, (unit for unit in later if not unit.late), end)
            self._schedule_keys(order, (unit for unit in later if unit.late), end + late_by)
        if at_once:
            self._deliver(order, at_once, now)
        self.run_due()

    def run_due(self) -> None:
        """Do all tasks whose time has come, in the order of their times."""
        while (task := self.next_task()) is not None and task.due <= self._store.now():
            self.run(task)

    def next_task(self) -> Task | None:
        return min(self._store.tasks.values(), key=lambda t: (t.due, t.number), default=None)

    def run(self, task: Task) -> None:
        self._store.drop_task(task)
        order = self._store.orders.get(task.order_id)
        if order is None:
            return
        match task.kind:
            case "deliver":
                named = task.key_ids
                units = [u for u in order.units if named is None or u.key_id in named]
                self._deliver(order, units, task.due)
            case "cancel":
                self.end(order, "canceled", task.due)
            case "refund":
                self.end(order, "refunded", task.due)
            case "return":
                self._take_back(order, task)
            case "credit":
                self._credit_returned(order, task.due)

    def deliver_more(self, order: Order, count: int | None) -> None:
        """Deliver the next `count` open keys (all when `None`) now."""
        waiting = [unit for unit in order.units if unit.status in OPEN_KEYS]
        self._deliver(order, waiting[:count], self._store.now())

    def end(self, order: Order, status: OrderStatus, at: datetime) -> None:
        """Cancel (the open keys) or refund (all keys) an order and credit what they cost."""
        if status == "canceled":
            ended = [unit for unit in order.units if unit.status in OPEN_KEYS]
            self.mark(order, ended, "CANCELED", at, status=status)
        elif status == "refunded":
            self.mark(order, order.units, "REFUNDED", at, status=status)
        else:
            self.mark(order, (), "PENDING", at, status=status)

    def mark(
        self,
        order: Order,
        units: Iterable[Unit],
        key_status: KeyStatus,
        at: datetime,
        *,
        status: OrderStatus | None = None,
    ) -> Order:
        """Set key statuses, and the order's; `REFUNDED` and `CANCELED` credit a key once."""
        changed = []
        credit = Decimal(0)
        for unit in units:
            credits_now = key_status in {"REFUNDED", "CANCELED"} and not unit.credited
            if credits_now:
                credit += order.lines[unit.line].price
            changed.append(
                msgspec.structs.replace(
                    unit,
                    status=key_status,
                    credited=unit.credited or credits_now,
                    delivered_at=at if key_status == "DELIVERED" else unit.delivered_at,
                )
            )
        if credit:
            self._store.switch(balance=self._store.switches.balance + credit)
        before = order.status
        after = order.with_units(changed)
        after = msgspec.structs.replace(after, status=status or before, updated_at=at)
        self._store.save_order(after)
        if after.status != before:
            self._outbox.order_status(after)
        return after

    def ask_return(self, order: Order) -> list[Unit]:
        """Accept a return of keys (ESA reference, "Return keys"): once per order, within 24 h.

        Keys that are still open are returned after they come. Nothing changes yet.

        :raises EsaError: `NoKeysToReturn`.
        """
        now = self._store.now()
        if order.return_requested or order.is_wholesale or order.is_preorder:
            raise EsaError("NoKeysToReturn", "There are no keys that can be returned.")
        eligible = [
            unit for unit in order.units if unit.status in OPEN_KEYS or _returnable(unit, now)
        ]
        if not eligible or order.status not in {"processing", "completed"}:
            raise EsaError("NoKeysToReturn", "There are no keys that can be returned.")
        marked = [msgspec.structs.replace(unit, returning=True) for unit in eligible]
        order = msgspec.structs.replace(order.with_units(marked), return_requested=True)
        self._store.save_order(order)
        delivered = [unit.key_id for unit in marked if unit.status == "DELIVERED"]
        if delivered:
            self._schedule("return", order, now + self._return_time(), tuple(delivered))
        return marked

    def change_product(self, product: Product) -> None:
        """Put a changed product on sale, with a new `updatedAt`, and tell the shop."""
        changed = msgspec.structs.replace(product, updated_at=self._store.now())
        self._store.save_product(changed)
        self._outbox.product_update(changed)

    def _deliver(self, order: Order, units: Iterable[Unit], at: datetime) -> None:
        if order.status != "processing":
            return
        arriving = [unit for unit in units if unit.status in OPEN_KEYS]
        arrived = {unit.key_id for unit in arriving}
        still_open = any(
            unit.status in OPEN_KEYS and unit.key_id not in arrived for unit in order.units
        )
        after = self.mark(
            order, arriving, "DELIVERED", at, status="processing" if still_open else "completed"
        )
        going_back = tuple(u.key_id for u in after.units if u.returning and u.key_id in arrived)
        if going_back:
            self._schedule("return", after, at + self._return_time(), going_back)

    def _take_back(self, order: Order, task: Task) -> None:
        """Return keys to stock, except those claimed meanwhile, and credit them later."""
        named = task.key_ids or ()
        units = [
            unit
            for unit in order.units
            if unit.key_id in named and unit.status == "DELIVERED" and not unit.claimed
        ]
        if not units:
            return
        after = self.mark(order, units, "RETURNED", task.due)
        for position, line in enumerate(order.lines):
            texts = [u.media == "text/plain" for u in units if u.line == position]
            product = self._store.catalogue.get(line.kinguin_id)
            if product is not None and texts:
                self.change_product(_restocked(product, line.offer_id, len(texts), sum(texts)))
        self._schedule("credit", after, task.due + self._return_time())

    def _credit_returned(self, order: Order, at: datetime) -> None:
        returned = [unit for unit in order.units if unit.status == "RETURNED"]
        gone = {unit.key_id for unit in returned}
        whole = all(
            unit.key_id in gone or unit.status in {"REFUNDED", "CANCELED"} for unit in order.units
        )
        self.mark(order, returned, "REFUNDED", at, status="refunded" if whole else None)

    def _return_time(self) -> timedelta:
        return timedelta(seconds=self._store.config.return_seconds)

    def _schedule_keys(self, order: Order, units: Iterable[Unit], due: datetime) -> None:
        key_ids = tuple(unit.key_id for unit in units)
        if key_ids:
            self._schedule("deliver", order, due, key_ids)

    def _schedule(
        self,
        kind: TaskKind,
        order: Order,
        due: datetime,
        key_ids: tuple[str, ...] | None = None,
    ) -> None:
        self._store.save_task(Task(self._store.count(), due, kind, order.order_id, key_ids))


def _split(order: Order, plan: Delivery) -> tuple[list[Unit], list[Unit]]:
    """The keys given at once and the keys given later, by the plan."""
    match plan.delivery:
        case "immediate":
            first = len(order.units)
        case "partial":
            first = 1 if plan.first is None else plan.first
        case "canceled" | "refunded":
            first = plan.first or 0
        case _:
            first = 0
    ready = [unit for unit in order.units if not unit.late][:first]
    chosen = {unit.key_id for unit in ready}
    later = [unit for unit in order.units if unit.key_id not in chosen]
    if plan.delivery == "stuck" or (plan.delivery == "partial" and not plan.rest):
        later = []
    return ready, later


def _with_status(units: Iterable[Unit], status: KeyStatus) -> list[Unit]:
    return [msgspec.structs.replace(unit, status=status) for unit in units]


def _returnable(unit: Unit, now: datetime) -> bool:
    return (
        unit.status == "DELIVERED"
        and not unit.claimed
        and unit.delivered_at is not None
        and now - unit.delivered_at <= RETURN_WINDOW
    )


def _restocked(product: Product, offer_id: str, count: int, texts: int) -> Product:
    offers = tuple(
        msgspec.structs.replace(
            offer,
            qty=offer.qty + count,
            text_qty=offer.text_qty + texts,
            available_qty=offer.available_qty + count,
            available_text_qty=offer.available_text_qty + texts,
        )
        if offer.offer_id == offer_id
        else offer
        for offer in product.offers
    )
    return msgspec.structs.replace(product, offers=offers)
