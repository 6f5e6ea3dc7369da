"""Two sides measured in turns, so that a slow minute of the machine meets both."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from bench.calm import MOST_STOLEN, Patience, Share

SPIN_STEPS: Final = 400_000
# A round whose fastest and slowest spin are further apart met somebody else's work.
MOST_APART: Final = 1.5
# A disturbed round is measured again, at most so often as there are rounds.
MOST_AGAIN: Final = 1


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One side in one round. Times are milliseconds; 0 where there are none."""

    per_second: float
    p50: float = 0.0
    p99: float = 0.0


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides, and how long the same empty loop took before, between and after."""

    ours: Sample
    limit: Sample
    spins: tuple[float, ...]
    stolen: float = 0.0

    @property
    def is_disturbed(self) -> bool:
        """Whether the machine had other work meanwhile."""
        return were_disturbed(self.spins, self.stolen)


class Lap(msgspec.Struct, frozen=True, kw_only=True):
    """A round of any number of sides, by their places, with the empty loop around each."""

    samples: tuple[Sample, ...]
    spins: tuple[float, ...]
    stolen: float = 0.0

    @property
    def is_disturbed(self) -> bool:
        """Whether the machine had other work meanwhile."""
        return were_disturbed(self.spins, self.stolen)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The medians of the rounds that counted. `kept` is their number, `dropped` of the others."""

    ours: Sample
    limit: Sample
    kept: int
    dropped: int

    @property
    def ratio(self) -> float:
        """Our share of the limit."""
        return self.ours.per_second / self.limit.per_second


Take = Callable[[], Sample]


class Watch:
    """How the machine fares during a round: what the same empty loop takes now and then, and which
    share of the processors its host kept for others.
    """

    def __init__(self) -> None:
        self._share = Share()
        self._spins: list[float] = []

    def look(self) -> None:
        """Run the empty loop once."""
        self._spins.append(spin())

    @property
    def spins(self) -> tuple[float, ...]:
        """Seconds of each loop."""
        return tuple(self._spins)

    @property
    def stolen(self) -> float:
        """From 0 to 1, of the time since the watch began."""
        return self._share.stolen


def were_disturbed(spins: Sequence[float], stolen: float) -> bool:
    """Whether what was measured meanwhile says more of the machine than of us."""
    return stolen > MOST_STOLEN or max(spins) > MOST_APART * min(spins)


def spin() -> float:
    """Seconds that a fixed piece of work takes now."""
    begun = time.perf_counter()
    left = SPIN_STEPS
    while left:
        left -= 1
    return time.perf_counter() - begun


def in_turns(
    ours: Take, limit: Take, rounds: int, *, patience: Patience | None = None
) -> Comparison:
    """A B A B: so many rounds, and as many again at most where some were disturbed."""
    patience = patience or Patience()
    taken: list[Round] = []
    while _wants_more(taken, rounds):
        patience.wait()
        watch = Watch()
        watch.look()
        first = ours()
        watch.look()
        second = limit()
        watch.look()
        taken.append(Round(ours=first, limit=second, spins=watch.spins, stolen=watch.stolen))
    return settled(taken)


def laps(sides: Sequence[Take], rounds: int) -> tuple[Sample, ...]:
    """A B C A B C: the medians of each side, by the same rules."""
    patience = Patience()
    taken: list[Lap] = []
    while _wants_more(taken, rounds):
        patience.wait()
        watch, samples = Watch(), []
        watch.look()
        for take in sides:
            samples.append(take())
            watch.look()
        taken.append(Lap(samples=tuple(samples), spins=watch.spins, stolen=watch.stolen))
    counted = [each for each in taken if not each.is_disturbed] or taken
    places = range(len(sides))
    return tuple(median(each.samples[place] for each in counted) for place in places)


def _wants_more(taken: Sequence[Round | Lap], rounds: int) -> bool:
    calm = sum(not each.is_disturbed for each in taken)
    return calm < rounds and len(taken) < rounds * (1 + MOST_AGAIN)


def settled(taken: Iterable[Round]) -> Comparison:
    """Medians of the calm rounds; of all of them where none was calm."""
    every = tuple(taken)
    calm = tuple(each for each in every if not each.is_disturbed)
    counted = calm or every
    return Comparison(
        ours=median(each.ours for each in counted),
        limit=median(each.limit for each in counted),
        kept=len(calm),
        dropped=len(every) - len(calm),
    )


def median(samples: Iterable[Sample]) -> Sample:
    """Of each figure by itself."""
    every = tuple(samples)
    return Sample(
        per_second=statistics.median(each.per_second for each in every),
        p50=statistics.median(each.p50 for each in every),
        p99=statistics.median(each.p99 for each in every),
    )


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` of them do not exceed (nearest rank). 0 of nothing."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
