"""Offers of several suppliers are sold as one product, in both stores alike."""

from collections.abc import AsyncIterator

import pytest
from tests.contract.test_catalogue_writers import MemoryRig, PostgresRig

from bitloot.domain.limits import Limits
from bitloot.testing.joined_offers import JoinedOffersContract
from bitloot_adapters.postgres.pool import open_database


class TestMemoryJoinedOffers(JoinedOffersContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryRig:
        return MemoryRig()


class TestPostgresJoinedOffers(JoinedOffersContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self, shop_url: str) -> AsyncIterator[PostgresRig]:
        async with open_database(shop_url, Limits()) as database:
            yield PostgresRig(database)
