"""The statements of the jobs table that its users share: asking for work, and ending it.

All times are the database's, so that no worker's clock decides whose turn it is.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec
from sqlalchemy import (
    CTE,
    Boolean,
    DateTime,
    Integer,
    Interval,
    Select,
    Text,
    Update,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSON, Insert, insert
from sqlalchemy.sql.selectable import SelectBase

from bitloot.domain.decision import JobRequest
from bitloot.ports.clock import NewId
from bitloot.ports.jobs import Again, Dead, Done, Lease, Outcome
from bitloot_adapters.postgres.tables import jobs

Ending: TypeAlias = Literal["held", "done", "again", "dead"]

MOMENT: Final = DateTime(timezone=True)
NOW: Final = func.now()
NOT_LEASED: Final = literal_column("'-infinity'::timestamptz", MOMENT)
PENDING: Final = literal_column("'pending'", Text)
NONE_YET: Final = literal_column("0", Integer)
IS_PENDING: Final = jobs.c.state == PENDING


def asked_for(of: CTE | None = None) -> Insert:
    """Insert wished jobs; one that is pending already is woken instead, and never made later.

    With `of` those alone whose `ref` is the id of one of its rows.
    """
    wish = (
        func.json_to_recordset(bindparam("wishes", type_=JSON))
        .table_valued(
            column("id", Uuid(as_uuid=False)),
            column("kind", Text),
            column("ref", Text),
            column("due", MOMENT),
        )
        .render_derived(name="wish", with_types=True)
    )
    asked = select(
        wish.c.id,
        wish.c.kind,
        wish.c.ref,
        PENDING,
        NONE_YET,
        NONE_YET,
        bindparam("max_attempts", type_=Integer),
        NONE_YET,
        func.coalesce(wish.c.due, NOW),
        NOW,
    )
    if of is not None:
        asked = asked.where(wish.c.ref.in_(select(cast(of.c.id, Text))))
    return inserting(asked)


def inserting(rows: SelectBase) -> Insert:
    """Insert the jobs that a query gives: id, kind, ref, state, counters, due and made at."""
    fresh = insert(jobs).from_select(
        [
            "id",
            "kind",
            "ref",
            "state",
            "fence",
            "attempts",
            "max_attempts",
            "wakes",
            "available_at",
            "created_at",
        ],
        rows,
        include_defaults=False,
    )
    return fresh.on_conflict_do_update(
        index_elements=[jobs.c.kind, jobs.c.ref],
        index_where=IS_PENDING,
        set_={
            "wakes": jobs.c.wakes + literal_column("1"),
            "available_at": func.least(jobs.c.available_at, fresh.excluded.available_at),
            "published_at": case(
                (fresh.excluded.available_at < jobs.c.available_at, null()),
                else_=jobs.c.published_at,
            ),
        },
    )


def wishes(requests: Iterable[JobRequest], new_id: NewId) -> str:
    """The wished jobs as the JSON of `asked_for`, in the order in which all lock them."""
    ordered = sorted(requests, key=lambda request: (request.kind, request.ref))
    rows = [{"id": new_id(), "kind": r.kind, "ref": r.ref, "due": r.due} for r in ordered]
    return msgspec.json.encode(rows).decode()


_HELD: Final = and_(
    jobs.c.id == bindparam("lease_job", type_=Uuid(as_uuid=False)),
    jobs.c.fence == bindparam("lease_fence", type_=Integer),
    IS_PENDING,
    jobs.c.lease_until != NOT_LEASED,
)
_WOKEN: Final = jobs.c.wakes != bindparam("lease_wakes", type_=Integer)
_OWN: Final = bindparam("own_wish", type_=Boolean)
_OWN_DUE: Final = func.coalesce(bindparam("own_due", type_=MOMENT), NOW)
_ERROR: Final = bindparam("job_error", type_=Text)
_PROGRESSED: Final = bindparam("job_progressed", type_=Boolean)


def still_held() -> Select[tuple[str]]:
    """The job, locked, if the lease's fence still stands."""
    return select(jobs.c.id).where(_HELD).with_for_update(key_share=True)


def ended(how: Literal["done", "again", "dead"]) -> Update:
    """End or re-arm a leased job under its fence; gives its id if the fence still stood."""
    over = update(jobs).where(_HELD).values(lease_until=NOT_LEASED, published_at=null())
    match how:
        case "done":
            over = over.values(
                state=case((or_(_WOKEN, _OWN), PENDING), else_=literal_column("'done'")),
                available_at=case((_WOKEN, NOW), (_OWN, _OWN_DUE), else_=jobs.c.available_at),
                attempts=case((or_(_WOKEN, _OWN), NONE_YET), else_=jobs.c.attempts),
                last_error=null(),
            )
        case "again":
            # A call that came while the holder worked is not put off.
            over = over.values(
                available_at=func.least(
                    NOW + bindparam("job_after", type_=Interval),
                    case((_OWN, _OWN_DUE)),
                    case((_WOKEN, NOW)),
                ),
                attempts=case((_PROGRESSED, NONE_YET), else_=jobs.c.attempts),
                last_error=func.nullif(_ERROR, literal_column("''")),
            )
        case "dead":
            # Whoever asked while the holder gave up asked for another try.
            over = over.values(
                state=case((_WOKEN, PENDING), else_=literal_column("'dead'")),
                available_at=case((_WOKEN, NOW), else_=jobs.c.available_at),
                attempts=case((_WOKEN, NONE_YET), else_=jobs.c.attempts),
                last_error=_ERROR,
            )
    return over.returning(jobs.c.id)


def ending_of(outcome: Outcome | None) -> Ending:
    """Which of the statements an outcome needs."""
    match outcome:
        case None:
            return "held"
        case Done():
            return "done"
        case Again():
            return "again"
        case Dead():
            return "dead"


def ending_values(
    lease: Lease, outcome: Outcome | None, own: JobRequest | None = None
) -> Mapping[str, object]:
    """What the statement of an outcome is run with. `own` is a wish for this very job."""
    held: dict[str, object] = {"lease_job": lease.job_id, "lease_fence": lease.fence}
    waking = {
        "lease_wakes": lease.wakes,
        "own_wish": own is not None,
        "own_due": own.due if own else None,
    }
    match outcome:
        case None:
            return held
        case Done():
            return {**held, **waking}
        case Again():
            return {
                **held,
                **waking,
                "job_after": outcome.after,
                "job_error": outcome.error,
                "job_progressed": outcome.progressed,
            }
        case Dead():
            return {**held, "lease_wakes": lease.wakes, "job_error": outcome.error}
