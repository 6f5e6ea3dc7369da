"""A payment at the gateway: its row, the rank of each gateway status, and its table."""

from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.decision import Row
from bitloot.domain.machine import Machine
from bitloot.domain.money import Eur

PaymentStatus: TypeAlias = Literal[
    "created",
    "rejected",
    "waiting",
    "confirming",
    "confirmed",
    "sending",
    "expired",
    "failed",
    "underpaid",
    "finished",
    "refunded",
]

# What each status of the gateway means here, and its rank. A report is applied only when its rank
# is above the stored one, which makes the order of arrival harmless.
GATEWAY_STATUS: Final[dict[str, tuple[PaymentStatus, int]]] = {
    "waiting": ("waiting", 10),
    "confirming": ("confirming", 20),
    "confirmed": ("confirmed", 30),
    "sending": ("sending", 40),
    "expired": ("expired", 45),
    "failed": ("failed", 50),
    "cancelled": ("failed", 50),
    "canceled": ("failed", 50),
    "partially_paid": ("underpaid", 55),
    "finished": ("finished", 60),
    "refunded": ("refunded", 70),
}
WRONG_ASSET: Final = "wrong_asset_confirmed"
ALIVE: Final = frozenset[PaymentStatus]({"waiting", "confirming", "confirmed", "sending"})
# From this rank on a report is only believed after the gateway was asked.
ASK_FROM_RANK: Final = 45


def _upwards(*signals: str) -> dict[str, PaymentStatus]:
    return {signal: GATEWAY_STATUS[signal][0] for signal in signals}


_CHAIN: Final = tuple(GATEWAY_STATUS)

PAYMENT: Final[Machine[PaymentStatus]] = Machine(
    name="payment",
    initial="created",
    # The rank rule as a table: from each state, every gateway status of higher rank.
    moves={
        "created": {"refused": "rejected", **_upwards(*_CHAIN)},
        "rejected": {},
        "waiting": _upwards(*_CHAIN[1:]),
        "confirming": _upwards(*_CHAIN[2:]),
        "confirmed": _upwards(*_CHAIN[3:]),
        "sending": _upwards(*_CHAIN[4:]),
        # Expiry is no end: a later deposit is still accepted by the gateway.
        "expired": _upwards(*_CHAIN[5:]),
        "failed": _upwards("partially_paid", "finished", "refunded"),
        # The merchant or the payer can still complete a partial payment at the gateway.
        "underpaid": _upwards("finished", "refunded"),
        "finished": _upwards("refunded"),
        "refunded": {},
    },
    terminal=frozenset({"rejected", "refunded"}),
)


class Payment(Row, frozen=True, kw_only=True):
    """One address at the gateway, or a child deposit (`parent_payment_id`, the gateway's id).

    Crypto amounts are in `pay_currency`, as the gateway wrote them; `price_amount` in EUR.
    `call_answered` is False from before the create call until its answer is stored.
    `is_linked`: we did not open it and it is under no invoice of ours, it only names our order or a
    payment of it.
    """

    order_id: str
    gateway: str
    gateway_payment_id: str | None = None
    invoice_id: str | None = None
    parent_payment_id: str | None = None
    is_linked: bool = False
    status: PaymentStatus = "created"
    rank: int = 0
    price_amount: Eur
    price_currency: str = "eur"
    pay_currency: str
    pay_amount: Decimal | None = None
    pay_address: str | None = None
    payin_extra_id: str | None = None
    network: str | None = None
    purchase_id: str | None = None
    actually_paid: Decimal | None = None
    outcome_amount: Decimal | None = None
    outcome_currency: str | None = None
    payin_hash: str | None = None
    is_fixed_rate: bool = False
    rejection: str | None = None
    call_answered: bool = False
    quote_ends_at: datetime | None = None
    valid_until: datetime | None = None
    last_seen_at: datetime | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def is_alive(self) -> bool:
        """Money may still come by itself."""
        return self.status in ALIVE

    @property
    def is_child(self) -> bool:
        """A repeated or wrong-asset deposit: never delivers by itself."""
        return self.is_linked or self.parent_payment_id is not None


class Invoice(Row, frozen=True, kw_only=True):
    """A hosted page at the gateway. The payments made on it are adopted when first seen."""

    order_id: str
    gateway: str
    gateway_invoice_id: str | None = None
    url: str | None = None
    status: Literal["created", "rejected", "open"] = "created"
    rejection: str | None = None
    price_amount: Eur
    created_at: datetime


class PaymentReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway says of one payment: from a callback, a read, or a list.

    `status` is a word of `GATEWAY_STATUS`: an adapter translates those that it knows, and passes
    any other on as the gateway wrote it, in lower case. Amounts are None where the gateway said
    nothing.
    """

    gateway: str
    gateway_payment_id: str
    status: str
    order_number: str | None = None
    gateway_invoice_id: str | None = None
    parent_payment_id: str | None = None
    price_amount: Decimal | None = None
    price_currency: str | None = None
    pay_amount: Decimal | None = None
    pay_currency: str | None = None
    pay_address: str | None = None
    payin_extra_id: str | None = None
    network: str | None = None
    purchase_id: str | None = None
    actually_paid: Decimal | None = None
    outcome_amount: Decimal | None = None
    outcome_currency: str | None = None
    payin_hash: str | None = None
    child_payment_ids: tuple[str, ...] = ()
    quote_ends_at: datetime | None = None
    valid_until: datetime | None = None

    @property
    def rank(self) -> int:
        """The rank of the status, -1 where the status has none."""
        return GATEWAY_STATUS.get(self.status, ("created", -1))[1]
