"""The memory store and PostgreSQL show the same of people."""

from collections.abc import AsyncIterator

import pytest
from tests.contract.test_postgres_store import LIMITS, PostgresRig

from bitloot.testing.people import PeopleContract
from bitloot_adapters.memory.rigs import MemoryStoreRig
from bitloot_adapters.memory.views.people import MemoryPeopleViews
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.views.people import PostgresPeopleViews


class MemoryPeopleRig(MemoryStoreRig):
    """A fresh store with the views of its people."""

    def __init__(self) -> None:
        super().__init__()
        self.people = MemoryPeopleViews(self.store)


class PostgresPeopleRig(PostgresRig):
    """A shop's database with the views of its people."""

    def __init__(self, url: str, database: Database) -> None:
        super().__init__(url, database)
        self.people = PostgresPeopleViews(database)


class TestMemoryPeople(PeopleContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryPeopleRig:
        return MemoryPeopleRig()


class TestPostgresPeople(PeopleContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self, shop_url: str) -> AsyncIterator[PostgresPeopleRig]:
        async with open_database(shop_url, LIMITS) as database:
            yield PostgresPeopleRig(shop_url, database)
