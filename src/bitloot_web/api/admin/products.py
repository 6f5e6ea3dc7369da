"""Products as the desk sees them: found, put on the shelf, corrected, shown, hidden, retired."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from bitloot.domain.errors import Refused
from bitloot.domain.money import plain
from bitloot.domain.own_product import OwnProduct
from bitloot.domain.product import Product, SystemRequirements
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot.ports.views.assortment import ProductFacts, ProductFilter
from bitloot_web.api.fields import (
    Address,
    LongText,
    Money,
    Name,
    ShortText,
    Slug,
    eur,
    eur_or_none,
    given,
)
from bitloot_web.dependencies import TheActor, TheAtWill, TheShop
from bitloot_web.once import make_once
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.problems import ProblemError
from bitloot_web.routes import delete, get, patch, post
from bitloot_web.security.access import Staff
from bitloot_web.shop import Shop
from bitloot_web.versions import IfMatch, expected_version, versioned

Words: TypeAlias = Annotated[tuple[ShortText, ...], Meta(max_length=100)]
Country: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)")]
Countries: TypeAlias = Annotated[tuple[Country, ...], Meta(max_length=250)]
Few: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]
Score: TypeAlias = Annotated[int, Meta(ge=0, le=100)]


class ProductWords(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What can be said of a product; what is left out stays as it is.

    `category` is the slug of one of our categories, `lowStockAt` how many units left are few.
    """

    original_name: Name | UnsetType | None = UNSET
    description: LongText | UnsetType = UNSET
    category: Slug | UnsetType | None = UNSET
    platform: ShortText | UnsetType | None = UNSET
    region: ShortText | UnsetType | None = UNSET
    genres: Words | UnsetType = UNSET
    tags: Words | UnsetType = UNSET
    languages: Words | UnsetType = UNSET
    developers: Words | UnsetType = UNSET
    publishers: Words | UnsetType = UNSET
    age_rating: ShortText | UnsetType | None = UNSET
    metacritic: Score | UnsetType | None = UNSET
    excluded_countries: Countries | UnsetType = UNSET
    is_preorder: bool | UnsetType = UNSET
    release_date: ShortText | UnsetType | None = UNSET
    instructions: LongText | UnsetType | None = UNSET
    cover_url: Address | UnsetType | None = UNSET
    low_stock_at: Few | UnsetType | None = UNSET
    hides_when_sold_out: bool | UnsetType = UNSET


