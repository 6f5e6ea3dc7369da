"""Answers kept for a while. Losing them costs time only."""

from datetime import timedelta
from typing import Protocol


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
