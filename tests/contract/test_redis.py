"""Limits, codes, wake-ups and cached answers over a real Valkey."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bitloot.domain.limits import Limits
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.rate_limiter import Quota
from bitloot.testing.cache import CacheContract
from bitloot.testing.otp_store import OtpStoreContract
from bitloot.testing.rate_limiter import RateLimiterContract
from bitloot.testing.realtime import RealtimeContract
from bitloot_adapters import clock
from bitloot_adapters.redis.cache import MAX_VALUE, RedisCache
from bitloot_adapters.redis.connection import open_redis
from bitloot_adapters.redis.otp_store import RedisOtpStore
from bitloot_adapters.redis.rate_limiter import RedisRateLimiter
from bitloot_adapters.redis.realtime import RedisRealtime
from bitloot_web.devservices import ValkeyServer, ValkeyStore, start_valkey
from bitloot_web.security.rate_shares import SharedRateLimits

PEPPER = bytes(range(32))
MINUTE = timedelta(minutes=1)
TICK = timedelta(milliseconds=150)


@pytest.fixture
async def redis(valkey_server: ValkeyStore) -> AsyncIterator[Redis]:
    valkey_server.flush()
    client = open_redis(valkey_server.url)
    yield client
    await client.aclose()


@pytest.fixture(scope="module")
def mortal(services_folder: Path) -> Iterator[ValkeyServer]:
    """A server that tests kill."""
    with start_valkey(services_folder / "mortal", port=0) as server:
        yield server


@pytest.fixture
def own_server(mortal: ValkeyServer) -> ValkeyServer:
    """It runs and is empty when a test begins."""
    if not mortal.alive():
        mortal.restart()
    mortal.flush()
    return mortal


class RedisRig:
    """All four ports over one server, which can be killed."""

    tick = TICK

    def __init__(self, server: ValkeyServer) -> None:
        self._server = server
        self._redis = open_redis(server.url)
        self._elsewhere = open_redis(server.url)
        self.limiter = RedisRateLimiter(self._redis, pepper=PEPPER)
        self.codes = RedisOtpStore(self._redis)
        self.realtime = RedisRealtime(self._redis)
        self.cache = RedisCache(self._redis)

    async def aclose(self) -> None:
        await self._redis.aclose()
        await self._elsewhere.aclose()

    async def pass_time(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())

    async def lose_store(self) -> None:
        self._server.kill()

    async def find_store(self) -> None:
        self._server.restart()


class TwoLimiters(RedisRig):
    def another(self) -> RedisRateLimiter:
        return RedisRateLimiter(self._elsewhere, pepper=PEPPER)


class TwoRealtimes(RedisRig):
    @asynccontextmanager
    async def another(self) -> AsyncIterator[RedisRealtime]:
        yield RedisRealtime(self._elsewhere)


class TestRedisRateLimiter(RateLimiterContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self, own_server: ValkeyServer) -> AsyncIterator[TwoLimiters]:
        async with aclosing(TwoLimiters(own_server)) as rig:
            yield rig


class TestRedisOtpStore(OtpStoreContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self, own_server: ValkeyServer) -> AsyncIterator[RedisRig]:
        async with aclosing(RedisRig(own_server)) as rig:
            yield rig


class TestRedisRealtime(RealtimeContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self, own_server: ValkeyServer) -> AsyncIterator[TwoRealtimes]:
        async with aclosing(TwoRealtimes(own_server)) as rig:
            yield rig


class TestRedisCache(CacheContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self, own_server: ValkeyServer) -> AsyncIterator[RedisRig]:
        async with aclosing(RedisRig(own_server)) as rig:
            yield rig


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


async def test_two_processes_with_shares_of_a_limit_get_exactly_the_limit(
    own_server: ValkeyServer,
) -> None:
    whole = quota(300)
    async with aclosing(TwoLimiters(own_server)) as rig:
        one, other = (
            SharedRateLimits(each, limits=Limits(), now=clock.boot_seconds)
            for each in (rig.limiter, rig.another())
        )
        verdicts = await asyncio.gather(
            *((one if n % 2 else other).hit(whole, "a") for n in range(800))
        )
        assert sum(verdict.allowed for verdict in verdicts) == 300
        assert not (await rig.limiter.take(whole, "a", most=1)).granted


async def test_hits_that_come_at_once_are_one_question(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, pepper=PEPPER)
    await limiter.hit(quota(3), "first")  # the server knows the script now
    await redis.config_resetstat()
    who = [f"{number}" for number in range(40)]
    verdicts = await asyncio.gather(
        *(limiter.hit(quota(3), each, mark=each) for each in who),
        *(limiter.hit(quota(3), each, mark=each) for each in who),
    )
    assert [verdict.repeated for verdict in verdicts] == [False] * 40 + [True] * 40
    assert {verdict.remaining for verdict in verdicts} == {2}
    asked = await redis.info("commandstats")
    assert asked["cmdstat_evalsha"]["calls"] == 2  # each of 64 hits at most


async def test_who_gives_up_takes_nobody_along(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, pepper=PEPPER)
    tasks = [asyncio.create_task(limiter.hit(quota(3), "203.0.113.9")) for _ in range(2)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert (await tasks[1]).allowed


async def test_a_limit_that_was_lowered_waits_until_so_many_have_left(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, pepper=PEPPER)
    for _ in range(3):
        await asyncio.sleep(0.05)
        before_the_last = time.monotonic()
        assert (await limiter.hit(quota(3), "a")).allowed
    refused = await limiter.hit(quota(1), "a")
    since = time.monotonic() - before_the_last
    assert MINUTE.total_seconds() - since <= refused.retry_after <= MINUTE.total_seconds()


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


async def test_a_stored_code_names_nobody_and_ends_by_itself(redis: Redis) -> None:
    store = RedisOtpStore(redis)
    await store.open("joan@example.org", "0a1b", life=LIFE, tries=5)
    await store.verify("joan@example.org", "wrong")
    (key,) = await keys(redis)
    assert b"joan" not in key
    assert 0 < await redis.pttl(key) <= 300_000


# --- wake-ups --------------------------------------------------------------------------------


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
        async with asyncio.timeout(10):
            heard = [await anext(hints) for hints in watches]
        assert heard == [number % 30 for number in range(60)]
    assert dict(await redis.pubsub_numsub("bitloot:events"))[b"bitloot:events"] == 0


async def test_watching_begins_again_after_everybody_left(redis: Redis) -> None:
    realtime = RedisRealtime(redis)
    for seq in range(3):
        async with realtime.watch("o-1") as hints, asyncio.timeout(10):
            await realtime.publish("o-1", seq)
            assert await anext(hints) == seq


async def test_a_slow_watcher_keeps_the_newest_hints(redis: Redis) -> None:
    realtime = RedisRealtime(redis)
    async with realtime.watch("o-1") as slow, realtime.watch("o-1") as quick:
        for seq in range(200):
            await realtime.publish("o-1", seq)
        async with asyncio.timeout(10):
            async for seq in quick:
                if seq == 199:
                    break
            heard = [await anext(slow) for _ in range(64)]
        assert heard == list(range(136, 200))


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


async def test_every_entry_has_an_end_and_a_bounded_size(redis: Redis) -> None:
    cache = RedisCache(redis)
    await cache.put("a", b"old", life=MINUTE)
    (key,) = await keys(redis)
    assert 0 < await redis.pttl(key) <= 60_000
    await cache.put("a", b"x" * (MAX_VALUE + 1), life=MINUTE)
    assert await cache.get("a") is None
    await cache.put("b", b"x", life=timedelta(0))
    assert await keys(redis) == []


# --- deadlines -------------------------------------------------------------------------------


async def test_a_server_that_hangs_keeps_nobody_waiting(own_server: ValkeyServer) -> None:
    redis = open_redis(own_server.url)
    limiter, codes = RedisRateLimiter(redis, pepper=PEPPER), RedisOtpStore(redis)
    await limiter.hit(quota(5), "a")
    async with asyncio.timeout(30):
        await redis.client_pause(20_000)
        began = time.monotonic()
        assert (await limiter.hit(quota(5), "a")).allowed
        assert await RedisCache(redis).get("a") is None
        await RedisRealtime(redis).publish("o-1", 1)
        assert time.monotonic() - began < 6
        with pytest.raises(StoreUnavailable):
            await codes.verify("order-1", "x")
        assert time.monotonic() - began < 12
    # The next test starts it anew, instead of waiting for the end of the pause.
    own_server.kill()
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


async def test_the_same_over_tcp(own_server: ValkeyServer) -> None:
    assert own_server.tcp_url is not None
    redis = open_redis(own_server.tcp_url)
    cache = RedisCache(redis)
    await cache.put("a", b"one", life=MINUTE)
    assert await cache.get("a") == b"one"
    assert (await RedisRateLimiter(redis, pepper=PEPPER).hit(quota(2, closed=True), "a")).allowed
    await redis.aclose()


async def test_calls_that_were_given_up_never_mix_up_the_answers_of_others(redis: Redis) -> None:
    cache = RedisCache(redis)
    for number in range(50):
        await cache.put(f"k{number}", b"%d" % number, life=MINUTE)
    for delay in range(200):
        call = asyncio.create_task(cache.get("k0"))
        await asyncio.sleep(delay % 8 * 0.0002)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    # What a machine that stood still does not answer in time is a miss, and is asked for again.
    answers: dict[int, bytes] = {}
    async with asyncio.timeout(20):
        while missed := [number for number in range(50) if number not in answers]:
            found = await asyncio.gather(*(cache.get(f"k{number}") for number in missed))
            answers |= {n: answer for n, answer in zip(missed, found, strict=True) if answer}
    assert answers == {number: b"%d" % number for number in range(50)}


async def test_a_server_that_answers_late_counts_a_hit_once(own_server: ValkeyServer) -> None:
    redis = open_redis(own_server.url)
    limiter = RedisRateLimiter(redis, pepper=PEPPER)
    assert (await limiter.hit(quota(5, closed=True), "a")).remaining == 4
    await redis.client_pause(600)
    assert (await limiter.hit(quota(5, closed=True), "a")).remaining == 3
    assert (await limiter.hit(quota(5, closed=True), "a")).remaining == 2
    await redis.aclose()
