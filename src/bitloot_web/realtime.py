"""Following an order as it happens: the events first, then a hint or a short wait, again.

A hint only says "look"; what is sent always comes from the database. So nothing is missed when
the store of hints is lost, and a watcher goes on after any cut from the last event it saw.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from bitloot.domain.limits import Limits
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.views.orders import TimelineEntry
from bitloot_web.problems import ProblemError
from bitloot_web.security.callers import Admission, Caller, is_still_admitted
from bitloot_web.shop import Shop

# How often a watcher looks without a hint, and how long silence may last before a sign of life.
LOOK_SECONDS: Final = 5.0
HEARTBEAT_SECONDS: Final = 15.0
BATCH: Final = 100
_ANYHOW: Final = Admission()


class Watchers:
    """Who follows which order in this process, and the end of all of it."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self.stopping = asyncio.Event()

    def stop(self) -> None:
        """End every stream now: the server is going down and must not wait for them."""
        self.stopping.set()

    def check_room(self, order_id: str, caller: Caller | None, limits: Limits) -> None:
        """Raises ProblemError `rate-limited` where the order, or who is signed in, has no place."""
        if self._open[order_id] >= limits.sockets_per_order:
            raise ProblemError("rate-limited", "This order is followed often enough already.")
        if caller is not None and self._open[caller.name] >= limits.sockets_per_user:
            raise ProblemError("rate-limited", "You follow as many orders as one may at once.")

    @contextmanager
    def seat(self, order_id: str, caller: Caller | None, limits: Limits) -> Iterator[None]:
        """A place among the watchers of an order, and of who is signed in among their own.

        Raises ProblemError `rate-limited`.
        """
        self.check_room(order_id, caller, limits)
        taken = (order_id,) if caller is None else (order_id, caller.name)
        self._open.update(taken)
        try:
            yield
        finally:
            self._open.subtract(taken)
            for name in taken:
                if not self._open[name]:
                    del self._open[name]

    def count(self, order_id: str) -> int:
        """How many follow this order."""
        return self._open.get(order_id, 0)

    async def follow(
        self, shop: Shop, order_id: str, after: int, admission: Admission = _ANYHOW
    ) -> AsyncGenerator[TimelineEntry | None, None]:
        """The buyer's events after a number, for ever; None as a sign of life. Ends on `stop`, and
        when the `admission` does: the session of who is signed in, or the order's token.

        Close it when done: the watch on hints ends with it.
        """
        silent = 0.0
        while await self._goes_on(shop, admission):
            async with shop.realtime.watch(order_id) as hints:
                pending: asyncio.Task[bool] | None = None
                try:
                    while await self._goes_on(shop, admission):
                        entries = await self._read(shop, order_id, after)
                        for entry in entries:
                            after, silent = entry.seq, 0.0
                            yield entry
                        if len(entries) == BATCH:
                            continue
                        if pending is None:
                            pending = asyncio.create_task(_next(hints))
                        was_told = await self._wait(pending)
                        silent = 0.0 if was_told else silent + LOOK_SECONDS
                        if silent >= HEARTBEAT_SECONDS:
                            silent = 0.0
                            yield None
                        if pending.done():
                            is_lost = not pending.result()
                            pending = None
                            if is_lost:
                                await self._wait(None)
                                break
                finally:
                    if pending is not None:
                        pending.cancel()
                        await asyncio.gather(pending, return_exceptions=True)

    async def _goes_on(self, shop: Shop, admission: Admission) -> bool:
        """A token ends, and who is signed in may be signed out meanwhile."""
        if self.stopping.is_set():
            return False
        try:
            return await is_still_admitted(shop, admission)
        except StoreUnavailable:
            return False

    async def _read(self, shop: Shop, order_id: str, after: int) -> tuple[TimelineEntry, ...]:
        try:
            return await shop.views.orders.buyer_timeline(order_id, after=after, limit=BATCH)
        except StoreUnavailable:
            return ()

    async def _wait(self, hint: asyncio.Task[bool] | None) -> bool:
        """Until a hint, the end, or the next look; True for a hint."""
        ending = asyncio.create_task(self.stopping.wait())
        waiting = {ending, hint} if hint is not None else {ending}
        try:
            done, _ = await asyncio.wait(
                waiting, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
        return hint in done


async def _next(hints: AsyncIterator[int]) -> bool:
    """Wait for a hint; False when there will be none any more."""
    async for _ in hints:
        return True
    return False
