"""Statements are written in SQLAlchemy Core, compiled once, and run through psycopg."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias, cast

import msgspec
from sqlalchemy import make_url, text
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

Values: TypeAlias = tuple[object, ...]
Rows: TypeAlias = list[Values]

# Numbered parameters are what the server itself understands: nothing is rewritten at run time.
_dialect = cast("Callable[..., Dialect]", make_url("postgresql+psycopg://").get_dialect())
DIALECT: Final = _dialect(paramstyle="numeric_dollar")
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Text(NamedTuple):
    """What the server is sent, the names of its parameters (`$1`, …) in that order, and the values
    of those that are part of the statement itself.
    """

    sql: bytes
    names: tuple[str, ...]
    constants: Mapping[str, object]


class Statement:
    """A statement of SQLAlchemy Core, compiled when it is first asked and never again.

    A process asks few of all statements, and none of them before it is there.
    """

    def __init__(self, core: ClauseElement) -> None:
        self._core = core

    @cached_property
    def sql(self) -> bytes:
        """The text."""
        return self._text.sql

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of its parameters, in the order of their numbers."""
        return self._text.names

    @cached_property
    def constants(self) -> Mapping[str, object]:
        """Values that the statement brings along."""
        return self._text.constants

    @cached_property
    def _text(self) -> Text:
        result = self._core.compile(dialect=DIALECT)
        del self._core  # as large as all the rest, and of no more use
        # DDL has no parameters.
        names = result.positiontup if isinstance(result, SQLCompiler) else None
        constants = {name: each for name, each in (result.params or {}).items() if each is not None}
        return Text(str(result).encode(), tuple(names or ()), constants)


class Question(msgspec.Struct, frozen=True):
    """A statement with the values to run it with."""

    statement: Statement
    values: Mapping[str, object]

    @property
    def parameters(self) -> Sequence[object] | None:
        """What psycopg is given. Raises KeyError for a parameter without a value."""
        if not self.statement.names:
            return None
        bound = {**self.statement.constants, **self.values}
        return [bound[name] for name in self.statement.names]


def compiled(core: ClauseElement) -> Statement:
    """The statement as text. Each of its named parameters has to be given when it is asked."""
    return Statement(core)


def ask(statement: Statement, **values: object) -> Question:
    """The statement with these values."""
    return Question(statement, values)


def is_id(text: str) -> bool:
    """Whether the text can be an id of ours; what cannot names nothing here."""
    return _ID.fullmatch(text) is not None


BEGIN: Final = ask(compiled(text("BEGIN")))
COMMIT: Final = ask(compiled(text("COMMIT")))
