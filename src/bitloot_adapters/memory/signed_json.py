"""Signed JSON as the memory providers send it, and how it is read back without trust."""

import json
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from hmac import compare_digest, new
from typing import Final, NoReturn, TypeAlias

Scalar: TypeAlias = str | int | Decimal | bool | None
Fields: TypeAlias = Mapping[str, object]

SIGNATURE_HEADER: Final = "x-memory-signature"
MOST_BYTES: Final = 256 * 1024


class Unreadable(ValueError):
    """A body that is no JSON object with every name once."""


def signature(secret: bytes, body: bytes) -> str:
    """The hex HMAC-SHA-256 over the raw bytes."""
    return new(secret, body, sha256).hexdigest()


def is_signed(secret: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    """Compare in constant time; a missing or odd signature is a bad one."""
    given = headers.get(SIGNATURE_HEADER, "").strip().lower()
    return compare_digest(given.encode(), signature(secret, body).encode())


def digest(body: bytes) -> str:
    """What makes two deliveries of the same bytes the same."""
    return sha256(body).hexdigest()


def read_object(body: bytes) -> Fields:
    """A JSON object; numbers with a point become `Decimal`. Raises Unreadable."""
    if len(body) > MOST_BYTES:
        raise Unreadable("too long")
    try:
        read: object = json.loads(
            body,
            parse_float=Decimal,
            parse_constant=_no_constant,
            object_pairs_hook=_each_name_once,
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Unreadable("no JSON object") from error
    if not isinstance(read, dict):
        raise Unreadable("no JSON object")
    return read


def text(value: object) -> str | None:
    """An id or word as text, whether it was sent as text or as a number."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    read = str(value).strip()
    return read if read and len(read) <= 512 and read.isprintable() else None


def number(value: object) -> Decimal | None:
    """An amount, whether it was sent as a number or as text; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        return Decimal(value)
    except ArithmeticError:
        return None


def _no_constant(name: str) -> NoReturn:
    raise Unreadable(name)


def _each_name_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise Unreadable("a name stands twice")
    return read
