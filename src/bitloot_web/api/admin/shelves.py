"""How a person sorts the shop: categories with the words of suppliers, groups of variants."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, UnsetType

from bitloot.domain.category import Category
from bitloot.domain.category_change import MOST_GENRES
from bitloot.domain.product_group import ProductGroup
from bitloot.ports.assortment import GroupFile
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot_web.api.fields import Address, Caption, LongText, Name, ShortText, Slug, given
from bitloot_web.dependencies import TheActor, TheAtWill, TheShop
from bitloot_web.once import make_once
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.problems import ProblemError
from bitloot_web.routes import delete, get, patch, post
from bitloot_web.security.access import Staff
from bitloot_web.shop import Shop
from bitloot_web.versions import IfMatch, expected_version, versioned

Position: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]
Genres: TypeAlias = Annotated[tuple[ShortText, ...], Meta(max_length=MOST_GENRES)]


class CategoryNew(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A category. `genres` are the words of suppliers that belong in it; one with a `homePosition`
    is a section of the home page.
    """

    slug: Slug
    title: Name
    position: Position = 0
    home_position: Position | None = None
    genres: Genres = ()
    is_shown: bool = True


class CategoryChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is to be different. Products of suppliers follow within moments, but those whose
    category a person set.
    """

    title: Name | UnsetType = UNSET
    position: Position | UnsetType = UNSET
    home_position: Position | UnsetType | None = UNSET
    genres: Genres | UnsetType = UNSET
    is_shown: bool | UnsetType = UNSET


class CategoryShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A category; `position` orders them, the lowest first. `version` goes into `If-Match`."""

    id: str
    slug: str
    title: str
    position: int
    home_position: int | None
    genres: tuple[str, ...]
    is_shown: bool
    version: int
    updated_at: datetime


