"""Bare Taskiq on its own Redis broker: `python -m bench.limits.taskiq_worker DATABASE REDIS`.

Broker, receiver and their settings are the library's defaults; the task runs the same two
statements as a job of ours.
"""

import asyncio
import signal
import sys
from typing import Final

import psycopg
import uvloop
from psycopg_pool import AsyncConnectionPool
from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker

from bench.limits.statements import LEASE, OUTCOME
from bench.stamps import Stamps

STREAM: Final = "bench:taskiq"
TASK: Final = "do_nothing"
POOL_SIZE: Final = 8
# `taskiq worker --max-async-tasks`.
AT_ONCE: Final = 100


async def main(database_url: str, redis_url: str) -> None:
    """Until SIGTERM."""
    stamps, stop = Stamps(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    pool = AsyncConnectionPool(
        database_url,
        min_size=POOL_SIZE,
        max_size=POOL_SIZE,
        kwargs={"autocommit": True, "cursor_factory": psycopg.AsyncRawCursor},
        open=False,
    )
    broker = RedisStreamBroker(redis_url, queue_name=STREAM)
    broker.is_worker_process = True
    lease, outcome = LEASE.encode(), OUTCOME.encode()

    async def do_nothing(job_id: str) -> None:
        async with pool.connection() as connection:
            cursor = await connection.execute(lease, (job_id,))
            row = await cursor.fetchone()
        if row is None:
            return
        stamps.begun(str(row[1]))
        async with pool.connection() as connection:
            await connection.execute(outcome, (job_id, row[2], row[5]))

    broker.register_task(do_nothing, task_name=TASK)
    async with pool:
        receiver = Receiver(broker, max_async_tasks=AT_ONCE)
        telling = asyncio.create_task(stamps.tell())
        await receiver.listen(stop)
        telling.cancel()
        await broker.shutdown()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
