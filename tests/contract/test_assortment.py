"""The memory store and PostgreSQL show the desk the same goods."""

from collections.abc import AsyncIterator

import pytest
from tests.contract.test_postgres_store import LIMITS, PostgresRig

from bitloot.testing.assortment import AssortmentContract
from bitloot.testing.unit_reports import UnitReportsContract
from bitloot_adapters.memory.rigs import MemoryStoreRig
from bitloot_adapters.memory.views.assortment import MemoryAssortmentViews
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.views.assortment import PostgresAssortmentViews


class MemoryAssortmentRig(MemoryStoreRig):
    """A fresh store with the desk's views of its goods."""

    def __init__(self) -> None:
        super().__init__()
        self.assortment = MemoryAssortmentViews(self.store)


class PostgresAssortmentRig(PostgresRig):
    """A shop's database with the desk's views of its goods."""

    def __init__(self, url: str, database: Database) -> None:
        super().__init__(url, database)
        self.assortment = PostgresAssortmentViews(database)


class TestMemoryAssortment(AssortmentContract, UnitReportsContract):
    """All of both suites."""

    @pytest.fixture
    def rig(self) -> MemoryAssortmentRig:
        return MemoryAssortmentRig()


class TestPostgresAssortment(AssortmentContract, UnitReportsContract):
    """All of both suites."""

    @pytest.fixture
    async def rig(self, shop_url: str) -> AsyncIterator[PostgresAssortmentRig]:
        async with open_database(shop_url, LIMITS) as database:
            yield PostgresAssortmentRig(shop_url, database)
