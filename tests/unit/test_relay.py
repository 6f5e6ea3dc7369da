"""The relay rings for what is due, and runs it itself while there is no bell."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from bitloot.domain.decision import JobRequest
from bitloot.domain.limits import Limits
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.jobs import Done, Jobs
from bitloot.testing.seeded import SeededIds
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.memory.job_table import JobTable
from bitloot_adapters.memory.jobs import MemoryJobs
from bitloot_web.relay import Relay

LIMITS = Limits(relay_batch=10, stream_length=25)


class SmallBell:
    """A doorbell with room for some rings. `is_lost` plays a lost server."""

    def __init__(self, room: int = 25) -> None:
        self.free = room
        self.rung: list[str] = []
        self.heard = asyncio.Event()
        self.is_lost = False
        self.breaks_at_ring = False

    async def room(self) -> int:
        if self.is_lost:
            raise StoreUnavailable
        return self.free - len(self.rung)

    async def ring(self, job_ids: Sequence[str]) -> None:
        if self.breaks_at_ring:
            raise StoreUnavailable
        self.rung += job_ids
        self.heard.set()


class NoWakeUp:
    """Nobody tells of new jobs; the poll alone finds them."""

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Called:
    """Tells at once when it is set."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        del seconds
        await self.event.wait()
        self.event.clear()


class Bench:
    """A relay over a jobs table in memory."""

    def __init__(self, *, limits: Limits = LIMITS, room: int = 25) -> None:
        self.time = VirtualClock()
        new_id = SeededIds(self.time.now, seed=1)
        self.table = JobTable(clock=self.time.now, new_id=new_id, limits=limits)
        self.jobs = MemoryJobs(self.table, self.time.boot)
        self.bell = SmallBell(room)
        self.ran: list[str] = []
        self.most_at_once = 0
        self.slow: dict[str, asyncio.Event] = {}
        self.relay = self.with_jobs(self.jobs, limits)

    def with_jobs(self, jobs: Jobs, limits: Limits = LIMITS) -> Relay:
        return Relay(jobs, self.bell, NoWakeUp(), self.run_here, limits=limits, concurrency=4)

    def wish(self, count: int) -> list[str]:
        before = {job.id for job in self.table.all()}
        for number in range(count):
            self.table.wish(JobRequest(kind="sweep", ref=f"r{len(before)}-{number}"))
        return [job.id for job in self.table.all() if job.id not in before]

    async def run_here(self, job_id: str) -> None:
        self.ran.append(job_id)
        lease = await self.jobs.lease(job_id)
        assert lease is not None
        leased = sum(job.is_leased(self.time.now()) for job in self.table.all())
        self.most_at_once = max(self.most_at_once, leased)
        await asyncio.sleep(0)
        if job_id in self.slow:
            await self.slow[job_id].wait()
        await self.jobs.finish(lease, Done())


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_what_is_due_is_rung_once_oldest_first(bench: Bench) -> None:
    wished = bench.wish(3)
    assert await bench.relay.step() == 3
    assert await bench.relay.step() == 0
    assert bench.bell.rung == wished


async def test_a_batch_is_bounded_and_the_rest_follows(bench: Bench) -> None:
    wished = bench.wish(23)
    assert [await bench.relay.step() for _ in range(4)] == [10, 10, 3, 0]
    assert bench.bell.rung == wished


async def test_nothing_is_rung_that_has_no_room_and_it_waits_in_the_table() -> None:
    bench = Bench(room=4)
    wished = bench.wish(6)
    assert await bench.relay.step() == 4
    assert await bench.relay.step() == 0
    bench.bell.free = 25
    assert await bench.relay.step() == 2
    assert bench.bell.rung == wished


async def test_a_ring_that_nobody_heard_is_repeated_after_a_minute(bench: Bench) -> None:
    wished = bench.wish(2)
    await bench.relay.step()
    bench.bell.rung.clear()
    bench.time.advance(LIMITS.relay_ring_again + timedelta(seconds=1))
    assert await bench.relay.step() == 2
    assert bench.bell.rung == wished


async def test_without_a_bell_the_relay_runs_jobs_itself_a_few_at_a_time(bench: Bench) -> None:
    wished = bench.wish(10)
    bench.bell.is_lost = True
    moved = []
    for _ in range(4):
        moved.append(await bench.relay.step())
        await bench.relay.idle()
    assert moved == [4, 4, 2, 0]
    assert sorted(bench.ran) == sorted(wished)
    assert 1 < bench.most_at_once <= 4
    assert all(job.state == "done" for job in bench.table.all())


async def test_without_a_bell_a_slow_job_holds_up_no_other(bench: Bench) -> None:
    first, *others = bench.wish(9)
    bench.slow[first] = asyncio.Event()
    bench.bell.is_lost = True
    for _ in range(20):
        await bench.relay.step()
        await asyncio.sleep(0)
    done = {job.id for job in bench.table.all() if job.state == "done"}
    assert done == set(others)
    bench.slow[first].set()
    await bench.relay.idle()
    assert all(job.state == "done" for job in bench.table.all())


async def test_a_bell_that_breaks_while_ringing_leaves_no_job_waiting(bench: Bench) -> None:
    wished = bench.wish(6)
    bench.bell.breaks_at_ring = True
    assert await bench.relay.step() == 4
    await bench.relay.idle()
    assert await bench.relay.step() == 2
    await bench.relay.idle()
    assert sorted(bench.ran) == sorted(wished)


async def test_when_the_bell_is_back_it_is_rung_again(bench: Bench) -> None:
    bench.wish(1)
    bench.bell.is_lost = True
    await bench.relay.step()
    await bench.relay.idle()
    bench.bell.is_lost = False
    later = bench.wish(2)
    assert await bench.relay.step() == 2
    assert bench.bell.rung == later


class LostDatabase:
    """Jobs whose database is away for some calls."""

    def __init__(self, jobs: MemoryJobs, failures: int) -> None:
        self.inner = jobs
        self.failures = failures
        self.lease, self.finish, self.tick = jobs.lease, jobs.finish, jobs.tick
        self.take_back, self.dead, self.replay = jobs.take_back, jobs.dead, jobs.replay

    async def claim_due(self, limit: int) -> Sequence[str]:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable
        return await self.inner.claim_due(limit)


async def test_it_outlives_an_outage_of_the_database_and_stops_when_told() -> None:
    limits = Limits(relay_poll=timedelta(milliseconds=5))
    bench = Bench(limits=limits)
    wished = bench.wish(2)
    relay, stop = bench.with_jobs(LostDatabase(bench.jobs, 3), limits), asyncio.Event()
    running = asyncio.create_task(relay.run(stop))
    async with asyncio.timeout(5):
        await bench.bell.heard.wait()
        stop.set()
        await running
    assert bench.bell.rung == wished


async def test_a_wake_up_is_heard_long_before_the_poll() -> None:
    limits = Limits(relay_poll=timedelta(hours=1))
    bench, called, stop = Bench(limits=limits), Called(), asyncio.Event()
    relay = Relay(bench.jobs, bench.bell, called, bench.run_here, limits=limits, concurrency=4)
    running = asyncio.create_task(relay.run(stop))
    await asyncio.sleep(0.01)
    wished = bench.wish(1)
    called.event.set()
    async with asyncio.timeout(5):
        await bench.bell.heard.wait()
        stop.set()
        await running
    assert bench.bell.rung == wished
