"""JSON of the supplier, read into values that nothing can spoil.

The text of a number becomes a `Decimal` and never a float. A field of the wrong type, out of range
or absurdly long counts as absent: what is missing is decided where it is needed, not here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NoReturn, TypeAlias

from bitloot.domain.money import (
    MAX_MONEY_TEXT,
    BadMoney,
    Eur,
    eur_number,
    ledger_amount,
    money_context,
)

Json: TypeAlias = "str | bool | Decimal | list[Json] | dict[str, Json] | None"

MAX_ID: Final = 128
MAX_COUNT: Final = 2**31 - 1
# A time outside of these years is none of a shop; at the last one no span could be added to it.
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199
_HUNDREDTH: Final = Decimal("0.01")
_ID: Final = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,3})?")


class Unreadable(ValueError):
    """A body that is no JSON, or no JSON of the shape that the call answers with."""


def parse(body: bytes, *, is_prose: bool = False) -> Json:
    """The parsed body. In `is_prose` a byte that is no UTF-8 costs a letter, not the whole body.

    Raises Unreadable.
    """
    try:
        parsed: Json = json.loads(
            body.decode("utf-8", "replace" if is_prose else "strict"),
            parse_int=_number,
            parse_float=_number,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable(type(error).__name__) from None
    return parsed


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except ArithmeticError:
        return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def fields(value: Json) -> Mapping[str, Json]:
    """An object's fields, none where it is no object."""
    return value if isinstance(value, dict) else {}


def elements(value: Json) -> Sequence[Json]:
    """An array's elements, none where it is no array."""
    return value if isinstance(value, list) else ()


def word(value: Json) -> str | None:
    """A short text or a whole number as text, trimmed; None for anything unprintable or longer."""
    if isinstance(value, Decimal):
        if not value.is_finite() or value != value.to_integral_value() or value.adjusted() > MAX_ID:
            return None
        value = format(value.to_integral_value(), "f")
    if not isinstance(value, str):
        return None
    read = value.strip()
    return read if read and len(read) <= MAX_ID and read.isprintable() else None


def identifier(value: Json) -> str | None:
    """An id that may stand in a path: ASCII letters, digits, `_` and `-`."""
    read = word(value)
    return read if read is not None and _ID.fullmatch(read) else None


def count(value: Json) -> int | None:
    """How many there are, as a number or a text of one: negative is 0, None where it is neither."""
    read = _decimal(value)
    if read is None or read != read.to_integral_value():
        return None
    return min(max(int(read), 0), MAX_COUNT)


def flag(value: Json) -> bool:
    """True for `true`, 1 and their texts."""
    if isinstance(value, str):
        return value.strip().lower() in {"true", "1", "yes"}
    return value is True or value == Decimal(1)


def is_flag(value: Json) -> bool:
    """Whether it says yes or no in one of the ways that `flag` reads."""
    if isinstance(value, str):
        return value.strip().lower() in {"true", "1", "yes", "false", "0", "no"}
    return isinstance(value, bool) or (isinstance(value, Decimal) and value in (0, 1))


def eur(value: Json) -> Eur | None:
    """An EUR amount, zero or more, from a number or a text of one.

    The noise of a binary float (`5.3499999999999996`) is taken off at the eighth decimal, where
    our own amounts end. None where it is no amount.
    """
    read = _decimal(value)
    if read is None:
        return None
    try:
        return eur_number(ledger_amount(read).normalize())
    except (BadMoney, ArithmeticError):
        return None


def price(value: Json) -> Eur | None:
    """An EUR price: an amount above zero. Nothing is for nothing: a price of 0 is a fault."""
    read = eur(value)
    return read or None


def percent(value: Json) -> Decimal | None:
    """A share of 100 with at most two decimals, None outside 0 to 100."""
    read = _decimal(value)
    if read is None or not 0 <= read <= 100:
        return None
    return read.quantize(_HUNDREDTH, ROUND_HALF_EVEN, money_context())


def _decimal(value: Json) -> Decimal | None:
    if isinstance(value, str):
        text = value.strip()
        if len(text) > MAX_MONEY_TEXT or not text.isascii() or not _NUMBER.fullmatch(text):
            return None
        value = _number(text)
    if not isinstance(value, Decimal) or not value.is_finite() or value.adjusted() > MAX_MONEY_TEXT:
        return None
    return value


def moment(value: Json) -> datetime | None:
    """A time with seconds or milliseconds and its offset, UTC where it names none; None where it
    cannot be read or lies outside of the years that a shop lives in.
    """
    if not isinstance(value, str) or len(value) > MAX_ID:
        return None
    try:
        read = datetime.fromisoformat(value.strip())
        read = (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return read if FIRST_YEAR <= read.year <= LAST_YEAR else None