class NewProduct(
    ProductWords, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """A product of our own; `price` in EUR a unit becomes an override rule of it."""

    slug: Slug
    title: Name
    price: Money
    is_published: bool = False


class ProductChange(
    ProductWords, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """What is to be different. On a supplier's product each field that is named is pinned: no
    synchronisation changes it until it is given back by `unpin` (names as in `pinned`).
    """

    title: Name | UnsetType = UNSET
    unpin: Annotated[tuple[ShortText, ...], Meta(max_length=30)] = ()


class ProductRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A product in a list; EUR a unit. `price` is null until it is first priced."""

    id: str
    slug: str
    title: str
    source: str
    supplier_product_id: str | None
    category: str | None
    platform: str | None
    region: str | None
    is_published: bool
    is_listed: bool
    is_available: bool
    price: str | None
    floor: str | None
    currency: str = "EUR"
    is_loss_signed: bool
    pinned: tuple[str, ...]
    version: int
    updated_at: datetime


class ProductDetail(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything about a product. `version` goes into `If-Match`."""

    summary: ProductRow
    original_name: str | None
    description: str
    genres: tuple[str, ...]
    tags: tuple[str, ...]
    languages: tuple[str, ...]
    developers: tuple[str, ...]
    publishers: tuple[str, ...]
    age_rating: str | None
    metacritic: str | None
    steam_app: str | None
    system_requirements: tuple[SystemRequirements, ...]
    excluded_countries: tuple[str, ...]
    is_preorder: bool
    release_date: str | None
    instructions: str | None
    cover_url: str | None
    low_stock_at: int | None
    hides_when_sold_out: bool
    supplier_updated_at: datetime | None
    created_at: datetime


class BulkChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One act on many products. `category` goes with the act of that name; null: into none."""

    action: Literal["publish", "unpublish", "reprice", "retire", "category"]
    ids: Annotated[tuple[UUID, ...], Meta(min_length=1, max_length=100)]
    category: Slug | None = None


class BulkOutcome(msgspec.Struct, frozen=True):
    """What became of one: `done`, or the code of what was said no with."""

    id: str
    outcome: str


class BulkAnswer(msgspec.Struct, frozen=True):
    """One line for each product, in the order asked."""

    items: tuple[BulkOutcome, ...]


@get("/catalog/products", access=Staff("catalog.read"), operation_id="adminListProducts")
async def products(
    *,
    shop: TheShop,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    source: Annotated[str | None, QueryParameter(max_length=64)] = None,
    category: Annotated[str | None, QueryParameter(max_length=80)] = None,
    published: Annotated[bool | None, QueryParameter()] = None,
    available: Annotated[bool | None, QueryParameter()] = None,
    title: Annotated[str | None, QueryParameter(min_length=2, max_length=100)] = None,
    supplier_product_id: Annotated[
        str | None, QueryParameter(name="supplierProductId", max_length=100)
    ] = None,
) -> PageOf[ProductRow]:
    """Products in any state, newest first. `title` is part of one."""
    only = ProductFilter(
        source=source,
        category=category,
        is_published=published,
        is_available=available,
        title=title,
        supplier_product_id=supplier_product_id,
    )
    named = msgspec.json.encode(only).decode()
    paging = Paging(shop, f"desk-products|{named}", limit, cursor)
    page = await shop.views.assortment.products(only, limit=paging.size, after=paging.after)
    return paging.page(page, row_shown)


@post("/catalog/products", access=Staff("catalog.write"), operation_id="adminCreateProduct")
async def create_product(
    shop: TheShop, actor: TheActor, data: JSONBody[NewProduct], at_will: TheAtWill
) -> Response[ProductDetail]:
    """Put a product of our own on the shelf."""
    wanted = OwnProduct(slug=data.slug, title=data.title, price=eur(data.price, "price"))
    fields = _fields(data, "slug", "title", "price", "is_published")

    async def make(uow: UnitOfWork) -> str:
        return await replace(shop.products, uow=uow).create(
            wanted, fields, is_published=data.is_published, actor=actor.name
        )

    return await product_answer(shop, await make_once(shop, at_will, actor.name, Product, make))


@get(
    "/catalog/products/{product_id:uuid}",
    access=Staff("catalog.read"),
    operation_id="adminGetProduct",
)
async def product(shop: TheShop, product_id: FromPath[UUID]) -> Response[ProductDetail]:
    """Everything about one product."""
    return await product_answer(shop, str(product_id))


@patch(
    "/catalog/products/{product_id:uuid}",
    access=Staff("catalog.write"),
    operation_id="adminChangeProduct",
)
async def change_product(
    *,
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    data: JSONBody[ProductChange],
    if_match: IfMatch = None,
) -> Response[ProductDetail]:
    """Correct a product."""
    await shop.products.edit(
        str(product_id),
        _fields(data, "unpin"),
        unpin=data.unpin,
        expected_version=expected_version(if_match),
        actor=actor.name,
    )
    return await product_answer(shop, str(product_id))


@delete(
    "/catalog/products/{product_id:uuid}",
    access=Staff("catalog.write"),
    operation_id="adminRetireProduct",
)
async def retire_product(
    shop: TheShop, actor: TheActor, product_id: FromPath[UUID], if_match: IfMatch = None
) -> None:
    """Take a product off for good. What was sold of it, and its prices, stay on record."""
    await shop.products.retire(
        str(product_id), expected_version=expected_version(if_match), actor=actor.name
    )


@post(
    "/catalog/products/{product_id:uuid}/publish",
    access=Staff("catalog.write"),
    status_code=200,
    operation_id="adminPublishProduct",
)
async def publish_product(
    shop: TheShop, actor: TheActor, product_id: FromPath[UUID]
) -> Response[ProductDetail]:
    """Show a product."""
    await shop.products.show(str(product_id), is_published=True, actor=actor.name)
    return await product_answer(shop, str(product_id))


@post(
    "/catalog/products/{product_id:uuid}/unpublish",
    access=Staff("catalog.write"),
    status_code=200,
    operation_id="adminUnpublishProduct",
)
async def unpublish_product(
    shop: TheShop, actor: TheActor, product_id: FromPath[UUID]
) -> Response[ProductDetail]:
    """Hide a product."""
    await shop.products.show(str(product_id), is_published=False, actor=actor.name)
    return await product_answer(shop, str(product_id))


@post(
    "/catalog/products/bulk",
    access=Staff("catalog.write"),
    status_code=200,
    operation_id="adminBulkProducts",
)
async def bulk_products(shop: TheShop, actor: TheActor, data: JSONBody[BulkChange]) -> BulkAnswer:
    """One act on up to 100 products, each on its own: what one is refused, the others get."""
    if len(data.ids) > shop.limits.bulk_max:
        raise Refused("invalid-input", f"At most {shop.limits.bulk_max} at once.", field="ids")
    outcomes: list[BulkOutcome] = []
    for product_id in dict.fromkeys(str(each) for each in data.ids):
        try:
            await _bulk(shop, data, product_id, actor.name)
        except Refused as refused:
            outcomes.append(BulkOutcome(product_id, refused.code))
        else:
            outcomes.append(BulkOutcome(product_id, "done"))
    return BulkAnswer(tuple(outcomes))


async def _bulk(shop: Shop, data: BulkChange, product_id: str, actor: str) -> None:
    match data.action:
        case "publish" | "unpublish":
            is_published = data.action == "publish"
            await shop.products.show(product_id, is_published=is_published, actor=actor)
        case "reprice":
            await shop.products.reprice(product_id, actor=actor)
        case "retire":
            await shop.products.retire(product_id, expected_version=None, actor=actor)
        case "category":
            await shop.products.file_under(product_id, data.category, actor=actor)


def _fields(data: ProductWords, *leave_out: str) -> dict[str, object]:
    fields = given(data, *leave_out)
    score = fields.get("metacritic")
    if isinstance(score, int):
        fields["metacritic"] = Decimal(score)
    return fields


async def product_answer(shop: Shop, product_id: str) -> Response[ProductDetail]:
    """Everything about a product, with its version. Raises ProblemError `not-found`."""
    facts = await shop.views.assortment.product(product_id)
    if facts is None:
        raise ProblemError("not-found")
    return versioned(_detail(facts), facts.product.version)


def row_shown(facts: ProductFacts) -> ProductRow:
    """The product as it is listed."""
    row, listing = facts.product, facts.listing
    return ProductRow(
        id=row.id,
        slug=row.slug,
        title=row.title,
        source=row.source,
        supplier_product_id=row.supplier_product_id,
        category=row.category,
        platform=row.platform,
        region=row.region,
        is_published=row.is_published,
        is_listed=listing is not None and listing.is_listed,
        is_available=listing is not None and listing.is_available,
        price=eur_or_none(listing.price if listing else None),
        floor=eur_or_none(listing.floor if listing else None),
        is_loss_signed=listing is not None and listing.is_loss_signed,
        pinned=row.pinned,
        version=row.version,
        updated_at=row.updated_at,
    )


def _detail(facts: ProductFacts) -> ProductDetail:
    row = facts.product
    return ProductDetail(
        summary=row_shown(facts),
        original_name=row.original_name,
        description=row.description,
        genres=row.genres,
        tags=row.tags,
        languages=row.languages,
        developers=row.developers,
        publishers=row.publishers,
        age_rating=row.age_rating,
        metacritic=None if row.metacritic is None else plain(row.metacritic),
        steam_app=row.steam_app,
        system_requirements=row.system_requirements,
        excluded_countries=row.excluded_countries,
        is_preorder=row.is_preorder,
        release_date=row.release_date,
        instructions=row.instructions,
        cover_url=row.cover_url,
        low_stock_at=row.low_stock_at,
        hides_when_sold_out=row.hides_when_sold_out,
        supplier_updated_at=row.supplier_updated_at,
        created_at=row.created_at,
    )
