"""What sweeps ask of the database beside its views."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    select,
)

from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.ports.upkeep import UploadedKey
from bitloot_adapters.postgres.job_statements import MOMENT
from bitloot_adapters.postgres.order_reads import ID
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.rows import codec
from bitloot_adapters.postgres.statements import Statement, ask, compiled, is_id
from bitloot_adapters.postgres.tables import (
    idempotency_keys,
    jobs,
    quotes,
    reconciliation_breaks,
    scheduler_ticks,
    sealed_keys,
    sessions,
)

_BEFORE: Final = bindparam("before", type_=MOMENT)
_LIMIT: Final = bindparam("most", type_=Integer)
# Ids begin with the time of making, so that what is old is found without an index of its own.
_UP_TO: Final = bindparam("up_to", type_=ID)
_BREAK: Final = codec(ReconciliationBreak)


def _deleting(
    table: Table, over: ColumnElement[bool], *, oldest: ColumnElement[object]
) -> Statement:
    """At most `most` rows, whatever the planner does: the choice is made once, then joined."""
    keys = tuple(table.primary_key.columns)
    chosen = (
        select(*keys)
        .where(over)
        .order_by(oldest)
        .limit(_LIMIT)
        .with_for_update(skip_locked=True)
        .cte("chosen")
        .prefix_with("MATERIALIZED")
    )
    gone = (
        delete(table)
        .where(*(key == chosen.c[key.name] for key in keys))
        .returning(keys[0])
        .cte("gone")
    )
    return compiled(select(func.count()).select_from(gone))


def _uploaded(*conditions: ColumnElement[bool]) -> Statement:
    of = sealed_keys.c
    return compiled(
        select(of.id, of.object_name, of.sha256)
        .where(of.state == literal_column("'live'", Text), of.uploaded_at.is_not(None), *conditions)
        .order_by(of.id)
        .limit(_LIMIT)
    )


_IDEMPOTENCY: Final = _deleting(
    idempotency_keys,
    idempotency_keys.c.started_at < _BEFORE,
    oldest=idempotency_keys.c.started_at,
)
_DONE: Final = _deleting(
    jobs,
    and_(jobs.c.state == literal_column("'done'", Text), jobs.c.id < _UP_TO),
    oldest=jobs.c.id,
)
_TICKS: Final = _deleting(
    scheduler_ticks, scheduler_ticks.c.at < _BEFORE, oldest=scheduler_ticks.c.at
)
_QUOTES: Final = _deleting(
    quotes,
    and_(quotes.c.id < _UP_TO, quotes.c.used_by.is_(None), quotes.c.frozen_until < _BEFORE),
    oldest=quotes.c.id,
)
_SESSIONS: Final = _deleting(
    sessions, sessions.c.expires_at < _BEFORE, oldest=sessions.c.expires_at
)
_UPLOADED: Final = _uploaded(
    sealed_keys.c.uploaded_at >= bindparam("since", type_=MOMENT),
    sealed_keys.c.id > bindparam("after", type_=ID),
)
_UPLOADED_ONE: Final = _uploaded(sealed_keys.c.id == bindparam("key_id", type_=ID))
_KNOWN_KEYS: Final = compiled(
    select(sealed_keys.c.id).where(sealed_keys.c.id == func.any(bindparam("ids", type_=ARRAY(ID))))
)
_BREAKS_OF: Final = compiled(
    select(*_BREAK.columns)
    .where(reconciliation_breaks.c.subject == bindparam("subject", type_=Text))
    .order_by(reconciliation_breaks.c.id)
)
_FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"


class PostgresUpkeep:
    """The port `Upkeep`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def expire_idempotency(self, *, before: datetime, limit: int) -> int:
        return await self._delete(_IDEMPOTENCY, before=before, most=limit)

    async def forget_done_jobs(self, *, before: datetime, limit: int) -> int:
        return await self._delete(_DONE, up_to=first_id(before), most=limit)

    async def forget_ticks(self, *, before: datetime, limit: int) -> int:
        return await self._delete(_TICKS, before=before, most=limit)

    async def forget_quotes(self, *, before: datetime, limit: int) -> int:
        return await self._delete(_QUOTES, up_to=first_id(before), before=before, most=limit)

    async def forget_sessions(self, *, before: datetime, limit: int) -> int:
        return await self._delete(_SESSIONS, before=before, most=limit)

    async def uploaded_keys(
        self, *, since: datetime, after: str | None, limit: int
    ) -> Sequence[UploadedKey]:
        question = ask(_UPLOADED, since=since, after=after or _FIRST_ID, most=limit)
        (rows,) = await self._database.read(question)
        return [_key(cast(_KeyValues, row)) for row in rows]

    async def uploaded_key(self, key_id: str) -> UploadedKey | None:
        if not is_id(key_id):
            return None
        (rows,) = await self._database.read(ask(_UPLOADED_ONE, key_id=key_id, most=1))
        return _key(cast(_KeyValues, rows[0])) if rows else None

    async def known_keys(self, ids: Sequence[str]) -> frozenset[str]:
        asked = [each for each in ids if is_id(each)]
        (rows,) = await self._database.read(ask(_KNOWN_KEYS, ids=asked))
        return frozenset(str(row[0]) for row in rows)

    async def breaks_of(self, subject: str) -> Sequence[ReconciliationBreak]:
        (rows,) = await self._database.read(ask(_BREAKS_OF, subject=subject))
        return _BREAK.rows(rows)

    async def _delete(self, statement: Statement, **values: object) -> int:
        ((count,),) = await self._database.write(ask(statement, **values))
        assert isinstance(count, int)
        return count


_KeyValues = tuple[str, str, str]


def _key(values: _KeyValues) -> UploadedKey:
    key_id, object_name, sha256 = values
    return UploadedKey(id=key_id, object_name=object_name, sha256=sha256)


def first_id(at: datetime) -> str:
    """The lowest id that can be made at that time (RFC 9562, UUID version 7)."""
    digits = f"{int(at.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"
