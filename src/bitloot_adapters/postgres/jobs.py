"""Leasing and bookkeeping of jobs. All times are the database's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, cast

from sqlalchemy import (
    Boolean,
    Integer,
    Interval,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from bitloot.domain.limits import Limits
from bitloot.ports.clock import BootClock, NewId
from bitloot.ports.errors import LeaseLost
from bitloot.ports.jobs import JobRow, Lease, Outcome
from bitloot_adapters.postgres.job_statements import (
    IS_PENDING,
    MOMENT,
    NONE_YET,
    NOT_LEASED,
    NOW,
    PENDING,
    ended,
    ending_of,
    ending_values,
    inserting,
)
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.statements import Statement, ask, compiled, is_id
from bitloot_adapters.postgres.tables import jobs, scheduler_ticks

_ID: Final = Uuid(as_uuid=False)
_JOB: Final = bindparam("job", type_=_ID)
_ONE: Final = literal_column("1", Integer)
_DEAD: Final = literal_column("'dead'", Text)
_SPENT: Final = jobs.c.attempts >= jobs.c.max_attempts
_DUE: Final = and_(IS_PENDING, jobs.c.available_at <= NOW, jobs.c.lease_until < NOW)

# The number that the next holder carries rises first, then the count of attempts: a job that kills
# its process is counted although nobody lived to count it.
_LEASE: Final = compiled(
    update(jobs)
    .where(jobs.c.id == _JOB, _DUE)
    .values(
        fence=jobs.c.fence + _ONE,
        attempts=case((_SPENT, jobs.c.attempts), else_=jobs.c.attempts + _ONE),
        state=case((_SPENT, _DEAD), else_=PENDING),
        last_error=case(
            (_SPENT, func.coalesce(jobs.c.last_error, literal_column("'attempts_spent'"))),
            else_=jobs.c.last_error,
        ),
        lease_until=case((_SPENT, NOT_LEASED), else_=NOW + bindparam("life", type_=Interval)),
    )
    .returning(
        jobs.c.kind,
        jobs.c.ref,
        jobs.c.fence,
        jobs.c.attempts,
        jobs.c.max_attempts,
        jobs.c.wakes,
        jobs.c.state,
        jobs.c.created_at,
    )
)


def _claim() -> Statement:
    """At most `most` rows, whatever the planner does: the choice is made once, then joined.

    The mark says only that somebody rang. It need not wait for the disk: where the server loses it
    in a crash, the job is rung for once more (PostgreSQL documentation, "Asynchronous Commit").
    """
    unhurried = func.set_config("synchronous_commit", "off", literal_column("true"))
    ring_again = bindparam("ring_again", type_=Interval)
    chosen = (
        select(jobs.c.id, jobs.c.available_at)
        .where(_DUE, or_(jobs.c.published_at.is_(None), jobs.c.published_at < NOW - ring_again))
        .order_by(jobs.c.available_at)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(key_share=True, skip_locked=True)
        .cte("chosen")
        .prefix_with("MATERIALIZED")
    )
    marked = (
        update(jobs)
        .values(published_at=NOW)
        .where(jobs.c.id == chosen.c.id)
        .returning(jobs.c.id)
        .cte("marked")
    )
    return compiled(
        select(chosen.c.id, unhurried)
        .join(marked, marked.c.id == chosen.c.id)
        .order_by(chosen.c.available_at, chosen.c.id)
    )


def _tick() -> Statement:
    """The tick's row decides: whoever inserts it inserts the job too."""
    ticked = (
        insert(scheduler_ticks)
        .values(name=bindparam("name", type_=Text), at=bindparam("at", type_=MOMENT))
        .on_conflict_do_nothing()
        .returning(scheduler_ticks.c.name)
        .cte("ticked")
    )
    job = inserting(
        select(
            _JOB,
            bindparam("kind", type_=Text),
            bindparam("ref", type_=Text),
            PENDING,
            NONE_YET,
            NONE_YET,
            bindparam("max_attempts", type_=Integer),
            NONE_YET,
            NOW,
            NOW,
        ).select_from(ticked)
    ).cte("job")
    return compiled(select(func.count()).select_from(ticked).add_cte(job))


