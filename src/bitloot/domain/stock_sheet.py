"""Items of own stock out of a file: keys one a line, or a table of one kind of item.

The first line of a table names its columns, each further row is an item. A row that cannot be
taken in is told by its line, its column and why; the others are taken in. Columns that mean nothing
here do not count. Every kind may say `cost` (EUR) and `expiresAt` (with its zone) of a single item;
where they are empty, those of the batch count.
"""

import base64
import csv
import io
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.money import BadMoney, Eur, parse_eur
from bitloot.domain.own_stock import (
    MAX_KEY_BYTES,
    LineOutcome,
    LineReport,
    StockLine,
    import_faults,
    read_lines,
)
from bitloot.domain.stock_item import (
    Account,
    CodeWithPin,
    ItemFault,
    ItemKind,
    LicenceFile,
    TypedItem,
    account,
    code_with_pin,
    identity,
    licence_file,
    opened,
    sealed_form,
)

# How the columns of a row are told apart: of CSV by commas, of plain text by tabs.
Separator: TypeAlias = Literal[",", "\t"]

COLUMNS: Final[Mapping[ItemKind, tuple[str, ...]]] = {
    "key": ("key",),
    "account": ("login", "password"),
    "code-with-pin": ("code", "pin"),
    "licence-file": ("name", "mediaType", "content"),
}
_MORE: Final = ("note", "cost", "expiresAt")


class _BadFieldError(Exception):
    """A column of a row that cannot be used, and why."""

    def __init__(self, column: str, outcome: LineOutcome) -> None:
        super().__init__(column, outcome)
        self.column = column
        self.outcome = outcome


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """The items of a file, and its rows that are none. Its repr shows no item."""

    lines: tuple[StockLine, ...]
    refused: tuple[LineReport, ...]


def read_sheet(raw: bytes, kind: ItemKind, *, separator: Separator | None, limits: Limits) -> Sheet:
    """The items of a file; without a separator it is one key a line.

    Empty rows do not count. Raises Refused `invalid-input` for a file that cannot be read at all:
    too large, no item in it; of a table also no UTF-8, broken quotes, columns missing or twice.
    """
    if len(raw) > limits.key_import_bytes:
        raise _unreadable(import_faults(raw, 1, limits) or "")
    if separator is not None:
        lines, refused = _table(raw, kind, separator, limits)
    elif kind == "key":
        lines, refused = read_lines(raw)
    else:
        raise _unreadable("Only keys can come one a line; send a table.")
    # A row that could not be used tells more than that there is no other.
    is_told = bool(lines) or separator is not None
    fault = import_faults(raw, len(lines) + len(refused) if is_told else 0, limits)
    if fault is not None:
        raise _unreadable(fault)
    return Sheet(lines=lines, refused=refused)


def read_items(rows: Sequence[Mapping[str, str]], kind: ItemKind, *, limits: Limits) -> Sheet:
    """Items that come one by one, each by the names of its columns; the first is line 1."""
    lines: list[StockLine] = []
    refused: list[LineReport] = []
    for number, fields in enumerate(rows, start=1):
        try:
            lines.append(_line(number, kind, fields, limits.licence_file_bytes))
        except _BadFieldError as bad:
            refused.append(LineReport(number=number, outcome=bad.outcome, column=bad.column))
    return Sheet(lines=tuple(lines), refused=tuple(refused))


def _table(
    raw: bytes, kind: ItemKind, separator: Separator, limits: Limits
) -> tuple[tuple[StockLine, ...], tuple[LineReport, ...]]:
    lines: list[StockLine] = []
    refused: list[LineReport] = []
    try:
        text = io.StringIO(raw.decode("utf-8-sig"), newline="")
        rows = csv.reader(text, delimiter=separator, strict=True)
        places = _places(next(rows, []), kind)
        number = rows.line_num + 1
        for row in rows:
            fields = {name: row[at] if at < len(row) else "" for name, at in places.items()}
            try:
                if any(fields[name].strip() for name in COLUMNS[kind]):
                    lines.append(_line(number, kind, fields, limits.licence_file_bytes))
            except _BadFieldError as bad:
                refused.append(LineReport(number=number, outcome=bad.outcome, column=bad.column))
            number = rows.line_num + 1
    except UnicodeDecodeError:
        raise _unreadable("Send the items in UTF-8.") from None
    except csv.Error:
        raise _unreadable(
            f"Send a table with closed quotes and fields up to {csv.field_size_limit()} characters."
        ) from None
    return tuple(lines), tuple(refused)


