"""Where those wait who want a password hashed: so many at most, and in the order of their coming.

So many may be hashed at once, and the next begins no sooner than the share of the processor allows.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from bitloot.domain.limits import Limits
from bitloot.ports.errors import Busy
from bitloot_adapters.argon2.cpu_share import CpuShare

# Seconds, after which most of a full waiting room has been served.
RETRY_AFTER: Final = 2.0


class WaitingRoom:
    """Belongs to one event loop. `now` in seconds, never set back."""

    def __init__(self, limits: Limits, *, now: Callable[[], float]) -> None:
        self._most = limits.password_hashing_at_once + limits.password_hashing_waiting
        self._inside = 0
        self._turns = asyncio.Semaphore(limits.password_hashing_at_once)
        self._share = CpuShare(limits.password_cpu_share)
        self._now = now

    async def enter(self) -> float:
        """Wait for one's turn; gives when it began. Who is cancelled while waiting leaves the room.

        Raises Busy where no place is left.
        """
        if self._inside >= self._most:
            raise Busy("password_hashing", retry_after=RETRY_AFTER)
        self._inside += 1
        try:
            await self._turn()
        except BaseException:
            self._inside -= 1
            raise
        return self._now()

    def leave(self, begun: float, spent: float) -> None:
        """The turn that began then is over, and took so many seconds of the processor."""
        self._share.spent(spent, begun=begun)
        self._inside -= 1
        self._turns.release()

    async def _turn(self) -> None:
        await self._turns.acquire()
        try:
            if rest := self._share.rest(self._now()):
                await asyncio.sleep(rest)
        except BaseException:
            self._turns.release()
            raise
