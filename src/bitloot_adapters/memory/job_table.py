"""The jobs of the memory store: wishes, leases, fences, outcomes. One truth for both doors."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec

from bitloot.domain.decision import JobRequest
from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.errors import LeaseLost
from bitloot.ports.jobs import Again, Dead, Done, JobRow, Lease, Outcome

ATTEMPTS_SPENT = "attempts_spent"


class Job(msgspec.Struct, kw_only=True):
    """A row of the jobs table. Times are those of the store's clock."""

    id: str
    kind: str
    ref: str
    max_attempts: int
    available_at: datetime
    created_at: datetime
    state: Literal["pending", "done", "dead"] = "pending"
    fence: int = 0
    attempts: int = 0
    wakes: int = 0
    lease_until: datetime | None = None
    published_at: datetime | None = None
    last_error: str | None = None

    def is_leased(self, now: datetime) -> bool:
        """Somebody works on it."""
        return self.lease_until is not None and self.lease_until > now

    def is_due(self, now: datetime) -> bool:
        """It may be taken now."""
        return self.state == "pending" and self.available_at <= now and not self.is_leased(now)


class JobTable:
    """The jobs, unique by (kind, ref) while pending."""

    def __init__(self, *, clock: Clock, new_id: NewId, limits: Limits) -> None:
        self.clock = clock
        self.limits = limits
        self._new_id = new_id
        self._jobs: dict[str, Job] = {}
        self._pending: dict[tuple[str, str], Job] = {}
        self._ticks: set[tuple[str, datetime]] = set()

    def get(self, job_id: str) -> Job | None:
        """One job."""
        return self._jobs.get(job_id)

    def all(self) -> Iterator[Job]:
        """Every job, in the order of insertion."""
        yield from self._jobs.values()

    def pending(self) -> Iterator[Job]:
        """Every pending job."""
        yield from self._pending.values()

    def wish(self, request: JobRequest) -> None:
        """Insert a job, or wake the pending one: the earlier of the two times counts."""
        now = self.clock()
        due = request.due or now
        known = self._pending.get((request.kind, request.ref))
        if known is not None:
            known.wakes += 1
            if due < known.available_at:
                known.available_at = due
                known.published_at = None
            return
        job = Job(
            id=self._new_id(),
            kind=request.kind,
            ref=request.ref,
            max_attempts=self.limits.job_attempts,
            available_at=due,
            created_at=now,
        )
        self._jobs[job.id] = job
        self._pending[job.kind, job.ref] = job

    def held(self, lease: Lease) -> Job:
        """The job of a lease that still stands. Raises LeaseLost."""
        job = self._jobs.get(lease.job_id)
        if job is None or job.state != "pending" or job.fence != lease.fence:
            raise LeaseLost
        return job

    def settle(self, lease: Lease, outcome: Outcome) -> None:
        """Write how the holder's work ended. Raises LeaseLost."""
        job = self.held(lease)
        now = self.clock()
        woken = job.wakes != lease.wakes
        job.lease_until = None
        job.published_at = None
        match outcome:
            case Done() if woken:
                job.attempts = 0
                job.available_at = now
            case Done():
                self._end(job, "done")
            case Again(after=after, progressed=progressed, error=error):
                job.attempts = 0 if progressed else job.attempts
                job.last_error = error or None
                job.available_at = min(job.available_at, now) if woken else now + after
            case Dead(error=error) if woken:
                job.attempts = 0
                job.available_at = now
                job.last_error = error
            case Dead(error=error):
                self.bury(job, error)

    def bury(self, job: Job, error: str) -> None:
        """Give a job up."""
        job.last_error = error
        self._end(job, "dead")

    def revive(self, job: Job) -> None:
        """A dead job is pending again, unless the same work was asked for anew meanwhile."""
        now = self.clock()
        job.fence += 1
        job.attempts = 0
        if (job.kind, job.ref) in self._pending:
            job.state = "done"
            self.wish(JobRequest(kind=job.kind, ref=job.ref))
            return
        job.state = "pending"
        job.available_at = now
        job.published_at = None
        self._pending[job.kind, job.ref] = job

    def tick(self, name: str, at: datetime) -> bool:
        """Whether this tick was never seen before."""
        fresh = (name, at) not in self._ticks
        self._ticks.add((name, at))
        return fresh

    def forget_done(self, before: datetime, limit: int) -> int:
        """Forget done jobs made before then, the oldest first; gives how many."""
        over = [job for job in self._jobs.values() if job.state == "done"]
        gone = sorted(job.id for job in over if job.created_at < before)[:limit]
        for job_id in gone:
            del self._jobs[job_id]
        return len(gone)

    def forget_ticks(self, before: datetime, limit: int) -> int:
        """Forget ticks due before then, the oldest first; gives how many."""
        gone = sorted((at, name) for name, at in self._ticks if at < before)[:limit]
        self._ticks -= {(name, at) for at, name in gone}
        return len(gone)

    def as_row(self, job: Job) -> JobRow:
        """The job as the admin sees it."""
        return JobRow(
            id=job.id,
            kind=job.kind,
            ref=job.ref,
            state=job.state,
            attempts=job.attempts,
            max_attempts=job.max_attempts,
            available_at=job.available_at,
            leased=job.is_leased(self.clock()),
            last_error=job.last_error,
            created_at=job.created_at,
        )

    def _end(self, job: Job, state: Literal["done", "dead"]) -> None:
        job.state = state
        job.lease_until = None
        job.published_at = None
        self._pending.pop((job.kind, job.ref), None)
