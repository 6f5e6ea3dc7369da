"""Both stores take over a supplier's catalogue by the same suite, and come to the same rows."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from sqlalchemy import select

from bitloot.domain.decision import Row
from bitloot.domain.limits import Limits
from bitloot.testing.catalogue_writer import CatalogueWriterContract
from bitloot_adapters.clock import new_id
from bitloot_adapters.memory.catalogue_writer import MemoryCatalogueWriter
from bitloot_adapters.memory.rigs import MemoryStoreRig
from bitloot_adapters.postgres.catalogue_writer import CatalogueWriter
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.rows import codec
from bitloot_adapters.postgres.statements import ask, compiled
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork

R = TypeVar("R", bound=Row)


class MemoryRig(MemoryStoreRig):
    """The memory store with its writer."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = MemoryCatalogueWriter(self.store)

    async def all(self, row: type[R]) -> Sequence[R]:
        return sorted(self.store.rows(row), key=lambda each: each.id)


class PostgresRig:
    """A shop's database with its writer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.new_id = new_id
        self.uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)
        self.writer = CatalogueWriter(database)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def all(self, row: type[R]) -> Sequence[R]:
        built = codec(row)
        everything = compiled(select(*built.columns).order_by(built.table.c.id))
        (rows,) = await self._database.read(ask(everything))
        return built.rows(rows)


class TestMemoryCatalogueWriter(CatalogueWriterContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryRig:
        return MemoryRig()


class TestPostgresCatalogueWriter(CatalogueWriterContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self, shop_url: str) -> AsyncIterator[PostgresRig]:
        async with open_database(shop_url, Limits()) as database:
            yield PostgresRig(database)
