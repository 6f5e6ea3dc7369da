"""What the suites of the store ask of a rig."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from bitloot.domain.decision import AuditEntry, Change, Decision, Event
from bitloot.domain.order import OrderFile
from bitloot.ports.clock import NewId
from bitloot.ports.jobs import JobRow, Jobs
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot.testing.rows import Goods, Purchase, Rows, inserts, stocked


class StoreRig(Protocol):
    """A store that is empty before each test, with a look behind its ports.

    `now` is the store's own time; `new_id` gives UUIDv7 texts.
    """

    @property
    def uow(self) -> UnitOfWork: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def new_id(self) -> NewId: ...

    def now(self) -> datetime:
        """The store's time."""
        ...

    async def pass_time(self, span: timedelta) -> None:
        """Time passes for jobs and leases (a database may shift their times back instead)."""
        ...

    async def events(self, order_id: str) -> Sequence[Event]:
        """The stored events of an order, by `seq`, with their changes."""
        ...

    async def all_jobs(self) -> Sequence[JobRow]:
        """Every job in any state, oldest first."""
        ...

    async def audit(self) -> Sequence[AuditEntry]:
        """Every audit entry, oldest first."""
        ...

    async def audit_is_whole(self) -> bool:
        """Whether the hash chain of the audit log verifies."""
        ...


def rows_of(rig: StoreRig) -> Rows:
    """Builders on the time and ids of the rig."""
    return Rows(clock=rig.now, new_id=rig.new_id)


async def record(rig: StoreRig, decision: Decision) -> None:
    """One transaction with one decision."""
    async with rig.uow.begin() as tx:
        await tx.record(decision)


async def store(rig: StoreRig, *changes: Change) -> None:
    """Write rows that belong to no order, or are not worth an event."""
    await record(rig, Decision(save=changes))


async def placed(
    rig: StoreRig, *goods: Goods, quantity: int = 1, email: str = "buyer@shop.example"
) -> Purchase:
    """A stored purchase of these goods, or of new ones; the goods are put on sale too."""
    rows = rows_of(rig)
    chosen = goods or (rows.goods(),)
    if not goods:
        await record(rig, stocked(*chosen))
    purchase = rows.purchase(*chosen, quantity=quantity, email=email)
    await record(rig, purchase.placing())
    return purchase


async def own_stock(rig: StoreRig, *costs: str) -> Goods:
    """A product of our own with one key for each of these costs, on sale."""
    rows = rows_of(rig)
    goods = rows.goods(own=True)
    await record(rig, stocked(goods))
    for cost in costs:
        await store(rig, *inserts(*rows.stock_key(goods.product, cost=Decimal(cost))))
    return goods


async def file_of(rig: StoreRig, order_id: str) -> OrderFile:
    """The order with everything that hangs on it."""
    async with rig.uow.begin() as tx:
        file = await tx.orders.file(order_id)
    assert file is not None
    return file
