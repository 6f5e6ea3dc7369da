"""How many due jobs the relay marks and rings for (P12), a hundred at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import psycopg
import uvloop
from psycopg.rows import TupleRow
from redis.asyncio import Redis

from bench.limits.statements import CLAIM
from bench.report import Findings, Note, against
from bench.rounds import Sample, in_turns
from bench.stage import Stage
from bitloot_web.composition.opening import open_shop
from bitloot_web.plugins import configure
from bitloot_web.settings import Environment

# As many as the stream may hold: more never wait between relay and workers.
AT_ONCE: Final = 1000
BATCH: Final = 100
STREAM: Final = "bench:limit"
DUE: Final = """
INSERT INTO jobs (id, kind, ref, state, fence, attempts, max_attempts, wakes, available_at,
    created_at)
SELECT gen_random_uuid(), 'push', 'r' || n, 'pending', 0, 0, 12, 0, now(), now()
FROM generate_series(1, %s) n
"""

Step = Callable[[], Awaitable[int]]


def measure(stage: Stage) -> Findings:
    """Our relay's own step, and the same two calls bare."""
    database = stage.fresh_database("relay")
    found = in_turns(
        lambda: uvloop.run(_ours(stage, database)),
        lambda: uvloop.run(_limit(stage, database)),
        stage.rounds,
    )
    text = (
        "The limit runs this statement and one pipeline of a hundred `XADD` of ready bytes;"
        " it asks for no room in the stream and takes back nothing:"
    )
    return Findings(
        rows=(
            against(
                "relay",
                "events/s",
                found.ours.per_second,
                found.limit.per_second,
                must=0.3,
                moonshot=0.6,
            ),
        ),
        notes=(Note(title="Limit of `relay`", text=text, statement=CLAIM),),
    )


async def _ours(stage: Stage, database: str) -> Sample:
    configuration = configure(Environment(stage.variables(database)))
    async with open_shop(configuration) as opened, opened.workroom() as room:
        return await _drained(stage, database, room.relay.step)


async def _limit(stage: Stage, database: str) -> Sample:
    redis = Redis.from_url(stage.valkey.url)
    async with await psycopg.AsyncConnection.connect(
        database, autocommit=True, cursor_factory=psycopg.AsyncRawCursor
    ) as connection:

        async def step() -> int:
            return await _claim_and_ring(connection, redis)

        try:
            return await _drained(stage, database, step)
        finally:
            await redis.aclose()


async def _claim_and_ring(connection: psycopg.AsyncConnection[TupleRow], redis: Redis) -> int:
    cursor = await connection.execute(CLAIM.encode(), (BATCH,))
    claimed = await cursor.fetchall()
    pipeline = redis.pipeline(transaction=False)
    for (job_id,) in claimed:
        text = str(job_id)
        data = (
            f'{{"task_id":"{text}","task_name":"run_job","labels":{{}},"labels_types":{{}},'
            f'"args":["{text}"],"kwargs":{{}}}}'
        )
        pipeline.xadd(STREAM, {b"data": data})
    await pipeline.execute()
    return len(claimed)


async def _drained(stage: Stage, database: str, step: Step) -> Sample:
    """Events a second; making them due is not counted."""
    moved, spent = 0, 0.0
    # The first thousand warms up the statements.
    for is_counted in (False, True):
        while not moved or (is_counted and spent < stage.seconds):
            await asyncio.to_thread(_make_due, stage, database)
            begun, goal = time.perf_counter(), moved + AT_ONCE
            while moved < goal:
                moved += await step()
            spent += time.perf_counter() - begun
        if not is_counted:
            moved, spent = 0, 0.0
    return Sample(per_second=moved / spent)


def _make_due(stage: Stage, database: str) -> None:
    stage.valkey.flush()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("TRUNCATE jobs")
        connection.execute(DUE, (AT_ONCE,))
        connection.execute("ANALYZE jobs")
