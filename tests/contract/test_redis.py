"""Limits, codes, wake-ups and cached answers over a real Valkey."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.rate_limiter import Quota
from bitloot_adapters.redis.cache import MAX_VALUE, RedisCache
from bitloot_adapters.redis.connection import open_redis
from bitloot_adapters.redis.otp_store import RedisOtpStore
from bitloot_adapters.redis.rate_limiter import RedisRateLimiter
from bitloot_adapters.redis.realtime import RedisRealtime
from bitloot_web.devservices import ValkeyServer, ValkeyStore, start_valkey

PEPPER = bytes(range(32))
MINUTE = timedelta(minutes=1)
LOST_URL = "unix:///nowhere/valkey.sock?db=0"


@pytest.fixture
async def redis(valkey_server: ValkeyStore) -> AsyncIterator[Redis]:
    valkey_server.flush()
    client = open_redis(valkey_server.url)
    yield client
    await client.aclose()


@pytest.fixture
async def lost() -> AsyncIterator[Redis]:
    client = open_redis(LOST_URL)
    yield client
    await client.aclose()


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    """A server that a test may kill."""
    with start_valkey(tmp_path / "valkey") as server:
        yield server


async def keys(redis: Redis) -> list[bytes]:
    return [key async for key in redis.scan_iter("*")]


# --- rate limits -----------------------------------------------------------------------------


def quota(limit: int, window: timedelta = MINUTE, *, closed: bool = False) -> Quota:
    return Quota(scope="test", limit=limit, window=window, fails_closed=closed)


async def test_a_limit_is_exact_under_concurrency(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, pepper=PEPPER)
    verdicts = await asyncio.gather(*(limiter.hit(quota(7), "a") for _ in range(40)))
    allowed = [verdict for verdict in verdicts if verdict.allowed]
    assert sorted(verdict.remaining for verdict in allowed) == list(range(7))
    assert all(verdict.retry_after == 0 for verdict in allowed)
    refused = [verdict for verdict in verdicts if not verdict.allowed]
    assert all(59 < verdict.retry_after <= 60 for verdict in refused)


async def test_subjects_and_scopes_are_counted_apart(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, pepper=PEPPER)
    other = Quota(scope="other", limit=1, window=MINUTE)
    assert (await limiter.hit(quota(1), "a")).allowed
    assert (await limiter.hit(quota(1), "b")).allowed
    assert (await limiter.hit(other, "a")).allowed
    assert not (await limiter.hit(quota(1), "a")).allowed


async def test_the_window_moves_and_a_refused_hit_does_not_count(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, pepper=PEPPER)
    short = quota(2, timedelta(seconds=0.4))
    assert (await limiter.hit(short, "a")).allowed
    await asyncio.sleep(0.2)
    assert (await limiter.hit(short, "a")).allowed
    refused = await limiter.hit(short, "a")
    assert not refused.allowed
    await asyncio.sleep(refused.retry_after + 0.01)
    assert (await limiter.hit(short, "a")).allowed
    # The first hit left, the second one still counts.
    assert not (await limiter.hit(short, "a")).allowed


async def test_a_limit_that_was_lowered_waits_until_so_many_have_left(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, pepper=PEPPER)
    for _ in range(3):
        assert (await limiter.hit(quota(3, timedelta(seconds=0.3)), "a")).allowed
        await asyncio.sleep(0.05)
    refused = await limiter.hit(quota(1, timedelta(seconds=0.3)), "a")
    assert 0.2 < refused.retry_after <= 0.3


async def test_a_clock_of_the_server_that_was_set_back_does_not_block(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, pepper=PEPPER)
    assert (await limiter.hit(quota(1), "a")).allowed
    (key,) = await keys(redis)
    ahead = int((time.time() + 3600) * 1_000_000)
    await redis.lset(key.decode(), 0, str(ahead))
    assert (await limiter.hit(quota(1), "a")).allowed


async def test_no_subject_is_readable_and_no_counter_stays_for_ever(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, pepper=PEPPER)
    await limiter.hit(quota(3), "joan@example.org")
    await RedisRateLimiter(redis, pepper=b"other").hit(quota(3), "joan@example.org")
    found = await keys(redis)
    assert len(found) == 2
    for key in found:
        assert b"joan" not in key
        assert 0 < await redis.pttl(key) <= 60_000


async def test_without_its_store_a_limit_is_open_or_closed_as_it_says(lost: Redis) -> None:
    limiter = RedisRateLimiter(lost, pepper=PEPPER)
    verdict = await limiter.hit(quota(3), "a")
    assert (verdict.allowed, verdict.remaining, verdict.retry_after) == (True, 3, 0)
    with pytest.raises(StoreUnavailable):
        await limiter.hit(quota(3, closed=True), "a")


_HITTER = """
import asyncio, sys
from datetime import timedelta
from bitloot.ports.rate_limiter import Quota
from bitloot_adapters.redis.connection import open_redis
from bitloot_adapters.redis.rate_limiter import RedisRateLimiter

