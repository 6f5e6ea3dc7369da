"""How the catalogue is answered: products, groups, categories, filters."""

import msgspec

from bitloot.domain.money import eur_text, plain
from bitloot.ports.views.catalog import (
    CategoryView,
    FacetValue,
    Filters,
    GroupDetail,
    GroupView,
    ProductDetail,
    ProductView,
    Shelf,
)
from bitloot_web.api.fields import eur_or_none


class Product(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A product on the shelf; `price` in EUR a unit, `available` units can be bought now."""

    id: str
    slug: str
    title: str
    source: str
    category: str | None
    platform: str | None
    region: str | None
    excluded_countries: tuple[str, ...]
    price: str
    currency: str
    available: int
    is_preorder: bool
    release_date: str | None
    cover_url: str | None


class WordReading(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A word of the search that nothing has, and the words it was read as."""

    word: str
    read_as: tuple[str, ...]


class ProductPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One page. `next` is the cursor of the following one, null on the last."""

    items: tuple[Product, ...]
    next: str | None
    readings: tuple[WordReading, ...]


class Requirements(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a product needs to run on a system."""

    system: str
    requirements: tuple[str, ...]


class Media(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A picture or a film: `image`, `screenshot` or `video`."""

    kind: str
    url: str
    thumbnail_url: str | None
    alt: str


class OfferStock(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where units come from, and how many of them can be had."""

    source: str
    available: int


class Sibling(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Another product of a group; `price` in EUR as listed."""

    slug: str
    title: str
    label: str
    platform: str | None
    region: str | None
    price: str
    is_available: bool


class ProductGroupShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A group that the product belongs to, with all that is listed of it."""

    slug: str
    title: str
    products: tuple[Sibling, ...]


class ProductDetails(Product, frozen=True, kw_only=True, rename="camel"):
    """All of one product; `metacritic` from 0 to 100."""

    description: str
    original_name: str | None
    genres: tuple[str, ...]
    tags: tuple[str, ...]
    languages: tuple[str, ...]
    developers: tuple[str, ...]
    publishers: tuple[str, ...]
    age_rating: str | None
    metacritic: str | None
    system_requirements: tuple[Requirements, ...]
    media: tuple[Media, ...]
    offers: tuple[OfferStock, ...]
    groups: tuple[ProductGroupShown, ...]


class FilterValue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A value and how many products have it; `isMore`: there are more than `count`."""

    value: str
    count: int
    is_more: bool


class CatalogFilters(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What lists can be narrowed by. Prices in EUR, null where nothing is listed."""

    categories: tuple[FilterValue, ...]
    platforms: tuple[FilterValue, ...]
    regions: tuple[FilterValue, ...]
    price_from: str | None
    price_to: str | None
    currency: str


class Category(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A category; `isMore`: it has more products than `count`. One with a `homePosition` is a
    section of the home page, the lowest first.
    """

    slug: str
    title: str
    home_position: int | None
    count: int
    is_more: bool


class Group(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A group of variants and how many of them are listed."""

    slug: str
    title: str
    description: str
    cover_url: str | None
    products: int


class Member(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A product of a group, and what tells it from the others."""

    label: str
    product: Product


class GroupDetails(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A group with its products in its order."""

    slug: str
    title: str
    description: str
    cover_url: str | None
    members: tuple[Member, ...]


def shown(view: ProductView) -> Product:
    """The product as it is answered."""
    return Product(
        id=view.id,
        slug=view.slug,
        title=view.title,
        source=view.source,
        category=view.category,
        platform=view.platform,
        region=view.region,
        excluded_countries=view.excluded_countries,
        price=eur_text(view.price),
        currency="EUR",
        available=view.available,
        is_preorder=view.is_preorder,
        release_date=view.release_date,
        cover_url=view.cover_url,
    )


def page_shown(shelf: Shelf, following: str | None) -> ProductPage:
    """A page with the cursor of the next."""
    return ProductPage(
        items=tuple(map(shown, shelf.page.items)),
        next=following,
        readings=tuple(
            WordReading(word=each.word, read_as=each.read_as) for each in shelf.readings
        ),
    )


def details(view: ProductDetail) -> ProductDetails:
    """All of a product as it is answered."""
    return ProductDetails(
        **msgspec.structs.asdict(shown(view)),
        description=view.description,
        original_name=view.original_name,
        genres=view.genres,
        tags=view.tags,
        languages=view.languages,
        developers=view.developers,
        publishers=view.publishers,
        age_rating=view.age_rating,
        metacritic=None if view.metacritic is None else plain(view.metacritic),
        system_requirements=tuple(
            Requirements(system=each.system, requirements=each.requirements)
            for each in view.system_requirements
        ),
        media=tuple(
            Media(kind=each.kind, url=each.url, thumbnail_url=each.thumbnail_url, alt=each.alt)
            for each in view.media
        ),
        offers=tuple(
            OfferStock(source=each.source, available=each.available) for each in view.offers
        ),
        groups=tuple(
            ProductGroupShown(
                slug=group.slug,
                title=group.title,
                products=tuple(
                    Sibling(
                        slug=each.slug,
                        title=each.title,
                        label=each.label,
                        platform=each.platform,
                        region=each.region,
                        price=eur_text(each.price),
                        is_available=each.is_available,
                    )
                    for each in group.products
                ),
            )
            for group in view.groups
        ),
    )


def filters_shown(view: Filters) -> CatalogFilters:
    """The filters as they are answered."""

    def values(found: tuple[FacetValue, ...]) -> tuple[FilterValue, ...]:
        return tuple(
            FilterValue(value=each.value, count=each.count, is_more=each.is_more) for each in found
        )

    return CatalogFilters(
        categories=values(view.categories),
        platforms=values(view.platforms),
        regions=values(view.regions),
        price_from=eur_or_none(view.price_from),
        price_to=eur_or_none(view.price_to),
        currency="EUR",
    )


def category_shown(view: CategoryView) -> Category:
    """A category as it is answered."""
    return Category(
        slug=view.slug,
        title=view.title,
        home_position=view.home_position,
        count=view.count,
        is_more=view.is_more,
    )


def group_shown(view: GroupView) -> Group:
    """A group of a list as it is answered."""
    return Group(
        slug=view.slug,
        title=view.title,
        description=view.description,
        cover_url=view.cover_url,
        products=view.products,
    )


def group_details(view: GroupDetail) -> GroupDetails:
    """A group as it is answered."""
    return GroupDetails(
        slug=view.slug,
        title=view.title,
        description=view.description,
        cover_url=view.cover_url,
        members=tuple(
            Member(label=each.label, product=shown(each.product)) for each in view.members
        ),
    )
