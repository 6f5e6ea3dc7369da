"""What the stand-in remembers: payments, invoices, planned moves and callback deliveries."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

DeliveryState = Literal["pending", "delivered", "gave_up", "lost", "suppressed"]


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One deposit address and what became of it; amounts are in `pay_currency`."""

    id: int
    owner: str
    """A digest of the API key that created it; no other key sees the payment."""
    status: str
    pay_address: str
    payin_extra_id: str | None
    price_amount: Decimal
    price_currency: str
    pay_amount: Decimal
    pay_currency: str
    pay_amount_forced: bool = False
    actually_paid: Decimal = Decimal(0)
    outcome_amount: Decimal | None = None
    outcome_currency: str
    order_id: str | None = None
    order_description: str | None = None
    purchase_id: int
    token_id: int
    ipn_callback_url: str | None = None
    customer_email: str | None = None
    invoice_id: int | None = None
    is_fixed_rate: bool = False
    is_fee_paid_by_user: bool = False
    created_at: datetime
    updated_at: datetime
    quote_until: datetime
    valid_until: datetime
    payin_hash: str | None = None
    payout_hash: str | None = None
    children: tuple[int, ...] = ()
    parent_id: int | None = None
    origin_type: str | None = None
    silent: bool = False
    """Once expired a payment never causes a callback again."""


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """A hosted page; it never ends and can carry many payments."""

    id: int
    token_id: int
    owner: str
    price_amount: Decimal
    price_currency: str
    pay_currency: str | None = None
    order_id: str | None = None
    order_description: str | None = None
    ipn_callback_url: str | None = None
    success_url: str | None = None
    cancel_url: str | None = None
    partially_paid_url: str | None = None
    is_fixed_rate: bool = False
    is_fee_paid_by_user: bool = False
    created_at: datetime


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A status change that is due at `due_at`, with the callbacks that it will cause."""

    id: int
    due_at: datetime
    payment_id: int
    status: str
    only_from: str | None = None
    """The move is dropped when the payment is not in this status by then."""
    paid: Decimal | None = None
    ipn: bool = True
    ipn_mode: str = "modern"
    ipn_lost: bool = False
    lanes: tuple[str, ...] = ("",)
    """One callback for each entry; entries of different lanes go out at the same time."""
    release_at: datetime | None = None
    release_order: int = 0


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to deliver: the HTTP status answered, or what went wrong instead."""

    at: datetime
    status: int | None = None
    error: str | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One callback: the exact text, its signature, and every try to deliver it."""

    id: int
    payment_id: int
    payment_status: str
    url: str
    body: str
    signature: str
    mode: str
    lane: str
    due_at: datetime
    order: int
    state: DeliveryState = "pending"
    reason: str | None = None
    attempts: tuple[Attempt, ...] = ()


Record = Payment | Invoice | Move | Delivery
