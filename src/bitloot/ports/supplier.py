"""The seam to a supplier of keys."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

import msgspec

from bitloot.domain.money import Eur
from bitloot.domain.product import WholesaleTier
from bitloot.domain.supply import (
    SuppliedKey,
    SupplierKeyState,
    SupplierOffer,
    SupplierOrder,
    SupplierOrderState,
)
from bitloot.ports.payment_gateway import Forged, Malformed

__all__ = [
    "SuppliedKey",
    "Supplier",
    "SupplierCapabilities",
    "SupplierHint",
    "SupplierKeyState",
    "SupplierOffer",
    "SupplierOrder",
    "SupplierOrderState",
    "SupplierProduct",
    "SupplierRequest",
    "SupplierWebhook",
]


class SupplierCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """`own_stock`: keys are already ours and are bound in the transaction, never ordered.

    `returns_keys`: unclaimed keys can be given back. `wholesale_units` is the most in one order
    of a wholesale offer, 0 where there is none.
    """

    own_stock: bool = False
    returns_keys: bool = False
    preorders: bool = False
    wholesale_units: int = 0


class SupplierProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product of the supplier's catalogue, cleaned. `stock` 0 where nothing can be sold."""

    supplier_product_id: str
    title: str
    description: str
    platform: str | None
    region: str | None
    excluded_countries: tuple[str, ...]
    is_preorder: bool
    release_date: str | None
    instructions: str | None
    cover_url: str | None
    offer_id: str
    price: Eur
    stock: int
    wholesale: tuple[WholesaleTier, ...]
    updated_at: datetime


class SupplierRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order to place. `max_price` is the most for a unit, EUR; `external_id` our own id."""

    external_id: str
    supplier_product_id: str
    offer_id: str | None
    quantity: int
    max_price: Eur
    is_preorder: bool = False


class SupplierHint(msgspec.Struct, frozen=True, kw_only=True):
    """A verified webhook: something changed, go and read it."""

    dedupe_key: str
    kind: Literal["order", "product", "other"]
    supplier_order_id: str | None = None
    external_id: str | None = None
    supplier_product_id: str | None = None
    status: str | None = None
    updated_at: datetime | None = None


SupplierWebhook: TypeAlias = SupplierHint | Forged | Malformed


class Supplier(Protocol):
    """Raises Unavailable, OutcomeUnknown (from `place` and `give_back`) and Rejected with one of
    `balance`, `credentials`, `unavailable` (no offer at this price and quantity), `rate_limited`
    (as Unavailable), `invalid` (our bug), `not_found`, `nothing_to_return`.
    """

    @property
    def name(self) -> str:
        """The plugin's name, remembered by items, fulfilments and attempts."""
        ...

    @property
    def capabilities(self) -> SupplierCapabilities:
        """What this supplier can do."""
        ...

    async def offers(self, supplier_product_id: str) -> Sequence[SupplierOffer]:
        """The offers of a product now, cheapest first; empty when it is out of stock."""
        ...

    async def place(self, request: SupplierRequest) -> SupplierOrder:
        """Place one order. Never repeated by the adapter."""
        ...

    async def find(self, external_id: str) -> Sequence[SupplierOrder]:
        """Orders that carry exactly this external id, oldest first."""
        ...

    async def order(self, supplier_order_id: str) -> SupplierOrder:
        """One order with the state of each key."""
        ...

    async def keys(self, supplier_order_id: str) -> Sequence[SuppliedKey]:
        """The keys that can be read now, all pages. Repeatable."""
        ...

    async def give_back(self, supplier_order_id: str) -> None:
        """Ask once for the return of an order's unclaimed keys. Never repeated by the adapter.

        Whoever does not know whether the request arrived says so with OutcomeUnknown.
        """
        ...

    async def balance(self) -> Eur:
        """What is left to buy with, EUR."""
        ...

    def catalogue(
        self, *, updated_since: datetime | None
    ) -> AsyncIterator[Sequence[SupplierProduct]]:
        """The catalogue page by page."""
        ...

    def orders_since(
        self, since: datetime, *, first_page: int = 1
    ) -> AsyncIterator[Sequence[SupplierOrder]]:
        """All orders placed since then, page by page from that page on: for reconciliation.

        A page may be empty; pages before the last one are full, so their numbers can be kept.
        """
        ...

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> SupplierWebhook:
        """Check the secret in constant time and read the hint. Pure; header names lower."""
        ...
