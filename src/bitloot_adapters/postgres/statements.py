"""Statements are written in SQLAlchemy Core, compiled once, and run through psycopg."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, cast

import msgspec
from sqlalchemy import make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

Values: TypeAlias = tuple[object, ...]
Rows: TypeAlias = list[Values]

# Numbered parameters are what the server itself understands: nothing is rewritten at run time.
_dialect = cast("Callable[..., Dialect]", make_url("postgresql+psycopg://").get_dialect())
DIALECT: Final = _dialect(paramstyle="numeric_dollar")
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Statement(msgspec.Struct, frozen=True):
    """Text for the server (`$1`, …), the names of its parameters in that order, and the values of
    those that are part of the statement itself.
    """

    sql: bytes
    names: tuple[str, ...] = ()
    constants: Mapping[str, object] = {}


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
    result = core.compile(dialect=DIALECT)
    assert isinstance(result, SQLCompiler)
    constants = {name: value for name, value in result.params.items() if value is not None}
    return Statement(str(result).encode(), tuple(result.positiontup or ()), constants)


def ask(statement: Statement, **values: object) -> Question:
    """The statement with these values."""
    return Question(statement, values)


def is_id(text: str) -> bool:
    """Whether the text can be an id of ours; what cannot names nothing here."""
    return _ID.fullmatch(text) is not None


BEGIN: Final = ask(Statement(b"BEGIN"))
COMMIT: Final = ask(Statement(b"COMMIT"))
