"""The worker role: it listens for the doorbell, runs jobs, and rings for others."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from taskiq import AsyncBroker
from taskiq.receiver import Receiver

from bitloot.domain.limits import Limits
from bitloot_web.relay import Relay

log = structlog.get_logger(__name__)

# The one task there is: what to do stands in the job's row, so a rolling deploy never meets a
# message that it does not know.
TASK: Final = "run_job"


async def work(
    broker: AsyncBroker,
    relay: Relay,
    run_job: Callable[[str], Awaitable[None]],
    *,
    limits: Limits,
    concurrency: int,
    stop: asyncio.Event,
) -> None:
    """Until `stop` is set; then running jobs get `stop_wait_tasks` to end, and the broker
    `stop_shutdown` to hang up.
    """

    async def run(job_id: str) -> None:
        await run_job(job_id)

    broker.register_task(run, task_name=TASK)
    receiver = Receiver(
        broker,
        max_async_tasks=concurrency,
        validate_params=False,
        wait_tasks_timeout=limits.stop_wait_tasks.total_seconds(),
    )
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(receiver.listen(stop), name="listen")
            group.create_task(relay.run(stop), name="relay")
    finally:
        try:
            async with asyncio.timeout(limits.stop_shutdown.total_seconds()):
                await broker.shutdown()
        except TimeoutError:
            log.warning("doorbell_not_closed_in_time")
