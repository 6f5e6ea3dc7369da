"""Whether the host of this machine gives it its processors, and waiting until it does: what is
measured while others have them says more of them than of us.
"""

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

# A host that keeps more of the processors for others disturbs what is measured meanwhile.
MOST_STOLEN: Final = 0.02
# The host takes nothing of processors that are idle: they are kept busy for as long as this.
LOOK_SECONDS: Final = 0.5
PAUSE_SECONDS: Final = 5.0
# As long as that a comparison waits for calm, all its rounds together.
PATIENCE_SECONDS: Final = 180.0
_STAT: Final = Path("/proc/stat")
_STOLEN: Final = 7
_TIMES: Final = 8
_BLOCK: Final = 1 << 20


class Share:
    """Which share of the processors the host kept for others since this was made (proc(5),
    `steal`; nothing where none tells).
    """

    def __init__(self) -> None:
        self._stolen, self._all = _processor_times()

    @property
    def stolen(self) -> float:
        """From 0 to 1."""
        stolen, every = _processor_times()
        return (stolen - self._stolen) / max(1, every - self._all)


class Patience:
    """Waits for calm, for so many seconds in all, and goes on without where there is none."""

    def __init__(
        self,
        seconds: float = PATIENCE_SECONDS,
        *,
        stolen: Callable[[], float] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._left = seconds
        self._stolen = stolen or stolen_when_busy
        self._sleep = sleep

    def wait(self) -> None:
        """Until the machine is calm or no patience is left."""
        while self._left > 0 and self._stolen() > MOST_STOLEN:
            pause = min(PAUSE_SECONDS, self._left)
            self._sleep(pause)
            self._left -= pause


def stolen_when_busy() -> float:
    """The share that is stolen of processors that are all busy now, from 0 to 1."""
    processors = len(os.sched_getaffinity(0))
    share, end = Share(), time.monotonic() + LOOK_SECONDS
    with ThreadPoolExecutor(processors) as threads:
        for each in [threads.submit(_busy, end) for _ in range(processors)]:
            each.result()
    return share.stolen


def _busy(end: float) -> None:
    """Hashing large blocks lets other threads run meanwhile."""
    block = bytes(_BLOCK)
    while time.monotonic() < end:
        hashlib.blake2b(block).digest()


def _processor_times() -> tuple[int, int]:
    """Ticks that were stolen, and all of them, of all processors together."""
    if not _STAT.exists():
        return 0, 0
    times = [int(each) for each in _STAT.read_text().splitlines()[0].split()[1:]]
    return times[_STOLEN], sum(times[:_TIMES])
