"""A worker for a moment: real relay, doorbell, receiver and runner, in a process that may die."""

import asyncio
from collections.abc import Sequence

from tests.crash.children import Inside, Job

from bitloot.domain.failpoints import AFTER_MARK_BEFORE_XADD
from bitloot_adapters import clock
from bitloot_adapters.postgres.listener import open_listener
from bitloot_adapters.redis.doorbell import Doorbell
from bitloot_web.composition.opening import open_shop
from bitloot_web.plugins import Configuration
from bitloot_web.relay import Relay
from bitloot_web.scheduler import Scheduler, ticks
from bitloot_web.worker import work

TWICE = 0.15
CONCURRENCY = 4


class TwiceDoorbell:
    """The doorbell, which rings twice for some jobs: two workers then get the same one."""

    def __init__(self, doorbell: Doorbell, inside: Inside) -> None:
        self._doorbell = doorbell
        self._inside = inside

    async def room(self) -> int:
        return await self._doorbell.room()

    async def ring(self, job_ids: Sequence[str]) -> None:
        if self._inside.boundary == AFTER_MARK_BEFORE_XADD:
            self._inside.die(kind="job", refs=list(job_ids))
        twice = [job for job in job_ids if self._inside.chance.random() < TWICE]
        self._inside.tell({"rung": len(job_ids), "again": len(twice)})
        await self._doorbell.ring([*job_ids, *twice])


def working(configuration: Configuration, seconds: float) -> Job:
    """A child that works for so long, unless it dies before."""
    settings = configuration.settings
    limits = settings.limits

    async def be_worker(inside: Inside) -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, stop.set)
        async with (
            open_shop(configuration, failpoint=inside.failpoint) as opened,
            open_listener(settings.database_url, clock.boot_seconds) as wake_up,
        ):
            near = opened.neighbours
            doorbell = Doorbell(settings.redis_url, limits=limits)
            runner = opened.runner()
            ringing = TwiceDoorbell(doorbell, inside)
            relay = Relay(
                near.jobs, ringing, wake_up, runner.run, limits=limits, concurrency=CONCURRENCY
            )
            sweeps = Scheduler(near.jobs, near.clock, ticks(limits, settings.suppliers))
            await sweeps.once(stop)
            await work(
                doorbell, relay, runner.run, limits=limits, concurrency=CONCURRENCY, stop=stop
            )

    return be_worker
