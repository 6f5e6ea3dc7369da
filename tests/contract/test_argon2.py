"""The argon2id hasher keeps the contract of password hashers, and its share of the machine."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from decimal import Decimal

import argon2
import pytest

from bitloot.domain.limits import Limits
from bitloot.testing.password_hasher import RIGHT, WRONG, PasswordHasherContract
from bitloot_adapters.argon2.password_hasher import (
    THREADS,
    Argon2PasswordHasher,
    open_password_hasher,
)

QUICK = Limits(
    password_hash_bytes=64 * 1024,
    password_hash_passes=1,
    password_hashing_at_once=2,
    password_hashing_waiting=3,
)
# More cores than there are: nobody rests.
RESTLESS = Decimal(1000)


class Argon2Rig:
    """Hashers with quick parameters, each with threads of its own."""

    limits = QUICK

    def __init__(self, hasher: Argon2PasswordHasher, stack: AsyncExitStack) -> None:
        self.hasher = hasher
        self._stack = stack

    async def another(self, limits: Limits) -> Argon2PasswordHasher:
        return await self._stack.enter_async_context(open_password_hasher(limits))


class TestArgon2(PasswordHasherContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Argon2Rig]:
        async with AsyncExitStack() as stack:
            hasher = await stack.enter_async_context(open_password_hasher(QUICK))
            yield Argon2Rig(hasher, stack)


async def test_a_hash_is_argon2id_with_the_parameters_of_owasp_unless_the_limits_say_more() -> None:
    async with open_password_hasher(Limits()) as hasher:
        hashed = await hasher.hash(RIGHT)
    found = argon2.extract_parameters(hashed)
    assert (found.type, found.version) == (argon2.Type.ID, 19)
    assert (found.memory_cost, found.time_cost, found.parallelism) == (19 * 1024, 2, 1)
    assert (found.salt_len, found.hash_len) == (16, 32)


async def test_no_more_threads_hash_than_may_at_once_and_none_is_left_behind() -> None:
    def hashing() -> int:
        return sum(thread.name.startswith(THREADS) for thread in threading.enumerate())

    limits = Limits(
        password_hashing_at_once=2, password_hashing_waiting=10, password_cpu_share=RESTLESS
    )
    async with open_password_hasher(limits) as hasher:
        tasks = [asyncio.create_task(hasher.hash(RIGHT)) for _ in range(12)]
        most = 0
        while not all(task.done() for task in tasks):
            most = max(most, hashing())
            await asyncio.sleep(0.001)
    assert (most, hashing()) == (2, 0)


async def test_who_is_unknown_costs_the_work_of_a_wrong_password() -> None:
    async with open_password_hasher(Limits(password_cpu_share=RESTLESS)) as hasher:
        hashed = await hasher.hash(RIGHT)

        async def fastest(stored: str | None) -> float:
            spent = []
            for _ in range(5):
                # Of the processor: what others do with it meanwhile does not count.
                began = time.process_time()
                assert not await hasher.verify(WRONG, stored)
                spent.append(time.process_time() - began)
            return min(spent)

        wrong = await fastest(hashed)
        for stored in (None, "", "no hash at all"):
            assert 0.5 < await fastest(stored) / wrong < 2


async def test_a_stored_text_that_asks_for_a_gigabyte_is_damaged_and_not_obeyed() -> None:
    async with open_password_hasher(QUICK) as hasher:
        own = await hasher.hash(RIGHT)
        for costs in ("m=4294967295,t=1,p=1", "m=64,t=4294967295,p=1", "m=0,t=1,p=1"):
            stored = own.replace("m=64,t=1,p=1", costs)
            assert stored != own
            assert not await hasher.verify(RIGHT, stored)
            assert hasher.is_outdated(stored)


async def test_the_loop_keeps_its_pace_while_real_hashes_run() -> None:
    limits = Limits(password_hashing_waiting=10, password_cpu_share=RESTLESS)
    async with open_password_hasher(limits) as hasher:
        tasks = [asyncio.create_task(hasher.hash(RIGHT)) for _ in range(6)]
        ticks = 0
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.001)
            ticks += 1
    # Six hashes take some 200 ms; a loop that is held up by each would tick six times.
    assert ticks > 20


@pytest.mark.parametrize("lanes", [1, 2])
async def test_hashes_take_no_more_of_the_processor_than_their_share(lanes: int) -> None:
    share, hashes = 0.05, 8
    limits = Limits(
        password_hash_bytes=2 * 1024 * 1024,
        password_hash_lanes=lanes,
        password_hashing_at_once=2,
        password_cpu_share=Decimal(str(share)),
    )
    async with open_password_hasher(limits) as hasher:
        began, worked = time.perf_counter(), time.process_time()
        await asyncio.gather(*(hasher.hash(RIGHT) for _ in range(hashes)))
        took, spent = time.perf_counter() - began, time.process_time() - worked
    # The first two begin at once and nobody rests after the last; the loop takes its part as well.
    assert took > 0.6 * (hashes - 2) / hashes * spent / share


async def test_who_gives_up_during_a_rest_keeps_nobody_from_the_next_turn() -> None:
    limits = Limits(
        password_hash_bytes=1024 * 1024,
        password_hashing_waiting=1,
        password_cpu_share=Decimal("0.02"),
    )
    async with open_password_hasher(limits) as hasher:
        hashed = await hasher.hash(RIGHT)
        resting = asyncio.create_task(hasher.verify(RIGHT, hashed))
        next_one = asyncio.create_task(hasher.verify(RIGHT, hashed))
        await asyncio.sleep(0)
        assert not resting.done()
        resting.cancel()
        async with asyncio.timeout(10):
            assert await next_one
        assert resting.cancelled()


async def test_threads_that_hash_give_way_to_the_one_that_answers() -> None:
    async with open_password_hasher(QUICK) as hasher:
        await hasher.hash(RIGHT)
        (hashing,) = (each for each in threading.enumerate() if each.name.startswith(THREADS))
        assert hashing.native_id is not None
        if sys.platform == "linux":  # elsewhere threads have no priority of their own
            own, theirs = (os.getpriority(os.PRIO_PROCESS, who) for who in (0, hashing.native_id))
            assert theirs > own