async def main(url, hits):
    redis = open_redis(url)
    limiter = RedisRateLimiter(redis, pepper=bytes(range(32)))
    quota = Quota(scope="processes", limit=50, window=timedelta(minutes=5))
    verdicts = await asyncio.gather(*(limiter.hit(quota, "a") for _ in range(hits)))
    await redis.aclose()
    print(sum(verdict.allowed for verdict in verdicts))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_a_limit_is_exact_across_processes(redis: Redis, valkey_server: ValkeyStore) -> None:
    async def hitter() -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _HITTER, valkey_server.url, "60", stdout=asyncio.subprocess.PIPE
        )
        written, _ = await process.communicate()
        assert process.returncode == 0
        return int(written)

    one, other = await asyncio.gather(hitter(), hitter())
    assert one + other == 50
    assert min(one, other) >= 0


# --- one-time codes --------------------------------------------------------------------------

LIFE = timedelta(minutes=5)


async def test_a_right_code_is_used_once_under_concurrency(redis: Redis) -> None:
    store = RedisOtpStore(redis)
    await store.open("order-1", "right", life=LIFE, tries=5)
    answers = await asyncio.gather(*(store.verify("order-1", "right") for _ in range(50)))
    assert sorted(answers) == ["gone"] * 49 + ["right"]


async def test_the_last_wrong_try_burns_the_code(redis: Redis) -> None:
    store = RedisOtpStore(redis)
    await store.open("order-1", "right", life=LIFE, tries=5)
    guesses = await asyncio.gather(*(store.verify("order-1", f"no{n}") for n in range(20)))
    assert sorted(guesses) == ["gone"] * 15 + ["wrong"] * 5
    assert await store.verify("order-1", "right") == "gone"


async def test_a_right_code_after_some_wrong_ones_is_right(redis: Redis) -> None:
    store = RedisOtpStore(redis)
    await store.open("order-1", "right", life=LIFE, tries=3)
    assert [await store.verify("order-1", text) for text in ("a", "b", "right", "right")] == [
        *("wrong", "wrong", "right", "gone")
    ]


async def test_a_newer_code_replaces_the_older_one_and_its_tries(redis: Redis) -> None:
    store = RedisOtpStore(redis)
    await store.open("order-1", "old", life=LIFE, tries=2)
    assert await store.verify("order-1", "x") == "wrong"
    await store.open("order-1", "new", life=LIFE, tries=2)
    assert await store.verify("order-1", "old") == "wrong"
    assert await store.verify("order-1", "new") == "right"


async def test_a_code_ends_and_is_bound_to_its_challenge(redis: Redis) -> None:
    store = RedisOtpStore(redis)
    await store.open("order-1", "right", life=timedelta(milliseconds=100), tries=5)
    assert await store.verify("order-2", "right") == "gone"
    await asyncio.sleep(0.15)
    assert await store.verify("order-1", "right") == "gone"


async def test_a_stored_code_names_nobody_and_ends_by_itself(redis: Redis) -> None:
    store = RedisOtpStore(redis)
    await store.open("joan@example.org", "0a1b", life=LIFE, tries=5)
    await store.verify("joan@example.org", "wrong")
    (key,) = await keys(redis)
    assert b"joan" not in key
    assert 0 < await redis.pttl(key) <= 300_000


async def test_codes_fail_closed_without_their_store(lost: Redis) -> None:
    store = RedisOtpStore(lost)
    with pytest.raises(StoreUnavailable):
        await store.open("order-1", "right", life=LIFE, tries=5)
    with pytest.raises(StoreUnavailable):
        await store.verify("order-1", "right")


# --- wake-ups --------------------------------------------------------------------------------


async def test_a_watcher_hears_of_its_order_in_any_process(valkey_server: ValkeyStore) -> None:
    here, there = open_redis(valkey_server.url), open_redis(valkey_server.url)
    async with RedisRealtime(here).watch("o-1") as hints:
        for order_id, seq in (("o-1", 4), ("o-2", 9), ("o-1", 5)):
            await RedisRealtime(there).publish(order_id, seq)
        async with asyncio.timeout(2):
            assert [await anext(hints), await anext(hints)] == [4, 5]
    await here.aclose()
    await there.aclose()


async def test_many_watchers_share_one_connection_and_leave_none_behind(redis: Redis) -> None:
    realtime = RedisRealtime(redis)
    async with AsyncExitStack() as stack:
        watches = [
            await stack.enter_async_context(realtime.watch(f"o-{number % 30}"))
            for number in range(60)
        ]
        assert dict(await redis.pubsub_numsub("bitloot:events"))[b"bitloot:events"] == 1
        for number in range(30):
            await realtime.publish(f"o-{number}", number)
        async with asyncio.timeout(2):
            heard = [await anext(hints) for hints in watches]
        assert heard == [number % 30 for number in range(60)]
    assert dict(await redis.pubsub_numsub("bitloot:events"))[b"bitloot:events"] == 0


