"""Large limits in shares: a process counts some hits of a caller ahead and spends them by itself.

So a caller who asks often costs a question to the store only now and then. The limit stays a limit
for all processes together: what one of them has taken counts for all, spent or not. A share may be
spent for a moment only, and its hits count for that moment longer than the window: in no window do
more hits lie than the limit says. What is left of a share when its moment is over is lost.

Shares begin with a single hit and double as long as they are used up in time, so that whoever asks
now and then is counted to the hit. Small limits, those that fail closed, and hits with a mark are
counted one by one, as ever.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from math import inf
from typing import Final

import msgspec

from bitloot.domain.limits import Limits
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.rate_limiter import Quota, RateLimiter, Taken, Verdict

# Below it a share saves nothing worth having.
LEAST: Final = 5
# The store counts hits one by one, and everybody waits while it does.
MOST: Final = 100


class _Share(msgspec.Struct):
    """What a process has left of a caller's limit. `beyond`: what the store had left then."""

    left: int = 0
    ends_at: float = -inf
    size: int = 0
    beyond: int = 0
    taking: "asyncio.Task[Taken | None] | None" = None


class SharedRateLimits:
    """The port `RateLimiter` over another. `now` in seconds, never set back."""

    def __init__(self, limiter: RateLimiter, *, limits: Limits, now: Callable[[], float]) -> None:
        self._limiter = limiter
        self._parts = limits.rate_shares
        self._callers = limits.rate_subjects
        self._now = now
        self._shares: dict[tuple[str, str], _Share] = {}

    async def hit(self, quota: Quota, subject: str, *, mark: str | None = None) -> Verdict:
        """Count one hit, out of the share where there is one."""
        most = min(MOST, quota.limit // self._parts)
        if mark is not None or quota.fails_closed or most < LEAST:
            return await self._limiter.hit(quota, subject, mark=mark)
        share = self._share(quota.scope, subject)
        while not (share.left and self._now() < share.ends_at):
            if share.taking is None:
                # Nothing of the request that happens to be first belongs to the others.
                taking = self._take(share, quota, subject, most)
                share.taking = asyncio.create_task(taking, context=Context())
            taken = await asyncio.shield(share.taking)
            if taken is None:
                return Verdict(allowed=True, remaining=quota.limit, retry_after=0.0)
            if not taken.granted:
                return Verdict(allowed=False, remaining=0, retry_after=taken.retry_after)
        share.left -= 1
        return Verdict(allowed=True, remaining=share.beyond + share.left, retry_after=0.0)

    async def take(self, quota: Quota, subject: str, *, most: int) -> Taken:
        """As the limiter behind."""
        return await self._limiter.take(quota, subject, most=most)

    def _share(self, scope: str, subject: str) -> _Share:
        found = self._shares.get((scope, subject))
        if found is None:
            found = self._shares[scope, subject] = _Share()
            if len(self._shares) > self._callers:
                del self._shares[next(iter(self._shares))]
        return found

    async def _take(self, share: _Share, quota: Quota, subject: str, most: int) -> Taken | None:
        """The next share, None where the store is lost. It may be spent from now on, which is not
        after it was counted.
        """
        began, life = self._now(), quota.window / self._parts
        was_used_up = not share.left and began < share.ends_at
        share.size = min(most, share.size * 2) if was_used_up else 1
        counted = msgspec.structs.replace(quota, window=quota.window + life)
        try:
            taken = await self._limiter.take(counted, subject, most=share.size)
        except StoreUnavailable:
            return None
        else:
            share.left, share.beyond = taken.granted, taken.remaining
            share.ends_at = began + life.total_seconds()
            return taken
        finally:
            share.taking = None
