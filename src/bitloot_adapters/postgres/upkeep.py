"""What sweeps look for in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    Text,
    bindparam,
    cast,
    delete,
    exists,
    literal_column,
    select,
)

from bitloot_adapters.postgres.job_statements import MOMENT
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.statements import ask, compiled
from bitloot_adapters.postgres.tables import fulfilments, idempotency_keys, jobs, orders

_BEFORE: Final = bindparam("before", type_=MOMENT)
_LIMIT: Final = bindparam("most", type_=Integer)

# The condition of the index `fulfilments_open`, word for word.
_OPEN: Final = fulfilments.c.state.not_in(
    [
        literal_column(f"'{state}'", Text)
        for state in ("delivered", "failed_terminal", "returned", "replaced", "cancelled")
    ]
)


def _has_job(state: str) -> ColumnElement[bool]:
    return exists(
        select(jobs.c.id).where(
            jobs.c.state == literal_column(f"'{state}'", Text),
            jobs.c.kind == literal_column("'fulfil'"),
            jobs.c.ref == cast(fulfilments.c.id, Text),
        )
    )


_WITHOUT_JOB: Final = compiled(
    select(fulfilments.c.id)
    .join(orders, orders.c.id == fulfilments.c.order_id)
    .where(
        _OPEN,
        fulfilments.c.updated_at < _BEFORE,
        orders.c.status.in_(
            [
                literal_column(f"'{status}'", Text)
                for status in ("paid", "partially_fulfilled", "fulfilled", "refunded")
            ]
        ),
        ~_has_job("pending"),
        ~_has_job("dead"),
    )
    .order_by(fulfilments.c.updated_at, fulfilments.c.id)
    .limit(_LIMIT)
)
_OVER: Final = (
    select(idempotency_keys.c.id)
    .where(idempotency_keys.c.started_at < _BEFORE)
    .order_by(idempotency_keys.c.started_at)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
    .cte("over")
    .prefix_with("MATERIALIZED")
)
_EXPIRE: Final = compiled(
    delete(idempotency_keys)
    .where(idempotency_keys.c.id == _OVER.c.id)
    .returning(idempotency_keys.c.id)
)


class PostgresUpkeep:
    """The port `Upkeep`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fulfilments_without_job(self, *, before: datetime, limit: int) -> Sequence[str]:
        (rows,) = await self._database.read(ask(_WITHOUT_JOB, before=before, most=limit))
        return [str(row[0]) for row in rows]

    async def expire_idempotency(self, *, before: datetime, limit: int) -> int:
        return len(await self._database.write(ask(_EXPIRE, before=before, most=limit)))
