"""The suite of rate limiters: exact, moving, shared."""

import asyncio
from typing import Final

import pytest

from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.rate_limiter import Quota
from bitloot.testing.contract import Contract, needs
from bitloot.testing.local_rigs import RateLimiterRig

WHO: Final = "192.0.2.7"
LONG: Final = 1000


def quota(rig: RateLimiterRig, limit: int = 3, *, scope: str = "orders", ticks: int = 4) -> Quota:
    """So many hits in a window of so many ticks."""
    return Quota(scope=scope, limit=limit, window=rig.tick * ticks)


class RateLimiterContract(Contract):
    """Fixture `rig`: a `RateLimiterRig`. A lever that may be missing: `lose_store`."""

    async def test_so_many_hits_are_allowed_and_the_next_is_not(self, rig: RateLimiterRig) -> None:
        rule = quota(rig, ticks=LONG)
        verdicts = [await rig.limiter.hit(rule, WHO) for _ in range(4)]
        assert [v.allowed for v in verdicts] == [True, True, True, False]
        assert [v.remaining for v in verdicts] == [2, 1, 0, 0]
        assert [v.retry_after == 0 for v in verdicts] == [True, True, True, False]

    async def test_a_refusal_says_when_to_come_back_and_then_it_is_allowed(
        self, rig: RateLimiterRig
    ) -> None:
        rule = quota(rig, 1)
        await rig.limiter.hit(rule, WHO)
        refused = await rig.limiter.hit(rule, WHO)
        window = rule.window.total_seconds()
        assert not refused.allowed
        assert 0 < refused.retry_after <= window
        await rig.pass_time(rule.window + rig.tick)
        assert (await rig.limiter.hit(rule, WHO)).allowed

    async def test_the_window_moves_with_each_hit(self, rig: RateLimiterRig) -> None:
        rule = quota(rig, 2)
        await rig.limiter.hit(rule, WHO)
        await rig.pass_time(rig.tick * 3)
        await rig.limiter.hit(rule, WHO)
        await rig.pass_time(rig.tick * 2)
        # The first has left, the second has not: there is room for one, not for two.
        assert (await rig.limiter.hit(rule, WHO)).allowed
        assert not (await rig.limiter.hit(rule, WHO)).allowed

    async def test_subjects_and_scopes_are_counted_apart(self, rig: RateLimiterRig) -> None:
        rule = quota(rig, 1, ticks=LONG)
        assert (await rig.limiter.hit(rule, WHO)).allowed
        assert (await rig.limiter.hit(rule, "192.0.2.8")).allowed
        other = quota(rig, 1, scope="quotes", ticks=LONG)
        assert (await rig.limiter.hit(other, WHO)).allowed
        assert not (await rig.limiter.hit(rule, WHO)).allowed

    async def test_odd_subjects_are_subjects_like_others(self, rig: RateLimiterRig) -> None:
        rule = quota(rig, 1, ticks=LONG)
        for subject in ("", "a:b", "a/b", "é@shop.example", "2001:db8::/64", "x" * 300):
            assert (await rig.limiter.hit(rule, subject)).allowed, subject
            assert not (await rig.limiter.hit(rule, subject)).allowed, subject

    async def test_many_at_once_in_two_processes_get_exactly_the_limit(
        self, rig: RateLimiterRig
    ) -> None:
        rule, other = quota(rig, 7, ticks=LONG), rig.another()
        verdicts = await asyncio.gather(
            *((rig.limiter if n % 2 else other).hit(rule, WHO) for n in range(30))
        )
        assert sum(v.allowed for v in verdicts) == 7

    async def test_hits_with_one_mark_are_one_hit(self, rig: RateLimiterRig) -> None:
        rule, other = quota(rig, 2, ticks=LONG), rig.another()
        verdicts = [
            await (rig.limiter if n % 2 else other).hit(rule, WHO, mark="one") for n in range(9)
        ]
        assert [(v.allowed, v.repeated, v.remaining) for v in verdicts] == [
            (True, False, 1),
            *[(True, True, 1)] * 8,
        ]
        assert (await rig.limiter.hit(rule, WHO, mark="two")).remaining == 0
        assert (await rig.limiter.hit(rule, WHO, mark="one")).allowed
        assert not (await rig.limiter.hit(rule, WHO, mark="three")).allowed
        assert not (await rig.limiter.hit(rule, WHO)).allowed

    async def test_a_mark_is_of_its_subject_and_its_scope(self, rig: RateLimiterRig) -> None:
        rule = quota(rig, 1, ticks=LONG)
        others = quota(rig, 1, scope="quotes", ticks=LONG)
        for one, subject in ((rule, WHO), (rule, "192.0.2.8"), (others, WHO)):
            assert not (await rig.limiter.hit(one, subject, mark="same")).repeated
        assert not (await rig.limiter.hit(rule, f"{WHO}|x", mark="y")).repeated
        assert not (await rig.limiter.hit(rule, WHO, mark="x|y")).allowed

    async def test_a_mark_lasts_no_longer_than_its_hit(self, rig: RateLimiterRig) -> None:
        rule = quota(rig, 1)
        await rig.limiter.hit(rule, WHO, mark="one")
        await rig.pass_time(rule.window + rig.tick)
        again = await rig.limiter.hit(rule, WHO, mark="one")
        assert (again.allowed, again.repeated) == (True, False)
        assert not (await rig.limiter.hit(rule, WHO, mark="two")).allowed

    async def test_hits_taken_ahead_count_as_if_they_had_been_made(
        self, rig: RateLimiterRig
    ) -> None:
        rule, other = quota(rig, 7, ticks=LONG), rig.another()
        first = await rig.limiter.take(rule, WHO, most=5)
        assert (first.granted, first.remaining, first.retry_after) == (5, 2, 0)
        assert (await other.hit(rule, WHO)).remaining == 1
        rest = await other.take(rule, WHO, most=5)
        assert (rest.granted, rest.remaining) == (1, 0)
        refused = await rig.limiter.take(rule, WHO, most=5)
        assert (refused.granted, refused.remaining) == (0, 0)
        assert 0 < refused.retry_after <= rule.window.total_seconds()
        assert not (await rig.limiter.hit(rule, WHO)).allowed

    async def test_many_who_take_ahead_at_once_get_exactly_the_limit(
        self, rig: RateLimiterRig
    ) -> None:
        rule, other = quota(rig, 50, ticks=LONG), rig.another()
        taken = await asyncio.gather(
            *((rig.limiter if n % 2 else other).take(rule, WHO, most=7) for n in range(20))
        )
        assert sum(each.granted for each in taken) == 50

    @needs("lose_store")
    async def test_nothing_is_taken_ahead_of_a_lost_store(self, rig: RateLimiterRig) -> None:
        rule = quota(rig, 7, ticks=LONG)
        await rig.lose_store()
        with pytest.raises(StoreUnavailable):
            await rig.limiter.take(rule, WHO, most=5)
        await rig.find_store()
        assert (await rig.limiter.take(rule, WHO, most=5)).granted == 5

    @needs("lose_store")
    async def test_without_its_store_a_quota_fails_as_it_says(self, rig: RateLimiterRig) -> None:
        opens = quota(rig, 1, ticks=LONG)
        closes = Quota(scope="codes", limit=1, window=opens.window, fails_closed=True)
        await rig.lose_store()
        for _ in range(3):
            assert (await rig.limiter.hit(opens, WHO)).allowed
        with pytest.raises(StoreUnavailable):
            await rig.limiter.hit(closes, WHO)
        await rig.find_store()
        assert (await rig.limiter.hit(closes, WHO)).allowed
