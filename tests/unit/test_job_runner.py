"""How an attempt at a job can end, and what is written then."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from bitloot.domain.decision import JobRequest
from bitloot.domain.limits import Limits
from bitloot.ports.errors import (
    Conflict,
    LeaseLost,
    Rejected,
    StoreUnavailable,
    Unavailable,
)
from bitloot.ports.jobs import Again, Done, Lease, Outcome
from bitloot.testing.seeded import SeededIds
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.memory.job_table import Job, JobTable
from bitloot_adapters.memory.jobs import MemoryJobs
from bitloot_web.job_runner import Handler, JobRunner, back_off

LIMITS = Limits()
SECOND = timedelta(seconds=1)
SERIAL = "canary-serial"


class Bench:
    """A runner over a jobs table in memory, with one pending job of kind `work`."""

    def __init__(self, *, jitter: float = 0.5) -> None:
        self.time = VirtualClock()
        self.table = JobTable(
            clock=self.time.now, new_id=SeededIds(self.time.now, seed=1), limits=LIMITS
        )
        self.jobs = MemoryJobs(self.table, self.time.boot)
        self.observed: list[tuple[str, str]] = []
        self.jitter = jitter
        self.table.wish(JobRequest(kind="work", ref="r"))
        self.job: Job = next(self.table.all())

    def _observe(self, kind: str, ended: str, seconds: float) -> None:
        assert seconds >= 0
        self.observed.append((kind, ended))

    def runner(self, handler: Handler | None) -> JobRunner:
        return JobRunner(
            self.jobs,
            {} if handler is None else {"work": handler},
            limits=LIMITS,
            jitter=lambda: self.jitter,
            observe=self._observe,
        )

    async def run(self, handler: Handler | None) -> None:
        await self.runner(handler).run(self.job.id)

    def ends(self, outcome: Outcome) -> Handler:
        """A handler that ends its job itself, as all of the shop's do."""

        async def handler(lease: Lease) -> None:
            await self.jobs.finish(lease, outcome)

        return handler

    @property
    def wait(self) -> timedelta:
        return self.job.available_at - self.time.now()


def raises(error: BaseException) -> Callable[[Lease], Awaitable[None]]:
    async def handler(lease: Lease) -> None:
        del lease
        raise error

    return handler


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_handler_that_ends_its_job_is_left_alone(bench: Bench) -> None:
    await bench.run(bench.ends(Done()))
    assert (bench.job.state, bench.observed) == ("done", [("work", "done")])


async def test_a_handler_that_waits_for_a_provider_burns_no_attempt(bench: Bench) -> None:
    await bench.run(bench.ends(Again(30 * SECOND)))
    assert (bench.job.state, bench.job.attempts, bench.wait) == ("pending", 0, 30 * SECOND)


async def test_a_job_that_is_gone_taken_or_not_due_is_not_run(bench: Bench) -> None:
    runner = bench.runner(raises(AssertionError("not to be run")))
    await runner.run("00000000-0000-7000-8000-000000000000")
    assert await bench.jobs.lease(bench.job.id) is not None
    await runner.run(bench.job.id)
    assert bench.observed == []


async def test_ringing_twice_runs_once(bench: Bench) -> None:
    runner = bench.runner(bench.ends(Done()))
    await runner.run(bench.job.id)
    await runner.run(bench.job.id)
    assert bench.observed == [("work", "done")]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (Unavailable("kinguin", "timeout"), "kinguin_timeout"),
        (Conflict(), "conflict"),
        (Rejected("kinguin", "credentials", SERIAL), "Rejected"),
        (ValueError(SERIAL), "ValueError"),
        (KeyError(SERIAL), "KeyError"),
    ],
)
async def test_a_failed_attempt_waits_and_says_why_in_one_stable_word(
    bench: Bench, error: Exception, word: str
) -> None:
    await bench.run(raises(error))
    assert (bench.job.state, bench.job.attempts, bench.job.last_error) == ("pending", 1, word)
    assert bench.wait == LIMITS.job_backoff_first / 2
    assert bench.observed == [("work", "again")]
    assert SERIAL not in str(bench.job)


async def test_a_provider_s_own_wish_for_a_pause_is_kept(bench: Bench) -> None:
    await bench.run(raises(Unavailable("kinguin", "rate_limited", retry_after=90.0)))
    assert bench.wait == 90 * SECOND


