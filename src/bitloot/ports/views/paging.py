"""One page of a list: keyset cursors, never offsets."""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """`after` is the key to ask for the next page with, None on the last one."""

    items: tuple[T, ...]
    after: str | None
