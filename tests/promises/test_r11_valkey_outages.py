"""R11: Valkey is emptied, killed, paused or full while orders are placed and fulfilled."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError
from tests.promises.audit import audited, until_quiet
from tests.promises.buyers import Crowd
from tests.promises.figures import Figures
from tests.promises.stage import Stage

from bitloot_adapters.redis.connection import open_redis
from bitloot_adapters.redis.doorbell import STREAM

Trouble = Callable[[Stage, Redis, float], Awaitable[None]]
GAP_IN_EARNEST = 60.0
# Of the doorbell's own back-off, which is not scaled.
LOOKS_AGAIN = 5.0
FULL_OF = "1mb"
# So that there is always something to ring for.
ANOTHER_JOB = """
    INSERT INTO jobs (id, kind, ref, state, fence, attempts, max_attempts, wakes, available_at,
      created_at)
    SELECT gen_random_uuid(), 'sweep', 'redrive/' || clock_timestamp(), 'pending', 0, 0, 12, 0,
      now(), now()
"""


async def emptied(_stage: Stage, redis: Redis, _seconds: float) -> None:
    await redis.flushall()


async def killed(stage: Stage, _redis: Redis, seconds: float) -> None:
    await asyncio.to_thread(stage.town.valkey.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(stage.town.valkey.restart)


async def paused(_stage: Stage, redis: Redis, seconds: float) -> None:
    await redis.client_pause(int(seconds * 1000), all=True)
    await asyncio.sleep(seconds)


async def full(_stage: Stage, redis: Redis, seconds: float) -> None:
    await redis.config_set("maxmemory-policy", "noeviction")
    await redis.config_set("maxmemory", FULL_OF)
    await asyncio.sleep(seconds)
    await redis.config_set("maxmemory", "0")


TROUBLES: dict[str, Trouble] = {
    "FLUSHALL": emptied,
    "SIGKILL": killed,
    "CLIENT PAUSE": paused,
    "out of memory": full,
}


async def added(redis: Redis) -> int:
    """How many entries the doorbell's stream ever got; -1 while there is none."""
    try:
        told = await redis.xinfo_stream(STREAM)
    except RedisError:
        return -1
    return int(told["entries-added"])


async def gap(stage: Stage, redis: Redis, limit: float) -> float:
    """How long after now it takes until a job is rung for again."""
    before, begun = await added(redis), time.monotonic()
    while await added(redis) in {before, -1, 0}:
        await stage.sql(ANOTHER_JOB)
        if time.monotonic() - begun > limit:
            break
        await asyncio.sleep(0.02)
    return time.monotonic() - begun


async def test_r11_outages_of_valkey_lose_no_order_and_end_no_worker(
    stage: Stage, crowd: Crowd, figures: Figures
) -> None:
    orders, rounds, seconds = (200, 2, 10.0) if figures.full else (20, 1, 1.5)
    stage.own()
    before, programs = len(stage.paid), stage.pids()
    room = asyncio.Semaphore(4)

    async def one(number: int) -> None:
        async with room:
            await crowd.buy(
                *(("custom", "kinguin") if figures.full and number % 2 else ("custom",))
            )
            await asyncio.sleep(seconds * rounds * 12 / orders)

    buying = asyncio.gather(*(one(number) for number in range(orders)))
    limit = GAP_IN_EARNEST / stage.factor + LOOKS_AGAIN
    gaps: dict[str, float] = {}
    redis = open_redis(stage.town.valkey.url)
    for _ in range(rounds):
        for word, trouble in TROUBLES.items():
            await asyncio.sleep(seconds / 2)
            await trouble(stage, redis, seconds)
            gaps[word] = max(gaps.get(word, 0.0), await gap(stage, redis, limit * 2))
    await buying
    await redis.aclose()
    await until_quiet(stage, stage.paid[before:], seconds=300 if figures.full else 60)
    audit = await audited(stage, stage.paid[before:])
    told = ", ".join(f"{word} {seconds:.1f} s" for word, seconds in gaps.items())
    figures.note(
        "R11",
        "outages of Valkey lose no order and end no worker",
        figure=f"{rounds * len(TROUBLES)} outages; rung again after: {told}; {audit.text()};"
        f" 0 of {len(programs)} programs ended",
        scale=f"{stage.scale}; out for {seconds:g} s",
        holds=audit.is_clean and max(gaps.values()) <= limit and stage.pids() == programs,
    )
