"""Orders at any point of their life, for walking the rules without a store."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypedDict

import msgspec

from bitloot.domain.decision import Decision, Row
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.goods import Today
from bitloot.domain.hold import Hold
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur
from bitloot.domain.order import Order, OrderFile, OrderItem
from bitloot.domain.paying import Terms
from bitloot.domain.payment import GATEWAY_STATUS, Invoice, Payment, PaymentReport
from bitloot.domain.product import Sellable
from bitloot.domain.reservation import Reservation
from bitloot.domain.settlement import settle
from bitloot.testing.rows import COST, GATEWAY, PRICE, Goods, Rows
from bitloot.testing.virtual_time import START

ASKED: Final = Decimal("0.000208333333333333")
_FILED: Final[Mapping[type[Row], str]] = {
    OrderItem: "items",
    Payment: "payments",
    Invoice: "invoices",
    Reservation: "reservations",
    Fulfilment: "fulfilments",
    SupplierAttempt: "attempts",
    Hold: "holds",
}


def applied(file: OrderFile, decision: Decision) -> OrderFile:
    """The order as it is read back after a decision was recorded."""
    order = file.order
    tables: dict[str, dict[str, Row]] = {
        name: {row.id: row for row in getattr(file, name)} for name in _FILED.values()
    }
    for change in decision.save:
        row = change.after
        if isinstance(row, Order):
            order = msgspec.structs.replace(row, event_seq=order.event_seq + len(decision.events))
        elif type(row) in _FILED:
            tables[_FILED[type(row)]][row.id] = row
    fields = {name: tuple(rows.values()) for name, rows in tables.items()}
    return msgspec.structs.replace(file, order=order, **fields)


def kinds(decision: Decision) -> list[str]:
    """The kinds of its events, in their order."""
    return [event.kind for event in decision.events]


def goods_states(file: OrderFile) -> set[str]:
    """Where the reservations of an order stand."""
    return {reservation.state for reservation in file.reservations}


class TodayFacts(TypedDict, total=False):
    """What may differ of today's facts: EUR, what the money is worth and what a unit costs."""

    worth: Eur
    cost: Eur
    stock: int


class OrderCases:
    """Builds orders of two lines: one of a supplier, one of our own keys. Ids are counted."""

    def __init__(self, *, limits: Limits | None = None) -> None:
        self.at = START
        self.limits = limits or Limits()
        self._ids: Iterator[int] = iter(range(1, 1_000_000))
        self.rows = Rows(clock=lambda: self.at, new_id=self.new_id)
        self.keys: tuple[InventoryKey, ...] = ()
        self.goods: tuple[Goods, ...] = ()

    def new_id(self) -> str:
        """A counted id."""
        return f"id-{next(self._ids):08d}"

    def pass_time(self, span: timedelta) -> datetime:
        """Time goes on; gives the new time."""
        self.at += span
        return self.at

    def terms(self, *, zero_paid_is_fine: bool = False) -> Terms:
        """What the shop is set up with."""
        return Terms(limits=self.limits, new_id=self.new_id, zero_paid_is_fine=zero_paid_is_fine)

    def order(self, status: str = "waiting", **fields: object) -> OrderFile:
        """An order of 25.00 EUR; held goods before payment, ended ones after an unpaid end."""
        self.goods = (self.rows.goods(), self.rows.goods(own=True))
        placed = self.rows.purchase(*self.goods)
        order = msgspec.structs.replace(
            placed.order, version=1, event_seq=1, status=status, **fields
        )
        own = placed.items[1]
        _, key = self.rows.stock_key(self.goods[1].product, version=1, state="reserved")
        ours = Reservation(
            id=self.new_id(),
            version=1,
            order_id=order.id,
            order_item_id=own.id,
            product_id=own.product_id,
            supplier=own.supplier,
            offer_row_id=None,
            quantity=1,
            key_ids=(key.id,),
            expires_at=order.window_ends_at,
            created_at=self.at,
        )
        self.keys = (msgspec.structs.replace(key, reservation_id=ours.id),)
        state = _kept(status)
        kept = tuple(
            msgspec.structs.replace(r, version=1, state=state) for r in (*placed.reservations, ours)
        )
        if state == "expired":
            self.keys = tuple(
                msgspec.structs.replace(k, state="available", reservation_id=None)
                for k in self.keys
            )
        return OrderFile(order=order, items=placed.items, reservations=kept)

    def with_payment(self, file: OrderFile, status: str = "waiting", **fields: object) -> OrderFile:
        """The order with one more payment that stands at a status of the gateway."""
        payment_status, rank = GATEWAY_STATUS[status]
        row = self.rows.payment(
            file.order,
            version=1,
            status=payment_status,
            rank=rank,
            call_answered=True,
            pay_amount=ASKED,
            valid_until=self.at + self.limits.payment_watch,
        )
        row = msgspec.structs.replace(row, **fields)
        return msgspec.structs.replace(file, payments=(*file.payments, row))

    def report(
        self, file: OrderFile, status: str, payment: Payment | None = None, **fields: object
    ) -> PaymentReport:
        """What the gateway says of a payment (the last one): everything right unless told."""
        row = payment or file.payments[-1]
        paid = {"finished": ASKED, "partially_paid": ASKED / 2}.get(status)
        report = PaymentReport(
            gateway=GATEWAY,
            gateway_payment_id=row.gateway_payment_id or "",
            status=status,
            order_number=file.order.number,
            parent_payment_id=row.parent_payment_id,
            price_amount=file.order.total,
            price_currency="eur",
            pay_amount=row.pay_amount,
            pay_currency=row.pay_currency,
            actually_paid=paid,
        )
        return msgspec.structs.replace(report, **fields)

    def told(
        self, file: OrderFile, status: str, *, which: int = -1, late: bool = False, **report: object
    ) -> tuple[OrderFile, Decision]:
        """What the order is after the gateway said so; `late` supplies today's facts."""
        payment = file.payments[which]
        decision = settle(
            file,
            payment,
            self.report(file, status, payment, **report),
            at=self.at,
            terms=self.terms(),
            held_keys=self.keys,
            today=self.today() if late else None,
        )
        return applied(file, decision), decision

    def paid(self, status: str = "paid") -> OrderFile:
        """A paid order with the payment that settled it."""
        file = self.with_payment(self.order(status), "finished")
        order = msgspec.structs.replace(file.order, settled_by=file.payments[0].id, paid_at=self.at)
        return msgspec.structs.replace(file, order=order)

    def today(
        self,
        *,
        worth: Eur = Decimal("25.00"),
        cost: Eur = COST,
        stock: int = 5,
        spare: Sequence[InventoryKey] | None = None,
    ) -> Today:
        """Today's facts of the goods of the order built last."""
        supplied, own = self.goods
        offer = supplied.offer
        return Today(
            worth=worth,
            sellables=(
                Sellable(
                    product=supplied.product,
                    offer=offer,
                    available=stock,
                    unit_cost=cost,
                    price=PRICE,
                ),
                Sellable(
                    product=own.product, offer=None, available=stock, unit_cost=cost, price=PRICE
                ),
            ),
            spare_keys=tuple(self._free() if spare is None else spare),
        )

    def _free(self) -> tuple[InventoryKey, ...]:
        return tuple(
            msgspec.structs.replace(key, state="available", reservation_id=None)
            for key in self.keys
        )


def _kept(status: str) -> str:
    if status in {"created", "waiting", "confirming"}:
        return "held"
    return "consumed" if status in {"paid", "partially_fulfilled", "fulfilled"} else "expired"
