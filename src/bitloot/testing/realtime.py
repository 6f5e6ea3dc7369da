"""The suite of wake-ups."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from bitloot.testing.contract import Contract, needs
from bitloot.testing.local_rigs import RealtimeRig

ORDER: Final = "01890000-0000-7000-8000-000000000001"
OTHER: Final = "01890000-0000-7000-8000-000000000002"
PATIENCE: Final = 5.0


async def heard(watch: AsyncIterator[int]) -> int:
    """The next number; fails when none comes."""
    return await asyncio.wait_for(anext(watch), PATIENCE)


async def heard_until(watch: AsyncIterator[int], last: int) -> list[int]:
    """The numbers up to `last`."""
    found: list[int] = []
    while not found or found[-1] != last:
        found.append(await heard(watch))
    return found


class RealtimeContract(Contract):
    """Fixture `rig`: a `RealtimeRig`. A lever that may be missing: `lose_store`."""

    async def test_a_watcher_hears_what_is_published(self, rig: RealtimeRig) -> None:
        async with rig.realtime.watch(ORDER) as watch:
            await rig.realtime.publish(ORDER, 7)
            assert await heard(watch) == 7

    async def test_every_watcher_hears_it_in_every_process(self, rig: RealtimeRig) -> None:
        async with (
            rig.another() as another,
            rig.realtime.watch(ORDER) as here,
            rig.realtime.watch(ORDER) as beside,
            another.watch(ORDER) as there,
        ):
            await another.publish(ORDER, 3)
            assert [await heard(watch) for watch in (here, beside, there)] == [3, 3, 3]

    async def test_orders_are_apart(self, rig: RealtimeRig) -> None:
        async with rig.realtime.watch(ORDER) as watch:
            await rig.realtime.publish(OTHER, 1)
            await rig.realtime.publish(ORDER, 2)
            assert await heard(watch) == 2

    async def test_a_watcher_who_is_late_still_hears_the_newest(self, rig: RealtimeRig) -> None:
        async with rig.realtime.watch(ORDER) as watch:
            for seq in range(1, 301):
                await rig.realtime.publish(ORDER, seq)
            found = await heard_until(watch, 300)
        assert found == sorted(found)

    async def test_publishing_to_nobody_is_harmless(self, rig: RealtimeRig) -> None:
        await rig.realtime.publish(ORDER, 1)
        async with rig.realtime.watch(ORDER) as watch:
            await rig.realtime.publish(ORDER, 2)
            assert await heard(watch) == 2

    async def test_leaving_ends_the_watch_and_others_go_on(self, rig: RealtimeRig) -> None:
        async with rig.realtime.watch(ORDER) as stays:
            async with rig.realtime.watch(ORDER):
                await rig.realtime.publish(ORDER, 1)
            await rig.realtime.publish(ORDER, 2)
            assert await heard_until(stays, 2) == [1, 2]

    @needs("lose_store")
    async def test_a_lost_store_ends_watches_quietly(self, rig: RealtimeRig) -> None:
        async with rig.realtime.watch(ORDER) as watch:
            await rig.lose_store()
            await rig.realtime.publish(ORDER, 1)
            rest = await asyncio.wait_for(_rest(watch), PATIENCE)
        assert rest == []
        await rig.find_store()
        async with rig.realtime.watch(ORDER) as watch:
            await rig.realtime.publish(ORDER, 2)
            assert await heard(watch) == 2


async def _rest(watch: AsyncIterator[int]) -> list[int]:
    return [seq async for seq in watch]
