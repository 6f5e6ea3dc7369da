"""Own stock under a person's hands: listed without serials, corrected, counted again, exported."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Literal, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import UNSET, Meta, UnsetType

from bitloot.domain.key_inventory import KeyState
from bitloot.domain.money import eur_text
from bitloot.domain.own_stock import Batch
from bitloot.domain.stock_item import ItemKind
from bitloot.domain.stock_sheet import export_columns, export_fields
from bitloot.ports.views.assortment import KeyLine, LowStock
from bitloot.usecases.assortment.stock import ExportedKey
from bitloot_web.api.admin.inventory import CSV, Imported, file_of, imported_shown
from bitloot_web.api.admin.stock_items import (
    Items,
    NewAccount,
    NewCode,
    NewFile,
    Serial,
    demand_taken,
    items_sent,
)
from bitloot_web.api.fields import PRINTABLE, Money, Reason, ShortText, eur, eur_or_none, given
from bitloot_web.dependencies import TheActor, TheRepeatable, TheShop
from bitloot_web.once import act_once
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.problems import FieldError, ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.routes import delete, get, patch, post
from bitloot_web.security.access import Staff

T = TypeVar("T")

Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]
# How many items a body may have.
_Some: TypeAlias = Annotated[tuple[T, ...], Meta(max_length=100)]


class KeyShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An item of own stock; never all of it. `cost`, `soldFor` and `profit` in EUR.

    `preview`: the end of a key or code, half a login, or the name of a file. A list has it for
    what is on the shelf or kept and not larger than 8 KiB; null where the item does not open.
    """

    id: str
    kind: str
    preview: str | None
    sold_for: str | None
    profit: str | None
    reported_at: datetime | None
    batch: str
    cost: str
    currency: str = "EUR"
    state: str
    expires_at: datetime | None
    order_item_id: str | None
    created_at: datetime
    version: int


class NewKeys(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
    omit_defaults=True,
):
    """Items of one kind, up to 100, with what they cost each. Its repr shows none of them.

    A licence file for which a body has no room comes in by `/keys/file`.
    """

    keys: _Some[Serial] = ()
    accounts: _Some[NewAccount] = ()
    codes_with_pin: _Some[NewCode] = ()
    licence_files: _Some[NewFile] = ()
    batch: ShortText
    cost: Money
    expires_at: Moment | None = None

    def __repr__(self) -> str:
        return "NewKeys()"

    def items(self) -> Items:
        """What is to come in. Raises ProblemError `invalid-input`."""
        return items_sent(
            keys=("keys", self.keys),
            accounts=("accounts", self.accounts),
            codes=("codesWithPin", self.codes_with_pin),
            files=("licenceFiles", self.licence_files),
        )


class KeyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Another cost or end of a key on the shelf; or `state` `burned`, alone: it is sold no more."""

    reason: Reason
    cost: Money | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    state: Literal["burned"] | UnsetType = UNSET


class KeyInstead(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
    omit_defaults=True,
):
    """The one item that takes the place of another, of any kind. Its repr does not show it."""

    key: Serial | UnsetType = UNSET
    account: NewAccount | UnsetType = UNSET
    code_with_pin: NewCode | UnsetType = UNSET
    licence_file: NewFile | UnsetType = UNSET
    reason: Reason

    def __repr__(self) -> str:
        return "KeyInstead()"

    def items(self) -> Items:
        """What is to come in. Raises ProblemError `invalid-input`."""
        return items_sent(
            keys=("key", () if self.key is UNSET else (self.key,)),
            accounts=("account", () if self.account is UNSET else (self.account,)),
            codes=("codeWithPin", () if self.code_with_pin is UNSET else (self.code_with_pin,)),
            files=("licenceFile", () if self.licence_file is UNSET else (self.licence_file,)),
        )


class WhyExport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which items leave the shop and why, for the audit log."""

    reason: Reason
    kind: ItemKind = "key"


class CountedLine(msgspec.Struct, frozen=True):
    """A line of the count that is no key on the shelf, and why; never the line itself."""

    line: int
    outcome: str


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How a count differs from the stock; nothing was changed. `missing` are ids of keys."""

    expected: int
    found: int
    missing: tuple[str, ...]
    surplus: tuple[CountedLine, ...]


class LowStockShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A product of which few are left."""

    product_id: str
    slug: str
    title: str
    source: str
    available: int
    low_stock_at: int


