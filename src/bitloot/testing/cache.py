"""The suite of caches: losing one costs time only."""

from datetime import timedelta
from typing import Final

from bitloot.testing.contract import Contract, needs
from bitloot.testing.local_rigs import CacheRig

LONG: Final = timedelta(minutes=5)


class CacheContract(Contract):
    """Fixture `rig`: a `CacheRig`. A lever that may be missing: `lose_store`."""

    async def test_what_was_put_is_got_byte_for_byte(self, rig: CacheRig) -> None:
        for key, value in (("a", b"1"), ("b:c/é", bytes(range(256))), ("empty", b"")):
            await rig.cache.put(key, value, life=LONG)
            assert await rig.cache.get(key) == value

    async def test_what_was_never_put_is_a_miss(self, rig: CacheRig) -> None:
        assert await rig.cache.get("a") is None

    async def test_what_is_over_is_a_miss(self, rig: CacheRig) -> None:
        await rig.cache.put("a", b"1", life=rig.tick * 2)
        await rig.pass_time(rig.tick * 3)
        assert await rig.cache.get("a") is None

    async def test_the_newer_value_and_life_count(self, rig: CacheRig) -> None:
        await rig.cache.put("a", b"1", life=rig.tick * 2)
        await rig.cache.put("a", b"2", life=LONG)
        await rig.pass_time(rig.tick * 3)
        assert await rig.cache.get("a") == b"2"

    async def test_what_is_forgotten_is_a_miss_and_the_rest_stays(self, rig: CacheRig) -> None:
        await rig.cache.put("a", b"1", life=LONG)
        await rig.cache.put("b", b"2", life=LONG)
        await rig.cache.forget("a")
        await rig.cache.forget("a")
        assert await rig.cache.get("a") is None
        assert await rig.cache.get("b") == b"2"

    @needs("lose_store")
    async def test_a_lost_store_is_a_miss_and_never_an_error(self, rig: CacheRig) -> None:
        await rig.cache.put("a", b"1", life=LONG)
        await rig.lose_store()
        await rig.cache.put("b", b"2", life=LONG)
        await rig.cache.forget("b")
        assert await rig.cache.get("a") is None
        await rig.find_store()
        await rig.cache.put("b", b"3", life=LONG)
        assert await rig.cache.get("b") == b"3"
