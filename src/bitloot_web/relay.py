"""From the jobs table to the doorbell, in every worker; no leader is needed.

It waits for a wake-up or a second, marks what is due, and rings for it in one pipeline. A crash
between the mark and the ring, a flushed Redis, a dropped message: all ring again after a minute,
because the same query finds them. While the doorbell is lost, the relay runs the jobs itself.
"""

import asyncio
from collections.abc import Callable, Coroutine

import structlog

from bitloot.domain.limits import Limits
from bitloot.ports.doorbell import Doorbell, WakeUp
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.jobs import Jobs

log = structlog.get_logger(__name__)


class Relay:
    """`run_here` runs one job in this process: the way orders go on without Redis."""

    def __init__(
        self,
        jobs: Jobs,
        doorbell: Doorbell,
        wake_up: WakeUp,
        run_here: Callable[[str], Coroutine[None, None, None]],
        *,
        limits: Limits,
        concurrency: int,
    ) -> None:
        self._jobs = jobs
        self._doorbell = doorbell
        self._wake_up = wake_up
        self._run_here = run_here
        self._limits = limits
        self._concurrency = concurrency
        self._doorbell_lost = False
        # Jobs that run in this process because the doorbell is lost.
        self._here: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Outlives every outage of the database and of the doorbell."""
        poll = self._limits.relay_poll.total_seconds()
        while not stop.is_set():
            try:
                moved = await self.step()
            except StoreUnavailable:
                log.warning("relay_waits_for_database")
                moved = 0
            if moved == 0:
                await self._wait(stop, poll)
        await self.idle()

    async def idle(self) -> None:
        """Wait for the jobs that run in this process."""
        await asyncio.gather(*self._here)

    async def step(self) -> int:
        """Claim one batch and ring for it, or run it here. Gives how many jobs that were."""
        try:
            room = await self._doorbell.room()
        except StoreUnavailable:
            return await self._without_doorbell()
        claimed = await self._jobs.claim_due(min(self._limits.relay_batch, room)) if room else ()
        if not claimed:
            return 0
        try:
            await self._doorbell.ring(claimed)
        except StoreUnavailable:
            await self._jobs.take_back(claimed)
            return await self._without_doorbell()
        if self._doorbell_lost:
            self._doorbell_lost = False
            log.info("doorbell_is_back")
        return len(claimed)

    async def _without_doorbell(self) -> int:
        if not self._doorbell_lost:
            self._doorbell_lost = True
            log.warning("doorbell_lost_jobs_run_in_the_relay")
        free = self._concurrency - len(self._here)
        claimed = await self._jobs.claim_due(free) if free else ()
        for job_id in claimed:
            task = asyncio.create_task(self._run_here(job_id))
            self._here.add(task)
            task.add_done_callback(self._here.discard)
        return len(claimed)

    async def _wait(self, stop: asyncio.Event, seconds: float) -> None:
        stopping = asyncio.create_task(_until(stop))
        waking = asyncio.create_task(self._wake_up.wait(seconds))
        try:
            first = {stopping, waking, *self._here}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            waking.cancel()
            await asyncio.gather(stopping, waking, return_exceptions=True)


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()
