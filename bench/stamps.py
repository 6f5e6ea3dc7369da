"""When jobs began, told by a worker process to whoever started it, line by line.

The monotonic clock is one for all processes of a machine (clock_gettime(2)).
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

TOLD_EVERY: Final = 0.05


class Stamps:
    """Times of beginnings in nanoseconds, by the reference of the job."""

    def __init__(self) -> None:
        self._kept: list[str] = []

    def begun(self, ref: str) -> None:
        """Remember that a job began now."""
        self._kept.append(f"begun {time.monotonic_ns()} {ref}\n")

    async def tell(self) -> None:
        """Print what was remembered, again and again, without disturbing the jobs."""
        sys.stdout.write("ready\n")
        while True:
            kept, self._kept = self._kept, []
            sys.stdout.writelines(kept)
            sys.stdout.flush()
            await asyncio.sleep(TOLD_EVERY)


def is_ready(log: Path) -> bool:
    """Whether the process says that it listens."""
    return log.exists() and b"ready\n" in log.read_bytes()


def read(log: Path) -> dict[str, int]:
    """All beginnings so far; of a job that began twice the first."""
    found: dict[str, int] = {}
    for line in log.read_text(errors="replace").splitlines():
        word, _, rest = line.partition(" ")
        if word == "begun":
            at, _, ref = rest.partition(" ")
            found.setdefault(ref, int(at))
    return found
