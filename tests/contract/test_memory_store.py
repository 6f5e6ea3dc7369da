"""The memory store keeps the contracts of the unit of work and of the jobs table."""

import pytest

from bitloot.domain.decision import AuditEntry, Decision, insert
from bitloot.ports.errors import StoreUnavailable
from bitloot.testing.jobs import JobsContract
from bitloot.testing.rows import Rows, stocked
from bitloot.testing.store_rig import record, store
from bitloot.testing.unit_of_work import UnitOfWorkContract
from bitloot_adapters.memory.rigs import MemoryStoreRig


@pytest.fixture
def rig() -> MemoryStoreRig:
    return MemoryStoreRig()


class TestMemoryUnitOfWork(UnitOfWorkContract):
    """All of the suite."""


class TestMemoryJobs(JobsContract):
    """All of the suite."""


async def test_a_store_that_is_down_refuses_and_keeps_what_it_has(rig: MemoryStoreRig) -> None:
    rows = Rows(clock=rig.now, new_id=rig.new_id)
    goods = rows.goods()
    await record(rig, stocked(goods))
    rig.store.is_down = True
    with pytest.raises(StoreUnavailable):
        await store(rig, insert(rows.email()))
    rig.store.is_down = False
    async with rig.uow.begin() as tx:
        assert len(await tx.checkout.sellables([goods.product.id])) == 1


async def test_whether_a_transaction_is_open_is_known_to_the_task_that_opened_it(
    rig: MemoryStoreRig,
) -> None:
    assert not rig.uow.in_transaction()
    async with rig.uow.begin() as tx:
        await tx.orders.file(rig.new_id())
        assert rig.uow.in_transaction()
    assert not rig.uow.in_transaction()


async def test_a_changed_audit_line_breaks_the_chain(rig: MemoryStoreRig) -> None:
    for n in range(2):
        entry = AuditEntry(at=rig.now(), actor=f"a{n}", action="look", subject="x")
        await record(rig, Decision(audit=(entry,)))
    assert rig.store.audit.is_whole()
    rig.store.audit._lines.pop(0)
    assert not rig.store.audit.is_whole()
