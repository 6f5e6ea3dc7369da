"""Examples of what the catalogue answers, for its description."""

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
from bitloot_web.paging import PageOf

PRODUCT: Final = Product(
    id="01890a5d-ac96-774b-bcce-b302099a8057",
    slug="lantern-keeper-steam",
    title="Lantern Keeper Steam CD Key",
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
    cover_url="https://images.supplier.example/lantern/cover.jpg",
)
PAGE: Final = ProductPage(
    items=(PRODUCT,),
    next="c2lnbmVkLWFuZC1vcGFxdWU",
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
    items=(Category(slug="action", title="Action", count=1000, is_more=True),),
    next="c2lnbmVkLWFuZC1vcGFxdWU",
)
GROUPS: Final = PageOf(
    items=(
        Group(
            slug="lantern-keeper",
            title="Lantern Keeper",
            description="All editions.",
            cover_url="https://images.supplier.example/lantern/cover.jpg",
            products=3,
        ),
    ),
    next="c2lnbmVkLWFuZC1vcGFxdWU",
)
GROUP: Final = GroupDetails(
    slug="lantern-keeper",
    title="Lantern Keeper",
    description="All editions.",
    cover_url="https://images.supplier.example/lantern/cover.jpg",
    members=(Member(label="Standard", product=PRODUCT),),
)
