"""Moving windows on the clock that was passed in."""

from collections import defaultdict, deque

import msgspec

from bitloot.ports.clock import Clock
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.rate_limiter import Quota, Taken, Verdict


class _Hit(msgspec.Struct, frozen=True):
    at: float
    mark: str | None


class MemoryRateLimiter:
    """Counts every allowed hit for the length of its window. `is_down` plays a lost store."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._hits: dict[tuple[str, str], deque[_Hit]] = defaultdict(deque)
        self.is_down = False

    async def hit(self, quota: Quota, subject: str, *, mark: str | None = None) -> Verdict:
        """Count one hit; one that is refused does not count, nor one whose mark counts already."""
        if self.is_down:
            if quota.fails_closed:
                raise StoreUnavailable
            return Verdict(allowed=True, remaining=quota.limit, retry_after=0.0)
        now, hits = self._counting(quota, subject)
        left = max(0, quota.limit - len(hits))
        if mark is not None and any(hit.mark == mark for hit in hits):
            return Verdict(allowed=True, remaining=left, retry_after=0.0, repeated=True)
        if not left:
            return Verdict(allowed=False, remaining=0, retry_after=_room(quota, hits) - now)
        hits.append(_Hit(now, mark))
        return Verdict(allowed=True, remaining=left - 1, retry_after=0.0)

    async def take(self, quota: Quota, subject: str, *, most: int) -> Taken:
        """Count some hits ahead."""
        if self.is_down:
            raise StoreUnavailable
        now, hits = self._counting(quota, subject)
        left = max(0, quota.limit - len(hits))
        if not left:
            return Taken(granted=0, remaining=0, retry_after=_room(quota, hits) - now)
        granted = min(most, left)
        hits.extend([_Hit(now, None)] * granted)
        return Taken(granted=granted, remaining=left - granted, retry_after=0.0)

    def _counting(self, quota: Quota, subject: str) -> tuple[float, deque[_Hit]]:
        """Now, and the hits that still count."""
        now = self._clock().timestamp()
        hits = self._hits[quota.scope, subject]
        while hits and now - hits[0].at >= quota.window.total_seconds():
            hits.popleft()
        return now, hits


def _room(quota: Quota, hits: deque[_Hit]) -> float:
    """When so many of the oldest have left that one more fits."""
    return hits[len(hits) - quota.limit].at + quota.window.total_seconds()
