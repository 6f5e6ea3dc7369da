"""The smaller memory adapters as rigs of their suites."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from bitloot.domain.limits import Limits
from bitloot.ports.realtime import Realtime
from bitloot.testing.seeded import SeededBytes, SeededIds
from bitloot.testing.virtual_time import START, VirtualClock
from bitloot_adapters.memory.breakers import MemoryBreakers
from bitloot_adapters.memory.cache import MemoryCache
from bitloot_adapters.memory.captcha import MemoryCaptcha
from bitloot_adapters.memory.otp_store import MemoryOtpStore
from bitloot_adapters.memory.password_hasher import MemoryPasswordHasher
from bitloot_adapters.memory.rate_limiter import MemoryRateLimiter
from bitloot_adapters.memory.realtime import MemoryRealtime

TICK: Final = timedelta(minutes=1)


class _TimedRig:
    tick = TICK

    def __init__(self) -> None:
        self.clock = VirtualClock()

    async def pass_time(self, span: timedelta) -> None:
        """Time passes."""
        self.clock.advance(span)


class MemoryRateLimiterRig(_TimedRig):
    """One limiter is all that there is in one process."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = MemoryRateLimiter(clock=self.clock.now)

    def another(self) -> MemoryRateLimiter:
        """The same one."""
        return self.limiter

    async def lose_store(self) -> None:
        """The counters are not there."""
        self.limiter.is_down = True

    async def find_store(self) -> None:
        """They are there again."""
        self.limiter.is_down = False


class MemoryOtpStoreRig(_TimedRig):
    """Codes in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.codes = MemoryOtpStore(clock=self.clock.now)

    async def lose_store(self) -> None:
        """The codes are not there."""
        self.codes.is_down = True

    async def find_store(self) -> None:
        """They are there again."""
        self.codes.is_down = False


class MemoryPasswordHasherRig:
    """A hasher with little room."""

    def __init__(self) -> None:
        self.limits = Limits(password_hashing_at_once=2, password_hashing_waiting=3)
        self.hasher = self._opened(self.limits)

    def _opened(self, limits: Limits) -> MemoryPasswordHasher:
        return MemoryPasswordHasher(limits=limits, random_bytes=SeededBytes(7))

    async def another(self, limits: Limits) -> MemoryPasswordHasher:
        """One with other limits."""
        return self._opened(limits)


class MemoryCaptchaRig:
    """Tokens in a dictionary."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.captcha = MemoryCaptcha(clock=self.clock.now, random_bytes=SeededBytes(7))

    async def solve(self, action: str) -> str:
        """A token."""
        return self.captcha.solve(action)

    async def pass_time(self, span: timedelta) -> None:
        """Time passes."""
        self.clock.advance(span)

    async def go_down(self) -> None:
        """Nobody answers."""
        self.captcha.go_down()

    async def come_back(self) -> None:
        """Somebody answers again."""
        self.captcha.come_back()

    async def spoil_credentials(self) -> None:
        """Nobody knows the shop."""
        self.captcha.knows_credentials = False


class MemoryCacheRig(_TimedRig):
    """A cache in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = MemoryCache(clock=self.clock.now, entries=Limits().cache_entries)

    async def lose_store(self) -> None:
        """The entries are not there."""
        self.cache.is_down = True

    async def find_store(self) -> None:
        """They are there again."""
        self.cache.is_down = False


class MemoryRealtimeRig:
    """Wake-ups in one process."""

    def __init__(self) -> None:
        self.realtime = MemoryRealtime()

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Realtime]:
        """The same one."""
        yield self.realtime

    async def lose_store(self) -> None:
        """Nobody hears anything."""
        self.realtime.lose()

    async def find_store(self) -> None:
        """Those who watch anew hear again."""
        self.realtime.come_back()


class MemoryBreakersRig(_TimedRig):
    """Breakers in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits()
        self.breakers = MemoryBreakers(clock=self.clock.now, limits=self.limits)

    def another(self) -> MemoryBreakers:
        """The same ones."""
        return self.breakers


class VirtualClockRig:
    """The virtual clock and seeded ids."""

    def __init__(self) -> None:
        virtual = VirtualClock()
        self.clock = virtual.now
        self.boot_clock = virtual.boot
        self.new_id = SeededIds(virtual.now, seed=7)

    def started(self) -> datetime:
        """When the virtual clock starts."""
        return START
