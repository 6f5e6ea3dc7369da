"""What a buyer sees of the shelves."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from bitloot.domain.money import Eur
from bitloot.domain.product import Sellable
from bitloot.ports.views.paging import Page


class ProductView(msgspec.Struct, frozen=True, kw_only=True):
    """A product on the shelf. `available` counts what can be bought now.

    `price` is what a unit is quoted for now, EUR; of a product that cannot be had, the price set.
    """

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
    release_date: str | None
    cover_url: str | None


class CatalogViews(Protocol):
    """Reads without side effects, one round trip each. Raise StoreUnavailable."""

    async def products(
        self, *, limit: int, after: str | None, source: str | None, in_stock: bool
    ) -> Page[ProductView]:
        """Published products by slug, the last slug being the key of the next page.

        `source` keeps those of one supplier, `in_stock` those that can be bought now.
        """
        ...

    async def product(self, slug: str) -> ProductView | None:
        """One published product."""
        ...

    async def sellables(self, product_ids: Sequence[str]) -> tuple[Sellable, ...]:
        """What quoting needs to know, in the order asked; unknown ids are left out."""
        ...
