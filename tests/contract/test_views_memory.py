"""The memory store shows what the views promise."""

import pytest

from bitloot.domain.decision import Row
from bitloot.domain.limits import Limits
from bitloot.testing.catalog_views import COUNTED_BY_RIG, CatalogViewsContract
from bitloot.testing.desk_views import DeskViewsContract
from bitloot.testing.many_hits import FENCES_OF_RIG, ManyHitsContract
from bitloot.testing.rows import FEE
from bitloot.testing.upkeep import UpkeepContract
from bitloot.testing.views import OrderViewsContract
from bitloot_adapters.memory.rigs import MemoryStoreRig
from bitloot_adapters.memory.upkeep import MemoryUpkeep
from bitloot_adapters.memory.views.catalog import MemoryCatalogViews
from bitloot_adapters.memory.views.desk import MemoryDeskViews
from bitloot_adapters.memory.views.orders import MemoryOrderViews


class MemoryViewsRig(MemoryStoreRig):
    """The views of a fresh store."""

    def __init__(self) -> None:
        super().__init__()
        self.orders = MemoryOrderViews(self.store)
        self.catalog = MemoryCatalogViews(
            self.store, gateway_fee=FEE, count_exact=COUNTED_BY_RIG, fences=FENCES_OF_RIG
        )
        self.desk = MemoryDeskViews(self.store, limits=Limits())
        self.upkeep = MemoryUpkeep(self.store)

    async def force(self, row: Row, rule: str) -> None:
        del rule
        self.store.tables._rows[type(row)][row.id] = row


@pytest.fixture
def rig() -> MemoryViewsRig:
    return MemoryViewsRig()


class TestMemoryOrderViews(OrderViewsContract):
    """All of the suite."""


class TestMemoryCatalogViews(CatalogViewsContract):
    """All of the suite."""


class TestMemoryManyHits(ManyHitsContract):
    """All of the suite."""


class TestMemoryDeskViews(DeskViewsContract):
    """All of the suite."""


class TestMemoryUpkeep(UpkeepContract):
    """All of the suite."""
