"""Ticks are inserted once each, whoever comes first, and a missed one is made up for."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.errors import StoreUnavailable
from bitloot.testing.seeded import SeededIds
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.memory.job_table import JobTable
from bitloot_adapters.memory.jobs import MemoryJobs
from bitloot_web.scheduler import Scheduler, Tick, at_start, last_due, ticks

LIMITS = Limits()
MINUTE = timedelta(minutes=1)
PLAN = (Tick("redrive", MINUTE), Tick("housekeeping", 60 * MINUTE))


class Bench:
    """Any number of schedulers over one jobs table in memory."""

    def __init__(self) -> None:
        self.time = VirtualClock(datetime(2031, 5, 4, 12, 30, 7, tzinfo=UTC))
        new_id = SeededIds(self.time.now, seed=1)
        self.table = JobTable(clock=self.time.now, new_id=new_id, limits=LIMITS)
        self.jobs = MemoryJobs(self.table, self.time.boot)

    def scheduler(self) -> Scheduler:
        return Scheduler(self.jobs, self.time.now, PLAN)

    def refs(self) -> list[str]:
        return sorted(job.ref for job in self.table.all())


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("at", "due"),
    [
        (datetime(2026, 3, 2, 1, 59, 59, tzinfo=UTC), datetime(2026, 3, 1, 2, tzinfo=UTC)),
        (datetime(2026, 3, 2, 2, tzinfo=UTC), datetime(2026, 3, 2, 2, tzinfo=UTC)),
        (datetime(2026, 3, 29, 23, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC)),
    ],
)
def test_accounts_are_deleted_at_two_in_the_morning_utc(at: datetime, due: datetime) -> None:
    (daily,) = (tick for tick in ticks(LIMITS, []) if tick.name == "deletions")
    assert last_due(daily, at) == due


def test_there_is_a_reconciliation_for_each_supplier() -> None:
    names = [tick.name for tick in ticks(LIMITS, ["kinguin", "custom"])]
    assert names == [
        *("redrive", "invariants", "housekeeping", "deletions", "objects"),
        *("reconcile-kinguin", "reconcile-custom"),
        *("catalogue-kinguin", "news-kinguin"),
    ]


def test_a_starting_worker_asks_for_lost_work_and_for_each_suppliers_orders() -> None:
    names = [tick.name for tick in at_start(LIMITS, ["kinguin", "custom"])]
    assert names == ["redrive", "reconcile-kinguin", "reconcile-custom"]


async def test_ten_workers_starting_at_once_ask_once(bench: Bench) -> None:
    plan = at_start(LIMITS, ["kinguin"])
    stop = asyncio.Event()
    for _ in range(10):
        await Scheduler(bench.jobs, bench.time.now, plan).once(stop)
    assert [ref.partition("/")[0] for ref in bench.refs()] == ["reconcile-kinguin", "redrive"]


@pytest.mark.parametrize(
    ("every", "due"),
    [
        (MINUTE, datetime(2031, 5, 4, 12, 30, tzinfo=UTC)),
        (5 * MINUTE, datetime(2031, 5, 4, 12, 30, tzinfo=UTC)),
        (60 * MINUTE, datetime(2031, 5, 4, 12, 0, tzinfo=UTC)),
        (timedelta(days=1), datetime(2031, 5, 4, tzinfo=UTC)),
    ],
)
def test_a_tick_is_due_at_the_multiples_of_its_interval(every: timedelta, due: datetime) -> None:
    at = datetime(2031, 5, 4, 12, 30, 59, 999_999, tzinfo=UTC)
    assert last_due(Tick("x", every), at) == due
    assert last_due(Tick("x", every), due) == due


async def test_each_tick_becomes_one_job_that_names_it_and_its_time(bench: Bench) -> None:
    assert await bench.scheduler().step() == 2
    assert bench.refs() == ["housekeeping/2031-05-04T12:00:00Z", "redrive/2031-05-04T12:30:00Z"]
    assert {job.kind for job in bench.table.all()} == {"sweep"}


async def test_any_number_of_schedulers_insert_a_tick_once(bench: Bench) -> None:
    one, other = bench.scheduler(), bench.scheduler()
    assert [await one.step(), await other.step(), await one.step()] == [2, 0, 0]
    bench.time.advance(MINUTE)
    assert [await other.step(), await one.step()] == [1, 0]
    assert len(bench.refs()) == 3


async def test_a_restarted_scheduler_makes_up_for_the_last_missed_tick_only(bench: Bench) -> None:
    await bench.scheduler().step()
    bench.time.advance(90 * MINUTE)
    assert await bench.scheduler().step() == 2
    assert bench.refs() == [
        "housekeeping/2031-05-04T12:00:00Z",
        "housekeeping/2031-05-04T14:00:00Z",
        "redrive/2031-05-04T12:30:00Z",
        "redrive/2031-05-04T14:00:00Z",
    ]


async def test_a_clock_that_is_set_back_repeats_nothing(bench: Bench) -> None:
    scheduler = bench.scheduler()
    await scheduler.step()
    bench.time.advance(MINUTE)
    await scheduler.step()
    bench.time.set_back(MINUTE)
    assert await scheduler.step() == 0


class AwayOnce:
    """Jobs whose database is away at first."""

    def __init__(self, jobs: MemoryJobs) -> None:
        self.inner, self.failures = jobs, 1
        self.lease, self.finish, self.claim_due = jobs.lease, jobs.finish, jobs.claim_due
        self.take_back, self.dead, self.replay = jobs.take_back, jobs.dead, jobs.replay

    async def tick(self, name: str, at: datetime, kind: str, ref: str) -> bool:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable
        return await self.inner.tick(name, at, kind, ref)


async def test_a_tick_that_could_not_be_written_is_written_at_the_next_look(bench: Bench) -> None:
    scheduler = Scheduler(AwayOnce(bench.jobs), bench.time.now, PLAN)
    with pytest.raises(StoreUnavailable):
        await scheduler.step()
    assert await scheduler.step() == 2


async def test_it_outlives_an_outage_and_stops_when_told(bench: Bench) -> None:
    scheduler, stop = Scheduler(AwayOnce(bench.jobs), bench.time.now, PLAN), asyncio.Event()
    running = asyncio.create_task(scheduler.run(stop))
    await asyncio.sleep(0.01)
    assert not running.done()
    stop.set()
    async with asyncio.timeout(5):
        await running
