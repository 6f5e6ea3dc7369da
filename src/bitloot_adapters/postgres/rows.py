"""From the values of a row to the noun of the core, and back."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar, get_type_hints

import msgspec
from sqlalchemy import Column, Table
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from bitloot.domain.decision import Row
from bitloot_adapters.postgres.statements import Values
from bitloot_adapters.postgres.tables import TABLES

R = TypeVar("R", bound=Row)


class Codec(Generic[R]):
    """Builds one kind of row. `columns` are what a statement has to select, in this order."""

    def __init__(self, kind: type[R], table: Table) -> None:
        self._build: Callable[..., R] = kind
        self.table = table
        self.names = kind.__struct_fields__
        self.columns: tuple[Column[object], ...] = tuple(table.c[name] for name in self.names)
        hints = get_type_hints(kind)
        self._readers: tuple[tuple[int, Callable[[object], object]], ...] = tuple(
            (place, reader)
            for place, column in enumerate(self.columns)
            if (reader := _reader(column, hints[column.name])) is not None
        )

    def row(self, values: Values) -> R:
        """One row."""
        fields = dict(zip(self.names, values, strict=True))
        for place, reader in self._readers:
            fields[self.names[place]] = reader(values[place])
        return self._build(**fields)

    def rows(self, many: Iterable[Values]) -> tuple[R, ...]:
        """All of them."""
        return tuple(self.row(values) for values in many)

    def first(self, many: Iterable[Values]) -> R | None:
        """The first, None where there is none."""
        return next((self.row(values) for values in many), None)


def _reader(column: Column[object], hint: object) -> Callable[[object], object] | None:
    if isinstance(column.type, JSONB):
        decoder: msgspec.json.Decoder[object] = msgspec.json.Decoder(hint)
        return lambda text: None if text is None else decoder.decode(str(text))
    if isinstance(column.type, ARRAY):
        return _as_tuple
    return None


def _as_tuple(value: object) -> object:
    assert isinstance(value, list)
    return tuple(value)


def codec(kind: type[R]) -> Codec[R]:
    """The codec of a kind of row, on the table that keeps it."""
    return Codec(kind, TABLES[kind])
