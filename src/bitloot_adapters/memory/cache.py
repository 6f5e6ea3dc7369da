"""A bounded cache on the clock that was passed in."""

from datetime import datetime, timedelta

from bitloot.ports.clock import Clock


class MemoryCache:
    """At most `entries`; the oldest one makes room. `is_down` plays a lost store: only misses."""

    def __init__(self, *, clock: Clock, entries: int) -> None:
        self._clock = clock
        self._entries = entries
        self._kept: dict[str, tuple[bytes, datetime]] = {}
        self.is_down = False

    async def get(self, key: str) -> bytes | None:
        """The stored bytes, None when absent or over."""
        found = self._kept.get(key)
        if found is None or self.is_down:
            return None
        value, ends_at = found
        if self._clock() >= ends_at:
            del self._kept[key]
            return None
        return value

    async def put(self, key: str, value: bytes, *, life: timedelta) -> None:
        """Store bytes for that long."""
        if self.is_down:
            return
        self._kept.pop(key, None)
        while len(self._kept) >= self._entries:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (value, self._clock() + life)

    async def forget(self, key: str) -> None:
        """Drop one entry."""
        self._kept.pop(key, None)
