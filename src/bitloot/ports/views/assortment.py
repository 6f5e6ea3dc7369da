"""What the people behind the counter see of the goods: products, prices, rules, stock, runs."""

from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from bitloot.domain.catalogue_sync import CatalogueRefusal, CatalogueSync
from bitloot.domain.category import Category
from bitloot.domain.key_inventory import KeyState, ReportReason, SealedState
from bitloot.domain.money import Eur
from bitloot.domain.price_derivation import PriceRecord
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import Listing, Offer, Product
from bitloot.domain.product_group import ProductGroup
from bitloot.domain.product_media import ProductMedia
from bitloot.domain.stock_item import ItemKind
from bitloot.ports.assortment import GroupFile
from bitloot.ports.views.paging import Page


class ProductFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which products: None leaves a question open. `title` is part of a title, in any case."""

    source: str | None = None
    category: str | None = None
    is_published: bool | None = None
    is_available: bool | None = None
    title: str | None = None
    supplier_product_id: str | None = None


class ProductFacts(msgspec.Struct, frozen=True):
    """A product with what is asked for it; None where it was never priced."""

    product: Product
    listing: Listing | None


class Costed(msgspec.Struct, frozen=True, kw_only=True):
    """What a price is worked out from. `cost` is what a unit costs today, EUR, None: not known."""

    id: str
    slug: str
    title: str
    category: str | None
    cost: Eur | None
    price: Eur | None


class KeyLine(msgspec.Struct, frozen=True, kw_only=True):
    """A key of our own stock, never its serial. `cost` in EUR.

    `kind` says what it is; `sold_for` is the price of the unit that has it, EUR; `reported_at` is
    when its buyer said that it is no good.
    """

    id: str
    product_id: str
    kind: ItemKind
    sold_for: Eur | None
    reported_at: datetime | None
    batch: str
    cost: Eur
    expires_at: datetime | None
    state: KeyState
    order_item_id: str | None
    created_at: datetime
    version: int


class ReportFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which reports: None leaves a question open. `key_state` is that of the unit's key now."""

    reason: ReportReason | None = None
    product_id: str | None = None
    order_id: str | None = None
    key_state: SealedState | None = None


class UnitReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer said of a unit. `id` is that of its sealed key; `note` is in their words."""

    id: str
    order_id: str
    order_number: str
    order_item_id: str
    product_id: str
    title: str
    unit: int
    supplier: str
    kind: ItemKind
    key_state: SealedState
    reason: ReportReason
    note: str | None
    first_download_at: datetime | None
    reported_at: datetime


class StockCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Keys of a product by state. `available` leaves out those whose time is over.

    `value` is the cost of what is available, `sold_for` and `sold_cost` are the prices and the
    costs of what is sold, EUR.
    """

    available: int = 0
    reserved: int = 0
    sold: int = 0
    burned: int = 0
    expired: int = 0
    value: Decimal = Decimal(0)
    sold_for: Decimal = Decimal(0)
    sold_cost: Decimal = Decimal(0)


class LowStock(msgspec.Struct, frozen=True, kw_only=True):
    """A product of which `available` units are left, that are few at `low_stock_at`."""

    id: str
    slug: str
    title: str
    source: str
    available: int
    low_stock_at: int


class RepriceWork(msgspec.Struct, frozen=True, kw_only=True):
    """Passes over prices that wait or are at work, and those that failed for good."""

    pending: int
    dead: int
    oldest: datetime | None


class AssortmentViews(Protocol):
    """Reads without side effects, one round trip each. Raise StoreUnavailable.

    Lists are newest first unless told otherwise; an `after` that is no key of theirs is Refused
    (`invalid-input`). An id that names nothing gives None or nothing.
    """

    async def products(
        self, only: ProductFilter, *, limit: int, after: str | None
    ) -> Page[ProductFacts]:
        """Products in any state."""
        ...

    async def product(self, product_id: str) -> ProductFacts | None:
        """One product in any state."""
        ...

    async def media(self, product_id: str) -> tuple[ProductMedia, ...]:
        """The media of a product in their order."""
        ...

    async def offers(self, product_id: str) -> tuple[Offer, ...]:
        """What suppliers ask and have, the one that is bought first in front."""
        ...

    async def price_history(
        self, product_id: str, *, limit: int, after: str | None
    ) -> Page[PriceRecord]:
        """Every price that a product had."""
        ...

    async def price_record(self, record_id: str) -> PriceRecord | None:
        """One line of a history."""
        ...

    async def rules(
        self, *, scope: str | None, subject: str | None, limit: int, after: str | None
    ) -> Page[PricingRule]:
        """Pricing rules, all or of a scope or about a subject."""
        ...

    async def rule(self, rule_id: str) -> PricingRule | None:
        """One pricing rule."""
        ...

    async def costed(
        self, *, category: str | None, product_id: str | None, limit: int, after: str | None
    ) -> Page[Costed]:
        """What prices are worked out from, by id: of all, of a category, or of one product."""
        ...

    async def categories(self) -> tuple[Category, ...]:
        """All categories by position, then slug."""
        ...

    async def category(self, category_id: str) -> Category | None:
        """One category."""
        ...

    async def groups(self, *, limit: int, after: str | None) -> Page[ProductGroup]:
        """Groups, hidden ones too."""
        ...

    async def group(self, group_id: str) -> GroupFile | None:
        """One group with its members."""
        ...

    async def keys(
        self,
        product_id: str,
        *,
        state: str | None,
        kind: str | None = None,
        is_reported: bool | None = None,
        limit: int,
        after: str | None,
    ) -> Page[KeyLine]:
        """Own stock of a product, all or in a state, of a kind, reported by buyers or not."""
        ...

    async def key(self, key_id: str) -> KeyLine | None:
        """One key of own stock."""
        ...

    async def stock(self, product_id: str) -> StockCounts:
        """How many keys of a product are in which state."""
        ...

    async def reports(
        self, only: ReportFilter, *, limit: int, after: str | None
    ) -> Page[UnitReport]:
        """What buyers said of units, own stock or not, the latest first; `after` is an id."""
        ...

    async def low_stock(self, *, limit: int, after: str | None) -> Page[LowStock]:
        """Published products of which few are left, by id."""
        ...

    async def syncs(
        self, *, supplier: str | None, state: str | None, limit: int, after: str | None
    ) -> Page[CatalogueSync]:
        """Runs through the catalogues of suppliers."""
        ...

    async def refusals(
        self, sync_id: str, *, limit: int, after: str | None
    ) -> Page[CatalogueRefusal]:
        """What a run could not take over."""
        ...

    async def reprice_work(self) -> RepriceWork:
        """What is still to be priced anew."""
        ...
