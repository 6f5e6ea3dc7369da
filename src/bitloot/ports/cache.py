"""Answers kept for a while. Losing them costs time only."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar

import msgspec

T = TypeVar("T")


class Cache(Protocol):
    """Never raises for a lost store: a miss instead."""

    async def get(self, key: str) -> bytes | None:
        """The stored bytes, None when absent or over."""
        ...

    async def put(self, key: str, value: bytes, *, life: timedelta) -> None:
        """Store bytes for that long."""
        ...

    async def forget(self, key: str) -> None:
        """Drop one entry."""
        ...


async def remembered(
    cache: Cache, key: str, shape: type[T], read: Callable[[], Awaitable[T]], *, life: timedelta
) -> T:
    """The answer kept under the key, else a fresh one that is kept for `life`.

    What cannot be read any more (another release wrote it) counts as absent.
    """
    kept = await cache.get(key)
    if kept is not None:
        try:
            return msgspec.json.decode(kept, type=shape)
        except msgspec.DecodeError:
            await cache.forget(key)
    fresh = await read()
    await cache.put(key, msgspec.json.encode(fresh), life=life)
    return fresh
