"""The seam to a supplier of keys."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

import msgspec

from bitloot.domain.money import Eur
from bitloot.domain.supply import (
    SuppliedKey,
    SupplierKeyState,
    SupplierOffer,
    SupplierOrder,
    SupplierOrderState,
)
from bitloot.ports.payment_gateway import Forged, Malformed
from bitloot.ports.supplier_catalogue import (
    CataloguePage,
    RefusedProduct,
    SupplierMedia,
    SupplierProduct,
    SystemRequirements,
)

__all__ = [
    "CataloguePage",
    "RefusedProduct",
    "SuppliedKey",
    "Supplier",
    "SupplierCapabilities",
    "SupplierHint",
    "SupplierKeyState",
    "SupplierMedia",
    "SupplierOffer",
    "SupplierOrder",
    "SupplierOrderState",
    "SupplierProduct",
    "SupplierRequest",
    "SupplierWebhook",
    "SystemRequirements",
]


class SupplierCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """`own_stock`: keys are already ours and are bound in the transaction, never ordered.

    `returns_keys`: unclaimed keys can be given back. `wholesale_units` is the most in one order
    of a wholesale offer, 0 where there is none. `search_letters` is how many letters of a name
    its search asks for at least, 0 where it has no search.
    """

    own_stock: bool = False
    returns_keys: bool = False
    preorders: bool = False
    wholesale_units: int = 0
    search_letters: int = 0


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
    (as Unavailable), `invalid` (our bug), `not_found`, `nothing_to_return`, and from `product`
    `unreadable`: it is there, but what is said of it cannot be read.
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
        self, *, updated_since: datetime | None, first_page: int = 1
    ) -> AsyncIterator[CataloguePage]:
        """The catalogue page by page, one page in memory at a time; at least one page comes.

        A full read (`updated_since` None) goes by the age of the products and can be taken up
        again at any page. An incremental one goes by the time of their last change and begins a
        little earlier than asked for; `first_page` only numbers its pages, see
        `CataloguePage.up_to`. A product that changes meanwhile is read, or is new enough for the
        next incremental read; it may be read twice. Who is told `is_last` has seen everything;
        when an answer is missing or contradicts itself, Unavailable is raised instead, and what
        was read before stays true.
        """
        ...

    async def product(self, supplier_product_id: str) -> SupplierProduct | None:
        """One product as it is now; None when it is sold out, gone, or not for this shop.

        None is no deletion: the caller sets the stock to 0 and asks again another time.
        """
        ...

    async def search(self, name: str, *, limit: int) -> Sequence[SupplierProduct]:
        """At most `limit` products whose name holds this text, in the supplier's order.

        Raises Rejected `invalid` for a name shorter than `search_letters`, and always where the
        supplier has no search.
        """
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
