"""What a store knows of an order, and how its buyer is shown it: one truth for every store."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from bitloot.domain.buyer_timeline import facts_for_buyer
from bitloot.domain.decision import Event
from bitloot.domain.fulfilment import FulfilmentState
from bitloot.domain.item_state import ItemState, item_state
from bitloot.domain.money import Eur
from bitloot.domain.order import Order, OrderItem
from bitloot.domain.payment import Invoice, Payment
from bitloot.domain.reveal import shows_keys
from bitloot.ports.views.orders import (
    DeliveryView,
    ItemView,
    OrderView,
    PaymentView,
    ReceiptLine,
    ReceiptView,
    TimelineEntry,
)


class PartFacts(msgspec.Struct, frozen=True):
    """A fulfilment of a line."""

    state: FulfilmentState
    slots: tuple[int, ...]


class KeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The live keys of the delivered fulfilments of a line, taken together."""

    live: int = 0
    downloads: int = 0
    first_download_at: datetime | None = None
    last_download_at: datetime | None = None


class LineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A line with how far it is. `is_held`: it has an open hold of its own."""

    item: OrderItem
    parts: tuple[PartFacts, ...]
    keys: KeyFacts
    is_held: bool

    def is_handed_over(self) -> bool:
        """Whether every unit was delivered, also where its key was replaced since."""
        covered = {
            slot
            for part in self.parts
            if part.state in {"delivered", "replaced"}
            for slot in part.slots
        }
        return covered.issuperset(range(1, self.item.quantity + 1))

    def state(self, order: Order, *, order_is_held: bool) -> ItemState:
        """The word for the line."""
        return item_state(
            order.status,
            quantity=self.item.quantity,
            delivered=self.keys.live,
            fulfilments=(part.state for part in self.parts),
            is_held=self.is_held or order_is_held,
        )


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its lines by number, and its payments and pages, oldest first.

    `is_held`: the order as a whole has an open hold. `refunded` is what the ledger says was given
    back, EUR.
    """

    order: Order
    is_held: bool
    lines: tuple[LineFacts, ...]
    payments: tuple[Payment, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    refunded: Eur | None = None

    def paid_with(self) -> Payment | None:
        """The payment that paid for the order."""
        return next((p for p in self.payments if p.id == self.order.settled_by), None)


def order_view(facts: OrderFacts) -> OrderView:
    """The order as its buyer sees it."""
    order = facts.order
    return OrderView(
        id=order.id,
        number=order.number,
        status=order.status,
        failure_reason=order.failure_reason,
        remarks=order.remarks,
        source=order.source,
        email=order.email,
        country=order.country,
        total=order.total,
        paid_over=order.paid_over,
        is_held=facts.is_held,
        items=tuple(_item(line, facts) for line in facts.lines),
        payment=_present_payment(facts),
        created_at=order.created_at,
        window_ends_at=order.window_ends_at,
        paid_at=order.paid_at,
        fulfilled_at=order.fulfilled_at,
        last_seq=order.event_seq,
        version=order.version,
    )


def _item(line: LineFacts, facts: OrderFacts) -> ItemView:
    item = line.item
    return ItemView(
        id=item.id,
        item_no=item.item_no,
        product_id=item.product_id,
        title=item.title,
        source=item.source,
        quantity=item.quantity,
        unit_price=item.unit_price,
        delivered=line.keys.live,
        state=line.state(facts.order, order_is_held=facts.is_held),
        is_preorder=item.is_preorder,
        instructions=item.instructions,
    )


def _present_payment(facts: OrderFacts) -> PaymentView | None:
    paid = facts.paid_with()
    if paid is not None:
        return _payment(paid, facts)
    opened: list[Payment | Invoice] = [
        *(p for p in facts.payments if p.status != "rejected" and not p.is_child),
        *(i for i in facts.invoices if i.status != "rejected"),
    ]
    newest = max(opened, key=lambda row: (row.created_at, row.id), default=None)
    return _payment(newest, facts) if newest is not None else None


def _payment(row: Payment | Invoice, facts: OrderFacts) -> PaymentView:
    if isinstance(row, Invoice):
        return PaymentView(
            id=row.id,
            gateway=row.gateway,
            gateway_payment_id=None,
            is_hosted=True,
            status=row.status,
            pay_currency=None,
            pay_amount=None,
            pay_address=None,
            memo=None,
            network=None,
            actually_paid=None,
            url=row.url,
            quote_ends_at=None,
            valid_until=None,
            created_at=row.created_at,
        )
    return PaymentView(
        id=row.id,
        gateway=row.gateway,
        gateway_payment_id=row.gateway_payment_id,
        is_hosted=row.invoice_id is not None,
        status=row.status,
        pay_currency=row.pay_currency,
        pay_amount=row.pay_amount,
        pay_address=row.pay_address,
        memo=row.payin_extra_id,
        network=row.network,
        actually_paid=row.actually_paid,
        url=next((i.url for i in facts.invoices if i.id == row.invoice_id), None),
        quote_ends_at=row.quote_ends_at,
        valid_until=row.valid_until,
        created_at=row.created_at,
    )


def deliveries(facts: OrderFacts) -> tuple[DeliveryView, ...]:
    """What can be revealed of each line."""
    shows = shows_keys(facts.order) and not facts.is_held
    return tuple(
        DeliveryView(
            item_id=line.item.id,
            item_no=line.item.item_no,
            title=line.item.title,
            quantity=line.item.quantity,
            delivered=line.keys.live,
            state=line.state(facts.order, order_is_held=facts.is_held),
            is_revealable=shows and line.keys.live > 0 and line.is_handed_over(),
            downloads=line.keys.downloads,
            first_download_at=line.keys.first_download_at,
            last_download_at=line.keys.last_download_at,
        )
        for line in facts.lines
    )


def receipt(facts: OrderFacts) -> ReceiptView | None:
    """The receipt of an order that was paid."""
    order, paid = facts.order, facts.paid_with()
    if order.paid_at is None:
        return None
    return ReceiptView(
        order_id=order.id,
        number=order.number,
        status=order.status,
        email=order.email,
        country=order.country,
        created_at=order.created_at,
        paid_at=order.paid_at,
        lines=tuple(_receipt_line(line.item) for line in facts.lines),
        total=order.total,
        paid_over=order.paid_over,
        refunded=facts.refunded,
        gateway=paid.gateway if paid else None,
        gateway_payment_id=paid.gateway_payment_id if paid else None,
        pay_currency=paid.pay_currency if paid else None,
        pay_amount=paid.pay_amount if paid else None,
        actually_paid=paid.actually_paid if paid else None,
        payin_hash=paid.payin_hash if paid else None,
    )


def _receipt_line(item: OrderItem) -> ReceiptLine:
    return ReceiptLine(
        item_no=item.item_no,
        title=item.title,
        quantity=item.quantity,
        unit_price=item.unit_price,
        total=item.unit_price * Decimal(item.quantity),
    )


def entries(events: Iterable[Event]) -> tuple[TimelineEntry, ...]:
    """The events with all their facts."""
    return tuple(
        TimelineEntry(seq=e.seq, kind=e.kind, at=e.at, subject=e.subject, facts=e.facts)
        for e in events
    )


def buyer_entries(shown: Iterable[TimelineEntry]) -> tuple[TimelineEntry, ...]:
    """The entries with only those facts that a buyer may see."""
    return tuple(
        msgspec.structs.replace(entry, facts=facts_for_buyer(entry.kind, entry.facts))
        for entry in shown
    )
