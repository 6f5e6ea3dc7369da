"""Exact limits across processes."""

from datetime import timedelta
from typing import Protocol

import msgspec


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """`limit` hits of `scope` in any window of that length, counted for each subject apart."""

    scope: str
    limit: int
    window: timedelta
    fails_closed: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the hit is allowed. `retry_after` in seconds, 0 when it is.

    `repeated`: it was counted before, under its mark.
    """

    allowed: bool
    remaining: int
    retry_after: float
    repeated: bool = False


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Hits that were counted ahead: so many may follow. None: come back after `retry_after` s."""

    granted: int
    remaining: int
    retry_after: float


class RateLimiter(Protocol):
    """Raises StoreUnavailable when the counters cannot be reached and the quota fails closed."""

    async def hit(self, quota: Quota, subject: str, *, mark: str | None = None) -> Verdict:
        """Count one hit. Without its store: allowed, unless the quota fails closed.

        Hits of a subject with one `mark` are one hit, for as long as the first of them counts: it
        leaves the window alone, so that never more different ones than the limit lie in it.
        """
        ...

    async def take(self, quota: Quota, subject: str, *, most: int) -> Taken:
        """Count as many hits as there is room for, `most` at most, for whoever spends them soon.

        They count from now on, whether or not they are spent. Raises StoreUnavailable without the
        store, however the quota fails.
        """
        ...
