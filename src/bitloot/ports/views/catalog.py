"""What a buyer sees of the shelves."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal, Protocol, TypeAlias, get_args

import msgspec

from bitloot.domain.money import Eur
from bitloot.domain.product import Sellable, SystemRequirements
from bitloot.domain.product_media import MediaKind
from bitloot.ports.views.paging import Page

Sort: TypeAlias = Literal["popular", "price", "-price", "newest", "title"]
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)
# From so many on that pass what lists are narrowed by, the most popular are asked one by one; and
# from so many hits of a search on, of which the next is soon met among the most popular.
CANDIDATES: Final = 2_000
HITS: Final = 500
# From this popularity on a product is acclaimed: critics say so of about one in seven, which is
# enough for the first page of a common word, and few enough to be looked through for it first.
ACCLAIMED: Final = 85
# No list of a product, a group or a facet is longer.
SIBLINGS: Final = 100
FACET_VALUES: Final = 100
# Facets are counted so far, unless the shop's limits say otherwise.
COUNT_EXACT: Final = 1_000


class Fences(msgspec.Struct, frozen=True):
    """How many are collected to be sorted, before the most popular are asked one by one."""

    candidates: int = CANDIDATES
    hits: int = HITS


class ShelfQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which products, in which order. Prices in EUR, both ends included.

    `text` is what a buyer typed: every word has to be in a title, a platform, a region, a genre or
    a tag, the last one at least as the beginning of a word. A text without any word finds nothing.
    `title` sorts by the address, which is the title without accents and capitals.
    """

    text: str | None = None
    category: str | None = None
    platform: str | None = None
    region: str | None = None
    source: str | None = None
    price_from: Eur | None = None
    price_to: Eur | None = None
    in_stock: bool = False
    sort: Sort = "popular"


class ProductView(msgspec.Struct, frozen=True, kw_only=True):
    """A product on the shelf. `available` counts what can be bought now.

    `price` is what a unit is quoted for now, EUR; of a product that cannot be had, the price set.
    """

    id: str
    slug: str
    title: str
    source: str
    category: str | None
    platform: str | None
    region: str | None
    excluded_countries: tuple[str, ...]
    price: Eur
    available: int
    is_preorder: bool
    release_date: str | None
    cover_url: str | None


class MediaView(msgspec.Struct, frozen=True, kw_only=True):
    """A picture or a film of a product."""

    kind: MediaKind
    url: str
    thumbnail_url: str | None
    alt: str


class OfferView(msgspec.Struct, frozen=True, kw_only=True):
    """Where units of a product come from, and how many of them can be had."""

    source: str
    available: int


class SiblingView(msgspec.Struct, frozen=True, kw_only=True):
    """A product of the same group, as far as it is needed for choosing. `price` as listed."""

    slug: str
    title: str
    label: str
    platform: str | None
    region: str | None
    price: Eur
    is_available: bool


class GroupOfProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A group that a product belongs to, with all that is listed of it."""

    slug: str
    title: str
    products: tuple[SiblingView, ...]


class ProductDetail(ProductView, frozen=True, kw_only=True):
    """All that a buyer is shown of one product."""

    description: str
    original_name: str | None
    genres: tuple[str, ...]
    tags: tuple[str, ...]
    languages: tuple[str, ...]
    developers: tuple[str, ...]
    publishers: tuple[str, ...]
    age_rating: str | None
    metacritic: Decimal | None
    system_requirements: tuple[SystemRequirements, ...]
    media: tuple[MediaView, ...]
    offers: tuple[OfferView, ...]
    groups: tuple[GroupOfProduct, ...]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A word that nothing has, and the words it was read as."""

    word: str
    read_as: tuple[str, ...]


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """A page of products. `readings` tell of words in which a slip was mended."""

    page: Page[ProductView]
    readings: tuple[Reading, ...] = ()


class FacetValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value to filter by and how many listed products have it: `count_exact` of them at most.

    `is_more`: there are more than that.
    """

    value: str
    count: int
    is_more: bool


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What lists can be narrowed by, in the order of the alphabet. Prices are None where nothing
    is listed.
    """

    categories: tuple[FacetValue, ...]
    platforms: tuple[FacetValue, ...]
    regions: tuple[FacetValue, ...]
    price_from: Eur | None
    price_to: Eur | None


class CategoryView(msgspec.Struct, frozen=True, kw_only=True):
    """A category that is shown, with how many listed products it has, as `FacetValue` counts."""

    slug: str
    title: str
    home_position: int | None
    count: int
    is_more: bool


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """A group that is shown. `products` counts those of it that are listed."""

    slug: str
    title: str
    description: str
    cover_url: str | None
    products: int


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """A listed product of a group."""

    label: str
    product: ProductView


class GroupDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A group with its listed products in the group's order."""

    slug: str
    title: str
    description: str
    cover_url: str | None
    members: tuple[MemberView, ...]


class CatalogViews(Protocol):
    """Reads without side effects, one round trip each. Raise StoreUnavailable.

    An `after` that is no key of a list is Refused (`invalid-input`).
    """

    @property
    def version(self) -> int:
        """Grows whenever something was heard that may change what is shown. Costs nothing."""
        ...

    def changed(self) -> None:
        """Such a thing was heard of."""
        ...

    async def products(self, query: ShelfQuery, *, limit: int, after: str | None) -> Shelf:
        """Listed products, a page at a time, without a count.

        A search in the order `popular` puts those with the words in their titles first among the
        equally popular, as long as no more than `HITS` are hit. Of more hits it does so where no
        more than `CANDIDATES` pass its filters, and, without any filter but `in_stock`, among the
        `ACCLAIMED`, unless these alone are more than `HITS` or a slip was mended.
        """
        ...

    async def product(self, slug: str) -> ProductDetail | None:
        """One published product."""
        ...

    async def filters(self) -> Filters:
        """What is listed, by what it can be narrowed by."""
        ...

    async def categories(self, *, homepage: bool = False) -> tuple[CategoryView, ...]:
        """The categories that are shown, in their order; or the sections of the home page alone, in
        the order that they have there.
        """
        ...

    async def groups(self, *, limit: int, after: str | None) -> Page[GroupView]:
        """The groups that are shown, by slug; the last slug is the key of the next page."""
        ...

    async def group(self, slug: str) -> GroupDetail | None:
        """One group that is shown."""
        ...

    async def sellables(self, product_ids: Sequence[str]) -> tuple[Sellable, ...]:
        """What quoting needs to know, in the order asked; unknown ids are left out."""
        ...
