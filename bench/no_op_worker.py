"""The shop's worker with a handler that does nothing: `python -m bench.no_op_worker`.

Doorbell, relay, receiver, runner, lease and outcome are those of `bitloot worker`.
"""

import asyncio
import os
import signal

import uvloop

from bench.stamps import Stamps
from bitloot.ports.jobs import Done, Lease
from bitloot_web.composition.opening import open_shop
from bitloot_web.job_runner import JobRunner
from bitloot_web.plugins import configure
from bitloot_web.settings import Environment
from bitloot_web.worker import work


async def main() -> None:
    """Until SIGTERM."""
    configuration = configure(Environment(os.environ))
    settings = configuration.settings
    stamps, stop = Stamps(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_shop(configuration) as opened, opened.workroom() as room:

        async def do_nothing(lease: Lease) -> None:
            stamps.begun(lease.ref)
            await opened.neighbours.jobs.finish(lease, Done())

        runner = JobRunner(
            opened.neighbours.jobs,
            {"push": do_nothing},
            limits=settings.limits,
            jitter=lambda: 0.5,
            observe=opened.shop.metrics.job_ended,
        )
        telling = asyncio.create_task(stamps.tell())
        await work(
            room.broker,
            room.relay,
            runner.run,
            limits=settings.limits,
            concurrency=settings.worker_concurrency,
            stop=stop,
        )
        telling.cancel()


if __name__ == "__main__":
    uvloop.run(main())
