"""An order: one purchase, its lines, and the table of its life."""

from datetime import datetime
from typing import ClassVar, Final, Literal, TypeAlias

import msgspec

from bitloot.domain.decision import Row
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.hold import Hold
from bitloot.domain.machine import Machine
from bitloot.domain.money import Eur
from bitloot.domain.payment import Invoice, Payment
from bitloot.domain.reservation import Reservation

OrderStatus: TypeAlias = Literal[
    "created",
    "waiting",
    "confirming",
    "paid",
    "partially_fulfilled",
    "fulfilled",
    "failed",
    "expired",
    "cancelled",
    "refunded",
]
FailureReason: TypeAlias = Literal[
    "underpaid",
    "wrong_asset",
    "amount_mismatch",
    "late_payment",
    "provider_failed",
    "fulfilment_failed",
]
Remark: TypeAlias = Literal[
    "paid_late",
    "paid_over",
    "paid_partial",
    "redeposit",
    "wrong_asset",
    "duplicate_payment",
    "manual",
]

BEFORE_PAYMENT: Final = frozenset[OrderStatus]({"created", "waiting", "confirming"})
PAID: Final = frozenset[OrderStatus]({"paid", "partially_fulfilled", "fulfilled"})

# One row a status; the comments number the rules of an order's life. O1 places it; O9, O13, O16,
# O22, O23, O25 and O26 have no cell of their own: they hold, forbid or note, and say so where they
# stand. A signal without a cell leaves the order as it is and is recorded.
ORDER: Final[Machine[OrderStatus]] = Machine(
    name="order",
    initial="created",
    moves={
        "created": {
            "payment_opened": "waiting",  # O2
            "cancel": "cancelled",  # O3: nothing received
            "expire": "expired",  # O4
        },
        "waiting": {
            "funds_seen": "confirming",  # O5
            "cancel": "cancelled",  # O3
            "expire": "expired",  # O4, by the timer or by the gateway
            "settled": "paid",  # O6
            "underpaid": "failed",  # O7
            "gateway_failed": "failed",  # O8
            "gateway_refunded": "refunded",  # O10
            "accept": "paid",  # O24
            "reject": "failed",  # O24
        },
        "confirming": {
            "expire": "expired",  # O4, by the gateway only: money is on its way
            "settled": "paid",  # O6
            "underpaid": "failed",  # O7
            "gateway_failed": "failed",  # O8
            "gateway_refunded": "refunded",  # O10
            "accept": "paid",  # O24
            "reject": "failed",  # O24
        },
        "paid": {
            "item_delivered": "partially_fulfilled",  # O11
            "all_delivered": "fulfilled",  # O12
            "give_up": "failed",  # O14
            "refund": "refunded",  # O21
        },
        "partially_fulfilled": {
            "all_delivered": "fulfilled",  # O12
            "give_up": "failed",  # O14
            "refund": "refunded",  # O21
        },
        "fulfilled": {
            "refund": "refunded",  # O21; nothing else leaves a fulfilled order
        },
        "failed": {
            "settled": "paid",  # O18: only underpaid and provider_failed, by the guard
            "retry": "paid",  # O20: only fulfilment_failed, nothing delivered yet
            "retry_partial": "partially_fulfilled",  # O20: some items were delivered
            "refund": "refunded",  # O21
            "accept": "paid",  # O24
            "reject": "failed",  # O24: keeps its reason
        },
        "expired": {
            "settled": "paid",  # O15: late, guards hold at today's cost
            "underpaid": "failed",  # O17
            "accept": "paid",  # O24
            "reject": "failed",  # O24
        },
        "cancelled": {
            "accept": "paid",  # O24, money that came after the end (O19)
            "reject": "failed",  # O24
        },
        "refunded": {},
    },
    # Automation never leaves these; a person's recorded decision may leave the first two.
    terminal=frozenset({"fulfilled", "cancelled", "refunded"}),
)


class OrderItem(Row, frozen=True, kw_only=True):
    """A line of an order, frozen when placed. `unit_price`, `unit_cost` and `unit_floor` in EUR."""

    order_id: str
    item_no: int
    product_id: str
    title: str
    source: str
    supplier: str
    supplier_product_id: str | None
    offer_id: str | None
    quantity: int
    unit_price: Eur
    unit_cost: Eur
    unit_floor: Eur
    is_preorder: bool = False
    is_wholesale: bool = False
    instructions: str | None = None


class Order(Row, frozen=True, kw_only=True):
    """One purchase. `number` is what people, the gateway and the supplier see.

    `window_ends_at` is the order's timer (the reservations' too); `event_seq` counts its timeline.
    `email_person` is the address without its plus-alias, for velocity only. `settled_by` is the id
    of the payment row whose money paid for it. Who bought it stands here alone and in no event, so
    that it can be forgotten.
    """

    unlogged: ClassVar[frozenset[str]] = frozenset(
        {"email", "email_key", "email_person", "placed_from"}
    )

    number: str
    quote_id: str
    email: str
    email_key: str
    email_person: str
    placed_from: str
    country: str | None
    source: str
    status: OrderStatus
    failure_reason: FailureReason | None = None
    remarks: tuple[Remark, ...] = ()
    paid_over: Eur | None = None
    total: Eur
    gateway_fee: Eur
    created_at: datetime
    window_ends_at: datetime
    paid_at: datetime | None = None
    settled_by: str | None = None
    fulfilled_at: datetime | None = None
    completion_mailed: bool = False
    event_seq: int = 0


class OrderFile(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one order that a rule may need, read together under the order's lock."""

    order: Order
    items: tuple[OrderItem, ...]
    payments: tuple[Payment, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    fulfilments: tuple[Fulfilment, ...] = ()
    attempts: tuple[SupplierAttempt, ...] = ()
    holds: tuple[Hold, ...] = ()

    def open_order_hold(self) -> Hold | None:
        """The hold that stops the whole order, if one is open."""
        return next((h for h in self.holds if h.is_open and h.subject == "order"), None)

    def payment(self, payment_id: str) -> Payment:
        """The payment row with this id of ours."""
        return next(p for p in self.payments if p.id == payment_id)

    def fulfilment(self, fulfilment_id: str) -> Fulfilment:
        """The fulfilment with this id."""
        return next(f for f in self.fulfilments if f.id == fulfilment_id)

    def item(self, item_id: str) -> OrderItem:
        """The line with this id."""
        return next(i for i in self.items if i.id == item_id)

    def attempts_of(self, fulfilment_id: str) -> tuple[SupplierAttempt, ...]:
        """The purchases that were tried for a fulfilment."""
        return tuple(a for a in self.attempts if a.fulfilment_id == fulfilment_id)

    def attempt_of(self, supplier: str, supplier_order_id: str) -> SupplierAttempt | None:
        """The attempt behind a supplier's order; two suppliers may use the same ids."""
        name = (supplier, supplier_order_id)
        return next((a for a in self.attempts if (a.supplier, a.supplier_order_id) == name), None)
