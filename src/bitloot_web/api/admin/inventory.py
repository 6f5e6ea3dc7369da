"""The shop's own keys: counted in from a file, and how many are left."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar.params import FromPath, FromQuery, QueryParameter

from bitloot.domain.limits import Limits
from bitloot.domain.money import eur_text
from bitloot.domain.own_stock import Batch
from bitloot.domain.stock_item import ItemKind
from bitloot.domain.stock_sheet import Separator
from bitloot.usecases.inventory import ImportReport
from bitloot_web.api.fields import PRINTABLE, eur, eur_or_none
from bitloot_web.dependencies import TheActor, TheRepeatable, TheShop
from bitloot_web.once import act_once
from bitloot_web.paging import refused
from bitloot_web.problems import ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.routes import get, post
from bitloot_web.security.access import Staff

TEXT: Final = "text/plain"
CSV: Final = "text/csv"


class RefusedLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the file that brought no item, at which column and why; never the line itself."""

    line: int
    outcome: str
    column: str | None = None


class Imported(msgspec.Struct, frozen=True):
    """How many items came in."""

    imported: int
    refused: tuple[RefusedLine, ...]


class Stock(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is left to sell of a product, and what became of the rest of its keys.

    `highestCost` in EUR a key, `value` what all that is available cost. `soldFor` and `soldCost`
    are what the sold ones brought and cost, `profit` is what lies between them.
    """

    product_id: str
    available: int
    highest_cost: str | None
    reserved: int
    sold: int
    burned: int
    expired: int
    value: str
    sold_for: str
    sold_cost: str
    currency: str = "EUR"
    profit: str


@post(
    "/inventory/{product_id:uuid}/keys/import",
    access=Staff("inventory.write"),
    request_max_body_size=None,  # its own limit is kept below
    operation_id="adminImportKeys",
)
async def import_keys(
    *,
    request: EdgeRequest,
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    batch: Annotated[str, QueryParameter(min_length=1, max_length=64, pattern=PRINTABLE)],
    cost: Annotated[str, QueryParameter(max_length=64, description="EUR a key.")],
    expires_at: Annotated[datetime | None, QueryParameter(name="expiresAt")] = None,
    kind: FromQuery[ItemKind] = "key",
    repeatable: TheRepeatable,
) -> Imported:
    """Take in items of a kind.

    `text/csv` is a table whose first line names its columns: `key`; of an `account` `login`,
    `password` and maybe `note`; of a `code-with-pin` `code` and `pin`; of a `licence-file` `name`,
    `mediaType` and `content` in base64. `cost` and `expiresAt` of a row go before those of the
    batch. `text/plain` is one key a line; of other kinds the same table, with tabs.
    """
    terms = _terms(product_id, batch, cost, expires_at)
    raw, separator = await file_of(request, kind, shop.limits)
    once = await repeatable.once(actor.name, body=raw)

    async def act() -> Imported:
        report = await shop.inventory.import_keys(
            raw, terms, actor=actor.name, kind=kind, separator=separator
        )
        return imported_shown(report)

    return await act_once(shop, once, Imported, act)


@post(
    "/inventory/{product_id:uuid}/keys/file",
    access=Staff("inventory.write"),
    request_max_body_size=None,  # its own limit is kept below
    operation_id="adminImportFile",
)
async def import_file(
    *,
    request: EdgeRequest,
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    name: Annotated[str, QueryParameter(min_length=1, max_length=120, pattern=PRINTABLE)],
    batch: Annotated[str, QueryParameter(min_length=1, max_length=64, pattern=PRINTABLE)],
    cost: Annotated[str, QueryParameter(max_length=64, description="EUR of the file.")],
    expires_at: Annotated[datetime | None, QueryParameter(name="expiresAt")] = None,
    repeatable: TheRepeatable,
) -> Imported:
    """Take in one licence file: its bytes are the body, of the `Content-Type` that it will have."""
    terms = _terms(product_id, batch, cost, expires_at)
    raw = await read_body(request, shop.limits.licence_file_bytes)
    media_type = request.content_type[0]
    once = await repeatable.once(actor.name, body=raw)

    async def act() -> Imported:
        report = await shop.inventory.import_file(name, media_type, raw, terms, actor=actor.name)
        return imported_shown(report)

    return await act_once(shop, once, Imported, act)


@get(
    "/inventory/{product_id:uuid}/keys/stats",
    access=Staff("inventory.read"),
    operation_id="adminGetStock",
)
async def stock(shop: TheShop, product_id: FromPath[UUID]) -> Stock:
    """How many keys of a product can still be sold, and how many are in which other state."""
    counts = await shop.views.assortment.stock(str(product_id))
    found = await shop.views.catalog.sellables([str(product_id)])
    if not found:
        raise ProblemError("not-found")
    return Stock(
        product_id=found[0].product.id,
        available=max(0, found[0].available),
        highest_cost=eur_or_none(found[0].unit_cost),
        reserved=counts.reserved,
        sold=counts.sold,
        burned=counts.burned,
        expired=counts.expired,
        value=eur_text(counts.value),
        sold_for=eur_text(counts.sold_for),
        sold_cost=eur_text(counts.sold_cost),
        profit=eur_text(counts.sold_for - counts.sold_cost),
    )


def _terms(product_id: UUID, batch: str, cost: str, expires_at: datetime | None) -> Batch:
    if expires_at is not None and expires_at.tzinfo is None:
        raise refused("expiresAt", "Write the time with its zone, such as 2030-01-31T12:00:00Z.")
    return Batch(
        product_id=str(product_id), name=batch, cost=eur(cost, "cost"), expires_at=expires_at
    )


def imported_shown(report: ImportReport) -> Imported:
    """What became of a file as it is answered."""
    left_out = tuple(RefusedLine(line.number, line.outcome, line.column) for line in report.refused)
    return Imported(report.imported, left_out)


async def file_of(
    request: EdgeRequest, kind: ItemKind, limits: Limits
) -> tuple[bytes, Separator | None]:
    """A body of items and how its columns are told apart, None: keys one a line.

    Raises ProblemError `body-too-large`, `unsupported-media-type`.
    """
    raw = await read_body(request, limits.key_import_bytes)
    media_type = request.content_type[0].lower()
    if media_type == CSV:
        return raw, ","
    if media_type == TEXT:
        return raw, None if kind == "key" else "\t"
    raise ProblemError("unsupported-media-type", "Send the items as text/plain or text/csv.")


async def read_body(request: EdgeRequest, most: int) -> bytes:
    """The whole body. Raises ProblemError `body-too-large`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ProblemError("body-too-large", f"An import has at most {most} bytes.")
    return bytes(body)
