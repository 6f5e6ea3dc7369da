"""Two suppliers, many workers, one unit: on a real PostgreSQL it has one purchase at a time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from bitloot.domain import purchase
from bitloot.domain.decision import Decision, Event, insert, update
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.routing import Found
from bitloot.domain.supply import SupplierOffer
from bitloot.ports.errors import Conflict, Duplicate
from bitloot.testing.rows import Rows, stocked
from bitloot_adapters.clock import new_id
from bitloot_adapters.postgres.pool import open_database
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork

WORKERS = 12
LIMITS = Limits()


def now() -> datetime:
    return datetime.now(UTC)


class Wanted:
    """A paid unit in the store, and those who want to buy it, each at another supplier."""

    def __init__(self, uow: PostgresUnitOfWork, order_id: str, fulfilment_id: str) -> None:
        self._uow = uow
        self._order_id = order_id
        self._fulfilment_id = fulfilment_id

    async def file(self) -> OrderFile:
        async with self._uow.begin() as tx:
            file = await tx.orders.file(self._order_id)
        assert file is not None
        return file

    def _decided(self, file: OrderFile, worker: int) -> Decision:
        row: Fulfilment = file.fulfilment(self._fulfilment_id)
        offer = SupplierOffer(supplier_product_id="p", offer_id="o", price=Decimal(8), stock=5)
        found = Found(("kinguin", "keyhaven")[worker % 2], offer)
        return purchase.intend(
            file, row, found, balance=None, at=now(), new_id=new_id, limits=LIMITS
        )

    async def intend(self, worker: int) -> bool:
        """Read under the order's lock, as every worker does; whether an attempt was written."""
        async with self._uow.begin() as tx:
            file = await tx.orders.file(self._order_id)
            assert file is not None
            decision = self._decided(file, worker)
            await tx.record(decision)
            return bool(decision.save)

    async def intend_from(self, stale: OrderFile, worker: int) -> bool:
        """Decide from what was read before, without a look at what happened since."""
        try:
            async with self._uow.begin() as tx:
                await tx.record(self._decided(stale, worker))
        except (Conflict, Duplicate):
            return False
        return True


@pytest.fixture
async def wanted(shop_url: str) -> AsyncIterator[Wanted]:
    async with open_database(shop_url, LIMITS) as database:
        uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)
        rows = Rows(clock=now, new_id=new_id)
        goods = rows.goods()
        bought = rows.purchase(goods)
        row = rows.fulfilment(bought.item)
        async with uow.begin() as tx:
            await tx.record(stocked(goods))
        async with uow.begin() as tx:
            await tx.record(bought.placing())
        async with uow.begin() as tx:
            planned = Event(kind="fulfilment_planned", at=now(), subject=row.id)
            file = await tx.orders.file(bought.order.id)
            assert file is not None
            await tx.record(
                Decision(
                    save=(insert(row), update(file.order, status="paid")),
                    events=(planned,),
                    order_id=bought.order.id,
                )
            )
        yield Wanted(uow, bought.order.id, row.id)


def _open(file: OrderFile) -> Sequence[str]:
    return [attempt.state for attempt in file.attempts]


async def test_of_many_workers_at_two_suppliers_one_owns_the_unit(wanted: Wanted) -> None:
    won = await asyncio.gather(*(wanted.intend(worker) for worker in range(WORKERS)))
    assert sum(won) == 1
    assert _open(await wanted.file()) == ["intent"]


async def test_who_decides_from_what_was_read_before_owns_nothing_either(wanted: Wanted) -> None:
    stale = await wanted.file()
    won = await asyncio.gather(*(wanted.intend_from(stale, n) for n in range(WORKERS)))
    assert sum(won) == 1
    assert _open(await wanted.file()) == ["intent"]
