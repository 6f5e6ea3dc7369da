"""What the suites of the smaller ports ask of a rig.

`tick` is the shortest span that the implementation can be measured by: a virtual clock may give a
minute, a real server some hundred milliseconds. `pass_time` lets time go on, by sleeping if it
must. `lose_store` cuts the connection to where things are kept; `find_store` mends it.
"""

from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from bitloot.domain.limits import Limits
from bitloot.ports.breaker import Breakers
from bitloot.ports.cache import Cache
from bitloot.ports.clock import BootClock, Clock, NewId
from bitloot.ports.otp_store import OtpStore
from bitloot.ports.rate_limiter import RateLimiter
from bitloot.ports.realtime import Realtime


class TimedRig(Protocol):
    """Time that the suite can let pass."""

    @property
    def tick(self) -> timedelta: ...

    async def pass_time(self, span: timedelta) -> None:
        """Time goes on by at least this span."""
        ...


class LosableRig(Protocol):
    """A store that can be lost. Lever `lose_store`."""

    async def lose_store(self) -> None:
        """The store cannot be reached."""
        ...

    async def find_store(self) -> None:
        """It can again."""
        ...


class RateLimiterRig(TimedRig, LosableRig, Protocol):
    """Exact counters, shared by processes."""

    @property
    def limiter(self) -> RateLimiter: ...

    def another(self) -> RateLimiter:
        """The limiter of another process."""
        ...


class OtpStoreRig(TimedRig, LosableRig, Protocol):
    """A store of one-time codes."""

    @property
    def codes(self) -> OtpStore: ...


class CacheRig(TimedRig, LosableRig, Protocol):
    """A cache that is empty before each test."""

    @property
    def cache(self) -> Cache: ...


class RealtimeRig(LosableRig, Protocol):
    """Wake-ups between processes."""

    @property
    def realtime(self) -> Realtime: ...

    def another(self) -> AbstractAsyncContextManager[Realtime]:
        """The same as another process sees it."""
        ...


class BreakersRig(Protocol):
    """Breakers with these limits over one store; all closed before each test."""

    @property
    def breakers(self) -> Breakers: ...
    @property
    def limits(self) -> Limits: ...

    def another(self) -> Breakers:
        """The breakers as another process sees them."""
        ...

    async def pass_time(self, span: timedelta) -> None:
        """Time goes on, by the clock of the store."""
        ...


class ClockRig(Protocol):
    """The sources of time and ids."""

    @property
    def clock(self) -> Clock: ...
    @property
    def boot_clock(self) -> BootClock: ...
    @property
    def new_id(self) -> NewId: ...

    def started(self) -> datetime:
        """A time that is not after the present one."""
        ...
