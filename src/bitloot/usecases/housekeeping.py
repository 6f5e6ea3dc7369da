"""Sweeps of the shop's own tables: work that lost its job, and records whose time is over."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bitloot.domain.decision import Decision, JobRequest
from bitloot.domain.limits import Limits
from bitloot.domain.own_stock import expired
from bitloot.domain.reactions import JobKind
from bitloot.ports.clock import Clock
from bitloot.ports.deciding import decide
from bitloot.ports.jobs import Again, Done, Lease, Outcome
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.ports.upkeep import Upkeep
from bitloot.ports.views.desk import DeskViews, StuckWork

ROWS_IN_ONE_SWEEP: Final = 200


@dataclass(frozen=True, kw_only=True)
class Housekeeping:
    """`followers`: by the provider's name, the job that follows up its webhooks."""

    uow: UnitOfWork
    desk: DeskViews
    upkeep: Upkeep
    followers: Mapping[str, JobKind]
    clock: Clock
    limits: Limits

    async def redrive(self, lease: Lease) -> None:
        """Give a job to everything that waits for work and has none; a dead job is left dead.

        Whoever handles such a job ends it only when nothing waits any more, so that the next sweep
        does not find the same again.
        """
        stuck = await self.desk.stuck(limit=ROWS_IN_ONE_SWEEP)
        jobs = tuple(job for work in stuck if (job := self._job(work)) is not None)
        most = max(Counter(work.kind for work in stuck).values(), default=0)

        async def attempt(tx: Transaction) -> None:
            is_full = bool(jobs) and most == ROWS_IN_ONE_SWEEP
            await tx.record(Decision(jobs=jobs), lease=lease, outcome=_again_if(is_full))

        await decide(self.uow, attempt)

    async def keep_house(self, lease: Lease) -> None:
        """Take ended keys off the shelf, and forget what nobody will ask for again."""
        is_full = await self._forget()

        async def attempt(tx: Transaction) -> None:
            at = self.clock()
            keys = await tx.keys.past_expiry(at=at, limit=ROWS_IN_ONE_SWEEP)
            outcome = _again_if(is_full or len(keys) == ROWS_IN_ONE_SWEEP)
            await tx.record(expired(keys, at=at), lease=lease, outcome=outcome)

        await decide(self.uow, attempt)

    async def _forget(self) -> bool:
        """One batch of each kind of record; gives whether there may be more."""
        at, limits, upkeep = self.clock(), self.limits, self.upkeep
        most = limits.housekeeping_batch
        gone: Collection[int] = (
            await upkeep.expire_idempotency(before=at - limits.idempotency_life, limit=most),
            await upkeep.forget_done_jobs(before=at - limits.done_jobs_kept, limit=most),
            await upkeep.forget_ticks(before=at - limits.ticks_kept, limit=most),
            await upkeep.forget_quotes(before=at - limits.unused_quotes_kept, limit=most),
            await upkeep.forget_sessions(before=at - limits.ended_sessions_kept, limit=most),
        )
        return most in gone

    def _job(self, work: StuckWork) -> JobRequest | None:
        # Nobody follows up the webhook of a provider that is not configured.
        kind = work.job or self.followers.get(work.provider or "")
        return JobRequest(kind=kind, ref=work.ref) if kind else None


def _again_if(is_full: bool) -> Outcome:
    return Again(after=timedelta()) if is_full else Done()
