"""From the jobs table to the doorbell, in every worker; no leader is needed.

It waits for a wake-up or a second, marks what is due, and rings for it in one pipeline. A crash
between the mark and the ring, a flushed Redis, a dropped message: all ring again after a minute,
because the same query finds them. While the doorbell is lost, the relay runs the jobs itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

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
        run_here: Callable[[str], Awaitable[None]],
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
        claimed = await self._jobs.claim_due(self._concurrency)
        await self._run_all(claimed)
        return len(claimed)

    async def _run_all(self, job_ids: Sequence[str]) -> None:
        async with asyncio.TaskGroup() as group:
            for job_id in job_ids:
                group.create_task(self._run(job_id))

    async def _run(self, job_id: str) -> None:
        await self._run_here(job_id)

    async def _wait(self, stop: asyncio.Event, seconds: float) -> None:
        stopping = asyncio.ensure_future(stop.wait())
        waking = asyncio.ensure_future(self._wake_up.wait(seconds))
        try:
            await asyncio.wait({stopping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            waking.cancel()
            await asyncio.gather(stopping, waking, return_exceptions=True)
