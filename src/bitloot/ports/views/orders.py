"""What a buyer sees of an order."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from bitloot.domain.item_state import ItemState
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
    state: ItemState
    is_preorder: bool
    instructions: str | None


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    """Where to pay, how much, until when. Amounts as the gateway wrote them.

    A hosted page has `url` and no address, and `is_hosted`; `valid_until` is when the gateway stops
    watching. `status` is that of the payment, or of the page (`created`, `open`).
    """

    id: str
    gateway: str
    gateway_payment_id: str | None
    is_hosted: bool
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
    """An order as its buyer sees it. EUR; `is_held`: a person has to decide something first.

    `payment` is the one that paid for it, else the newest that is not rejected; repeated and
    foreign deposits are none. `last_seq` is the number of its latest event.
    """

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


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """What can be revealed of a line, never a key.

    `delivered` of `quantity` units have a key; `is_revealable`: asking for them would be granted.
    `downloads` counts over all units; `first_download_at` is when the line was first seen.
    """

    item_id: str
    item_no: int
    title: str
    quantity: int
    delivered: int
    state: ItemState
    is_revealable: bool
    downloads: int
    first_download_at: datetime | None
    last_download_at: datetime | None


class ReceiptLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a receipt; `total` is the price of all its units, EUR."""

    item_no: int
    title: str
    quantity: int
    unit_price: Eur
    total: Eur


class ReceiptView(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a receipt. EUR, but `pay_amount` and `actually_paid` in `pay_currency`.

    `refunded` is what was given back, None where nothing was.
    """

    order_id: str
    number: str
    status: str
    email: str
    country: str | None
    created_at: datetime
    paid_at: datetime
    lines: tuple[ReceiptLine, ...]
    total: Eur
    paid_over: Eur | None
    refunded: Eur | None
    gateway: str | None
    gateway_payment_id: str | None
    pay_currency: str | None
    pay_amount: Decimal | None
    actually_paid: Decimal | None
    payin_hash: str | None


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One event as shown; what it changed in the rows is not part of it."""

    seq: int
    kind: str
    at: datetime
    subject: str
    facts: Mapping[str, str | int | None]


class OrderViews(Protocol):
    """Reads without side effects, one round trip each. Raise StoreUnavailable."""

    async def order(self, order_id: str) -> OrderView | None:
        """One order with its lines and its present payment."""
        ...

    async def deliveries(self, order_id: str) -> tuple[DeliveryView, ...] | None:
        """What was delivered of each line; None when there is no such order."""
        ...

    async def receipt(self, order_id: str) -> ReceiptView | None:
        """The facts of a receipt; None for an order that was never paid."""
        ...

    async def timeline(
        self, order_id: str, *, after: int, limit: int, kinds: frozenset[str] | None
    ) -> tuple[TimelineEntry, ...]:
        """Events with `seq` above `after`, oldest first, with all facts; only `kinds` if given."""
        ...

    async def buyer_timeline(
        self, order_id: str, *, after: int, limit: int
    ) -> tuple[TimelineEntry, ...]:
        """As `timeline`, with the events and facts only that a buyer may see."""
        ...