@get(
    "/inventory/{product_id:uuid}/keys",
    access=Staff("inventory.read"),
    operation_id="adminListKeys",
)
async def keys(
    *,
    shop: TheShop,
    product_id: FromPath[UUID],
    limit: PageLimit = None,
    cursor: PageCursor = None,
    key_state: Annotated[KeyState | None, QueryParameter(name="state")] = None,
    kind: FromQuery[ItemKind | None] = None,
    reported: FromQuery[bool | None] = None,
) -> PageOf[KeyShown]:
    """Own stock of a product, newest first."""
    name = f"keys|{product_id}|{key_state}|{kind}|{reported}"
    paging = Paging(shop, name, limit, cursor)
    page = await shop.views.assortment.keys(
        str(product_id),
        state=key_state,
        kind=kind,
        is_reported=reported,
        limit=paging.size,
        after=paging.after,
    )
    seen = await shop.stock_desk.previews([line.id for line in page.items])
    return paging.page(page, lambda line: _key_shown(line, seen.get(line.id)))


@get(
    "/inventory/{product_id:uuid}/keys/{key_id:uuid}",
    access=Staff("inventory.read"),
    operation_id="adminGetKey",
)
async def key(shop: TheShop, product_id: FromPath[UUID], key_id: FromPath[UUID]) -> KeyShown:
    """An item of own stock with its preview, sold or not."""
    line = await shop.views.assortment.key(str(key_id))
    if line is None or line.product_id != str(product_id):
        raise ProblemError("not-found")
    return _key_shown(line, await shop.stock_desk.preview(line.id))


@post(
    "/inventory/{product_id:uuid}/keys",
    access=Staff("inventory.write"),
    operation_id="adminAddKeys",
)
async def add_keys(
    shop: TheShop, actor: TheActor, product_id: FromPath[UUID], data: JSONBody[NewKeys]
) -> Imported:
    """Take in a few items of one kind. One that is known already is left out, and told."""
    items = data.items()
    terms = Batch(
        product_id=str(product_id),
        name=data.batch,
        cost=eur(data.cost, "cost"),
        expires_at=data.expires_at,
    )
    return imported_shown(
        await shop.inventory.import_items(items.rows, items.kind, terms, actor=actor.name)
    )


@patch(
    "/inventory/{product_id:uuid}/keys/{key_id:uuid}",
    access=Staff("inventory.write"),
    operation_id="adminChangeKey",
)
async def change_key(
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    key_id: FromPath[UUID],
    data: JSONBody[KeyChange],
) -> KeyShown:
    """Correct a key on the shelf, or take it off."""
    fields = given(data, "reason", "state")
    if isinstance(text := fields.get("cost"), str):
        fields["cost"] = eur(text, "cost")
    ids = (str(product_id), str(key_id))
    if bool(fields) == (data.state is not UNSET):
        fault = FieldError("state", "Change the cost and the end of a key, or burn it.")
        raise ProblemError("invalid-input", errors=(fault,))
    if fields:
        await shop.stock_desk.edit(*ids, fields, actor=actor.name, reason=data.reason)
    else:
        await shop.stock_desk.burn(*ids, actor=actor.name, reason=data.reason)
    return await _key(shop, str(key_id))


@delete(
    "/inventory/{product_id:uuid}/keys/{key_id:uuid}",
    access=Staff("inventory.write"),
    operation_id="adminDeleteKey",
)
async def delete_key(
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    key_id: FromPath[UUID],
    reason: Annotated[str, QueryParameter(min_length=1, max_length=1000, pattern=PRINTABLE)],
) -> None:
    """Take a key out that was never sold, as if it had never come in."""
    await shop.stock_desk.remove(str(product_id), str(key_id), actor=actor.name, reason=reason)


@post(
    "/inventory/{product_id:uuid}/keys/{key_id:uuid}/replace",
    access=Staff("inventory.write"),
    operation_id="adminReplaceStockKey",
)
async def replace_key(
    *,
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    key_id: FromPath[UUID],
    data: JSONBody[KeyInstead],
    repeatable: TheRepeatable,
) -> Imported:
    """Put another item in the place of one on the shelf, in its batch, at its cost."""
    items = data.items()
    once = await repeatable.once(actor.name)

    async def act() -> Imported:
        line = await shop.views.assortment.key(str(key_id))
        if line is None or line.product_id != str(product_id):
            raise ProblemError("not-found")
        if line.state != "available":
            raise ProblemError("in-use", "Only a key on the shelf can be replaced.")
        terms = Batch(
            product_id=line.product_id,
            name=line.batch,
            cost=line.cost,
            expires_at=line.expires_at,
        )
        report = await shop.inventory.import_items(items.rows, items.kind, terms, actor=actor.name)
        demand_taken(items, report.refused)
        await shop.stock_desk.burn(line.product_id, line.id, actor=actor.name, reason=data.reason)
        return imported_shown(report)

    return await act_once(shop, once, Imported, act)


