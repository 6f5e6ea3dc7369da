"""The share of one core that some work may take: how long to rest after each piece of it.

From the beginning of a piece that took `d` seconds of the processor to the next one `d / share`
seconds pass at least. So in any time the work takes that share of it, and one piece more at most;
time in which there was none to do is not made up for.
"""

from decimal import Decimal
from math import inf


class CpuShare:
    """`share` is of one core: 2 is two of them. Times are seconds, of a clock never set back."""

    def __init__(self, share: Decimal) -> None:
        self._share = float(share)
        self._free_at = -inf

    def rest(self, now: float) -> float:
        """Seconds until the next piece may begin; 0 when it may begin now."""
        return max(0.0, self._free_at - now)

    def spent(self, seconds: float, *, begun: float) -> None:
        """A piece that began then took so much of the processor, and has ended."""
        self._free_at = max(self._free_at, begun) + seconds / self._share
