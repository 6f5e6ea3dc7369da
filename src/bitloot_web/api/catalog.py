"""The shelves: what can be bought, and for how much. Answers are kept for a moment."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final, TypeAlias

import msgspec
from litestar import Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import FromPath, HeaderParameter, QueryParameter

from bitloot.domain.money import Eur, plain
from bitloot.ports.views.catalog import ShelfQuery, Sort
from bitloot_web.answers import asked_of, response
from bitloot_web.api.catalog_shapes import (
    CatalogFilters,
    Category,
    Group,
    GroupDetails,
    ProductDetails,
    ProductPage,
    category_shown,
    details,
    filters_shown,
    group_details,
    group_shown,
    page_shown,
)
from bitloot_web.api.fields import eur
from bitloot_web.dependencies import Catalogue, TheCatalogue
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging, refused
from bitloot_web.problems import ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.routes import get
from bitloot_web.security.access import Anyone
from bitloot_web.security.rate_limits import RateName, limited
from bitloot_web.shop import Shop

LIMIT: Final[RateName] = "catalogue"
MAX_SLUG: Final = 200
MAX_VALUE: Final = 100
MAX_PRICE: Final = 64

IfNoneMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="If-None-Match", max_length=1024, description="ETags of answers that are at hand."
    ),
]
SearchText: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="q",
        description="Words; the last may be the beginning of one. A slip in a word is mended.",
        examples=[Example(value="lantern kee")],
    ),
]


def _value(description: str, example: str) -> QueryParameter:
    return QueryParameter(
        min_length=1,
        max_length=MAX_VALUE,
        description=description,
        examples=[Example(value=example)],
    )


def _responses(shape: type) -> Mapping[int, ResponseSpec]:
    return {
        200: ResponseSpec(shape, generate_examples=False, description="As it is now."),
        304: ResponseSpec(None, generate_examples=False, description="As it was."),
    }


@get(
    "/v1/catalog/products",
    access=Anyone(),
    guards=[limited(LIMIT)],
    operation_id="listProducts",
    responses=_responses(ProductPage),
)
async def products(
    *,
    request: EdgeRequest,
    catalogue: TheCatalogue,
    if_none_match: IfNoneMatch = None,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    q: SearchText = None,
    category: Annotated[str | None, _value("The slug of a category.", "action")] = None,
    platform: Annotated[str | None, _value("A platform, to the letter.", "Steam")] = None,
    region: Annotated[str | None, _value("A region, to the letter.", "Europe")] = None,
    source: Annotated[str | None, _value("`custom` or a supplier.", "kinguin")] = None,
    price_from: Annotated[
        str | None,
        QueryParameter(name="priceFrom", max_length=MAX_PRICE, description="EUR, at least."),
    ] = None,
    price_to: Annotated[
        str | None,
        QueryParameter(name="priceTo", max_length=MAX_PRICE, description="EUR, at most."),
    ] = None,
    in_stock: Annotated[bool, QueryParameter(name="inStock")] = False,
    sort: Annotated[
        Sort, QueryParameter(description="`title` sorts by address, `-price` by falling price.")
    ] = "popular",
) -> Response[bytes]:
    """Listed products, narrowed, searched and sorted, a page at a time."""
    shop = catalogue.shop
    query = ShelfQuery(
        text=_text(q, shop),
        category=category,
        platform=platform,
        region=region,
        source=source,
        price_from=_bound(price_from, "priceFrom"),
        price_to=_bound(price_to, "priceTo"),
        in_stock=in_stock,
        sort=sort,
    )
    if query.price_from is not None and query.price_to is not None:
        _check_bounds(query.price_from, query.price_to)
    name = list_name(query)
    paging = Paging(shop, name, limit, cursor)

    async def page() -> ProductPage:
        shelf = await shop.views.catalog.products(query, limit=paging.size, after=paging.after)
        return page_shown(shelf, paging.next(shelf.page))

    kept = f"{name}|{paging.size}|{paging.after}"
    return await _kept(request, catalogue, kept, page, if_none_match)


@get(
    "/v1/catalog/products/{slug:str}",
    access=Anyone(),
    guards=[limited(LIMIT)],
    operation_id="getProduct",
    responses=_responses(ProductDetails),
)
async def product(
    request: EdgeRequest,
    catalogue: TheCatalogue,
    slug: FromPath[str],
    if_none_match: IfNoneMatch = None,
) -> Response[bytes]:
    """One published product."""
    shop = catalogue.shop

    async def one() -> ProductDetails:
        view = await shop.views.catalog.product(slug) if len(slug) <= MAX_SLUG else None
        if view is None:
            raise ProblemError("not-found")
        return details(view)

    return await _kept(request, catalogue, f"product|{slug}", one, if_none_match)


@get(
    "/v1/catalog/filters",
    access=Anyone(),
    guards=[limited(LIMIT)],
    operation_id="getFilters",
    responses=_responses(CatalogFilters),
)
async def filters(
    request: EdgeRequest, catalogue: TheCatalogue, if_none_match: IfNoneMatch = None
) -> Response[bytes]:
    """What lists can be narrowed by, and how many products each value has."""
    shop = catalogue.shop

    async def found() -> CatalogFilters:
        return filters_shown(await shop.views.catalog.filters())

    return await _kept(request, catalogue, "filters", found, if_none_match)


@get(
    "/v1/catalog/categories",
    access=Anyone(),
    guards=[limited(LIMIT)],
    operation_id="listCategories",
    responses=_responses(PageOf[Category]),
)
async def categories(
    *,
    request: EdgeRequest,
    catalogue: TheCatalogue,
    if_none_match: IfNoneMatch = None,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    homepage: Annotated[bool, QueryParameter(description="Sections of the home page.")] = False,
) -> Response[bytes]:
    """The categories of the shop in their order, or the sections of the home page in theirs; 100 a
    page unless told.
    """
    shop = catalogue.shop
    name = "sections" if homepage else "categories"
    paging = Paging(shop, name, limit, cursor)

    async def page() -> PageOf[Category]:
        found = await shop.views.catalog.categories(homepage=homepage)
        return paging.part(found, category_shown)

    kept = f"{name}|{limit}|{paging.after}"
    return await _kept(request, catalogue, kept, page, if_none_match)


@get(
    "/v1/catalog/groups",
    access=Anyone(),
    guards=[limited(LIMIT)],
    operation_id="listGroups",
    responses=_responses(PageOf[Group]),
)
async def groups(
    request: EdgeRequest,
    catalogue: TheCatalogue,
    if_none_match: IfNoneMatch = None,
    limit: PageLimit = None,
    cursor: PageCursor = None,
) -> Response[bytes]:
    """Groups of variants by slug, a page at a time."""
    shop = catalogue.shop
    paging = Paging(shop, "groups", limit, cursor)

    async def page() -> PageOf[Group]:
        found = await shop.views.catalog.groups(limit=paging.size, after=paging.after)
        return paging.page(found, group_shown)

    kept = f"groups|{paging.size}|{paging.after}"
    return await _kept(request, catalogue, kept, page, if_none_match)


@get(
    "/v1/catalog/groups/{slug:str}",
    access=Anyone(),
    guards=[limited(LIMIT)],
    operation_id="getGroup",
    responses=_responses(GroupDetails),
)
async def group(
    request: EdgeRequest,
    catalogue: TheCatalogue,
    slug: FromPath[str],
    if_none_match: IfNoneMatch = None,
) -> Response[bytes]:
    """One group with its products."""
    shop = catalogue.shop

    async def one() -> GroupDetails:
        view = await shop.views.catalog.group(slug) if len(slug) <= MAX_SLUG else None
        if view is None:
            raise ProblemError("not-found")
        return group_details(view)

    return await _kept(request, catalogue, f"group|{slug}", one, if_none_match)


async def _kept(
    request: EdgeRequest,
    catalogue: Catalogue,
    name: str,
    make: Callable[[], Awaitable[msgspec.Struct]],
    if_none_match: str | None,
) -> Response[bytes]:
    answers, version = catalogue.answers, catalogue.shop.views.catalog.version
    answer = await answers.answer(name, version, make)
    answers.remember(asked_of(request.scope), request.scope["path_template"], name)
    return response(answer, if_none_match)


def list_name(query: ShelfQuery) -> str:
    """What a list is called: its cursors belong to it alone."""
    return f"products|{msgspec.json.encode(query).decode()}"


def _text(q: str | None, shop: Shop) -> str | None:
    """What to search for; nothing where nothing but blanks was typed."""
    if q is None or not q.strip():
        return None
    if len(q) > shop.limits.search_text:
        raise refused("q", f"Search for at most {shop.limits.search_text} characters.")
    return q


def _bound(price: str | None, name: str) -> Eur | None:
    return None if price is None else eur(price, name)


def _check_bounds(price_from: Eur, price_to: Eur) -> None:
    if price_from > price_to:
        raise refused("priceTo", f"Give at least {plain(price_from)}, as priceFrom says.")
