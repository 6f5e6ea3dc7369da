"""The rows of a route that many ask at once: how many answers a second, and how slow the slow ones
are (P17).
"""

from typing import Final

from bench.report import Row, against, at_most
from bench.rounds import Sample

TAIL_MUST: Final = 5
TAIL_MOONSHOT: Final = 3


def speed(
    name: str,
    unit: str,
    ours: Sample,
    limit: Sample,
    *,
    must: float | None,
    moonshot: float | None,
    p99: tuple[float, float] | None = None,
) -> tuple[Row, ...]:
    """Both sides, and our tail. `p99`: what it must and should stay below, in milliseconds."""
    p99_must, p99_moonshot = p99 or (None, None)
    return (
        against(name, unit, ours.per_second, limit.per_second, must=must, moonshot=moonshot),
        at_most(f"{name}-p50", "ms", ours.p50, limit=limit.p50),
        at_most(
            f"{name}-p99", "ms", ours.p99, limit=limit.p99, must=p99_must, moonshot=p99_moonshot
        ),
        tail(name, ours),
    )


def tail(name: str, ours: Sample) -> Row:
    """How many times longer than the usual answer the slowest of a hundred takes."""
    times = ours.p99 / ours.p50
    return at_most(f"{name}-tail", "x p50", times, must=TAIL_MUST, moonshot=TAIL_MOONSHOT)
