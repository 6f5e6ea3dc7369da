"""A whole decision as one statement.

Every decision of the same shape (which tables, which columns, which parts) is the same text, made
once. Rows travel as one JSON document for each table. The guards are evaluated first: the lease,
then the versions; only then are rows inserted, so that a decision taken on old rows is told so and
not that some key exists already.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    LargeBinary,
    ScalarSelect,
    Table,
    Text,
    Uuid,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import BYTEA, JSON
from sqlalchemy.sql.selectable import TableValuedAlias

from bitloot.domain.audit_chain import payload_of
from bitloot.domain.decision import AuditEntry, Change, Decision, JobRequest, Row, changed_fields
from bitloot.domain.reactions import all_jobs
from bitloot.domain.timeline import seal_events
from bitloot.ports.clock import NewId
from bitloot.ports.jobs import Dead, Lease, Outcome
from bitloot_adapters.postgres.faults import LEASE_GONE, VERSION_MOVED
from bitloot_adapters.postgres.job_statements import (
    Ending,
    asked_for,
    ended,
    ending_of,
    ending_values,
    still_held,
    wishes,
)
from bitloot_adapters.postgres.statements import Question, Statement, compiled
from bitloot_adapters.postgres.tables import METADATA, TABLES, audit_logs, events

SHAPES_KEPT: Final = 1024
# The order in which rows of several tables are locked.
_PLACES: Final = {kind: place for place, kind in enumerate(TABLES)}


class Shape(msgspec.Struct, frozen=True):
    """What the text of a decision's statement depends on. An update names its columns."""

    inserts: tuple[str, ...]
    updates: tuple[tuple[str, tuple[str, ...]], ...]
    removes: tuple[str, ...]
    has_events: bool
    has_jobs: bool
    has_audit: bool
    ending: Ending | None


def recording(
    decision: Decision,
    *,
    lease: Lease | None,
    outcome: Outcome | None,
    new_id: NewId,
    max_attempts: int,
) -> Question | None:
    """The statement that writes a decision, None where there is nothing to write.

    Raises ValueError for a decision that names a row twice, or has an outcome without a lease.
    """
    if outcome is not None and lease is None:
        raise ValueError("an outcome without the lease that it ends")
    sealed = seal_events(decision)
    _refuse_repeats((*(change.after for change in sealed.save), *decision.remove))
    inserts, updates = _sorted(sealed.save)
    removes = _by_table(decision.remove)
    requests, own = _without_own(all_jobs(decision), lease, outcome)
    values: dict[str, object] = {}
    for place, rows in enumerate(inserts.values()):
        values[f"new_{place}"] = _json([change.after for change in rows])
    for place, rows in enumerate(updates.values()):
        values[f"set_{place}"] = _json([_written(change) for change in rows])
        values[f"count_{place}"] = len(rows)
    for place, gone in enumerate(removes.values()):
        values[f"gone_{place}"] = _json([{"id": row.id, "version": row.version} for row in gone])
        values[f"gone_count_{place}"] = len(gone)
    if sealed.events:
        values["order_id"] = decision.order_id
        values["events"] = _json(sealed.events)
    if requests:
        values["wishes"] = wishes(requests, new_id)
        values["max_attempts"] = max_attempts
    if decision.audit:
        values["audit"] = _json([_audit_row(entry) for entry in decision.audit])
    if lease is not None:
        values.update(ending_values(lease, outcome, own))
    shape = Shape(
        inserts=tuple(inserts),
        updates=tuple(updates),
        removes=tuple(removes),
        has_events=bool(sealed.events),
        has_jobs=bool(requests),
        has_audit=bool(decision.audit),
        ending=ending_of(outcome) if lease is not None else None,
    )
    return Question(statement_of(shape), values) if values else None


@lru_cache(maxsize=SHAPES_KEPT)
def statement_of(shape: Shape) -> Statement:
    """The text for a shape."""
    guards: list[ColumnElement[object]] = []
    if shape.ending is not None:
        leased = still_held() if shape.ending == "held" else ended(shape.ending)
        guards.append(_required(leased.cte("leased"), literal_column("1", Integer), LEASE_GONE))
    for place, (name, columns) in enumerate(shape.updates):
        expected = bindparam(f"count_{place}", type_=Integer)
        guards.append(_required(_updating(place, name, columns), expected, VERSION_MOVED))
    for place, name in enumerate(shape.removes):
        expected = bindparam(f"gone_count_{place}", type_=Integer)
        guards.append(_required(_removing(place, name), expected, VERSION_MOVED))
    unguarded = [
        _inserting(place, METADATA.tables[name]) for place, name in enumerate(shape.inserts)
    ]
    if shape.has_events:
        unguarded.append(_telling())
    if shape.has_jobs:
        unguarded.append(asked_for().cte("asked"))
    if shape.has_audit:
        unguarded.append(_auditing())
    whole = select(*guards) if guards else select(literal_column("1"))
    return compiled(whole.add_cte(*unguarded))


