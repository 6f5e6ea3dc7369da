"""The jobs table as seen by those who work: leases, fences, outcomes, dead letters."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

import msgspec


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to work on a job until `lease_seconds` after it was taken, by database time.

    `attempts` counts this one already. Every commit of the holder carries `fence`. `wakes` is how
    often the job had been asked for: if it rose meanwhile, whatever its outcome it is due at once.
    `taken_at_boot` is the boot clock of the holder at the time of taking; `asked_at` when the job
    was first asked for.
    """

    job_id: str
    kind: str
    ref: str
    fence: int
    attempts: int
    max_attempts: int
    wakes: int
    lease_seconds: float
    taken_at_boot: float
    asked_at: datetime

    def is_half_spent(self, at_boot: float) -> bool:
        """Whether half of it is gone, by the boot clock, which also runs in suspend."""
        return at_boot - self.taken_at_boot >= self.lease_seconds / 2


class Done(msgspec.Struct, frozen=True):
    """Nothing more to do."""


class Again(msgspec.Struct, frozen=True):
    """Look again after `after`. `progressed`: a definite answer came, so attempts start over."""

    after: timedelta
    progressed: bool = True
    error: str = ""


class Dead(msgspec.Struct, frozen=True):
    """Given up: a person has to look. `error` is a stable word, without secrets."""

    error: str


Outcome: TypeAlias = Done | Again | Dead


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the admin sees it."""

    id: str
    kind: str
    ref: str
    state: Literal["pending", "done", "dead"]
    attempts: int
    max_attempts: int
    available_at: datetime
    leased: bool
    last_error: str | None
    created_at: datetime


class Jobs(Protocol):
    """Leasing and bookkeeping outside of a business transaction."""

    async def lease(self, job_id: str) -> Lease | None:
        """Take a due job: fence and attempts rise first. None: gone, not due, or taken.

        A job whose attempts are spent goes to `dead` here and None is returned.
        """
        ...

    async def finish(self, lease: Lease, outcome: Outcome) -> None:
        """Write the outcome when no business transaction did. Raises LeaseLost."""
        ...

    async def claim_due(self, limit: int) -> Sequence[str]:
        """Mark up to `limit` due jobs as rung and give their ids, oldest first."""
        ...

    async def take_back(self, job_ids: Sequence[str]) -> None:
        """Undo the marks of `claim_due`: the doorbell could not be rung."""
        ...

    async def tick(self, name: str, at: datetime, kind: str, ref: str) -> bool:
        """Insert the job of a scheduler's tick, once for ever for each (name, at)."""
        ...

    async def dead(self, *, limit: int, after: str | None) -> Sequence[JobRow]:
        """Dead letters, newest first, at most `limit`, after the job with that id."""
        ...

    async def replay(self, job_id: str) -> bool:
        """Make a dead job pending: attempts 0, fence raised. False if it is not dead."""
        ...
