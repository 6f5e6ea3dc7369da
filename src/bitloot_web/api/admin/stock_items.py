"""Items of own stock as a JSON body names them: of one kind at a time."""

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from bitloot.domain.own_stock import LineReport
from bitloot.domain.stock_item import (
    MAX_FILE_NAME,
    MAX_LOGIN,
    MAX_NOTE,
    MAX_SECRET,
    ItemKind,
)
from bitloot_web.problems import FieldError, ProblemError

# What `domain.stock_sheet` reads: each item by the names of its columns.
Columns: TypeAlias = Mapping[str, str]

Serial: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[^\r\n]*$")]
_Secret: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_SECRET)]
# As much as a body may have; a larger file comes in as a body of its own.
_Base64: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=65_536, description="The bytes of the file in base64.")
]


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A login with its password. Its repr shows neither."""

    login: Annotated[str, Meta(min_length=1, max_length=MAX_LOGIN)]
    password: _Secret
    note: Annotated[str, Meta(max_length=MAX_NOTE)] = ""

    def __repr__(self) -> str:
        return "NewAccount()"


class NewCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code that opens with a PIN. Its repr shows neither."""

    code: _Secret
    pin: _Secret

    def __repr__(self) -> str:
        return "NewCode()"


class NewFile(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """A licence file. Its repr shows only how long it is."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_FILE_NAME)]
    media_type: Annotated[str, Meta(min_length=1, max_length=129)]
    content: _Base64

    def __repr__(self) -> str:
        return f"NewFile({len(self.content)} characters)"


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """Items of one kind as they were sent in the field `name`. Its repr shows none."""

    name: str
    kind: ItemKind
    rows: tuple[Columns, ...]

    def __repr__(self) -> str:
        return f"Items({len(self.rows)} of kind {self.kind})"


def items_sent(
    *,
    keys: tuple[str, Sequence[str]],
    accounts: tuple[str, Sequence[NewAccount]],
    codes: tuple[str, Sequence[NewCode]],
    files: tuple[str, Sequence[NewFile]],
) -> Items:
    """The one kind that a body has, each kind being told with the name of its field.

    Raises ProblemError `invalid-input` for none and for several.
    """
    kinds = (
        Items(name=keys[0], kind="key", rows=tuple({"key": key} for key in keys[1])),
        Items(name=accounts[0], kind="account", rows=_columns(accounts[1])),
        Items(name=codes[0], kind="code-with-pin", rows=_columns(codes[1])),
        Items(name=files[0], kind="licence-file", rows=_columns(files[1])),
    )
    sent = [each for each in kinds if each.rows]
    if len(sent) != 1:
        names = ", ".join(f"`{each.name}`" for each in kinds)
        fault = FieldError(sent[1].name if sent else keys[0], f"Send one of {names}.")
        raise ProblemError("invalid-input", errors=(fault,))
    return sent[0]


def demand_taken(items: Items, refused: Sequence[LineReport]) -> None:
    """That a single item came in. Raises ProblemError `invalid-input` with what is wrong."""
    if refused:
        bad = refused[0]
        where = items.name if bad.column in {None, items.name} else f"{items.name}.{bad.column}"
        told = f"This cannot be kept: {bad.outcome.replace('_', ' ')}."
        raise ProblemError("invalid-input", errors=(FieldError(where, told),))


def _columns(items: Sequence[msgspec.Struct]) -> tuple[Columns, ...]:
    return tuple(msgspec.convert(msgspec.to_builtins(each), dict[str, str]) for each in items)