def _replay() -> Statement:
    """Pending again; where the same work is pending already, that is woken instead."""
    letter = jobs.alias("letter")
    woken = (
        update(jobs)
        .values(wakes=jobs.c.wakes + _ONE, available_at=func.least(jobs.c.available_at, NOW))
        .where(
            letter.c.id == _JOB,
            letter.c.state == _DEAD,
            jobs.c.kind == letter.c.kind,
            jobs.c.ref == letter.c.ref,
            IS_PENDING,
        )
        .returning(jobs.c.id)
        .cte("woken")
    )
    return compiled(
        update(jobs)
        .values(
            state=case((exists(select(woken.c.id)), literal_column("'done'")), else_=PENDING),
            fence=jobs.c.fence + _ONE,
            attempts=NONE_YET,
            available_at=NOW,
            published_at=null(),
            lease_until=NOT_LEASED,
        )
        .where(jobs.c.id == _JOB, jobs.c.state == _DEAD)
        .returning(jobs.c.id)
    )


_CLAIM: Final = _claim()
_TICK: Final = _tick()
_REPLAY: Final = _replay()
_TAKE_BACK: Final = compiled(
    update(jobs)
    .values(published_at=null())
    .where(jobs.c.id == func.any(bindparam("ids", type_=ARRAY(_ID))), IS_PENDING)
)
_LETTERS: Final = compiled(
    select(
        jobs.c.id,
        jobs.c.kind,
        jobs.c.ref,
        jobs.c.attempts,
        jobs.c.max_attempts,
        jobs.c.available_at,
        jobs.c.last_error,
        jobs.c.created_at,
    )
    .where(
        jobs.c.state == _DEAD,
        or_(
            ~bindparam("is_after", type_=Boolean),
            jobs.c.id < bindparam("after", type_=_ID),
        ),
    )
    .order_by(jobs.c.id.desc())
    .limit(bindparam("most", type_=Integer))
)
_ENDINGS: Final = {
    "done": compiled(ended("done")),
    "again": compiled(ended("again")),
    "dead": compiled(ended("dead")),
}
_LetterValues = tuple[str, str, str, int, int, datetime, str | None, datetime]
_LeaseValues = tuple[str, str, int, int, int, int, Literal["pending", "dead"], datetime]


class PostgresJobs:
    """The port `Jobs`."""

    def __init__(
        self, database: Database, *, limits: Limits, new_id: NewId, boot_clock: BootClock
    ) -> None:
        self._database = database
        self._limits = limits
        self._new_id = new_id
        self._boot_clock = boot_clock

    async def lease(self, job_id: str) -> Lease | None:
        if not is_id(job_id):
            return None
        # Read before asking: the lease is never believed to last longer than it does.
        taken_at = self._boot_clock()
        life = self._limits.job_lease
        rows = await self._database.write(ask(_LEASE, job=job_id, life=life))
        if not rows:
            return None
        kind, ref, fence, attempts, most, wakes, state, asked_at = cast(_LeaseValues, rows[0])
        if state == "dead":
            return None
        return Lease(
            job_id=job_id,
            kind=kind,
            ref=ref,
            fence=fence,
            attempts=attempts,
            max_attempts=most,
            wakes=wakes,
            lease_seconds=life.total_seconds(),
            taken_at_boot=taken_at,
            asked_at=asked_at,
        )

    async def finish(self, lease: Lease, outcome: Outcome) -> None:
        statement = _ENDINGS[ending_of(outcome)]
        rows = await self._database.write(ask(statement, **ending_values(lease, outcome)))
        if not rows:
            raise LeaseLost

    async def claim_due(self, limit: int) -> Sequence[str]:
        rows = await self._database.write(
            ask(_CLAIM, most=limit, ring_again=self._limits.relay_ring_again)
        )
        return [str(row[0]) for row in rows]

    async def take_back(self, job_ids: Sequence[str]) -> None:
        await self._database.write(ask(_TAKE_BACK, ids=list(job_ids)))

    async def tick(self, name: str, at: datetime, kind: str, ref: str) -> bool:
        rows = await self._database.write(
            ask(
                _TICK,
                name=name,
                at=at,
                kind=kind,
                ref=ref,
                job=self._new_id(),
                max_attempts=self._limits.job_attempts,
            )
        )
        return rows[0][0] == 1

    async def dead(self, *, limit: int, after: str | None) -> Sequence[JobRow]:
        if after is not None and not is_id(after):
            return []
        (rows,) = await self._database.read(
            ask(_LETTERS, most=limit, is_after=after is not None, after=after)
        )
        return [_letter(cast(_LetterValues, row)) for row in rows]

    async def replay(self, job_id: str) -> bool:
        if not is_id(job_id):
            return False
        return bool(await self._database.write(ask(_REPLAY, job=job_id)))


def _letter(values: _LetterValues) -> JobRow:
    job_id, kind, ref, attempts, most, available_at, error, created_at = values
    return JobRow(
        id=job_id,
        kind=kind,
        ref=ref,
        state="dead",
        attempts=attempts,
        max_attempts=most,
        available_at=available_at,
        leased=False,
        last_error=error,
        created_at=created_at,
    )
