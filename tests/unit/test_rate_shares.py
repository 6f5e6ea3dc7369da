"""Large limits that processes spend in shares: never more than the limit, in no window at all."""

import asyncio
import random
from datetime import timedelta

import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.rate_limiter import Quota, Taken, Verdict
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.memory.rate_limiter import MemoryRateLimiter
from bitloot_web.security.rate_shares import SharedRateLimits

WINDOW = timedelta(seconds=60)
RULE = Quota(scope="catalogue", limit=300, window=WINDOW)
WHO = "192.0.2.7"
LIMITS = Limits()


class Watched(MemoryRateLimiter):
    """Counts how often it is asked."""

    asked = 0

    async def hit(self, quota: Quota, subject: str, *, mark: str | None = None) -> Verdict:
        self.asked += 1
        await asyncio.sleep(0)
        return await super().hit(quota, subject, mark=mark)

    async def take(self, quota: Quota, subject: str, *, most: int) -> Taken:
        self.asked += 1
        await asyncio.sleep(0)
        return await super().take(quota, subject, most=most)


class World:
    """One store, and processes with a clock in common."""

    def __init__(self, *, limits: Limits = LIMITS, processes: int = 2) -> None:
        self.clock = VirtualClock()
        self.store = Watched(clock=self.clock.now)
        self.processes = [
            SharedRateLimits(self.store, limits=limits, now=self.clock.boot)
            for _ in range(processes)
        ]

    async def hits(self, count: int, rule: Quota = RULE) -> int:
        """How many of so many are allowed, of all processes in turn."""
        turns = (self.processes[n % len(self.processes)] for n in range(count))
        verdicts = [await process.hit(rule, WHO) for process in turns]
        return sum(verdict.allowed for verdict in verdicts)


async def test_two_processes_together_allow_exactly_the_limit() -> None:
    world = World()
    assert await world.hits(1000) == RULE.limit
    verdict = await world.processes[0].hit(RULE, WHO)
    assert (verdict.allowed, verdict.remaining) == (False, 0)
    assert 0 < verdict.retry_after <= WINDOW.total_seconds() * 1.05


async def test_many_at_once_in_two_processes_get_exactly_the_limit() -> None:
    world = World()
    one, other = world.processes
    verdicts = await asyncio.gather(*((one if n % 2 else other).hit(RULE, WHO) for n in range(700)))
    assert sum(verdict.allowed for verdict in verdicts) == RULE.limit


async def test_whoever_asks_often_costs_a_question_now_and_then() -> None:
    world = World(processes=1)
    await world.hits(290)
    # One, two, four, eight, and then fifteen at a time, a twentieth of the limit.
    assert world.store.asked == 4 + 19


async def test_whoever_asks_now_and_then_is_counted_to_the_hit() -> None:
    world = World(processes=1)
    for left in range(299, 289, -1):
        assert (await world.processes[0].hit(RULE, WHO)).remaining == left
        world.clock.advance(timedelta(seconds=4))


async def test_those_who_wait_for_a_share_ask_for_it_once() -> None:
    world = World(processes=1)
    await world.hits(15)
    before = world.store.asked
    await asyncio.gather(*(world.processes[0].hit(RULE, WHO) for _ in range(10)))
    assert world.store.asked == before + 1


@pytest.mark.parametrize("seed", range(20))
async def test_no_window_holds_more_than_the_limit_however_hits_fall(seed: int) -> None:
    drawn, world = random.Random(seed), World(processes=3)
    rule = msgspec.structs.replace(RULE, limit=drawn.choice([100, 101, 137, 300]))
    allowed: list[float] = []
    for _ in range(4000):
        if drawn.random() < 0.1:
            world.clock.advance(timedelta(seconds=drawn.choice([0.1, 1.0, 2.9, 3.0, 20.0])))
        if (await drawn.choice(world.processes).hit(rule, WHO)).allowed:
            allowed.append(world.clock.boot())
    window = WINDOW.total_seconds()
    for place, at in enumerate(allowed):
        within = [each for each in allowed[place : place + rule.limit + 1] if each < at + window]
        assert len(within) <= rule.limit


async def test_what_is_left_of_a_share_is_lost_with_its_moment() -> None:
    world = World()
    one, other = world.processes
    for _ in range(1 + 2 + 4 + 8 + 1):
        await one.hit(RULE, WHO)  # fourteen of fifteen are left to it
    world.clock.advance(timedelta(seconds=3))
    await one.hit(RULE, WHO)
    verdicts = [await other.hit(RULE, WHO) for _ in range(400)]
    assert sum(verdict.allowed for verdict in verdicts) == RULE.limit - 15 - 15 - 1


@pytest.mark.parametrize(
    "rule",
    [
        Quota(scope="orders", limit=10, window=WINDOW),
        Quota(scope="quotes", limit=99, window=WINDOW),
        Quota(scope="codes", limit=300, window=WINDOW, fails_closed=True),
    ],
    ids=["small", "not large enough", "fails closed"],
)
async def test_other_limits_are_counted_one_by_one(rule: Quota) -> None:
    world = World(processes=1)
    assert await world.hits(30, rule) == min(30, rule.limit)
    assert world.store.asked == 30


async def test_a_hit_with_a_mark_is_counted_by_the_store() -> None:
    world = World(processes=1)
    first, again = [await world.processes[0].hit(RULE, WHO, mark="one") for _ in range(2)]
    assert (first.repeated, again.repeated, again.remaining) == (False, True, 299)


async def test_without_the_store_everybody_who_waits_is_let_through_at_once() -> None:
    world = World(processes=1)
    world.store.is_down = True
    verdicts = await asyncio.gather(*(world.processes[0].hit(RULE, WHO) for _ in range(500)))
    assert all(verdict.allowed for verdict in verdicts)
    assert world.store.asked == 1
    world.store.is_down = False
    assert await world.hits(400) == RULE.limit


async def test_without_the_store_a_limit_that_fails_closed_is_closed() -> None:
    world = World(processes=1)
    world.store.is_down = True
    with pytest.raises(StoreUnavailable):
        await world.processes[0].hit(msgspec.structs.replace(RULE, fails_closed=True), WHO)


async def test_callers_beyond_the_limit_of_callers_cost_their_shares_and_no_more() -> None:
    limits = msgspec.structs.replace(LIMITS, rate_subjects=3)
    world = World(limits=limits, processes=1)
    for _ in range(3):
        for number in range(10):
            assert (await world.processes[0].hit(RULE, f"{WHO}{number}")).allowed
    assert len(world.processes[0]._shares) == 3
