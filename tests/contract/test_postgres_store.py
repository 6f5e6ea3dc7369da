"""The suites of the store, on PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec
import psycopg
import pytest

from bitloot.domain.decision import AuditEntry, Event
from bitloot.domain.limits import Limits
from bitloot.ports.clock import NewId
from bitloot.ports.jobs import JobRow
from bitloot.testing.breakers import BreakersContract
from bitloot.testing.jobs import JobsContract
from bitloot.testing.unit_of_work import UnitOfWorkContract
from bitloot_adapters.clock import boot_seconds, new_id
from bitloot_adapters.postgres.breakers import PostgresBreakers
from bitloot_adapters.postgres.jobs import PostgresJobs
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork

LIMITS = Limits()
EVENT_FIELDS = ("kind", "at", "subject", "facts", "due", "seq", "changes")

EVENTS = """
SELECT kind, at, subject, facts, due, seq, changes FROM events WHERE order_id = %s ORDER BY seq
"""
JOBS = """
SELECT json_build_object('id', id, 'kind', kind, 'ref', ref, 'state', state,
    'attempts', attempts, 'max_attempts', max_attempts, 'available_at', available_at,
    'leased', lease_until > now(), 'last_error', last_error, 'created_at', created_at)::text
FROM jobs ORDER BY created_at, id
"""
EARLIER = """
UPDATE jobs SET available_at = available_at - %(span)s, lease_until = lease_until - %(span)s,
                published_at = published_at - %(span)s
"""

EARLIER_BREAKERS = """
UPDATE breakers SET opened_at = opened_at - %(span)s, probe_at = probe_at - %(span)s,
    failures = ARRAY(SELECT failure - %(span)s FROM unnest(failures) AS failure)
"""


class PostgresRig:
    """A shop's database with a look behind its ports, through a connection of its own."""

    def __init__(self, url: str, database: Database) -> None:
        self._url = url
        self.new_id: NewId = new_id
        self.uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=LIMITS.job_attempts)
        self.jobs = PostgresJobs(database, limits=LIMITS, new_id=new_id, boot_clock=boot_seconds)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def pass_time(self, span: timedelta) -> None:
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            await connection.execute(EARLIER, {"span": span})

    async def events(self, order_id: str) -> Sequence[Event]:
        rows = await self._ask(EVENTS.encode(), [order_id])
        return [Event(**dict(zip(EVENT_FIELDS, row, strict=True))) for row in rows]

    async def all_jobs(self) -> Sequence[JobRow]:
        rows = await self._ask(JOBS.encode(), [])
        return [msgspec.json.decode(str(row[0]), type=JobRow) for row in rows]

    async def audit(self) -> Sequence[AuditEntry]:
        rows = await self._ask(b"SELECT payload FROM audit_logs ORDER BY seq", [])
        return [msgspec.json.decode(bytes(row[0]), type=AuditEntry) for row in rows]

    async def audit_is_whole(self) -> bool:
        lines = await self._ask(b"SELECT seq, payload, hash FROM audit_logs ORDER BY seq", [])
        ((last, head),) = await self._ask(b"SELECT seq, hash FROM audit_head", [])
        expected = sha256(b"").digest()
        for place, (seq, payload, digest) in enumerate(lines, start=1):
            expected = sha256(expected + payload).digest()
            if (seq, digest) != (place, expected):
                return False
        return (last, head) == (len(lines), expected)

    async def _ask(self, statement: bytes, values: Sequence[object]) -> list[psycopg.rows.TupleRow]:
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            return await (await connection.execute(statement, values)).fetchall()


class PostgresBreakersRig:
    """Breakers in a database, whose times are shifted back instead of waiting."""

    def __init__(self, url: str, database: Database) -> None:
        self._url = url
        self._database = database
        self.limits = LIMITS
        self.breakers = self.another()

    def another(self) -> PostgresBreakers:
        return PostgresBreakers(self._database, limits=LIMITS)

    async def pass_time(self, span: timedelta) -> None:
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            await connection.execute(EARLIER_BREAKERS, {"span": span})


@pytest.fixture
async def rig(shop_url: str) -> AsyncIterator[PostgresRig]:
    async with open_database(shop_url, LIMITS) as database:
        yield PostgresRig(shop_url, database)


class TestPostgresUnitOfWork(UnitOfWorkContract):
    """All of the suite."""


class TestPostgresJobs(JobsContract):
    """All of the suite."""


class TestPostgresBreakers(BreakersContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self, shop_url: str) -> AsyncIterator[PostgresBreakersRig]:
        async with open_database(shop_url, LIMITS) as database:
            yield PostgresBreakersRig(shop_url, database)
