"""The doorbell over a real Valkey: nothing lost, nobody killed, whatever the server does."""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis
from taskiq.receiver import Receiver

from bitloot.domain.limits import Limits
from bitloot.ports.errors import StoreUnavailable
from bitloot_adapters.redis.connection import open_redis
from bitloot_adapters.redis.doorbell import GROUP, STREAM, TASK, Doorbell
from bitloot_web.devservices import ValkeyServer, start_valkey

# Leases of 1 s instead of 60, and stops of 3 s instead of 30.
LIMITS = Limits(
    job_lease=timedelta(seconds=1),
    stop_wait_tasks=timedelta(seconds=2.5),
    stream_length=200,
)
STOP_SECONDS = 3.0
RECLAIMED_WITHIN = 5.0
PATIENCE = 20.0


@pytest.fixture(scope="module")
def mortal(services_folder: Path) -> Iterator[ValkeyServer]:
    with start_valkey(services_folder / "doorbell") as server:
        yield server


@pytest.fixture
def server(mortal: ValkeyServer) -> ValkeyServer:
    """It runs and is empty when a test begins."""
    if not mortal.alive():
        mortal.restart()
    mortal.flush()
    return mortal


@pytest.fixture
async def redis(server: ValkeyServer) -> AsyncIterator[Redis]:
    client = open_redis(server.url)
    yield client
    await client.aclose()


@pytest.fixture
async def bell(server: ValkeyServer) -> AsyncIterator[Doorbell]:
    """A doorbell that only rings."""
    doorbell = Doorbell(server.url, limits=LIMITS)
    yield doorbell
    await doorbell.shutdown()