async def test_watching_begins_again_after_everybody_left(redis: Redis) -> None:
    realtime = RedisRealtime(redis)
    for seq in range(3):
        async with realtime.watch("o-1") as hints, asyncio.timeout(2):
            await realtime.publish("o-1", seq)
            assert await anext(hints) == seq


async def test_a_slow_watcher_keeps_the_newest_hints(redis: Redis) -> None:
    realtime = RedisRealtime(redis)
    async with realtime.watch("o-1") as slow, realtime.watch("o-1") as quick:
        for seq in range(200):
            await realtime.publish("o-1", seq)
        async with asyncio.timeout(5):
            async for seq in quick:
                if seq == 199:
                    break
            heard = [await anext(slow) for _ in range(64)]
        assert heard == list(range(136, 200))


async def test_a_watch_ends_quietly_when_the_store_is_lost_and_works_anew_after(
    own_server: ValkeyServer,
) -> None:
    redis = open_redis(own_server.url)
    realtime = RedisRealtime(redis)
    async with realtime.watch("o-1") as hints:
        own_server.kill()
        async with asyncio.timeout(5):
            assert [seq async for seq in hints] == []
        async with asyncio.timeout(5), realtime.watch("o-1") as none:
            assert [seq async for seq in none] == []
        await realtime.publish("o-1", 1)
    own_server.restart()
    async with realtime.watch("o-1") as hints, asyncio.timeout(5):
        await realtime.publish("o-1", 2)
        assert await anext(hints) == 2
    await redis.aclose()


async def test_leaving_while_waiting_takes_the_listener_along(redis: Redis) -> None:
    realtime = RedisRealtime(redis)

    async def watch() -> None:
        async with realtime.watch("o-1") as hints:
            await anext(hints)

    tasks = [asyncio.create_task(watch()) for _ in range(10)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    assert dict(await redis.pubsub_numsub("bitloot:events"))[b"bitloot:events"] == 0


# --- cached answers --------------------------------------------------------------------------


async def test_an_answer_is_kept_for_its_life_and_forgotten_on_demand(redis: Redis) -> None:
    cache = RedisCache(redis)
    await cache.put("a", b"\x00one", life=timedelta(milliseconds=120))
    await cache.put("b", b"two", life=MINUTE)
    assert await cache.get("a") == b"\x00one"
    await cache.forget("b")
    assert await cache.get("b") is None
    await asyncio.sleep(0.15)
    assert await cache.get("a") is None


async def test_every_entry_has_an_end_and_a_bounded_size(redis: Redis) -> None:
    cache = RedisCache(redis)
    await cache.put("a", b"old", life=MINUTE)
    (key,) = await keys(redis)
    assert 0 < await redis.pttl(key) <= 60_000
    await cache.put("a", b"x" * (MAX_VALUE + 1), life=MINUTE)
    assert await cache.get("a") is None
    await cache.put("b", b"x", life=timedelta(0))
    assert await keys(redis) == []


async def test_without_its_store_everything_is_a_miss(lost: Redis) -> None:
    cache = RedisCache(lost)
    await cache.put("a", b"one", life=MINUTE)
    await cache.forget("a")
    assert await cache.get("a") is None


# --- deadlines -------------------------------------------------------------------------------


async def test_a_server_that_hangs_keeps_nobody_waiting(own_server: ValkeyServer) -> None:
    redis = open_redis(own_server.url)
    limiter, codes = RedisRateLimiter(redis, pepper=PEPPER), RedisOtpStore(redis)
    await limiter.hit(quota(5), "a")
    async with asyncio.timeout(10):
        await redis.client_pause(5000)
        began = time.monotonic()
        assert (await limiter.hit(quota(5), "a")).allowed
        assert await RedisCache(redis).get("a") is None
        await RedisRealtime(redis).publish("o-1", 1)
        assert time.monotonic() - began < 2.5
        with pytest.raises(StoreUnavailable):
            await codes.verify("order-1", "x")
        assert time.monotonic() - began < 5
    await redis.aclose()


async def test_clients_work_again_after_a_restart_that_forgot_their_scripts(
    own_server: ValkeyServer,
) -> None:
    redis = open_redis(own_server.url)
    limiter = RedisRateLimiter(redis, pepper=PEPPER)
    assert (await limiter.hit(quota(5, closed=True), "a")).remaining == 4
    own_server.kill()
    with pytest.raises(StoreUnavailable):
        await limiter.hit(quota(5, closed=True), "a")
    own_server.restart()
    assert (await limiter.hit(quota(5, closed=True), "a")).remaining == 4
    await redis.aclose()