class GroupNew(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A group without products yet."""

    slug: Slug
    title: Name
    description: LongText = ""
    cover_url: Address | None = None
    is_shown: bool = True


class GroupChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is to be different."""

    title: Name | UnsetType = UNSET
    description: LongText | UnsetType = UNSET
    cover_url: Address | UnsetType | None = UNSET
    is_shown: bool | UnsetType = UNSET


class GroupRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A group in a list. `version` goes into `If-Match`."""

    id: str
    slug: str
    title: str
    description: str
    cover_url: str | None
    is_shown: bool
    version: int
    updated_at: datetime


class MemberShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A product of a group; `label` tells it from the others."""

    product_id: str
    position: int
    label: str


class GroupDetail(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A group with its products in their order."""

    summary: GroupRow
    members: tuple[MemberShown, ...]


class Joining(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A product for a group; one that is in already moves to the position."""

    product_id: UUID
    label: Caption = ""
    position: Position = 0


@get("/catalog/categories", access=Staff("catalog.read"), operation_id="adminListCategories")
async def categories(
    *, shop: TheShop, limit: PageLimit = None, cursor: PageCursor = None
) -> PageOf[CategoryShown]:
    """Categories in their order, hidden ones too; 100 a page unless told."""
    rows = await shop.views.assortment.categories()
    paging = Paging(shop, "desk-categories", limit, cursor)
    return paging.part(rows, _category_shown)


@post("/catalog/categories", access=Staff("catalog.write"), operation_id="adminCreateCategory")
async def create_category(
    shop: TheShop, actor: TheActor, data: JSONBody[CategoryNew], at_will: TheAtWill
) -> Response[CategoryShown]:
    """Make a category."""
    fields = given(data, "slug", "title")

    async def make(uow: UnitOfWork) -> str:
        shelves = replace(shop.shelves, uow=uow)
        return await shelves.add_category(data.slug, data.title, fields, actor=actor.name)

    return await _category(shop, await make_once(shop, at_will, actor.name, Category, make))


@get(
    "/catalog/categories/{category_id:uuid}",
    access=Staff("catalog.read"),
    operation_id="adminGetCategory",
)
async def category(shop: TheShop, category_id: FromPath[UUID]) -> Response[CategoryShown]:
    """One category."""
    return await _category(shop, str(category_id))


@patch(
    "/catalog/categories/{category_id:uuid}",
    access=Staff("catalog.write"),
    operation_id="adminChangeCategory",
)
async def change_category(
    *,
    shop: TheShop,
    actor: TheActor,
    category_id: FromPath[UUID],
    data: JSONBody[CategoryChange],
    if_match: IfMatch = None,
) -> Response[CategoryShown]:
    """Change a category."""
    await shop.shelves.edit_category(
        str(category_id), given(data), expected_version=expected_version(if_match), actor=actor.name
    )
    return await _category(shop, str(category_id))


@delete(
    "/catalog/categories/{category_id:uuid}",
    access=Staff("catalog.write"),
    operation_id="adminDeleteCategory",
)
async def delete_category(
    shop: TheShop, actor: TheActor, category_id: FromPath[UUID], if_match: IfMatch = None
) -> None:
    """Take away a category that no product and no rule names."""
    await shop.shelves.remove_category(
        str(category_id), expected_version=expected_version(if_match), actor=actor.name
    )


@get("/catalog/groups", access=Staff("catalog.read"), operation_id="adminListGroups")
async def groups(
    *, shop: TheShop, limit: PageLimit = None, cursor: PageCursor = None
) -> PageOf[GroupRow]:
    """Groups, newest first, hidden ones too."""
    paging = Paging(shop, "desk-groups", limit, cursor)
    page = await shop.views.assortment.groups(limit=paging.size, after=paging.after)
    return paging.page(page, _group_row)


@post("/catalog/groups", access=Staff("catalog.write"), operation_id="adminCreateGroup")
async def create_group(
    shop: TheShop, actor: TheActor, data: JSONBody[GroupNew], at_will: TheAtWill
) -> Response[GroupDetail]:
    """Make a group."""
    fields = given(data, "slug", "title")

    async def make(uow: UnitOfWork) -> str:
        shelves = replace(shop.shelves, uow=uow)
        return await shelves.add_group(data.slug, data.title, fields, actor=actor.name)

    return await _group(shop, await make_once(shop, at_will, actor.name, ProductGroup, make))


@get("/catalog/groups/{group_id:uuid}", access=Staff("catalog.read"), operation_id="adminGetGroup")
async def group(shop: TheShop, group_id: FromPath[UUID]) -> Response[GroupDetail]:
    """One group with its products."""
    return await _group(shop, str(group_id))


@patch(
    "/catalog/groups/{group_id:uuid}",
    access=Staff("catalog.write"),
    operation_id="adminChangeGroup",
)
async def change_group(
    *,
    shop: TheShop,
    actor: TheActor,
    group_id: FromPath[UUID],
    data: JSONBody[GroupChange],
    if_match: IfMatch = None,
) -> Response[GroupDetail]:
    """Change a group."""
    await shop.shelves.edit_group(
        str(group_id), given(data), expected_version=expected_version(if_match), actor=actor.name
    )
    return await _group(shop, str(group_id))


@delete(
    "/catalog/groups/{group_id:uuid}",
    access=Staff("catalog.write"),
    operation_id="adminDeleteGroup",
)
async def delete_group(
    shop: TheShop, actor: TheActor, group_id: FromPath[UUID], if_match: IfMatch = None
) -> None:
    """Take a group away; its products stay."""
    await shop.shelves.remove_group(
        str(group_id), expected_version=expected_version(if_match), actor=actor.name
    )


@post(
    "/catalog/groups/{group_id:uuid}/products",
    access=Staff("catalog.write"),
    operation_id="adminJoinGroup",
)
async def join_group(
    *,
    shop: TheShop,
    actor: TheActor,
    group_id: FromPath[UUID],
    data: JSONBody[Joining],
    if_match: IfMatch = None,
) -> Response[GroupDetail]:
    """Put a product into a group, or move it in there. The group has another version then."""
    await shop.shelves.join(
        str(group_id),
        str(data.product_id),
        label=data.label,
        position=data.position,
        expected_version=expected_version(if_match),
        actor=actor.name,
    )
    return await _group(shop, str(group_id))


@delete(
    "/catalog/groups/{group_id:uuid}/products/{product_id:uuid}",
    access=Staff("catalog.write"),
    operation_id="adminLeaveGroup",
)
async def leave_group(
    *,
    shop: TheShop,
    actor: TheActor,
    group_id: FromPath[UUID],
    product_id: FromPath[UUID],
    if_match: IfMatch = None,
) -> None:
    """Take a product out of a group. The group has another version then."""
    await shop.shelves.leave(
        str(group_id),
        str(product_id),
        expected_version=expected_version(if_match),
        actor=actor.name,
    )


async def _category(shop: Shop, category_id: str) -> Response[CategoryShown]:
    row = await shop.views.assortment.category(category_id)
    if row is None:
        raise ProblemError("not-found")
    return versioned(_category_shown(row), row.version)


async def _group(shop: Shop, group_id: str) -> Response[GroupDetail]:
    file = await shop.views.assortment.group(group_id)
    if file is None:
        raise ProblemError("not-found")
    return versioned(_group_detail(file), file.group.version)


def _category_shown(row: Category) -> CategoryShown:
    return CategoryShown(
        id=row.id,
        slug=row.slug,
        title=row.title,
        position=row.position,
        home_position=row.home_position,
        genres=row.genres,
        is_shown=row.is_shown,
        version=row.version,
        updated_at=row.updated_at,
    )


def _group_row(row: ProductGroup) -> GroupRow:
    return GroupRow(
        id=row.id,
        slug=row.slug,
        title=row.title,
        description=row.description,
        cover_url=row.cover_url,
        is_shown=row.is_shown,
        version=row.version,
        updated_at=row.updated_at,
    )


def _group_detail(file: GroupFile) -> GroupDetail:
    members = (
        MemberShown(product_id=row.product_id, position=row.position, label=row.label)
        for row in file.members
    )
    return GroupDetail(summary=_group_row(file.group), members=tuple(members))
