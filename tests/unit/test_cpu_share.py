"""The share of a core that some work may take, on a clock that only the test moves."""

import random
from decimal import Decimal

import pytest

from bitloot.domain.limits import Limits, limit_faults
from bitloot_adapters.argon2.cpu_share import CpuShare

HASH = 0.03


class Hashing:
    """Whoever wants a hash comes at once, and the next begins as soon as it may."""

    def __init__(self, share: str, *, at_once: int = 1, start: float = 1000.0) -> None:
        self.share = CpuShare(Decimal(share))
        self.at = start
        self.at_once = at_once
        self.begun: list[float] = []
        self.spent: list[float] = []

    def go_on(self, *works: float, slower: float = 1.0) -> None:
        """Pieces of work, so many at once; `slower`: others have the processor meanwhile."""
        for place in range(0, len(works), self.at_once):
            together = works[place : place + self.at_once]
            self.at += self.share.rest(self.at)
            begun = self.at
            self.at += max(together) * slower
            for work in together:
                self.share.spent(work, begun=begun)
                self.begun.append(begun)
                self.spent.append(work)

    def most_within(self, seconds: float) -> float:
        """The most work that began within any time of that length, in seconds."""
        return max(
            sum(
                spent
                for begun, spent in zip(self.begun, self.spent, strict=True)
                if start <= begun < start + seconds
            )
            for start in self.begun
        )


def test_the_first_begins_at_once() -> None:
    assert CpuShare(Decimal("0.25")).rest(1000.0) == 0.0


@pytest.mark.parametrize(
    ("share", "rest"), [("0.25", 3 * HASH), ("0.5", HASH), ("0.1", 9 * HASH), ("1", 0.0)]
)
def test_after_a_hash_the_next_begins_once_the_rest_of_the_core_was_for_others(
    share: str, rest: float
) -> None:
    hashing = Hashing(share)
    hashing.go_on(HASH)
    assert hashing.share.rest(hashing.at) == pytest.approx(rest)
    assert hashing.share.rest(hashing.at + rest / 2) == pytest.approx(rest / 2)
    assert hashing.share.rest(hashing.at + rest) == pytest.approx(0.0, abs=1e-9)
    assert hashing.share.rest(hashing.at + 2 * rest + 1) == 0.0


@pytest.mark.parametrize("at_once", [1, 2, 4])
@pytest.mark.parametrize("share", ["0.05", "0.25", "0.8", "1"])
def test_in_any_time_no_more_is_hashed_than_the_share_of_it_and_what_begins_at_once(
    share: str, at_once: int
) -> None:
    chance = random.Random(7)
    hashing = Hashing(share, at_once=at_once)
    hashing.go_on(*(chance.uniform(0.001, 0.1) for _ in range(400)))
    for seconds in (0.5, 2.0, 10.0):
        most = float(share) * seconds + at_once * 0.1
        assert hashing.most_within(seconds) <= most + 1e-6
    whole = hashing.at + hashing.share.rest(hashing.at) - hashing.begun[0]
    assert sum(hashing.spent) == pytest.approx(float(share) * whole, rel=0.05)


def test_a_hash_that_others_held_up_is_not_followed_by_a_longer_rest() -> None:
    hashing = Hashing("0.25")
    hashing.go_on(HASH, slower=3)
    assert hashing.share.rest(hashing.at) == pytest.approx(HASH)
    hashing.go_on(HASH, slower=5)
    assert hashing.share.rest(hashing.at) == 0.0


def test_a_night_without_sign_ins_earns_nothing() -> None:
    hashing = Hashing("0.25")
    hashing.go_on(HASH)
    hashing.at += 8 * 3600
    night_ended = hashing.at
    hashing.go_on(*[HASH] * 10)
    assert hashing.begun[1] == night_ended
    assert hashing.begun[-1] == pytest.approx(night_ended + 9 * HASH / 0.25)


def test_two_cores_are_a_share_of_two() -> None:
    hashing = Hashing("2", at_once=2)
    hashing.go_on(*[HASH] * 100)
    assert hashing.at - hashing.begun[0] == pytest.approx(50 * HASH)


def test_a_share_of_nothing_is_no_limit_that_a_shop_starts_with() -> None:
    assert limit_faults(Limits(password_cpu_share=Decimal("0.01"))) == []
    assert limit_faults(Limits(password_cpu_share=Decimal(0)))
