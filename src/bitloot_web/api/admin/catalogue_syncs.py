"""Runs through the catalogues of suppliers, and what suppliers have that is not ours yet."""

from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath, JSONBody, QueryParameter

from bitloot.domain.catalogue_sync import CatalogueRefusal, CatalogueSync, SyncKind, SyncState
from bitloot.domain.money import eur_text
from bitloot.ports.supplier_catalogue import SupplierProduct
from bitloot_web.api.admin.products import ProductDetail, product_answer
from bitloot_web.api.fields import PRINTABLE, ShortText
from bitloot_web.dependencies import TheActor, TheAtWill, TheShop
from bitloot_web.once import act_once
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging, page_size
from bitloot_web.routes import get, post
from bitloot_web.security.access import Staff

SupplierName: TypeAlias = Annotated[
    str | None,
    QueryParameter(max_length=64, description="May be left out where there is only one."),
]


class SyncWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Whose catalogue, and how much of it: what changed since the last run, or all. `supplier` may
    be left out where there is only one.

    A whole run that would take far too much out of stock is given up. `confirmVanished` begins a
    whole one that does it: whoever sends it has seen that the goods are really gone.
    """

    supplier: ShortText | None = None
    kind: Literal["full", "incremental"] = "incremental"
    confirm_vanished: bool = False


WHAT_CHANGED: Final = SyncWanted()


class RunShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run: how far it is, and what it read and changed so far. `lastError` says why one failed,
    `confirmedBy` who confirmed that goods vanished.
    """

    id: str
    supplier: str
    kind: str
    state: str
    next_page: int
    updated_since: datetime | None
    started_at: datetime
    ended_at: datetime | None
    pages: int
    products: int
    refused: int
    products_new: int
    products_changed: int
    offers_new: int
    offers_changed: int
    prices_changed: int
    retired: int
    confirmed_by: str | None
    last_error: str | None


class RunsNow(msgspec.Struct, frozen=True):
    """The runs that are not done, at most one a supplier."""

    running: tuple[RunShown, ...]


class RefusalShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What could not be taken over, a whole page where no product is named, and why."""

    id: str
    page: int
    supplier_product_id: str | None
    reason: str
    at: datetime


class FoundShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A product as the supplier has it; `cost` in EUR a unit of its cheapest offer."""

    supplier_product_id: str
    title: str
    platform: str | None
    region: str | None
    cost: str
    currency: str = "EUR"
    stock: int
    is_preorder: bool
    updated_at: datetime


class Found(msgspec.Struct, frozen=True):
    """What a supplier has by that name, in its own order."""

    products: tuple[FoundShown, ...]


@post("/catalog/sync", access=Staff("syncs.run"), status_code=202, operation_id="adminStartSync")
async def start(
    *,
    shop: TheShop,
    actor: TheActor,
    at_will: TheAtWill,
    data: JSONBody[SyncWanted] = WHAT_CHANGED,
) -> RunShown:
    """Begin a run, or be told of the one that is under way."""
    supplier = shop.supplier_desk.supplier(data.supplier).name
    kind: SyncKind = data.kind

    async def act() -> RunShown:
        row = await shop.catalogue_syncs.start(
            supplier,
            kind,
            asked_by=actor.name,
            confirmed_by=actor.name if data.confirm_vanished else None,
        )
        return _run_shown(row)

    if not at_will.has_key:
        return await act()
    return await act_once(shop, await at_will.once(actor.name), RunShown, act)


@get("/catalog/sync/status", access=Staff("syncs.read"), operation_id="adminGetSyncStatus")
async def status(shop: TheShop) -> RunsNow:
    """What is read at the moment."""
    page = await shop.views.assortment.syncs(
        supplier=None, state="running", limit=shop.limits.page_max, after=None
    )
    return RunsNow(tuple(_run_shown(row) for row in page.items))


@get("/catalog/sync/history", access=Staff("syncs.read"), operation_id="adminListSyncs")
async def history(
    *,
    shop: TheShop,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    supplier: Annotated[str | None, QueryParameter(max_length=64)] = None,
    run_state: Annotated[SyncState | None, QueryParameter(name="state")] = None,
) -> PageOf[RunShown]:
    """Runs, newest first."""
    paging = Paging(shop, f"syncs|{supplier}|{run_state}", limit, cursor)
    page = await shop.views.assortment.syncs(
        supplier=supplier,
        state=run_state,
        limit=paging.size,
        after=paging.after,
    )
    return paging.page(page, _run_shown)


@get(
    "/catalog/sync/history/{sync_id:uuid}/refusals",
    access=Staff("syncs.read"),
    operation_id="adminListSyncRefusals",
)
async def refusals(
    *,
    shop: TheShop,
    sync_id: FromPath[UUID],
    limit: PageLimit = None,
    cursor: PageCursor = None,
) -> PageOf[RefusalShown]:
    """What a run could not take over, newest first."""
    paging = Paging(shop, f"refusals|{sync_id}", limit, cursor)
    page = await shop.views.assortment.refusals(str(sync_id), limit=paging.size, after=paging.after)
    return paging.page(page, _refusal_shown)


@get("/catalog/supplier/search", access=Staff("syncs.read"), operation_id="adminSearchSupplier")
async def search(
    *,
    shop: TheShop,
    supplier: SupplierName = None,
    name: Annotated[str, QueryParameter(max_length=100, pattern=PRINTABLE)] = "",
    limit: PageLimit = None,
) -> Found:
    """What a supplier has by that name, asked now."""
    size = page_size(limit, shop.limits)
    found = await shop.supplier_desk.search(supplier, name, limit=size)
    return Found(tuple(_found_shown(row) for row in found[:size]))


@post(
    "/catalog/supplier/import/{external_id:str}",
    access=Staff("syncs.run"),
    operation_id="adminImportProduct",
)
async def import_product(
    shop: TheShop, actor: TheActor, external_id: FromPath[str], supplier: SupplierName = None
) -> Response[ProductDetail]:
    """Take over one product of a supplier, or bring it up to date."""
    product_id = await shop.supplier_desk.take_over(supplier, external_id, actor=actor.name)
    return await product_answer(shop, product_id)


def _run_shown(row: CatalogueSync) -> RunShown:
    return RunShown(**{name: getattr(row, name) for name in RunShown.__struct_fields__})


def _refusal_shown(row: CatalogueRefusal) -> RefusalShown:
    return RefusalShown(**{name: getattr(row, name) for name in RefusalShown.__struct_fields__})


def _found_shown(row: SupplierProduct) -> FoundShown:
    return FoundShown(
        supplier_product_id=row.supplier_product_id,
        title=row.title,
        platform=row.platform,
        region=row.region,
        cost=eur_text(row.price),
        stock=row.stock,
        is_preorder=row.is_preorder,
        updated_at=row.updated_at,
    )