@dataclass
class Worker:
    """Listens in this process; `ran` counts the jobs that were run to their end."""

    listening: asyncio.Task[None]
    stop: asyncio.Event
    ran: Counter[str] = field(default_factory=Counter)

    async def has_run(self, *job_ids: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not all(self.ran[job_id] for job_id in job_ids):
                assert not self.listening.done(), "the worker ended"
                await asyncio.sleep(0.01)


async def at_once(job_id: str) -> None:
    del job_id


@asynccontextmanager
async def worker(
    url: str, work: Callable[[str], Awaitable[None]] = at_once
) -> AsyncIterator[Worker]:
    doorbell = Doorbell(url, limits=LIMITS)
    ran: Counter[str] = Counter()

    async def run(job_id: str) -> None:
        await work(job_id)
        ran[job_id] += 1

    doorbell.register_task(run, task_name=TASK)
    receiver = Receiver(
        doorbell,
        max_async_tasks=5,
        validate_params=False,
        wait_tasks_timeout=LIMITS.stop_wait_tasks.total_seconds(),
    )
    stop = asyncio.Event()
    listening = asyncio.create_task(receiver.listen(stop))
    try:
        yield Worker(listening, stop, ran)
    finally:
        stop.set()
        await listening
        await doorbell.shutdown()


async def is_empty(redis: Redis) -> bool:
    """Nothing waits and nothing is in anybody's hands."""
    if await redis.xlen(STREAM):
        return False
    groups = await redis.xinfo_groups(STREAM)
    return all(group["pending"] == 0 for group in groups)


async def eventually(condition: Callable[[], Awaitable[bool]], patience: float = PATIENCE) -> None:
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < patience
        await asyncio.sleep(0.02)


async def test_what_was_rung_before_any_worker_ever_started_is_run(
    server: ValkeyServer, bell: Doorbell, redis: Redis
) -> None:
    await bell.ring(["a", "b", "c"])
    async with worker(server.url) as listener:
        await listener.has_run("a", "b", "c")
        await eventually(lambda: is_empty(redis))
    assert listener.ran == Counter("abc")


async def test_acknowledging_removes_so_the_stream_holds_open_work_only(
    server: ValkeyServer, bell: Doorbell, redis: Redis
) -> None:
    job_ids = [f"j{number}" for number in range(100)]
    assert await bell.room() == LIMITS.stream_length
    await bell.ring(job_ids)
    assert await bell.room() == LIMITS.stream_length - 100
    async with worker(server.url) as listener:
        await listener.has_run(*job_ids)
        await eventually(lambda: is_empty(redis))
    assert await bell.room() == LIMITS.stream_length


async def test_a_full_stream_has_no_room(bell: Doorbell) -> None:
    await bell.ring([f"j{number}" for number in range(LIMITS.stream_length + 5)])
    assert await bell.room() == 0


async def test_unknown_tasks_and_garbage_are_dropped_and_the_rest_is_run(
    server: ValkeyServer, bell: Doorbell, redis: Redis
) -> None:
    newer = b'{"task_id":"x","task_name":"of_a_newer_release","labels":{},"args":[],"kwargs":{}}'
    for name, value in ((b"data", newer), (b"data", b"\xff garbage"), (b"other", b"no message")):
        await redis.xadd(STREAM, {name: value})
    await bell.ring(["a"])
    async with worker(server.url) as listener:
        await listener.has_run("a")
        await eventually(lambda: is_empty(redis))


async def test_a_flush_ends_neither_the_worker_nor_what_runs(
    server: ValkeyServer, bell: Doorbell
) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def long(job_id: str) -> None:
        if job_id == "long":
            began.set()
            await may_end.wait()

    async with worker(server.url, long) as listener:
        await bell.ring(["long"])
        await began.wait()
        server.flush()
        await bell.ring(["after"])
        await listener.has_run("after")
        may_end.set()
        await listener.has_run("long")
        await bell.ring(["last"])
        await listener.has_run("last")
    assert listener.ran == Counter(["long", "after", "last"])


async def test_a_crash_and_restart_of_the_server_end_neither_the_worker_nor_what_runs(
    server: ValkeyServer, bell: Doorbell
) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def long(job_id: str) -> None:
        if job_id == "long":
            began.set()
            await may_end.wait()

    async with worker(server.url, long) as listener:
        await bell.ring(["long"])
        await began.wait()
        server.kill()
        with pytest.raises(StoreUnavailable):
            await bell.ring(["lost"])
        with pytest.raises(StoreUnavailable):
            await bell.room()
        # The task ends while there is nobody to acknowledge to.
        may_end.set()
        await listener.has_run("long")
        await asyncio.sleep(1.0)
        server.restart()
        await bell.ring(["after"])
        await listener.has_run("after")
    assert listener.ran["long"] == 1


async def test_a_worker_starts_without_the_server_and_hears_once_it_is_there(
    server: ValkeyServer, bell: Doorbell
) -> None:
    server.kill()
    async with worker(server.url) as listener:
        await asyncio.sleep(0.3)
        server.restart()
        await bell.ring(["a"])
        await listener.has_run("a")


async def test_a_full_server_refuses_the_ring_and_workers_go_on(
    server: ValkeyServer, bell: Doorbell, redis: Redis
) -> None:
    async with worker(server.url) as listener:
        await bell.ring(["before"])
        await listener.has_run("before")
        await redis.config_set("maxmemory", "1")
        try:
            with pytest.raises(StoreUnavailable):
                await bell.ring(["refused"])
        finally:
            await redis.config_set("maxmemory", "0")
        await bell.ring(["after"])
        await listener.has_run("after")
    assert listener.ran["refused"] == 0


async def test_a_server_that_hangs_delays_and_loses_nothing(
    server: ValkeyServer, bell: Doorbell, redis: Redis
) -> None:
    async with worker(server.url) as listener:
        await bell.ring(["before"])
        await listener.has_run("before")
        await redis.client_pause(1000)
        await bell.ring(["during"])
        await listener.has_run("during")


# --- processes -------------------------------------------------------------------------------

_WORKER = """
import asyncio, signal, sys
from datetime import timedelta
from bitloot.domain.limits import Limits
from bitloot.ports.errors import StoreUnavailable
from bitloot_adapters.redis.doorbell import TASK, Doorbell
from bitloot_web.worker import work

class NoJobs:
    async def claim_due(self, limit):
        return ()

class Asleep:
    async def wait(self, seconds):
        await asyncio.sleep(seconds)

async def main(url, seconds):
    from bitloot_web.relay import Relay
    limits = Limits(job_lease=timedelta(seconds=1), stop_wait_tasks=timedelta(seconds=2.5))
    doorbell, stop = Doorbell(url, limits=limits), asyncio.Event()

    async def run(job_id):
        print(job_id, flush=True)
        await asyncio.sleep(seconds)

    relay = Relay(NoJobs(), doorbell, Asleep(), run, limits=limits, concurrency=5)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await work(doorbell, relay, run, limits=limits, concurrency=5, stop=stop)

asyncio.run(main(sys.argv[1], float(sys.argv[2])))
"""


async def start(url: str, seconds: float) -> asyncio.subprocess.Process:
    """A worker process whose jobs take so long and are told when they begin."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WORKER, url, str(seconds), stdout=asyncio.subprocess.PIPE
    )


async def first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        return (await process.stdout.readline()).decode().strip()


async def test_what_a_killed_worker_had_taken_is_run_by_another_on_a_quiet_queue(
    server: ValkeyServer, bell: Doorbell, redis: Redis
) -> None:
    victim = await start(server.url, 60)
    await bell.ring(["a"])
    assert await first_line(victim) == "a"
    async with worker(server.url) as listener:
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        killed_at = time.monotonic()
        await listener.has_run("a")
        waited = time.monotonic() - killed_at
        await eventually(lambda: is_empty(redis))
    assert waited <= LIMITS.job_lease.total_seconds() + RECLAIMED_WITHIN


async def test_a_terminated_worker_lets_its_task_end_and_exits_clean(
    server: ValkeyServer, bell: Doorbell, redis: Redis
) -> None:
    process = await start(server.url, 0.5)
    await bell.ring(["a"])
    assert await first_line(process) == "a"
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0
    assert time.monotonic() - began <= STOP_SECONDS + 1
    assert await is_empty(redis)


async def test_twenty_of_twenty_stops_under_load_are_in_time_and_lose_nothing(
    server: ValkeyServer, bell: Doorbell, redis: Redis
) -> None:
    async def a_while(job_id: str) -> None:
        del job_id
        await asyncio.sleep(0.03)

    ran: Counter[str] = Counter()
    rung: list[str] = []
    slowest = 0.0
    for stop in range(20):
        batch = [f"{stop}-{number}" for number in range(40)]
        rung += batch
        await bell.ring(batch)
        async with worker(server.url, a_while) as listener:
            await listener.has_run(batch[0]) if stop == 0 else await asyncio.sleep(0.1)
            began = time.monotonic()
            listener.stop.set()
            async with asyncio.timeout(PATIENCE):
                await listener.listening
            slowest = max(slowest, time.monotonic() - began)
        ran += listener.ran
        if await bell.room() < 60:
            async with worker(server.url) as helper:
                await eventually(lambda: _has_room(bell))
            ran += helper.ran
    assert slowest <= STOP_SECONDS
    async with worker(server.url) as last:
        await eventually(lambda: is_empty(redis))
    ran += last.ran
    assert set(ran) == set(rung)
    assert (await redis.xinfo_groups(STREAM))[0]["name"] == GROUP.encode()


async def _has_room(bell: Doorbell) -> bool:
    return await bell.room() > 150
