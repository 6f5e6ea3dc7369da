"""Getting the units of one item: the table of a fulfilment and of a supplier attempt."""

from datetime import datetime
from typing import Final, Literal, TypeAlias

from bitloot.domain.decision import Row
from bitloot.domain.machine import Machine
from bitloot.domain.money import Eur

FulfilmentState: TypeAlias = Literal[
    "pending",
    "reserving",
    "reserved",
    "awaiting_release",
    "keys_ready",
    "sealed",
    "vaulted",
    "delivered",
    "retry_wait",
    "blocked",
    "supplier_refunded",
    "failed_terminal",
    "returned",
    "replaced",
    "cancelled",
]
BlockedReason: TypeAlias = Literal["balance", "credentials", "breaker", "price", "stock"]

# Ordered at the supplier, with units that have no sealed key yet.
BEFORE_SEAL: Final = frozenset[FulfilmentState]({"reserved", "awaiting_release", "keys_ready"})
# The states that a wait with back-off may return to: the one it came from.
_WAITS_IN: Final[tuple[FulfilmentState, ...]] = (
    "reserving",
    "reserved",
    "keys_ready",
    "sealed",
    "vaulted",
)

FULFILMENT: Final[Machine[FulfilmentState]] = Machine(
    name="fulfilment",
    initial="pending",
    moves={
        "pending": {"begin": "reserving", "cancel": "cancelled"},
        "reserving": {
            "reserved": "reserved",
            "wait": "retry_wait",
            "block": "blocked",
            "fail": "failed_terminal",
        },
        "reserved": {
            "keys": "keys_ready",
            "preorder": "awaiting_release",
            "wait": "retry_wait",
            "supplier_refund": "supplier_refunded",
        },
        "awaiting_release": {"keys": "keys_ready", "supplier_refund": "supplier_refunded"},
        "keys_ready": {
            "seal": "sealed",
            "wait": "retry_wait",
            "supplier_refund": "supplier_refunded",
        },
        # Sealed once, never encrypted again.
        "sealed": {"upload": "vaulted", "wait": "retry_wait", "return": "returned"},
        "vaulted": {"deliver": "delivered", "wait": "retry_wait", "return": "returned"},
        "delivered": {"return": "returned", "replace": "replaced"},
        "retry_wait": {
            **{f"resume_{state}": state for state in _WAITS_IN},
            "fail": "failed_terminal",
        },
        "blocked": {"begin": "reserving", "fail": "failed_terminal", "cancel": "cancelled"},
        "supplier_refunded": {"begin": "reserving", "fail": "failed_terminal"},
        "failed_terminal": {"begin": "reserving", "cancel": "cancelled"},
        "returned": {},
        "replaced": {},
        "cancelled": {},
    },
    terminal=frozenset({"returned", "replaced", "cancelled"}),
)

AttemptState: TypeAlias = Literal[
    "intent",
    "created",
    "rejected",
    "unknown",
    "absent",
    "completed",
    "canceled",
    "refunded",
]

ATTEMPT: Final[Machine[AttemptState]] = Machine(
    name="supplier attempt",
    initial="intent",
    moves={
        # An intent found after a crash is treated as unknown.
        "intent": {"placed": "created", "refused": "rejected", "doubt": "unknown"},
        "unknown": {"found": "created", "not_found": "absent"},
        "created": {"complete": "completed", "cancel": "canceled", "refund": "refunded"},
        "completed": {"refund": "refunded"},
        "rejected": {},
        "absent": {},
        "canceled": {},
        "refunded": {},
    },
    terminal=frozenset({"rejected", "absent", "completed", "canceled", "refunded"}),
)
# Giving an order's keys back: asked for at most once in the life of a supplier order. `sending` is
# noted before the request leaves; one that is found so later may have arrived, and is `unknown`.
ReturnState: TypeAlias = Literal["none", "wanted", "sending", "asked", "refused", "unknown"]
LIVE_ATTEMPT: Final = frozenset[AttemptState]({"intent", "unknown", "created"})


class Fulfilment(Row, frozen=True, kw_only=True):
    """Up to nine units of one item (own stock: all of them; wholesale: up to its limit).

    `slots` are the units, 1…quantity of the item. `round` rises only after a cancelled or refunded
    supplier order. `waits_in` is the state that `retry_wait` goes back to. `replaces` links to the
    fulfilment whose units this one gets anew. `max_unit_price` is the ceiling in EUR.
    """

    order_id: str
    order_item_id: str
    item_no: int
    part: int
    slots: tuple[int, ...]
    supplier: str
    own_stock: bool
    supplier_product_id: str | None
    offer_id: str | None
    max_unit_price: Eur
    state: FulfilmentState = "pending"
    round: int = 1
    gen: int = 0
    rebuys: int = 0
    waits_in: FulfilmentState | None = None
    blocked_reason: BlockedReason | None = None
    blocked_since: datetime | None = None
    tried_offers: tuple[str, ...] = ()
    replaces: str | None = None
    last_error: str | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def quantity(self) -> int:
        """How many units."""
        return len(self.slots)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is done for it: delivered, or at an end."""
        return self.state == "delivered" or self.state in FULFILMENT.terminal


class SupplierAttempt(Row, frozen=True, kw_only=True):
    """One intended create-order call; at most one of a fulfilment is not at an end.

    `external_id` is `<number>-<item_no>-<part>-<round>`: our own id at the supplier.
    `checks` counts well-formed empty searches; `max_price` and `cost` in EUR a unit / in all.
    `balance_before` was read between `balance_at` and `intent_at`. `returning` is where the return
    of its unclaimed keys stands. `units_back`: for so many of its units our money came back and is
    booked, last at `back_at`. `short_since`: the supplier calls it complete, a key is missing.
    """

    fulfilment_id: str
    order_id: str
    gen: int
    supplier: str
    external_id: str
    supplier_product_id: str
    offer_id: str | None
    quantity: int
    max_price: Eur
    state: AttemptState = "intent"
    supplier_order_id: str | None = None
    supplier_updated_at: datetime | None = None
    balance_before: Eur | None = None
    balance_at: datetime | None = None
    refusal: str | None = None
    checks: int = 0
    intent_at: datetime
    created_at: datetime | None = None
    next_check_at: datetime | None = None
    cost: Eur | None = None
    returning: ReturnState = "none"
    units_back: int = 0
    back_at: datetime | None = None
    short_since: datetime | None = None
