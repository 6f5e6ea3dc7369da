"""What a buyer sees of the shelves."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from bitloot.domain.money import Eur
from bitloot.domain.product import Sellable
from bitloot.ports.views.paging import Page


class ProductView(msgspec.Struct, frozen=True, kw_only=True):
    """A product on the shelf. `available` counts what can be bought now."""

    id: str
    slug: str
    title: str
    description: str
    source: str
    platform: str | None
    region: str | None
    excluded_countries: tuple[str, ...]
    price: Eur
    available: int
    is_preorder: bool
    cover_url: str | None


class CatalogViews(Protocol):
    """Reads without side effects."""

    async def products(
        self, *, limit: int, after: str | None, source: str | None, in_stock: bool
    ) -> Page[ProductView]:
        """Published products by slug, a page at a time."""
        ...

    async def product(self, slug: str) -> ProductView | None:
        """One published product."""
        ...

    async def sellables(self, product_ids: Sequence[str]) -> tuple[Sellable, ...]:
        """What quoting needs to know, in the order asked; unknown ids are left out."""
        ...
