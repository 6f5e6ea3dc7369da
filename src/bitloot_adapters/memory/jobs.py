"""The jobs port over the memory store."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from bitloot.domain.decision import JobRequest
from bitloot.ports.clock import BootClock
from bitloot.ports.jobs import JobRow, Lease, Outcome
from bitloot_adapters.memory.job_table import ATTEMPTS_SPENT, JobTable


class MemoryJobs(msgspec.Struct, frozen=True):
    """Leases by the store's clock; `boot_clock` is that of the worker."""

    table: JobTable
    boot_clock: BootClock

    async def lease(self, job_id: str) -> Lease | None:
        """Take a due job: the fence and the attempts rise first."""
        now = self.table.clock()
        job = self.table.get(job_id)
        if job is None or not job.is_due(now):
            return None
        if job.attempts >= job.max_attempts:
            job.fence += 1
            self.table.bury(job, job.last_error or ATTEMPTS_SPENT)
            return None
        length = self.table.limits.job_lease
        job.fence += 1
        job.attempts += 1
        job.lease_until = now + length
        return Lease(
            job_id=job.id,
            kind=job.kind,
            ref=job.ref,
            fence=job.fence,
            attempts=job.attempts,
            max_attempts=job.max_attempts,
            wakes=job.wakes,
            lease_seconds=length.total_seconds(),
            taken_at_boot=self.boot_clock(),
            asked_at=job.created_at,
        )

    async def finish(self, lease: Lease, outcome: Outcome) -> None:
        """Write the outcome by itself."""
        self.table.settle(lease, outcome)

    async def claim_due(self, limit: int) -> Sequence[str]:
        """Ring for up to `limit` due jobs, oldest first; each again only after a while."""
        now = self.table.clock()
        ring_again = now - self.table.limits.relay_ring_again
        due = sorted(
            (
                job
                for job in self.table.pending()
                if job.is_due(now) and (job.published_at is None or job.published_at < ring_again)
            ),
            key=lambda job: (job.available_at, job.id),
        )[:limit]
        for job in due:
            job.published_at = now
        return [job.id for job in due]

    async def take_back(self, job_ids: Sequence[str]) -> None:
        """The doorbell was not rung: these are due again."""
        for job_id in job_ids:
            job = self.table.get(job_id)
            if job is not None:
                job.published_at = None

    async def tick(self, name: str, at: datetime, kind: str, ref: str) -> bool:
        """One job for each (name, at), for ever."""
        fresh = self.table.tick(name, at)
        if fresh:
            self.table.wish(JobRequest(kind=kind, ref=ref))
        return fresh

    async def dead(self, *, limit: int, after: str | None) -> Sequence[JobRow]:
        """Dead letters, newest first."""
        found = sorted(
            (job for job in self.table.all() if job.state == "dead"),
            key=lambda job: job.id,
            reverse=True,
        )
        return [self.table.as_row(job) for job in found if after is None or job.id < after][:limit]

    async def replay(self, job_id: str) -> bool:
        """A dead job is due again."""
        job = self.table.get(job_id)
        if job is None or job.state != "dead":
            return False
        self.table.revive(job)
        return True
