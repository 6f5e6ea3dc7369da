"""Jobs on PostgreSQL where time, many workers and the planner matter; wake-ups; breakers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from bitloot.domain.decision import Decision, JobRequest
from bitloot.domain.limits import Limits
from bitloot.ports.jobs import Again, Dead, Done
from bitloot_adapters.clock import boot_seconds, new_id
from bitloot_adapters.postgres.breakers import PostgresBreakers
from bitloot_adapters.postgres.jobs import PostgresJobs
from bitloot_adapters.postgres.listener import Listener, open_listener
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.statements import ask, compiled
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork
from bitloot_web.devservices import Databases

LIMITS = Limits()
PROVIDER = "kinguin"


@pytest.fixture
async def database(shop_url: str) -> AsyncIterator[Database]:
    async with open_database(shop_url, LIMITS) as database:
        yield database


@pytest.fixture
def uow(database: Database) -> PostgresUnitOfWork:
    return PostgresUnitOfWork(database, new_id=new_id, max_attempts=LIMITS.job_attempts)


@pytest.fixture
def jobs(database: Database) -> PostgresJobs:
    return PostgresJobs(database, limits=LIMITS, new_id=new_id, boot_clock=boot_seconds)


async def wish(uow: PostgresUnitOfWork, *refs: str) -> None:
    async with uow.begin() as tx:
        await tx.record(Decision(jobs=tuple(JobRequest(kind="sweep", ref=ref) for ref in refs)))


def set_back(url: str, table_and_columns: str, span: timedelta) -> None:
    table, *columns = table_and_columns.split()
    moves = ", ".join(f"{column} = {column} - %(span)s" for column in columns)
    with psycopg.connect(url) as connection:
        connection.execute(f"UPDATE {table} SET {moves}".encode(), {"span": span})


# --- claims ----------------------------------------------------------------------------------


async def test_a_claim_never_takes_more_than_its_limit_under_any_plan(
    shop_url: str, uow: PostgresUnitOfWork, jobs: PostgresJobs
) -> None:
    await wish(uow, *(f"r{n}" for n in range(200)))
    with psycopg.connect(shop_url, autocommit=True) as connection:
        name = connection.info.dbname
        for join in ("hashjoin", "mergejoin", "material", "sort"):
            connection.execute(f"ALTER DATABASE {name} SET enable_{join} = off".encode())
    async with open_database(shop_url, LIMITS) as plain:
        nested = PostgresJobs(plain, limits=LIMITS, new_id=new_id, boot_clock=boot_seconds)
        assert len(await nested.claim_due(3)) == 3
        assert len(await nested.claim_due(7)) == 7
    assert len(await jobs.claim_due(1000)) == 190


async def test_what_follows_a_claim_on_its_connection_waits_for_the_disk_again(
    shop_url: str, uow: PostgresUnitOfWork
) -> None:
    await wish(uow, "a")
    one_connection = replace(LIMITS, database_pool=1)
    async with open_database(shop_url, one_connection) as db:
        said = ask(compiled(select(func.current_setting("synchronous_commit"))))
        (before,) = await db.read(said)
        jobs = PostgresJobs(db, limits=LIMITS, new_id=new_id, boot_clock=boot_seconds)
        assert len(await jobs.claim_due(1)) == 1
        (after,) = await db.read(said)
    assert before == after


async def test_workers_that_claim_at_once_never_share_a_job(
    uow: PostgresUnitOfWork, jobs: PostgresJobs
) -> None:
    await wish(uow, *(f"r{n}" for n in range(60)))
    claims = await asyncio.gather(*(jobs.claim_due(10) for _ in range(6)))
    ids = [job_id for claim in claims for job_id in claim]
    assert len(ids) == len(set(ids))
    assert all(len(claim) <= 10 for claim in claims)


async def test_a_job_is_rung_again_only_after_a_while(
    shop_url: str, uow: PostgresUnitOfWork, jobs: PostgresJobs
) -> None:
    await wish(uow, "one")
    assert len(await jobs.claim_due(10)) == 1
    assert await jobs.claim_due(10) == []
    set_back(shop_url, "jobs published_at", LIMITS.relay_ring_again + timedelta(seconds=1))
    assert len(await jobs.claim_due(10)) == 1


async def test_one_of_many_workers_gets_the_lease(
    uow: PostgresUnitOfWork, jobs: PostgresJobs
) -> None:
    await wish(uow, "one")
    (job_id,) = await jobs.claim_due(10)
    leases = await asyncio.gather(*(jobs.lease(job_id) for _ in range(12)))
    assert sum(lease is not None for lease in leases) == 1


async def test_a_tick_that_many_schedulers_see_is_one_job(jobs: PostgresJobs) -> None:
    at = datetime(2031, 1, 1, tzinfo=UTC)
    seen = await asyncio.gather(*(jobs.tick("sweep", at, "sweep", "all") for _ in range(8)))
    assert sum(seen) == 1
    assert not await jobs.tick("sweep", at, "sweep", "all")
    assert await jobs.tick("sweep", at + timedelta(minutes=1), "sweep", "all")
    assert len(await jobs.claim_due(10)) == 1


async def test_a_job_that_is_given_up_while_asked_for_goes_on_as_a_new_one(
    uow: PostgresUnitOfWork, jobs: PostgresJobs
) -> None:
    await wish(uow, "one")
    (job_id,) = await jobs.claim_due(10)
    lease = await jobs.lease(job_id)
    assert lease is not None
    again = Decision(jobs=(JobRequest(kind="sweep", ref="one"),))
    async with uow.begin() as tx:
        await tx.record(again, lease=lease, outcome=Dead("no_such_order"))
    (fresh,) = await jobs.claim_due(10)
    assert fresh != job_id
    assert [row.id for row in await jobs.dead(limit=10, after=None)] == [job_id]
    # Replaying the dead one now wakes the other: the same work is never pending twice.
    assert await jobs.replay(job_id)
    assert await jobs.dead(limit=10, after=None) == []
    taken = await jobs.lease(fresh)
    assert taken is not None
    assert taken.wakes == 1


async def test_a_wish_for_the_running_job_brings_it_back_after_each_outcome(
    uow: PostgresUnitOfWork, jobs: PostgresJobs
) -> None:
    await wish(uow, "one")
    (job_id,) = await jobs.claim_due(10)
    for outcome in (Done(), Again(after=timedelta(hours=1)), Done()):
        lease = await jobs.lease(job_id)
        assert lease is not None
        async with uow.begin() as tx:
            await tx.record(
                Decision(jobs=(JobRequest(kind="sweep", ref="one"),)),
                lease=lease,
                outcome=outcome,
            )
    assert await jobs.claim_due(10) == [job_id]


# --- wake-ups --------------------------------------------------------------------------------


@pytest.fixture
async def listener(shop_url: str) -> AsyncIterator[Listener]:
    async with open_listener(shop_url, boot_seconds) as listener:
        await listener.wait(5)
        yield listener


async def test_whoever_waits_is_woken_when_jobs_are_written(
    uow: PostgresUnitOfWork, listener: Listener
) -> None:
    waiting = asyncio.create_task(listener.wait(30))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await wish(uow, "one", "two")
    async with asyncio.timeout(20):
        await waiting


async def test_a_quiet_wait_ends_after_its_time(listener: Listener) -> None:
    async with asyncio.timeout(20):
        await listener.wait(0.05)


async def test_what_was_written_between_two_waits_is_not_missed(
    uow: PostgresUnitOfWork, listener: Listener
) -> None:
    await wish(uow, "one")
    async with asyncio.timeout(20):
        await listener.wait(30)


async def test_a_listener_that_lost_its_server_listens_again(
    shop_url: str, uow: PostgresUnitOfWork, listener: Listener
) -> None:
    with psycopg.connect(shop_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
            " WHERE application_name = 'bitloot-listener' AND datname = current_database()"
        )
    async with asyncio.timeout(20):
        await listener.wait(30)  # the loss
        await listener.wait(30)  # the new connection
        waiting = asyncio.create_task(listener.wait(30))
        await asyncio.sleep(0.05)
        await wish(uow, "one")
        await waiting


async def test_a_listener_without_a_server_keeps_the_rhythm(postgres_server: Databases) -> None:
    async with open_listener("postgresql:///x?host=/nowhere/at/all", boot_seconds) as listener:
        async with asyncio.timeout(20):
            for _ in range(3):
                await listener.wait(0.01)


# --- breakers --------------------------------------------------------------------------------


@pytest.fixture
def breakers(database: Database) -> PostgresBreakers:
    return PostgresBreakers(database, limits=LIMITS)


async def trip(breakers: PostgresBreakers) -> list[bool]:
    return [await breakers.failed(PROVIDER) for _ in range(LIMITS.breaker_failures)]


async def test_a_breaker_opens_at_so_many_failures_and_only_for_its_provider(
    breakers: PostgresBreakers,
) -> None:
    assert await breakers.allows(PROVIDER)
    assert await trip(breakers) == [False] * (LIMITS.breaker_failures - 1) + [True]
    assert not await breakers.failed(PROVIDER)
    assert not await breakers.allows(PROVIDER)
    assert await breakers.allows("nowpayments")


async def test_failures_that_lie_far_apart_open_nothing(
    shop_url: str, breakers: PostgresBreakers
) -> None:
    for _ in range(LIMITS.breaker_failures - 1):
        await breakers.failed(PROVIDER)
    with psycopg.connect(shop_url) as connection:
        connection.execute(
            "UPDATE breakers SET failures ="
            " ARRAY(SELECT f - interval '31 s' FROM unnest(failures) f)"
        )
    assert not await breakers.failed(PROVIDER)
    assert await breakers.allows(PROVIDER)


async def test_one_of_many_is_let_through_as_the_probe(
    shop_url: str, breakers: PostgresBreakers
) -> None:
    await trip(breakers)
    set_back(shop_url, "breakers opened_at probe_at", LIMITS.breaker_probe)
    allowed = await asyncio.gather(*(breakers.allows(PROVIDER) for _ in range(12)))
    assert sum(allowed) == 1


async def test_a_call_that_went_through_closes_the_breaker_and_forgets(
    shop_url: str, breakers: PostgresBreakers
) -> None:
    await trip(breakers)
    await breakers.succeeded(PROVIDER)
    assert await breakers.allows(PROVIDER)
    assert not await breakers.failed(PROVIDER)


async def test_failures_of_many_workers_at_once_open_the_breaker_once(
    breakers: PostgresBreakers,
) -> None:
    opened = await asyncio.gather(*(breakers.failed(PROVIDER) for _ in range(12)))
    assert sum(opened) == 1


# --- sweeps ----------------------------------------------------------------------------------