async def test_a_shorter_wish_does_not_shorten_the_back_off(bench: Bench) -> None:
    await bench.run(raises(Unavailable("kinguin", "rate_limited", retry_after=0.0)))
    assert bench.wait == LIMITS.job_backoff_first / 2


async def test_after_the_last_attempt_a_dead_letter_is_left_and_others_go_on(
    bench: Bench,
) -> None:
    runner = bench.runner(raises(ValueError(SERIAL)))
    for _ in range(LIMITS.job_attempts + 3):
        await runner.run(bench.job.id)
        bench.time.advance(LIMITS.job_backoff_cap + SECOND)
    assert (bench.job.state, bench.job.attempts) == ("dead", LIMITS.job_attempts)
    assert bench.job.last_error == "ValueError"
    endings = ["again"] * (LIMITS.job_attempts - 1) + ["dead"]
    assert bench.observed == [("work", ended) for ended in endings]


async def test_a_job_that_kills_its_worker_each_time_ends_dead(bench: Bench) -> None:
    for _ in range(LIMITS.job_attempts):
        assert await bench.jobs.lease(bench.job.id) is not None
        bench.time.advance(LIMITS.job_lease + SECOND)
    await bench.run(raises(AssertionError("not to be run")))
    assert (bench.job.state, bench.observed) == ("dead", [])


async def test_a_kind_that_only_a_newer_release_knows_waits_for_it(bench: Bench) -> None:
    await bench.run(None)
    assert (bench.job.state, bench.job.last_error) == ("pending", "unknown_kind")
    assert bench.observed == [("work", "again")]


async def test_who_lost_the_lease_writes_nothing_more(bench: Bench) -> None:
    async def handler(lease: Lease) -> None:
        bench.time.advance(LIMITS.job_lease + SECOND)
        assert await bench.jobs.lease(lease.job_id) is not None
        await bench.jobs.finish(lease, Done())

    await bench.run(handler)
    assert (bench.job.state, bench.job.fence, bench.job.attempts) == ("pending", 2, 2)
    assert bench.observed == [("work", "lease_lost")]


async def test_a_failure_after_the_lease_was_lost_is_not_written(bench: Bench) -> None:
    async def handler(lease: Lease) -> None:
        bench.time.advance(LIMITS.job_lease + SECOND)
        assert await bench.jobs.lease(lease.job_id) is not None
        raise ValueError

    await bench.run(handler)
    assert bench.job.last_error is None
    assert bench.observed == [("work", "not_written")]


async def test_a_database_that_went_away_leaves_the_job_to_its_lease(bench: Bench) -> None:
    await bench.run(raises(StoreUnavailable()))
    assert (bench.job.state, bench.job.attempts) == ("pending", 1)
    assert bench.job.is_leased(bench.time.now())
    assert bench.observed == [("work", "database_away")]
    bench.time.advance(LIMITS.job_lease + SECOND)
    await bench.run(bench.ends(Done()))
    assert bench.job.state == "done"


class DatabaseAway:
    """No statement reaches the database."""

    def __init__(self, jobs: MemoryJobs) -> None:
        self.claim_due, self.take_back, self.tick = jobs.claim_due, jobs.take_back, jobs.tick
        self.dead, self.replay = jobs.dead, jobs.replay

    async def lease(self, job_id: str) -> Lease | None:
        raise StoreUnavailable(job_id)

    async def finish(self, lease: Lease, outcome: Outcome) -> None:
        raise LeaseLost(lease, outcome)


async def test_without_the_database_nothing_is_run_and_nothing_raised(bench: Bench) -> None:
    runner = JobRunner(
        DatabaseAway(bench.jobs),
        {"work": raises(AssertionError("not to be run"))},
        limits=LIMITS,
        jitter=lambda: 0.5,
        observe=bench._observe,
    )
    await runner.run(bench.job.id)
    assert bench.observed == []


async def test_being_stopped_is_no_failure_of_the_job(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt):
        await bench.run(raises(KeyboardInterrupt()))
    assert (bench.job.state, bench.job.last_error) == ("pending", None)


@pytest.mark.parametrize("attempts", [1, 2, 5, 12, 10_000])
def test_the_back_off_doubles_up_to_its_cap_with_full_jitter(attempts: int) -> None:
    most = min(LIMITS.job_backoff_cap, LIMITS.job_backoff_first * 2 ** min(attempts - 1, 20))
    assert back_off(attempts, LIMITS, 0.0) == timedelta(0)
    assert back_off(attempts, LIMITS, 0.5) == most / 2
    assert back_off(attempts, LIMITS, 0.999) < most
