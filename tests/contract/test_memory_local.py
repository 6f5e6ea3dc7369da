"""The smaller memory adapters, the virtual clock and the seeded ids keep their contracts."""

import asyncio
from datetime import timedelta

import pytest

from bitloot.testing.breakers import BreakersContract
from bitloot.testing.cache import CacheContract
from bitloot.testing.captcha import CaptchaContract
from bitloot.testing.clock import ClockContract
from bitloot.testing.otp_store import OtpStoreContract
from bitloot.testing.password_hasher import PasswordHasherContract
from bitloot.testing.rate_limiter import RateLimiterContract
from bitloot.testing.realtime import RealtimeContract
from bitloot.testing.seeded import SeededBytes, SeededIds
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.memory.cache import MemoryCache
from bitloot_adapters.memory.captcha import CaptchaOff
from bitloot_adapters.memory.local_rigs import (
    MemoryBreakersRig,
    MemoryCacheRig,
    MemoryCaptchaRig,
    MemoryOtpStoreRig,
    MemoryPasswordHasherRig,
    MemoryRateLimiterRig,
    MemoryRealtimeRig,
    VirtualClockRig,
)
from bitloot_adapters.memory.payment_gateway import MemoryPaymentGateway
from bitloot_adapters.memory.rigs import MemoryStoreRig


class TestMemoryRateLimiter(RateLimiterContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryRateLimiterRig:
        return MemoryRateLimiterRig()


class TestMemoryOtpStore(OtpStoreContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryOtpStoreRig:
        return MemoryOtpStoreRig()


class TestMemoryPasswordHasher(PasswordHasherContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryPasswordHasherRig:
        return MemoryPasswordHasherRig()


class TestMemoryCaptcha(CaptchaContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryCaptchaRig:
        return MemoryCaptchaRig()


class TestMemoryCache(CacheContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryCacheRig:
        return MemoryCacheRig()


class TestMemoryRealtime(RealtimeContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryRealtimeRig:
        return MemoryRealtimeRig()


class TestMemoryBreakers(BreakersContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryBreakersRig:
        return MemoryBreakersRig()


class TestVirtualClock(ClockContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> VirtualClockRig:
        return VirtualClockRig()


async def test_a_full_cache_lets_the_oldest_go() -> None:
    cache = MemoryCache(clock=VirtualClock().now, entries=2)
    for key in ("a", "b", "c"):
        await cache.put(key, key.encode(), life=timedelta(minutes=1))
    assert [await cache.get(key) for key in ("a", "b", "c")] == [None, b"b", b"c"]


async def test_without_a_captcha_everybody_passes() -> None:
    assert await CaptchaOff().passes(None, action="order", remote_ip="192.0.2.7")
    assert CaptchaOff().site_key is None
    await CaptchaOff().check()


def test_the_same_seed_gives_the_same_ids_and_bytes() -> None:
    clock = VirtualClock()
    one, other = SeededIds(clock.now, 1), SeededIds(clock.now, 1)
    assert [one() for _ in range(9)] == [other() for _ in range(9)]
    assert SeededIds(clock.now, 2)() != SeededIds(clock.now, 1)()
    assert SeededBytes(3)(32) == SeededBytes(3)(32) != SeededBytes(4)(32)


def test_the_virtual_clock_goes_only_when_it_is_told() -> None:
    clock = VirtualClock()
    before, boot = clock.now(), clock.boot()
    clock.advance(timedelta(seconds=90))
    assert clock.now() - before == timedelta(seconds=90)
    assert clock.boot() - boot == 90
    clock.set_back(timedelta(hours=1))
    assert (clock.now() < before, clock.boot() - boot) == (True, 90)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(timedelta(seconds=-1))


async def test_a_memory_provider_refuses_to_be_called_inside_a_transaction() -> None:
    store = MemoryStoreRig()
    gateway = MemoryPaymentGateway(
        clock=store.now, random_bytes=SeededBytes(1), in_transaction=store.uow.in_transaction
    )
    async with store.uow.begin():
        with pytest.raises(RuntimeError, match="inside a transaction"):
            await gateway.check()
        await asyncio.sleep(0)
    await gateway.check()
