"""The shop's own keys: counted in from a file, and how many are left."""

import csv
import io
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar.params import FromPath, QueryParameter

from bitloot.domain.limits import Limits
from bitloot.domain.money import eur_text
from bitloot.domain.own_stock import Batch
from bitloot.usecases.inventory import ImportReport
from bitloot_web.api.fields import PRINTABLE, eur, eur_or_none
from bitloot_web.dependencies import TheActor, TheShop
from bitloot_web.once import IdempotencyKey, act_once, once_of
from bitloot_web.paging import refused
from bitloot_web.problems import FieldError, ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.routes import get, post
from bitloot_web.security.access import Staff

TEXT: Final = "text/plain"
CSV: Final = "text/csv"
KEY_COLUMN: Final = "key"


class RefusedLine(msgspec.Struct, frozen=True):
    """A line of the file that brought no key, and why; never the line itself."""

    line: int
    outcome: str


class Imported(msgspec.Struct, frozen=True):
    """How many keys came in."""

    imported: int
    refused: tuple[RefusedLine, ...]


class Stock(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is left to sell of a product, and what became of the rest of its keys.

    `highestCost` in EUR a key, `value` what all that is available cost.
    """

    product_id: str
    available: int
    highest_cost: str | None
    reserved: int
    sold: int
    burned: int
    expired: int
    value: str


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
    idempotency_key: IdempotencyKey = None,
) -> Imported:
    """Take in keys: `text/plain` with one a line, or `text/csv` with a column `key`."""
    if expires_at is not None and expires_at.tzinfo is None:
        raise refused("expiresAt", "Write the time with its zone, such as 2030-01-31T12:00:00Z.")
    terms = Batch(
        product_id=str(product_id), name=batch, cost=eur(cost, "cost"), expires_at=expires_at
    )
    lines = await file_of(request, shop.limits)
    once = await once_of(
        request, idempotency_key, caller=actor.name, limits=shop.limits, body=lines
    )

    async def act() -> Imported:
        return imported_shown(await shop.inventory.import_keys(lines, terms, actor=actor.name))

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
    )


def imported_shown(report: ImportReport) -> Imported:
    """What became of a file as it is answered."""
    left_out = tuple(RefusedLine(line.number, line.outcome) for line in report.refused)
    return Imported(report.imported, left_out)


async def file_of(request: EdgeRequest, limits: Limits) -> bytes:
    """The keys of a body, one a line: text as it is, of CSV the column `key`.

    Raises ProblemError `body-too-large`, `unsupported-media-type`, `invalid-input`.
    """
    raw = await _read(request, limits.key_import_bytes)
    kind = request.content_type[0].lower()
    if kind not in {TEXT, CSV}:
        raise ProblemError("unsupported-media-type", "Send the keys as text/plain or text/csv.")
    return raw if kind == TEXT else keys_of_csv(raw)


async def _read(request: EdgeRequest, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ProblemError("body-too-large", f"An import has at most {most} bytes.")
    return bytes(body)


def keys_of_csv(raw: bytes) -> bytes:
    """The column `key` of a CSV file, one key a line, on the lines where it stood.

    Raises ProblemError `invalid-input`.
    """
    try:
        rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error):
        fault = FieldError("file", "Send a CSV file in UTF-8.")
        raise ProblemError("invalid-input", errors=(fault,)) from None
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if KEY_COLUMN not in header:
        fault = FieldError("file", f"Name one column `{KEY_COLUMN}` in the first line.")
        raise ProblemError("invalid-input", errors=(fault,))
    at = header.index(KEY_COLUMN)
    # An empty first line keeps the numbers of the lines as they are in the file.
    keys = ["", *(row[at] if len(row) > at else "" for row in rows[1:])]
    return "\n".join(key.replace("\n", " ") for key in keys).encode()
