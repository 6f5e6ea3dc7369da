"""Telling workers that a job is due. Losing a ring costs time only: the job's row stays."""

from collections.abc import Sequence
from typing import Protocol


class Doorbell(Protocol):
    """Raises StoreUnavailable when the bell cannot be reached."""

    async def room(self) -> int:
        """How many more rings fit before the queue is full."""
        ...

    async def ring(self, job_ids: Sequence[str]) -> None:
        """Ring once for each job."""
        ...


class WakeUp(Protocol):
    """A hint that jobs were written."""

    async def wait(self, seconds: float) -> None:
        """Return when jobs were written, or after that many seconds."""
        ...
