"""Jobs that machines gave up on: looked through, and tried once more when a person says so."""

from collections.abc import Sequence
from dataclasses import dataclass

from bitloot.domain.decision import AuditEntry, Decision
from bitloot.domain.errors import Refused
from bitloot.ports.clock import Clock
from bitloot.ports.deciding import decide
from bitloot.ports.jobs import JobRow, Jobs
from bitloot.ports.unit_of_work import Transaction, UnitOfWork


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """Dead jobs stay for ever; every handler is idempotent, so trying again does no harm."""

    uow: UnitOfWork
    jobs: Jobs
    clock: Clock

    async def listed(self, *, limit: int, after: str | None = None) -> Sequence[JobRow]:
        """At most `limit`, newest first, after the job with that id."""
        return await self.jobs.dead(limit=limit, after=after)

    async def replay(self, job_id: str, *, by: str, reason: str) -> None:
        """Make a dead job pending with fresh attempts; who asked is written down first.

        Raises Refused `not-found` where there is no such dead job.
        """

        async def attempt(tx: Transaction) -> None:
            line = AuditEntry(
                at=self.clock(), actor=by, action="job.replay", subject=job_id, reason=reason
            )
            await tx.record(Decision(audit=(line,)))

        await decide(self.uow, attempt)
        if not await self.jobs.replay(job_id):
            raise Refused("not-found")
