"""R12: what the doorbell must not lose, and workers that are told to stop in the middle of it."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.typing import EncodableT, FieldT
from tests.e2e.programs import until
from tests.integration.test_doorbell import LIMITS, worker
from tests.promises.audit import audited, until_quiet
from tests.promises.buyers import Crowd
from tests.promises.figures import Figures
from tests.promises.stage import Stage

from bitloot_adapters.redis.connection import open_redis
from bitloot_adapters.redis.doorbell import GROUP, STREAM, Doorbell
from bitloot_web.devservices import ValkeyServer, start_valkey

RECLAIMED_AFTER = 5.0
STOPPED_WITHIN = 30.0
# Nothing that any release of the shop ever rang for.
STRANGE: tuple[dict[FieldT, EncodableT], ...] = (
    {b"data": b"not even JSON"},
    {b"other": b"no data"},
    {
        b"data": json.dumps(
            {
                "task_id": "1",
                "task_name": "of_another_release",
                "labels": {},
                "labels_types": {},
                "args": [],
                "kwargs": {},
            }
        ).encode()
    },
)


@pytest.fixture
def valkey(
    tmp_path_factory: pytest.TempPathFactory, services_folder: Path
) -> Iterator[ValkeyServer]:
    folder = services_folder / tmp_path_factory.mktemp("bell").name
    with start_valkey(folder) as server:
        yield server


async def test_r12_what_was_rung_before_any_worker_started_is_run(
    valkey: ValkeyServer, figures: Figures
) -> None:
    count = 150
    bell = Doorbell(valkey.url, limits=LIMITS)
    jobs = [f"job-{number}" for number in range(count)]
    await bell.ring(jobs)
    begun = time.monotonic()
    async with worker(valkey.url) as listening:
        await listening.has_run(*jobs)
    await bell.shutdown()
    figures.note(
        "R12",
        "what was rung before the first worker ever started is run",
        figure=f"{len(listening.ran)} of {count} in {time.monotonic() - begun:.1f} s",
        scale="none",
        holds=len(listening.ran) == count,
    )


async def test_r12_what_a_killed_worker_held_is_taken_over_on_a_quiet_queue(
    valkey: ValkeyServer, figures: Figures
) -> None:
    bell = Doorbell(valkey.url, limits=LIMITS)
    redis: Redis = open_redis(valkey.url)
    await bell.startup()
    jobs = [f"job-{number}" for number in range(10)]
    await bell.ring(jobs)
    # As a worker that was killed after reading.
    held = await redis.xreadgroup(GROUP, "the dead", {STREAM: ">"}, count=10)
    begun = time.monotonic()
    async with worker(valkey.url) as listening:
        await listening.has_run(*jobs)
        took = time.monotonic() - begun
    await redis.aclose()
    await bell.shutdown()
    idle = LIMITS.job_lease.total_seconds()
    figures.note(
        "R12",
        "what a killed worker held is taken over although nothing new is rung for",
        figure=f"{len(jobs)} of {len(jobs)} after {took:.1f} s, idle time {idle:g} s",
        scale="lease ÷ 60",
        holds=bool(held) and took <= idle + RECLAIMED_AFTER,
    )


async def test_r12_messages_that_nobody_knows_stop_nothing(
    stage: Stage, crowd: Crowd, figures: Figures
) -> None:
    programs, before = stage.pids(), len(stage.paid)
    redis: Redis = open_redis(stage.town.valkey.url)
    for message in STRANGE * 5:
        await redis.xadd(STREAM, message)
    await crowd.many(3, "custom")
    await until_quiet(stage, stage.paid[before:], seconds=60)

    async def is_empty() -> bool | None:
        return True if await redis.xlen(STREAM) == 0 else None

    await until("the stream to be empty", is_empty)
    await redis.aclose()
    audit = await audited(stage, stage.paid[before:])
    figures.note(
        "R12",
        "messages that no release knows are dropped and stop nothing",
        figure=f"{len(STRANGE) * 5} such messages; {audit.text()}",
        scale=stage.scale,
        holds=audit.is_clean and stage.pids() == programs,
    )


async def test_r12_workers_that_are_told_to_stop_under_load_end_in_time(
    stage: Stage, crowd: Crowd, figures: Figures
) -> None:
    stops, orders = (20, 300) if figures.full else (3, 16)
    before = len(stage.paid)
    program = stage.town.programs["worker"]
    buying = asyncio.create_task(crowd.many(orders, "custom", at_once=4))
    took, codes = [], []
    for _ in range(stops):
        await busy(stage)
        running = program.running
        assert running is not None
        begun = time.monotonic()
        await asyncio.to_thread(program.stop)
        took.append(time.monotonic() - begun)
        codes.append(running.keeper.returncode)
        await asyncio.to_thread(program.start)
    await buying
    await until_quiet(stage, stage.paid[before:], seconds=300 if figures.full else 60)
    audit = await audited(stage, stage.paid[before:])
    good = sum(
        code == 0 and seconds <= STOPPED_WITHIN for code, seconds in zip(codes, took, strict=True)
    )
    figures.note(
        "R12",
        "a worker that is told to stop under load ends by itself, and in time",
        figure=f"{good} of {stops} stops, the slowest {max(took):.1f} s; {audit.text()}",
        scale=stage.scale,
        holds=good == stops and audit.is_clean,
    )


async def busy(stage: Stage) -> None:
    """Until a job is being worked on, or at least a moment has passed."""

    async def leased() -> bool | None:
        running = await stage.count(
            "SELECT count(*)::int FROM jobs WHERE state = 'pending' AND lease_until > now()"
        )
        return True if running else None

    await until("a job to be worked on", leased, seconds=20)
