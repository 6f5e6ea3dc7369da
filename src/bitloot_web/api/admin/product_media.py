"""Pictures and films of a product, in the order in which they are shown."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, UnsetType

from bitloot.domain.media_change import MOST_MEDIA, NewMedia
from bitloot.domain.product_media import MediaKind, ProductMedia
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot_web.api.fields import Address, Caption, given
from bitloot_web.dependencies import TheActor, TheAtWill, TheShop
from bitloot_web.once import make_once
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.problems import ProblemError
from bitloot_web.routes import delete, get, patch, post, put
from bitloot_web.security.access import Staff
from bitloot_web.shop import Shop
from bitloot_web.versions import IfMatch, expected_version, versioned


class MediaNew(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A picture or a film, named by its address; it comes behind all others."""

    kind: MediaKind
    url: Address
    thumbnail_url: Address | None = None
    alt: Caption = ""


class MediaChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is to be different. Another address is another picture."""

    kind: MediaKind | UnsetType = UNSET
    thumbnail_url: Address | UnsetType | None = UNSET
    alt: Caption | UnsetType = UNSET


class MediaOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ids of all media of the product, the first to be shown in front."""

    ids: Annotated[tuple[UUID, ...], Meta(max_length=MOST_MEDIA)]


class MediaShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A picture or a film. `source` is `custom` for one that a person added, and `version` goes
    into `If-Match`.
    """

    id: str
    kind: str
    url: str
    thumbnail_url: str | None
    alt: str
    position: int
    source: str
    version: int


class MediaList(msgspec.Struct, frozen=True):
    """All media of a product in their order."""

    media: tuple[MediaShown, ...]


@get(
    "/catalog/products/{product_id:uuid}/media",
    access=Staff("catalog.read"),
    operation_id="adminListMedia",
)
async def media(
    *,
    shop: TheShop,
    product_id: FromPath[UUID],
    limit: PageLimit = None,
    cursor: PageCursor = None,
) -> PageOf[MediaShown]:
    """The media of a product in their order; 100 a page unless told."""
    paging = Paging(shop, f"media|{product_id}", limit, cursor)
    rows = await _media(shop, str(product_id))
    return paging.part(rows, _shown)


@post(
    "/catalog/products/{product_id:uuid}/media",
    access=Staff("catalog.write"),
    operation_id="adminAddMedia",
)
async def add_media(
    *,
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    data: JSONBody[MediaNew],
    at_will: TheAtWill,
) -> Response[MediaShown]:
    """Add a picture or a film."""
    wanted = NewMedia(kind=data.kind, url=data.url, thumbnail_url=data.thumbnail_url, alt=data.alt)

    async def make(uow: UnitOfWork) -> str:
        products = replace(shop.products, uow=uow)
        return await products.add_media(str(product_id), wanted, actor=actor.name)

    media_id = await make_once(shop, at_will, actor.name, ProductMedia, make)
    return await _answer(shop, str(product_id), media_id)


@patch(
    "/catalog/products/{product_id:uuid}/media/{media_id:uuid}",
    access=Staff("catalog.write"),
    operation_id="adminChangeMedia",
)
async def change_media(
    *,
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    media_id: FromPath[UUID],
    data: JSONBody[MediaChange],
    if_match: IfMatch = None,
) -> Response[MediaShown]:
    """Change the words of a picture or a film."""
    await shop.products.edit_media(
        str(product_id),
        str(media_id),
        given(data),
        expected_version=expected_version(if_match),
        actor=actor.name,
    )
    return await _answer(shop, str(product_id), str(media_id))


@delete(
    "/catalog/products/{product_id:uuid}/media/{media_id:uuid}",
    access=Staff("catalog.write"),
    operation_id="adminDeleteMedia",
)
async def delete_media(
    *,
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    media_id: FromPath[UUID],
    if_match: IfMatch = None,
) -> None:
    """Take a picture or a film away."""
    await shop.products.remove_media(
        str(product_id),
        str(media_id),
        expected_version=expected_version(if_match),
        actor=actor.name,
    )


@put(
    "/catalog/products/{product_id:uuid}/media/order",
    access=Staff("catalog.write"),
    operation_id="adminOrderMedia",
)
async def order_media(
    *,
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    data: JSONBody[MediaOrder],
    if_match: IfMatch = None,
) -> MediaList:
    """Show the media in this order. The version is that of the product, which has another then."""
    ids = [str(each) for each in data.ids]
    await shop.products.order_media(
        str(product_id), ids, expected_version=expected_version(if_match), actor=actor.name
    )
    return MediaList(tuple(_shown(row) for row in await _media(shop, str(product_id))))


async def _answer(shop: Shop, product_id: str, media_id: str) -> Response[MediaShown]:
    for row in await _media(shop, product_id):
        if row.id == media_id:
            return versioned(_shown(row), row.version)
    raise ProblemError("not-found")


async def _media(shop: Shop, product_id: str) -> tuple[ProductMedia, ...]:
    rows = await shop.views.assortment.media(product_id)
    if not rows and await shop.views.assortment.product(product_id) is None:
        raise ProblemError("not-found")
    return rows


def _shown(row: ProductMedia) -> MediaShown:
    return MediaShown(
        id=row.id,
        kind=row.kind,
        url=row.url,
        thumbnail_url=row.thumbnail_url,
        alt=row.alt,
        position=row.position,
        source=row.source,
        version=row.version,
    )
