"""PostgreSQL shows what the views promise."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from bitloot.domain.decision import Decision, Event, Row, insert
from bitloot.domain.limits import Limits
from bitloot.ports.clock import NewId
from bitloot.testing.catalog_views import COUNTED_BY_RIG, CatalogViewsContract
from bitloot.testing.desk_views import DeskViewsContract
from bitloot.testing.many_hits import FENCES_OF_RIG, ManyHitsContract
from bitloot.testing.rows import FEE
from bitloot.testing.upkeep import UpkeepContract
from bitloot.testing.views import OrderViewsContract
from bitloot_adapters.clock import boot_seconds, new_id
from bitloot_adapters.postgres.jobs import PostgresJobs
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.tables import TABLES
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork
from bitloot_adapters.postgres.upkeep import PostgresUpkeep
from bitloot_adapters.postgres.views.catalog import PostgresCatalogViews
from bitloot_adapters.postgres.views.desk import PostgresDeskViews
from bitloot_adapters.postgres.views.orders import PostgresOrderViews

LIMITS = Limits()
EVENT_FIELDS = ("kind", "at", "subject", "facts", "due", "seq", "changes")
EVENTS = """
SELECT kind, at, subject, facts, due, seq, changes FROM events WHERE order_id = %s ORDER BY seq
"""
EARLIER = """
UPDATE jobs SET available_at = available_at - %(span)s, lease_until = lease_until - %(span)s,
                published_at = published_at - %(span)s
"""


class PostgresViewsRig:
    """The views of a shop's database, and a connection of its own past the rules."""

    def __init__(self, url: str, database: Database) -> None:
        self._url = url
        self.new_id: NewId = new_id
        self.uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=LIMITS.job_attempts)
        self.jobs = PostgresJobs(database, limits=LIMITS, new_id=new_id, boot_clock=boot_seconds)
        self.orders = PostgresOrderViews(database)
        self.catalog = PostgresCatalogViews(
            database, gateway_fee=FEE, count_exact=COUNTED_BY_RIG, fences=FENCES_OF_RIG
        )
        self.desk = PostgresDeskViews(database, limits=LIMITS)
        self.upkeep = PostgresUpkeep(database)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def pass_time(self, span: timedelta) -> None:
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            await connection.execute(EARLIER, {"span": span})

    async def force(self, row: Row, rule: str) -> None:
        table, name = sql.Identifier(TABLES[type(row)].name), sql.Identifier(rule)
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            await connection.execute(
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(table, name)
            )
            await connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(name))
        async with self.uow.begin() as tx:
            await tx.record(Decision(save=(insert(row),)))

    async def events(self, order_id: str) -> Sequence[Event]:
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            rows = await (await connection.execute(EVENTS, [order_id])).fetchall()
        return [Event(**dict(zip(EVENT_FIELDS, row, strict=True))) for row in rows]


@pytest.fixture
async def rig(shop_url: str) -> AsyncIterator[PostgresViewsRig]:
    async with open_database(shop_url, LIMITS) as database:
        yield PostgresViewsRig(shop_url, database)


class TestPostgresOrderViews(OrderViewsContract):
    """All of the suite."""


class TestPostgresCatalogViews(CatalogViewsContract):
    """All of the suite."""


class TestPostgresManyHits(ManyHitsContract):
    """All of the suite."""


class TestPostgresDeskViews(DeskViewsContract):
    """All of the suite."""


class TestPostgresUpkeep(UpkeepContract):
    """All of the suite."""
