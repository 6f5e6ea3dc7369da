"""The suite of circuit breakers."""

import asyncio
from datetime import timedelta
from typing import Final

from bitloot.testing.contract import Contract
from bitloot.testing.local_rigs import BreakersRig

WHO: Final = "supplier"
SECOND: Final = timedelta(seconds=1)


async def opened(rig: BreakersRig) -> None:
    """The breaker is open."""
    for _ in range(rig.limits.breaker_failures):
        await rig.breakers.failed(WHO)


class BreakersContract(Contract):
    """Fixture `rig`: a `BreakersRig`."""

    async def test_a_breaker_is_closed_until_enough_calls_failed(self, rig: BreakersRig) -> None:
        told = [await rig.breakers.failed(WHO) for _ in range(rig.limits.breaker_failures - 1)]
        assert told == [False] * len(told)
        assert await rig.breakers.allows(WHO)
        assert await rig.breakers.failed(WHO)
        assert not await rig.breakers.allows(WHO)

    async def test_opening_is_told_once(self, rig: BreakersRig) -> None:
        told = await asyncio.gather(
            *(rig.breakers.failed(WHO) for _ in range(rig.limits.breaker_failures * 2))
        )
        assert sum(told) == 1

    async def test_failures_of_long_ago_do_not_count(self, rig: BreakersRig) -> None:
        for _ in range(rig.limits.breaker_failures - 1):
            await rig.breakers.failed(WHO)
        await rig.pass_time(rig.limits.breaker_window + SECOND)
        assert not await rig.breakers.failed(WHO)
        assert await rig.breakers.allows(WHO)

    async def test_a_call_that_went_through_closes_it(self, rig: BreakersRig) -> None:
        await opened(rig)
        await rig.breakers.succeeded(WHO)
        assert await rig.breakers.allows(WHO)
        assert not await rig.breakers.failed(WHO)

    async def test_after_a_while_exactly_one_may_probe(self, rig: BreakersRig) -> None:
        await opened(rig)
        await rig.pass_time(rig.limits.breaker_probe + SECOND)
        allowed = await asyncio.gather(*(rig.breakers.allows(WHO) for _ in range(8)))
        assert sum(allowed) == 1

    async def test_a_failed_probe_is_followed_by_another_only_later(self, rig: BreakersRig) -> None:
        await opened(rig)
        await rig.pass_time(rig.limits.breaker_probe + SECOND)
        assert await rig.breakers.allows(WHO)
        assert not await rig.breakers.failed(WHO)
        assert not await rig.breakers.allows(WHO)
        await rig.pass_time(rig.limits.breaker_probe + SECOND)
        assert await rig.breakers.allows(WHO)

    async def test_one_that_is_tripped_is_open_at_once(self, rig: BreakersRig) -> None:
        await rig.breakers.failed(WHO)
        told = await asyncio.gather(*(rig.breakers.trip(WHO) for _ in range(8)))
        assert sum(told) == 1
        assert not await rig.breakers.allows(WHO)
        assert not await rig.another().allows(WHO)
        assert await rig.breakers.allows("mailer")

    async def test_one_that_is_tripped_is_probed_and_closes_like_any(
        self, rig: BreakersRig
    ) -> None:
        await rig.breakers.trip(WHO)
        await rig.pass_time(rig.limits.breaker_probe + SECOND)
        assert await rig.breakers.allows(WHO)
        assert not await rig.breakers.trip(WHO)
        assert not await rig.breakers.allows(WHO)
        await rig.breakers.succeeded(WHO)
        assert await rig.breakers.allows(WHO)
        assert not await rig.breakers.failed(WHO)

    async def test_providers_have_breakers_of_their_own(self, rig: BreakersRig) -> None:
        await opened(rig)
        assert await rig.breakers.allows("mailer")

    async def test_all_processes_see_the_same(self, rig: BreakersRig) -> None:
        other = rig.another()
        await opened(rig)
        assert not await other.allows(WHO)
        await other.succeeded(WHO)
        assert await rig.breakers.allows(WHO)
