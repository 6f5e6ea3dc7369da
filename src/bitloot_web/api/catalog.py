"""The shelves: what can be bought, and for how much."""

from typing import Annotated

import msgspec
from litestar.params import FromPath, QueryParameter

from bitloot.domain.money import eur_text
from bitloot.ports.views.catalog import ProductView
from bitloot_web.dependencies import TheShop
from bitloot_web.paging import Cursors, PageCursor, PageLimit, PageOf, page_size
from bitloot_web.problems import ProblemError
from bitloot_web.routes import get
from bitloot_web.security.rate_limits import limited

MAX_SLUG = 200


class Product(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A product on the shelf; `price` in EUR a unit, `available` units can be bought now."""

    id: str
    slug: str
    title: str
    description: str
    source: str
    platform: str | None
    region: str | None
    excluded_countries: tuple[str, ...]
    price: str
    currency: str
    available: int
    is_preorder: bool
    release_date: str | None
    cover_url: str | None


def shown(view: ProductView) -> Product:
    """The product as it is answered."""
    return Product(
        id=view.id,
        slug=view.slug,
        title=view.title,
        description=view.description,
        source=view.source,
        platform=view.platform,
        region=view.region,
        excluded_countries=view.excluded_countries,
        price=eur_text(view.price),
        currency="EUR",
        available=max(0, view.available),
        is_preorder=view.is_preorder,
        release_date=view.release_date,
        cover_url=view.cover_url,
    )


@get("/v1/catalog/products", guards=[limited("catalogue")], operation_id="listProducts")
async def products(
    shop: TheShop,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    source: Annotated[str | None, QueryParameter(max_length=64)] = None,
    in_stock: Annotated[bool, QueryParameter(name="inStock")] = False,
) -> PageOf[Product]:
    """Published products by slug, a page at a time."""
    cursors = Cursors(shop.edge.cursor_key, f"products|{source}|{in_stock}")
    page = await shop.views.catalog.products(
        limit=page_size(limit, shop.limits),
        after=cursors.read(cursor),
        source=source,
        in_stock=in_stock,
    )
    return cursors.page(page, shown)


@get("/v1/catalog/products/{slug:str}", guards=[limited("catalogue")], operation_id="getProduct")
async def product(shop: TheShop, slug: FromPath[str]) -> Product:
    """One published product."""
    view = await shop.views.catalog.product(slug) if len(slug) <= MAX_SLUG else None
    if view is None:
        raise ProblemError("not-found")
    return shown(view)
