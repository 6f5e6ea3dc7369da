"""The words in which the tables are written: one column kind for each kind of fact.

Names of constraints are given, never generated: a broken unique rule is told to the core by name.
"""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TSVECTOR

METADATA = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s",
    }
)


def ident(name: str = "id") -> Column[str]:
    """A UUIDv7 of ours, text in Python."""
    return Column(name, Uuid(as_uuid=False), nullable=False)


def link(name: str, to: str, *, optional: bool = False) -> Column[str]:
    """A UUID that names a row of another table (`table.column`)."""
    return Column(name, Uuid(as_uuid=False), ForeignKey(to), nullable=optional)


def loose_id(name: str) -> Column[str]:
    """A UUID of another row that may be absent, without a foreign key."""
    return Column(name, Uuid(as_uuid=False), nullable=True)


def ids(name: str) -> Column[list[str]]:
    return Column(name, ARRAY(Uuid(as_uuid=False)), nullable=False)


def text(name: str, *, optional: bool = False) -> Column[str]:
    return Column(name, Text, nullable=optional)


def texts(name: str) -> Column[list[str]]:
    return Column(name, ARRAY(Text), nullable=False)


def numbers(name: str) -> Column[list[int]]:
    return Column(name, ARRAY(Integer), nullable=False)


def number(name: str, *, optional: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=optional)


def big(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def eur(name: str, *, optional: bool = False) -> Column[Decimal]:
    """EUR with the eight decimals of the ledger."""
    return Column(name, Numeric(20, 8), nullable=optional)


def crypto(name: str) -> Column[Decimal]:
    """A crypto amount as the gateway wrote it."""
    return Column(name, Numeric(48, 18), nullable=True)


def moment(name: str, *, optional: bool = False) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=optional)


def raw(name: str, *, optional: bool = False) -> Column[bytes]:
    return Column(name, BYTEA, nullable=optional)


def document(name: str, *, optional: bool = False) -> Column[object]:
    """Structured data that is never searched by its inside."""
    return Column(name, JSONB, nullable=optional)


def exact(name: str) -> Column[Decimal]:
    """A number with all the digits that it was given."""
    return Column(name, Numeric, nullable=False)


def rating(name: str) -> Column[Decimal]:
    """A mark of 0 to 100, where there is one."""
    return Column(name, Numeric(5, 2), nullable=True)


def words(name: str) -> Column[str]:
    """The words of a text with their places and weights."""
    return Column(name, TSVECTOR, nullable=False)


def version() -> Column[int]:
    return Column("version", Integer, nullable=False)


def one_of(column: str, words: tuple[str, ...]) -> CheckConstraint:
    """The column holds one of these words (or nothing, where it may be absent)."""
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f'"{column}" IN ({listed})', name=column)


def check(name: str, rule: str) -> CheckConstraint:
    return CheckConstraint(rule, name=name)
