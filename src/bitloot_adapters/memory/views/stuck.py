"""What waits for work, in the memory store. Which of it has a job is asked afterwards."""

from collections.abc import Callable, Iterator
from typing import Final

from bitloot.domain.email import Email
from bitloot.domain.fulfilment import Fulfilment, FulfilmentState
from bitloot.domain.observation import FUNDS_SEEN
from bitloot.domain.order import PAID, Order
from bitloot.domain.order_end import RECEIVED
from bitloot.domain.payment import Invoice, Payment
from bitloot.domain.reservation import Reservation
from bitloot.domain.webhook import Webhook
from bitloot.ports.views.desk import SENDING_TOO_LONG, StuckWork
from bitloot_adapters.memory.views.snapshot import Snapshot

_AT_REST: Final = frozenset[FulfilmentState](
    {"delivered", "failed_terminal", "returned", "replaced", "cancelled"}
)


def _fulfilments(shop: Snapshot) -> Iterator[StuckWork]:
    for row in shop.all(Fulfilment):
        status = shop.order(row.order_id).status
        if row.state in _AT_REST or not (status in PAID or status == "refunded"):
            continue
        held = shop.open_holds(row.order_id)
        if not any(h.subject == "order" or h.subject_id == row.order_item_id for h in held):
            yield StuckWork("fulfilment", row.id, "fulfil")


def _payments(shop: Snapshot) -> Iterator[StuckWork]:
    for row in shop.all(Payment):
        if row.gateway_payment_id is None or row.is_linked:
            continue
        if row.status in {"rejected", "finished", "refunded"}:
            continue
        until = row.valid_until or row.created_at + shop.limits.payment_watch
        if row.status in FUNDS_SEEN or until > shop.now:
            yield StuckWork("payment", row.id, "apply_payment")


def _orders(shop: Snapshot) -> Iterator[StuckWork]:
    for order in shop.all(Order):
        if shop.has_order_hold(order.id):
            continue
        if order.status == "confirming":
            waits = any(r.state == "held" for r in shop.of(Reservation, order.id))
        else:
            received = any(p.status in RECEIVED for p in shop.of(Payment, order.id))
            waits = order.status in {"created", "waiting"} and not received
        if waits:
            yield StuckWork("order", order.id, "expire_order")


def _invoices(shop: Snapshot) -> Iterator[StuckWork]:
    watched = {
        row.order_id: row
        for row in shop.all(Invoice)
        if row.status == "open" and row.created_at + shop.limits.payment_watch > shop.now
    }
    for order_id in watched:
        yield StuckWork("invoice", order_id, "adopt_invoice")


def _emails(shop: Snapshot) -> Iterator[StuckWork]:
    for row in shop.all(Email):
        if row.state == "sending" and row.first_try_at < shop.now - SENDING_TOO_LONG:
            yield StuckWork("email", row.key, "send_email")


def _webhooks(shop: Snapshot) -> Iterator[StuckWork]:
    for row in shop.all(Webhook):
        is_open = row.classification in {"received", "early"} and row.handled_at is None
        if row.signature_ok and is_open:
            yield StuckWork("webhook", row.id, None, row.provider)


STUCK: Final[tuple[Callable[[Snapshot], Iterator[StuckWork]], ...]] = (
    _fulfilments,
    _payments,
    _orders,
    _invoices,
    _emails,
    _webhooks,
)
