"""Statements are written in SQLAlchemy Core, compiled once, and run through psycopg."""

from collections.abc import Mapping
from typing import Final, TypeAlias
from uuid import UUID

import msgspec
from sqlalchemy import make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement

Values: TypeAlias = tuple[object, ...]
Rows: TypeAlias = list[Values]

DIALECT: Final[Dialect] = make_url("postgresql+psycopg://").get_dialect()()


class Statement(msgspec.Struct, frozen=True):
    """Text for psycopg (`%(name)s`), and the values that are part of the statement itself."""

    sql: bytes
    constants: Mapping[str, object] = {}


class Question(msgspec.Struct, frozen=True):
    """A statement with the values to run it with; None where it takes none at all."""

    statement: Statement
    values: Mapping[str, object]

    @property
    def parameters(self) -> Mapping[str, object] | None:
        """What psycopg is given."""
        bound = {**self.statement.constants, **self.values}
        return bound or None


def compiled(core: ClauseElement) -> Statement:
    """The statement as text. Each of its named parameters has to be given when it is asked."""
    result = core.compile(dialect=DIALECT)
    constants = {name: value for name, value in result.params.items() if value is not None}
    return Statement(str(result).encode(), constants)


def ask(statement: Statement, **values: object) -> Question:
    """The statement with these values."""
    return Question(statement, values)


def is_id(text: str) -> bool:
    """Whether the text can be an id of ours; what cannot names nothing here."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


BEGIN: Final = ask(Statement(b"BEGIN"))
COMMIT: Final = ask(Statement(b"COMMIT"))
