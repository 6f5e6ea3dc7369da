"""One page of a list: keyset cursors, never offsets."""

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar
from uuid import UUID

import msgspec

from bitloot.domain.errors import Refused

T = TypeVar("T")

_MOST_DIGITS: Final = 18


class Page(msgspec.Struct, Generic[T], frozen=True):
    """`after` is the key to ask for the next page with, None on the last one."""

    items: tuple[T, ...]
    after: str | None


def page_of(found: Sequence[T], limit: int, key: Callable[[T], str]) -> Page[T]:
    """The page of what was found when one more than `limit` was asked for."""
    items = tuple(found[:limit])
    more = len(found) > limit and bool(items)
    return Page(items, key(items[-1]) if more else None)


def id_after(after: str | None) -> str | None:
    """A key that is an id. Raises Refused `invalid-input` for any other text."""
    if after is None:
        return None
    try:
        return str(UUID(after))
    except ValueError:
        raise _refused() from None


def number_after(after: str | None) -> int | None:
    """A key that is a number. Raises Refused `invalid-input` for any other text."""
    if after is None:
        return None
    if not (after.isascii() and after.isdigit() and len(after) <= _MOST_DIGITS):
        raise _refused()
    return int(after)


def _refused() -> Refused:
    return Refused("invalid-input", "Ask for the next page with its own key.", field="cursor")
