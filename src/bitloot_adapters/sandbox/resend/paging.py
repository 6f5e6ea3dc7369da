"""Cursor pages of the list calls: ``limit`` 1 to 100, ``after`` or ``before`` an id."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from bitloot_adapters.sandbox.resend.errors import invalid

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_HasId)


def page_of(
    rows: Sequence[T], *, limit: str | None, after: str | None, before: str | None
) -> tuple[list[T], bool]:
    """One page of ``rows`` (newest first) and whether more follow in that direction.

    Raises:
        WireError: 422 for a bad limit, both cursors at once, or an unknown cursor.

    """
    size = _size(limit)
    if after is not None and before is not None:
        raise invalid("You can only use either `after` or `before`, not both.")
    if after is not None:
        rest = rows[_position(rows, after) + 1 :]
        return list(rest[:size]), len(rest) > size
    if before is not None:
        rest = rows[: _position(rows, before)]
        return list(rest[-size:]), len(rest) > size
    return list(rows[:size]), len(rows) > size


def _size(limit: str | None) -> int:
    if limit is None:
        return DEFAULT_LIMIT
    if not (limit.isascii() and limit.isdigit()) or not 1 <= int(limit[:9]) <= MAX_LIMIT:
        raise invalid(f"The `limit` must be a number between 1 and {MAX_LIMIT}.")
    return int(limit)


def _position(rows: Sequence[T], cursor: str) -> int:
    for index, row in enumerate(rows):
        if row.id == cursor:
            return index
    raise invalid("The pagination cursor is not a known id.")
