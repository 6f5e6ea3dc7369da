"""Examples of what the catalogue answers."""

from collections.abc import Mapping
from typing import Final

from bitloot_web.api.catalog_shapes import (
    CatalogFilters,
    Category,
    FilterValue,
    Group,
    GroupDetails,
    Media,
    Member,
    OfferStock,
    Product,
    ProductDetails,
    ProductGroupShown,
    ProductPage,
    Requirements,
    Sibling,
    WordReading,
)
from bitloot_web.api.examples.names import COVER, CURSOR, PRODUCT_ID, SLUG, TITLE
from bitloot_web.openapi import Example
from bitloot_web.paging import PageOf

PRODUCT: Final = Product(
    id=PRODUCT_ID,
    slug=SLUG,
    title=TITLE,
    source="kinguin",
    category="action",
    platform="Steam",
    region="Europe",
    excluded_countries=("RU",),
    price="12.50",
    currency="EUR",
    available=7,
    is_preorder=False,
    release_date="2026-01-31",
    cover_url=COVER,
)
PAGE: Final = ProductPage(
    items=(PRODUCT,),
    next=CURSOR,
    readings=(WordReading(word="latern", read_as=("lantern",)),),
)
SIBLING: Final = Sibling(
    slug=PRODUCT.slug,
    title=PRODUCT.title,
    label="Standard",
    platform=PRODUCT.platform,
    region=PRODUCT.region,
    price=PRODUCT.price,
    is_available=True,
)
DETAILS: Final = ProductDetails(
    **{name: getattr(PRODUCT, name) for name in Product.__struct_fields__},
    description="A lighthouse, a storm, and a light that must not go out.",
    original_name="Lantern Keeper",
    genres=("Action",),
    tags=("base",),
    languages=("English", "German"),
    developers=("Nordlys Interactive",),
    publishers=("Lantern & Sons",),
    age_rating="PEGI 12",
    metacritic="81",
    system_requirements=(
        Requirements(system="Windows", requirements=("64 bit", "Memory: 8 GB RAM")),
    ),
    media=(
        Media(
            kind="screenshot",
            url="https://images.supplier.example/lantern/1.jpg",
            thumbnail_url="https://images.supplier.example/lantern/1s.jpg",
            alt="",
        ),
    ),
    offers=(OfferStock(source="kinguin", available=7),),
    groups=(ProductGroupShown(slug="lantern-keeper", title="Lantern Keeper", products=(SIBLING,)),),
)
FILTERS: Final = CatalogFilters(
    categories=(FilterValue(value="action", count=1000, is_more=True),),
    platforms=(FilterValue(value="Steam", count=640, is_more=False),),
    regions=(FilterValue(value="Europe", count=212, is_more=False),),
    price_from="0.49",
    price_to="89.99",
    currency="EUR",
)
CATEGORIES: Final = PageOf(
    items=(Category(slug="action", title="Action", home_position=1, count=1000, is_more=True),),
    next=CURSOR,
)
GROUPS: Final = PageOf(
    items=(
        Group(
            slug="lantern-keeper",
            title="Lantern Keeper",
            description="All editions.",
            cover_url=COVER,
            products=3,
        ),
    ),
    next=CURSOR,
)
GROUP: Final = GroupDetails(
    slug="lantern-keeper",
    title="Lantern Keeper",
    description="All editions.",
    cover_url=COVER,
    members=(Member(label="Standard", product=PRODUCT),),
)

EXAMPLES: Final[Mapping[str, Example]] = {
    "listProducts": Example(answered=PAGE),
    "getProduct": Example(answered=DETAILS),
    "getFilters": Example(answered=FILTERS),
    "listCategories": Example(answered=CATEGORIES),
    "listGroups": Example(answered=GROUPS),
    "getGroup": Example(answered=GROUP),
}