@post(
    "/inventory/{product_id:uuid}/keys/recount",
    access=Staff("inventory.write"),
    request_max_body_size=None,  # its own limit is kept when it is read
    status_code=200,
    operation_id="adminRecountKeys",
)
async def recount(
    *,
    request: EdgeRequest,
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    kind: FromQuery[ItemKind] = "key",
) -> Counted:
    """Compare items of a kind, as they are imported, with what is on the shelf or kept. Changes
    nothing.
    """
    raw, separator = await file_of(request, kind, shop.limits)
    count = await shop.stock_desk.recount(
        str(product_id), raw, actor=actor.name, kind=kind, separator=separator
    )
    return Counted(
        expected=count.expected,
        found=count.found,
        missing=count.missing,
        surplus=tuple(CountedLine(number, outcome) for number, outcome in count.surplus),
    )


@post(
    "/inventory/{product_id:uuid}/keys/export",
    access=Staff("inventory.export"),
    status_code=200,
    operation_id="adminExportKeys",
)
async def export_keys(
    shop: TheShop, actor: TheActor, product_id: FromPath[UUID], data: JSONBody[WhyExport]
) -> Stream:
    """The items of a kind on the shelf as CSV: the columns in which they are imported, then
    `batch`, `cost`, `expiresAt` and `id`. On record.

    This is the one way by which serials of stock leave the shop. An item that does not open has
    empty columns.
    """
    found = await shop.stock_desk.export(
        str(product_id), data.kind, actor=actor.name, reason=data.reason
    )
    return Stream(
        _csv_lines(data.kind, found),
        media_type=CSV,
        headers={
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="keys-{product_id}.csv"',
            "x-robots-tag": "noindex",
        },
    )


@get("/inventory/low-stock", access=Staff("inventory.read"), operation_id="adminListLowStock")
async def low_stock(
    *, shop: TheShop, limit: PageLimit = None, cursor: PageCursor = None
) -> PageOf[LowStockShown]:
    """Published products of which as few are left as they are to be watched at."""
    paging = Paging(shop, "low-stock", limit, cursor)
    page = await shop.views.assortment.low_stock(limit=paging.size, after=paging.after)
    return paging.page(page, _low_shown)


async def _csv_lines(kind: ItemKind, found: AsyncIterator[ExportedKey]) -> AsyncIterator[bytes]:
    yield _csv_line(*export_columns(kind), "batch", "cost", "expiresAt", "id")
    async for each in found:
        line = each.line
        yield _csv_line(
            *export_fields(kind, each.serial),
            line.batch,
            eur_text(line.cost),
            "" if line.expires_at is None else line.expires_at.isoformat(),
            line.id,
        )


def _csv_line(*fields: str) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(fields)
    return text.getvalue().encode()


async def _key(shop: TheShop, key_id: str) -> KeyShown:
    line = await shop.views.assortment.key(key_id)
    if line is None:
        raise ProblemError("not-found")
    return _key_shown(line, await shop.stock_desk.preview(key_id))


def _key_shown(line: KeyLine, preview: str | None) -> KeyShown:
    sold_for = line.sold_for if line.state == "sold" else None
    return KeyShown(
        id=line.id,
        kind=line.kind,
        preview=preview,
        sold_for=eur_or_none(line.sold_for),
        profit=None if sold_for is None else eur_text(sold_for - line.cost),
        reported_at=line.reported_at,
        batch=line.batch,
        cost=eur_text(line.cost),
        state=line.state,
        expires_at=line.expires_at,
        order_item_id=line.order_item_id,
        created_at=line.created_at,
        version=line.version,
    )


def _low_shown(line: LowStock) -> LowStockShown:
    return LowStockShown(
        product_id=line.id,
        slug=line.slug,
        title=line.title,
        source=line.source,
        available=line.available,
        low_stock_at=line.low_stock_at,
    )