def export_columns(kind: ItemKind) -> tuple[str, ...]:
    """The columns in which items of a kind leave the shop, so that they can come in again."""
    return (*COLUMNS[kind], "note") if kind == "account" else COLUMNS[kind]


def export_fields(kind: ItemKind, payload: bytes | None) -> tuple[str, ...]:
    """What stands in these columns; nothing for an item that does not open."""
    try:
        item = None if payload is None else opened(kind, payload)
    except ValueError:
        payload = item = None
    if isinstance(item, Account):
        return item.login, item.password, item.note
    if isinstance(item, CodeWithPin):
        return item.code, item.pin
    if isinstance(item, LicenceFile):
        return item.name, item.media_type, base64.b64encode(item.content).decode()
    if payload is None:
        return ("",) * len(export_columns(kind))
    return (payload.decode(),)


def item_line(number: int, item: TypedItem) -> StockLine:
    """A typed item as a line of an import."""
    return StockLine(number=number, serial=sealed_form(item), kind=item.kind, mark=identity(item))


def _places(header: list[str], kind: ItemKind) -> dict[str, int]:
    """Where each column stands that means something."""
    found = [name.strip().lower() for name in header]
    needed = COLUMNS[kind]
    places: dict[str, int] = {}
    for name in (*needed, *_MORE):
        if found.count(name.lower()) > 1:
            raise _unreadable(f"The first line names the column `{name}` more than once.")
        if name.lower() in found:
            places[name] = found.index(name.lower())
    missing = [f"`{name}`" for name in needed if name not in places]
    if missing:
        raise _unreadable(f"Name {' and '.join(missing)} as columns in the first line.")
    return places


def _line(number: int, kind: ItemKind, fields: Mapping[str, str], most: int) -> StockLine:
    cost, expires_at = _cost(fields.get("cost", "")), _expiry(fields.get("expiresAt", ""))
    if kind == "key":
        line = StockLine(number=number, serial=_serial(fields["key"]))
    else:
        try:
            line = item_line(number, _item(kind, fields, most))
        except ItemFault as bad:
            raise _BadFieldError(bad.field, bad.fault) from None
    return msgspec.structs.replace(line, cost=cost, expires_at=expires_at)


def _item(kind: ItemKind, fields: Mapping[str, str], most: int) -> TypedItem:
    if kind == "account":
        return account(fields["login"], fields["password"], fields.get("note", ""))
    if kind == "code-with-pin":
        return code_with_pin(fields["code"], fields["pin"])
    content = _content(fields["content"])
    return licence_file(fields["name"], fields["mediaType"], content, most=most)


def _serial(text: str) -> bytes:
    serial = unicodedata.normalize("NFC", text).strip()
    if not serial:
        raise _BadFieldError("key", "missing")
    if not serial.isprintable():
        raise _BadFieldError("key", "not_text")
    if len(serial.encode()) > MAX_KEY_BYTES:
        raise _BadFieldError("key", "too_long")
    return serial.encode()


def _content(text: str) -> bytes:
    if not text.strip():
        raise _BadFieldError("content", "missing")
    packed = "".join(text.split())
    try:
        content = base64.b64decode(packed, validate=True)
    except ValueError:
        raise _BadFieldError("content", "not_base64") from None
    # What is not written as base64 writes it was damaged on its way.
    if base64.b64encode(content).decode() != packed:
        raise _BadFieldError("content", "not_base64")
    return content


def _cost(text: str) -> Eur | None:
    if not text.strip():
        return None
    try:
        return parse_eur(text.strip())
    except BadMoney:
        raise _BadFieldError("cost", "bad_cost") from None


def _expiry(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            raise _BadFieldError("expiresAt", "bad_expiry")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _BadFieldError("expiresAt", "bad_expiry") from None


def _unreadable(why: str) -> Refused:
    return Refused("invalid-input", why, field="file")
