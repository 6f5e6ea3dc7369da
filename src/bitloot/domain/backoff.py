"""How long to wait before something is tried again."""

from datetime import timedelta
from typing import Final

from bitloot.domain.limits import Limits

_MOST_DOUBLINGS: Final = 30


def pause(attempts: int, jitter: float, limits: Limits) -> timedelta:
    """Full jitter: a random share of 2 s doubling to 10 min. `jitter` is in [0, 1).

    `attempts` counts the tries so far, this one too.
    """
    doublings = min(max(attempts - 1, 0), _MOST_DOUBLINGS)
    return min(limits.job_backoff_cap, limits.job_backoff_first * (1 << doublings)) * jitter


def outage_pause(lasted: timedelta, jitter: float, limits: Limits) -> timedelta:
    """Full jitter again, told by how long the trouble has lasted: a random share of as long again.

    For what no outage ends: its count of attempts starts over, the trouble does not. `jitter` is
    in [0, 1); never above 10 min, and like the first pause where the trouble is fresh.
    """
    return min(limits.job_backoff_cap, max(limits.job_backoff_first, lasted)) * jitter


def fraction(noise: bytes) -> float:
    """Random bytes as a share of one, in [0, 1)."""
    return int.from_bytes(noise) / (1 << 8 * len(noise))