def _required(found: CTE, expected: ColumnElement[int], code: str) -> ColumnElement[object]:
    counted: ScalarSelect[int] = select(func.count()).select_from(found).scalar_subquery()
    return func.bitloot_require(counted, expected, literal_column(f"'{code}'", Text))


def _updating(place: int, name: str, columns: Sequence[str]) -> CTE:
    table = METADATA.tables[name]
    given = recordset(table, ("id", *columns), f"set_{place}")
    return (
        update(table)
        .values({table.c[c]: given_value(table, given, c) for c in columns})
        .where(
            table.c.id == given.c.id,
            table.c.version == given.c.version - literal_column("1", Integer),
        )
        .returning(table.c.id)
        .cte(f"updated_{place}")
    )


def _removing(place: int, name: str) -> CTE:
    table = METADATA.tables[name]
    given = recordset(table, ("id", "version"), f"gone_{place}")
    return (
        delete(table)
        .where(table.c.id == given.c.id, table.c.version == given.c.version)
        .returning(table.c.id)
        .cte(f"removed_{place}")
    )


def _inserting(place: int, table: Table) -> CTE:
    names = list(table.c.keys())
    given = recordset(table, names, f"new_{place}")
    rows = select(*(given_value(table, given, name) for name in names))
    return insert(table).from_select(names, rows, include_defaults=False).cte(f"inserted_{place}")


def _telling() -> CTE:
    names = ["seq", "kind", "at", "subject", "facts", "due", "changes"]
    given = recordset(events, names, "events")
    rows = select(
        bindparam("order_id", type_=Uuid(as_uuid=False)), *(given.c[name] for name in names)
    )
    return (
        insert(events).from_select(["order_id", *names], rows, include_defaults=False).cte("told")
    )


def _auditing() -> CTE:
    names = ["at", "actor", "action", "subject", "reason", "facts", "payload"]
    given = recordset(audit_logs, names, "audit")
    rows = select(*(given_value(audit_logs, given, name) for name in names))
    return insert(audit_logs).from_select(names, rows, include_defaults=False).cte("audited")


def recordset(table: Table, names: Iterable[str], parameter: str) -> TableValuedAlias:
    """The rows of a JSON parameter, with the types of the table; bytes come as base64 text."""
    columns = [
        column(name, Text() if _is_bytes(table, name) else table.c[name].type) for name in names
    ]
    return (
        func.json_to_recordset(bindparam(parameter, type_=JSON))
        .table_valued(*columns)
        .render_derived(name=f"given_{parameter}", with_types=True)
    )


def given_value(table: Table, given: TableValuedAlias, name: str) -> ColumnElement[object]:
    """A column of those rows as the table has it."""
    if _is_bytes(table, name):
        return func.decode(given.c[name], literal_column("'base64'"), type_=LargeBinary())
    return given.c[name]


def _is_bytes(table: Table, name: str) -> bool:
    return isinstance(table.c[name].type, BYTEA)


def _sorted(
    changes: Iterable[Change],
) -> tuple[dict[str, list[Change]], dict[tuple[str, tuple[str, ...]], list[Change]]]:
    """Inserts by table and updates by table and columns, in the order in which rows are locked."""
    ordered = sorted(changes, key=lambda change: (_PLACES[type(change.after)], change.after.id))
    inserts: dict[str, list[Change]] = {}
    updates: dict[tuple[str, tuple[str, ...]], list[Change]] = {}
    for change in ordered:
        name = TABLES[type(change.after)].name
        if change.before is None:
            inserts.setdefault(name, []).append(change)
        else:
            updates.setdefault((name, tuple(changed_fields(change))), []).append(change)
    return inserts, updates


def _by_table(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by table, in the order in which rows are locked."""
    found: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (_PLACES[type(row)], row.id)):
        found.setdefault(TABLES[type(row)].name, []).append(row)
    return found


def _written(change: Change) -> dict[str, object]:
    return {"id": change.after.id, **changed_fields(change)}


def _audit_row(entry: AuditEntry) -> Mapping[str, object]:
    return {**msgspec.structs.asdict(entry), "payload": payload_of(entry)}


def _without_own(
    requests: tuple[JobRequest, ...], lease: Lease | None, outcome: Outcome | None
) -> tuple[tuple[JobRequest, ...], JobRequest | None]:
    """The wishes for other jobs, and the one for the job that goes on.

    A row cannot be ended and woken by one statement, so such a wish is part of the ending. A job
    that is given up goes on as a new one.
    """
    if lease is None or outcome is None or isinstance(outcome, Dead):
        return requests, None
    own = next((r for r in requests if (r.kind, r.ref) == (lease.kind, lease.ref)), None)
    return tuple(request for request in requests if request is not own), own


def _refuse_repeats(rows: Sequence[Row]) -> None:
    if len({(type(row), row.id) for row in rows}) != len(rows):
        raise ValueError("a decision writes a row twice")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
