"""The doorbell: a Taskiq broker on a Redis stream whose messages are job ids and nothing else.

The truth about a job is its row in PostgreSQL; losing a message costs a minute at most. What this
subclass changes in taskiq-redis, and why:

- the group starts at the beginning of the stream, so that nothing sent before the first worker
  started is lost;
- what a killed worker had taken is reclaimed on a timer, also while the queue is quiet;
- a lost server, a flush or a restart ends neither the loop nor the tasks that run;
- acknowledging removes the entry, so the stream holds open work only and its length is a bound;
- many bells are rung in one pipeline, without the cost of a Taskiq `kiq()` each.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final

import msgspec
from redis.asyncio import Redis
from taskiq import AckableMessage
from taskiq_redis import RedisStreamBroker

from bitloot.domain.limits import Limits
from bitloot_adapters.redis.connection import CALL_SECONDS, LOST, POOL, connection_options, reached

STREAM: Final = "bitloot:jobs"
GROUP: Final = "bitloot"
TASK: Final = "run_job"
BLOCK_MS: Final = 1000
# With the wait for fresh entries: what nobody finished is taken over within 5 s of its idle time.
RECLAIM_SECONDS: Final = 3.0
BACKOFF_SECONDS: Final = (0.2, 5.0)
FORGET_CONSUMER_MS: Final = 600_000

_log = logging.getLogger(__name__)


class Doorbell(RedisStreamBroker):
    """Rings for jobs, and listens for them."""

    def __init__(self, url: str, *, limits: Limits, stream: str = STREAM) -> None:
        super().__init__(
            url,
            max_connection_pool_size=POOL,
            queue_name=stream,
            consumer_group_name=GROUP,
            consumer_id="0",
            xread_block=BLOCK_MS,
            xread_count=limits.xread_count,
            idle_timeout=int(limits.job_lease.total_seconds() * 1000),
            **connection_options(url),
        )
        self._room = limits.stream_length
        self._page = limits.xread_count
        # Making a client for each call would be a twentieth of a worker's time.
        self._redis = Redis(connection_pool=self.connection_pool)

    async def room(self) -> int:
        """How many more entries the stream may take. Raises StoreUnavailable."""
        async with reached():
            length = await self._redis.xlen(self.queue_name)
        return max(0, self._room - int(length))

    async def ring(self, job_ids: Sequence[str]) -> None:
        """One entry for each job, in one pipeline. Raises StoreUnavailable."""
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.xadd(self.queue_name, {b"data": _message(job_id)})
        async with reached():
            await pipeline.execute()

    async def startup(self) -> None:
        """Declare the group if the server is there; otherwise the loop does it later."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await super().startup()
        except LOST as error:
            _log.warning("doorbell not reachable at start: %s", type(error).__name__)

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Entries as they come, reclaimed ones among them. Never ends by itself."""
        redis, wait, reclaimed_at = self._redis, BACKOFF_SECONDS[0], 0.0
        while True:
            try:
                if time.monotonic() - reclaimed_at >= RECLAIM_SECONDS:
                    async with asyncio.timeout(CALL_SECONDS):
                        reclaimed = await self._reclaimed(redis)
                    if len(reclaimed) < self._page:
                        # A full page means that more may wait: no pause then.
                        reclaimed_at = time.monotonic()
                    for message in reclaimed:
                        yield message
                for message in await self._fresh(redis):
                    yield message
                wait = BACKOFF_SECONDS[0]
            except LOST as error:
                _log.warning("doorbell lost: %s; looking again", type(error).__name__)
                await asyncio.sleep(wait)
                wait = min(wait * 2, BACKOFF_SECONDS[1])
                await self._declare_again()

    async def _fresh(self, redis: Redis) -> list[AckableMessage]:
        # A server that neither answers nor hangs up is lost, too.
        async with asyncio.timeout(BLOCK_MS / 1000 + CALL_SECONDS):
            fetched = await redis.xreadgroup(
                GROUP, self.consumer_name, {self.queue_name: ">"}, block=BLOCK_MS, count=self._page
            )
        return [
            self._ackable(entry_id, fields)
            for _stream, entries in _streams(fetched)
            for entry_id, fields in entries
        ]

    async def _reclaimed(self, redis: Redis) -> list[AckableMessage]:
        """Entries that a worker took and never finished; consumers long gone are forgotten."""
        claimed = await redis.xautoclaim(
            self.queue_name,
            GROUP,
            self.consumer_name,
            min_idle_time=self.idle_timeout,
            count=self._page,
        )
        for consumer in await redis.xinfo_consumers(self.queue_name, GROUP):
            is_gone = consumer["pending"] == 0 and consumer["idle"] > FORGET_CONSUMER_MS
            if is_gone and consumer["name"] != self.consumer_name.encode():
                await redis.xgroup_delconsumer(self.queue_name, GROUP, consumer["name"])
        return [self._ackable(entry_id, fields) for entry_id, fields in claimed[1] if fields]

    def _ackable(self, entry_id: bytes, fields: dict[bytes, bytes]) -> AckableMessage:
        # What is no message of ours cannot be read, and is acknowledged and dropped as such.
        return AckableMessage(data=fields.get(b"data", b""), ack=self._acknowledge(entry_id))

    def _acknowledge(self, entry_id: bytes) -> Callable[[], Awaitable[None]]:
        async def acknowledge() -> None:
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.xack(self.queue_name, GROUP, entry_id)
            pipeline.xdel(self.queue_name, entry_id)
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    await pipeline.execute()
            except LOST as error:
                # It rings once more; the job's row says that it is done.
                _log.info("acknowledging failed: %s", type(error).__name__)

        return acknowledge

    async def _declare_again(self) -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._declare_consumer_group()
        except LOST as error:
            _log.debug("doorbell still lost: %s", type(error).__name__)


def _message(job_id: str) -> bytes:
    """What Taskiq's JSON formatter would write for `run_job(job_id)`."""
    return msgspec.json.encode(
        {
            "task_id": job_id,
            "task_name": TASK,
            "labels": {},
            "labels_types": {},
            "args": [job_id],
            "kwargs": {},
        }
    )


Entries = list[tuple[bytes, dict[bytes, bytes]]]


def _streams(fetched: object) -> list[tuple[bytes, Entries]]:
    """The answer of XREADGROUP as pairs, in either protocol version."""
    if isinstance(fetched, dict):
        return [(name, entries[0]) for name, entries in fetched.items() if entries]
    return list(fetched) if isinstance(fetched, list) else []
