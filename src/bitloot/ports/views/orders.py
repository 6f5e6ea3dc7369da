"""What a buyer sees of an order."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from bitloot.domain.money import Eur


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """A line. `delivered` counts units that can be revealed; `state` is for people.

    `state`: `waiting` (unpaid), `preparing`, `delayed`, `awaiting_release`, `partly_delivered`,
    `delivered`, `cancelled`.
    """

    id: str
    item_no: int
    product_id: str
    title: str
    source: str
    quantity: int
    unit_price: Eur
    delivered: int
    state: str
    is_preorder: bool
    instructions: str | None


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    """Where to pay, how much, until when. Amounts as the gateway wrote them.

    A hosted page has `url` and no address; `late_until` is when the gateway stops watching.
    """

    id: str
    gateway: str
    gateway_payment_id: str | None
    status: str
    pay_currency: str | None
    pay_amount: Decimal | None
    pay_address: str | None
    memo: str | None
    network: str | None
    actually_paid: Decimal | None
    url: str | None
    quote_ends_at: datetime | None
    valid_until: datetime | None
    created_at: datetime


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order as its buyer sees it. `is_held`: a person has to decide something first."""

    id: str
    number: str
    status: str
    failure_reason: str | None
    remarks: tuple[str, ...]
    source: str
    email: str
    country: str | None
    total: Eur
    paid_over: Eur | None
    is_held: bool
    items: tuple[ItemView, ...]
    payment: PaymentView | None
    created_at: datetime
    window_ends_at: datetime
    paid_at: datetime | None
    fulfilled_at: datetime | None
    last_seq: int
    version: int


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One event as shown. Buyers see `kind`, `at` and `facts`; `changes` is for the desk only."""

    seq: int
    kind: str
    at: datetime
    subject: str
    facts: Mapping[str, str | int | None]


class OrderViews(Protocol):
    """Reads without side effects."""

    async def order(self, order_id: str) -> OrderView | None:
        """One order with lines and its present payment: the newest that is not rejected."""
        ...

    async def timeline(
        self, order_id: str, *, after: int, limit: int, kinds: frozenset[str] | None
    ) -> tuple[TimelineEntry, ...]:
        """Events with `seq` above `after`, oldest first; only of `kinds` if given."""
        ...

    async def email_of(self, order_id: str) -> str | None:
        """The address that a re-entry code goes to."""
        ...
