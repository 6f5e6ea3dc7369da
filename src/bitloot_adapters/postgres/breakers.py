"""Circuit breakers in a table, so that what one worker learns all workers know."""

from typing import Final

from sqlalchemy import (
    Integer,
    Interval,
    Text,
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
from sqlalchemy.dialects.postgresql import ARRAY, array, insert

from bitloot.domain.limits import Limits
from bitloot_adapters.postgres.job_statements import MOMENT, NOW
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.statements import Statement, ask, compiled
from bitloot_adapters.postgres.tables import breakers

_PROVIDER: Final = bindparam("provider", type_=Text)
_IS_OPEN: Final = breakers.c.opened_at.is_not(None)
_PROBE_AT: Final = NOW + bindparam("probe", type_=Interval)
_NONE: Final = literal_column("'{}'::timestamptz[]", ARRAY(MOMENT))


def _allows() -> Statement:
    """Closed, or open and the probe is due: then whoever asks first is the probe."""
    probing = (
        update(breakers)
        .values(probe_at=_PROBE_AT)
        .where(breakers.c.provider == _PROVIDER, _IS_OPEN, breakers.c.probe_at <= NOW)
        .returning(breakers.c.provider)
        .cte("probing")
    )
    opened = select(breakers.c.provider).where(breakers.c.provider == _PROVIDER, _IS_OPEN)
    return compiled(select(or_(~exists(opened), exists(select(probing.c.provider)))))


def _failed() -> Statement:
    """Keeps the failures of the window, and no more than open the breaker."""
    failure = func.unnest(breakers.c.failures).column_valued("failure")
    recent = func.array(
        select(failure)
        .where(failure > NOW - bindparam("window", type_=Interval))
        .scalar_subquery(),
        type_=ARRAY(MOMENT),
    )
    counted = func.array_append(recent, NOW, type_=ARRAY(MOMENT))
    opens = and_(~_IS_OPEN, func.cardinality(counted) >= bindparam("most", type_=Integer))
    first = bindparam("most", type_=Integer) <= literal_column("1")
    fresh = insert(breakers).values(
        provider=_PROVIDER,
        failures=array([NOW], type_=MOMENT),
        opened_at=case((first, NOW)),
        probe_at=case((first, _PROBE_AT)),
    )
    return compiled(
        fresh.on_conflict_do_update(
            index_elements=[breakers.c.provider],
            set_={
                "failures": case((or_(_IS_OPEN, opens), _NONE), else_=counted),
                "opened_at": case((opens, NOW), else_=breakers.c.opened_at),
                "probe_at": case((opens, _PROBE_AT), else_=breakers.c.probe_at),
            },
        ).returning(func.coalesce(breakers.c.opened_at == NOW, literal_column("false")))
    )


def _trip() -> Statement:
    """Opens at once; one that is open keeps the time of its next probe."""
    opened = insert(breakers).values(
        provider=_PROVIDER, failures=_NONE, opened_at=NOW, probe_at=_PROBE_AT
    )
    return compiled(
        opened.on_conflict_do_update(
            index_elements=[breakers.c.provider],
            set_={"failures": _NONE, "opened_at": NOW, "probe_at": _PROBE_AT},
            where=~_IS_OPEN,
        ).returning(breakers.c.provider)
    )


_ALLOWS: Final = _allows()
_FAILED: Final = _failed()
_TRIP: Final = _trip()
_SUCCEEDED: Final = compiled(
    update(breakers)
    .values(failures=_NONE, opened_at=null(), probe_at=null())
    .where(breakers.c.provider == _PROVIDER, or_(_IS_OPEN, breakers.c.failures != _NONE))
)


class PostgresBreakers:
    """The port `Breakers`: opens after so many failures in a window, probes once a while."""

    def __init__(self, database: Database, *, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    async def allows(self, provider: str) -> bool:
        rows = await self._database.write(
            ask(_ALLOWS, provider=provider, probe=self._limits.breaker_probe)
        )
        return rows[0][0] is True

    async def failed(self, provider: str) -> bool:
        rows = await self._database.write(
            ask(
                _FAILED,
                provider=provider,
                window=self._limits.breaker_window,
                probe=self._limits.breaker_probe,
                most=self._limits.breaker_failures,
            )
        )
        return rows[0][0] is True

    async def trip(self, provider: str) -> bool:
        rows = await self._database.write(
            ask(_TRIP, provider=provider, probe=self._limits.breaker_probe)
        )
        return bool(rows)

    async def succeeded(self, provider: str) -> None:
        await self._database.write(ask(_SUCCEEDED, provider=provider))
