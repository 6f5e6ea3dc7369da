"""A circuit breaker per provider, in this process."""

from collections import deque
from datetime import datetime

import msgspec

from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock


class _Breaker(msgspec.Struct):
    """`opened_at` is None while closed; `probed_at` is when a call was last let through."""

    failures: deque[datetime]
    opened_at: datetime | None = None
    probed_at: datetime | None = None


class MemoryBreakers:
    """Opens at so many failures within a window; open, it lets one call through each probe time."""

    def __init__(self, *, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._breakers: dict[str, _Breaker] = {}

    async def allows(self, provider: str) -> bool:
        """Whether a call may be tried."""
        breaker = self._of(provider)
        if breaker.opened_at is None:
            return True
        now = self._clock()
        if now - (breaker.probed_at or breaker.opened_at) < self._limits.breaker_probe:
            return False
        breaker.probed_at = now
        return True

    async def failed(self, provider: str) -> bool:
        """Count a failure; True when this one opened the breaker."""
        breaker = self._of(provider)
        now = self._clock()
        if breaker.opened_at is not None:
            return False
        breaker.failures.append(now)
        while now - breaker.failures[0] >= self._limits.breaker_window:
            breaker.failures.popleft()
        if len(breaker.failures) < self._limits.breaker_failures:
            return False
        breaker.failures.clear()
        breaker.opened_at = now
        return True

    async def trip(self, provider: str) -> bool:
        """Open it; True when this one did."""
        breaker = self._of(provider)
        if breaker.opened_at is not None:
            return False
        breaker.failures.clear()
        breaker.opened_at = self._clock()
        return True

    async def succeeded(self, provider: str) -> None:
        """Close it."""
        self._breakers.pop(provider, None)

    def _of(self, provider: str) -> _Breaker:
        return self._breakers.setdefault(provider, _Breaker(failures=deque()))
