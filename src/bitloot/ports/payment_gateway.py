"""The seam to a crypto payment gateway."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeAlias

import msgspec

from bitloot.domain.money import Eur
from bitloot.domain.payment import PaymentReport


class GatewayCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """`lists_by_invoice`: the payments of a hosted page can be asked for, not only waited for.

    Where that hangs on more settings, `listing_needs` says what to do, to whoever runs the shop
    ("set A and B"); empty where nothing would help.
    `reports_zero_paid` names an environment (the gateway's own sandbox) whose finished payments
    say that nothing was paid; it comes from a setting, never from a payload.
    """

    hosted_page: bool
    lists_by_invoice: bool
    reports_zero_paid: bool = False
    listing_needs: str = ""


class NewPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment to open. `price` in EUR; `order_number` is what the gateway gives back to us."""

    order_number: str
    price: Eur
    asset: str
    description: str = ""


class OpenedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Where to pay, and how much, as the gateway wrote it."""

    gateway_payment_id: str
    status: str
    pay_address: str
    pay_amount: Decimal
    pay_currency: str
    payin_extra_id: str | None
    network: str | None
    purchase_id: str | None
    is_fixed_rate: bool
    quote_ends_at: datetime | None
    valid_until: datetime | None


class NewInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """A hosted page to open. `return_url` is where the payer comes back to."""

    order_number: str
    price: Eur
    asset: str | None = None
    description: str = ""
    return_url: str | None = None


class OpenedInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """The hosted page."""

    gateway_invoice_id: str
    url: str


class RefreshedQuote(msgspec.Struct, frozen=True, kw_only=True):
    """A new amount for a payment whose quote ended."""

    pay_amount: Decimal
    quote_ends_at: datetime | None


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """Something to pay with. `ticker` is lower-case; `needs_memo` means a tag must be sent too."""

    ticker: str
    name: str
    network: str | None
    needs_memo: bool
    precision: int


class AssetQuote(msgspec.Struct, frozen=True, kw_only=True):
    """What an EUR amount comes to in an asset, and the least that the asset can carry."""

    asset: str
    amount: Decimal
    minimum: Decimal


class Forged(msgspec.Struct, frozen=True):
    """A webhook without a good signature."""

    reason: str


class Malformed(msgspec.Struct, frozen=True):
    """A webhook that is well signed but cannot be read, or whose body is no JSON object."""

    reason: str


class VerifiedPayment(msgspec.Struct, frozen=True):
    """A well-signed callback. `report` is a hint: the gateway is asked before money moves."""

    dedupe_key: str
    report: PaymentReport


WebhookReading: TypeAlias = VerifiedPayment | Forged | Malformed


class PaymentGateway(Protocol):
    """Raises Unavailable, Rejected (`below_minimum`, `asset_unavailable`, `invalid`,
    `not_found`, `credentials`) and, from the two creating calls only, OutcomeUnknown.
    """

    @property
    def name(self) -> str:
        """The plugin's name, remembered by payments."""
        ...

    @property
    def capabilities(self) -> GatewayCapabilities:
        """What this gateway can do."""
        ...

    async def create_payment(self, request: NewPayment) -> OpenedPayment:
        """Open a payment. Never repeated by the adapter."""
        ...

    async def create_invoice(self, request: NewInvoice) -> OpenedInvoice:
        """Open a hosted page. Never repeated by the adapter."""
        ...

    async def payment(self, gateway_payment_id: str) -> PaymentReport:
        """What the gateway says of a payment now."""
        ...

    async def payments_of_invoice(self, gateway_invoice_id: str) -> Sequence[PaymentReport]:
        """The payments made on a hosted page, oldest first; empty without the capability.

        All of them, however the gateway pages; where there are more than the limit
        `payments_per_invoice`, at least one more than that.
        """
        ...

    async def refresh_quote(self, gateway_payment_id: str) -> RefreshedQuote:
        """A new amount once the quote ended; before that the present one."""
        ...

    async def assets(self) -> Sequence[Asset]:
        """What can be paid with now."""
        ...

    async def asset_quote(self, amount: Eur, asset: str) -> AssetQuote:
        """Estimate and minimum of an asset for an EUR amount."""
        ...

    async def worth(self, amount: Decimal, asset: str) -> Eur:
        """What a crypto amount is worth in EUR now."""
        ...

    async def check(self) -> None:
        """Reach the gateway and try the credentials. Raises Unavailable or Rejected."""
        ...

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookReading:
        """Check the signature over the raw bytes and read the report. Pure; header names lower."""
        ...
