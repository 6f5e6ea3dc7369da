"""The suite of `tx.record`: all or nothing, under versions, fences and one numbering of events."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import pytest

from bitloot.domain.decision import (
    AuditEntry,
    Decision,
    Event,
    JobRequest,
    fold,
    insert,
    row_name,
    update,
)
from bitloot.domain.order import Order, OrderFile
from bitloot.domain.replay import rebuilt
from bitloot.ports.errors import Conflict, LeaseLost
from bitloot.ports.jobs import Again, Dead, Done, JobRow, Lease
from bitloot.testing.contract import Contract
from bitloot.testing.rows import stocked
from bitloot.testing.store_rig import StoreRig, file_of, placed, record, rows_of, store

AT_ONCE: Final = 12


def moved(rig: StoreRig, order: Order, kind: str = "remark_added", **fields: object) -> Decision:
    """A decision that changes one order, with its event."""
    event = Event(kind=kind, at=rig.now(), subject=order.id)
    return Decision(save=(update(order, **fields),), events=(event,), order_id=order.id)


async def leased(rig: StoreRig, kind: str = "sweep", ref: str = "one") -> Lease:
    """A job that somebody works on."""
    await record(rig, Decision(jobs=(JobRequest(kind=kind, ref=ref),)))
    ids = [job.id for job in await rig.all_jobs() if (job.kind, job.ref) == (kind, ref)]
    lease = await rig.jobs.lease(ids[-1])
    assert lease is not None
    return lease


class _BugError(Exception):
    """Something that nobody foresaw."""


async def read_and_fail(rig: StoreRig, order_id: str) -> None:
    """A transaction that ends in an error after its reads."""
    async with rig.uow.begin() as tx:
        await tx.orders.file(order_id)
        raise _BugError


class RecordingContract(Contract):
    """Everything that a decision holds is written and committed together, or nothing is."""

    async def test_a_recorded_purchase_is_read_back_whole_and_equal(self, rig: StoreRig) -> None:
        rows = rows_of(rig)
        goods = (rows.goods(), rows.goods())
        await record(rig, stocked(*goods))
        purchase = rows.purchase(*goods, quantity=2)
        await record(rig, purchase.placing())
        file = await file_of(rig, purchase.order.id)
        assert [item.id for item in file.items] == [item.id for item in purchase.items]
        assert file.order.number == purchase.order.number
        assert file.order.total == purchase.order.total
        assert file.order.created_at == purchase.order.created_at
        assert file.order.version == 1
        assert file.order.event_seq == 1
        assert {r.order_item_id: r.quantity for r in file.reservations} == {
            item.id: 2 for item in purchase.items
        }

    async def test_leaving_without_recording_writes_nothing(self, rig: StoreRig) -> None:
        purchase = await placed(rig)
        async with rig.uow.begin() as tx:
            assert await tx.orders.file(purchase.order.id) is not None
        assert (await file_of(rig, purchase.order.id)).order.version == 1
        assert len(await rig.events(purchase.order.id)) == 1

    async def test_an_error_inside_leaves_the_store_free_for_the_next(self, rig: StoreRig) -> None:
        purchase = await placed(rig)
        with pytest.raises(_BugError):
            await read_and_fail(rig, purchase.order.id)
        order = (await file_of(rig, purchase.order.id)).order
        await record(rig, moved(rig, order, remarks=("manual",)))
        assert (await file_of(rig, purchase.order.id)).order.remarks == ("manual",)

    async def test_a_second_decision_in_one_transaction_is_refused(self, rig: StoreRig) -> None:
        order = (await file_of(rig, (await placed(rig)).order.id)).order
        async with rig.uow.begin() as tx:
            await tx.record(moved(rig, order, remarks=("manual",)))
            with pytest.raises(RuntimeError):
                await tx.record(moved(rig, order, remarks=("redeposit",)))
        assert (await file_of(rig, order.id)).order.remarks == ("manual",)

    async def test_a_row_that_moved_on_is_a_conflict_and_nothing_is_written(
        self, rig: StoreRig
    ) -> None:
        stale = (await file_of(rig, (await placed(rig)).order.id)).order
        await record(rig, moved(rig, stale, remarks=("manual",)))
        rows = rows_of(rig)
        late = moved(rig, stale, remarks=("redeposit",))
        email = rows.email()
        whole = Decision(
            save=(insert(email), *late.save),
            events=late.events,
            jobs=(JobRequest(kind="sweep", ref="never"),),
            audit=(AuditEntry(at=rig.now(), actor="a", action="b", subject=stale.id),),
            order_id=stale.id,
        )
        with pytest.raises(Conflict):
            await record(rig, whole)
        assert (await file_of(rig, stale.id)).order.remarks == ("manual",)
        assert len(await rig.events(stale.id)) == 2
        assert all(job.ref != "never" for job in await rig.all_jobs())
        assert await rig.audit() == []
        async with rig.uow.begin() as tx:
            assert await tx.inbox.email(email.key) is None

    async def test_a_row_that_was_never_stored_cannot_be_updated(self, rig: StoreRig) -> None:
        row = insert(rows_of(rig).webhook()).after
        with pytest.raises(Conflict):
            await store(rig, update(row))

    async def test_events_are_numbered_without_a_gap_and_rebuild_the_rows(
        self, rig: StoreRig
    ) -> None:
        purchase = await placed(rig)
        rows = rows_of(rig)
        order = (await file_of(rig, purchase.order.id)).order
        payment = rows.payment(order)
        events = tuple(
            Event(kind=kind, at=rig.now(), subject=payment.id, facts={"n": 1, "who": None})
            for kind in ("payment_adopted", "remark_added")
        )
        await record(
            rig,
            Decision(
                save=(update(order, status="waiting"), insert(payment)),
                events=events,
                order_id=order.id,
            ),
        )
        stored = await rig.events(order.id)
        assert [event.seq for event in stored] == [1, 2, 3]
        assert [event.kind for event in stored] == [
            "order_placed",
            "payment_adopted",
            "remark_added",
        ]
        assert dict(stored[1].facts) == {"n": 1, "who": None}
        assert_rebuilt(await file_of(rig, order.id), stored)

    async def test_what_reacts_to_an_event_is_written_with_it(self, rig: StoreRig) -> None:
        purchase = await placed(rig)
        jobs = {(job.kind, job.ref): job for job in await rig.all_jobs()}
        assert set(jobs) == {("push", purchase.order.id), ("expire_order", purchase.order.id)}
        due = jobs["expire_order", purchase.order.id].available_at
        assert abs(due - purchase.order.window_ends_at) < timedelta(seconds=1)
        assert jobs["push", purchase.order.id].available_at <= rig.now() + timedelta(seconds=1)

    async def test_rows_of_an_order_never_change_without_an_event(self, rig: StoreRig) -> None:
        order = (await file_of(rig, (await placed(rig)).order.id)).order
        silent = Decision(save=(update(order, remarks=("manual",)),), order_id=order.id)
        with pytest.raises(ValueError, match="event"):
            await record(rig, silent)
        assert (await file_of(rig, order.id)).order == order

    async def test_many_who_change_one_order_at_once_wait_for_each_other(
        self, rig: StoreRig
    ) -> None:
        order_id = (await placed(rig)).order.id

        async def change() -> None:
            async with rig.uow.begin() as tx:
                file = await tx.orders.file(order_id)
                assert file is not None
                await asyncio.sleep(0)
                await tx.record(moved(rig, file.order))

        await asyncio.gather(*(change() for _ in range(AT_ONCE)))
        stored = await rig.events(order_id)
        assert [event.seq for event in stored] == list(range(1, AT_ONCE + 2))
        assert_rebuilt(await file_of(rig, order_id), stored)

    # --- the running job -----------------------------------------------------------------

    async def test_the_outcome_of_a_job_is_written_with_the_decision(self, rig: StoreRig) -> None:
        lease = await leased(rig)
        async with rig.uow.begin() as tx:
            await tx.record(
                Decision(save=(insert(rows_of(rig).email()),)), lease=lease, outcome=Done()
            )
        assert (await job_of(rig, lease)).state == "done"

    async def test_a_lost_lease_writes_nothing(self, rig: StoreRig) -> None:
        lease = await leased(rig)
        await rig.pass_time(timedelta(seconds=lease.lease_seconds + 1))
        taken = await rig.jobs.lease(lease.job_id)
        assert taken is not None
        email = rows_of(rig).email()
        with pytest.raises(LeaseLost):
            async with rig.uow.begin() as tx:
                await tx.record(Decision(save=(insert(email),)), lease=lease, outcome=Done())
        async with rig.uow.begin() as tx:
            assert await tx.inbox.email(email.key) is None
        assert (await job_of(rig, lease)).state == "pending"

    async def test_a_decision_under_a_lease_may_leave_the_job_running(self, rig: StoreRig) -> None:
        lease = await leased(rig)
        async with rig.uow.begin() as tx:
            await tx.record(Decision(save=(insert(rows_of(rig).email()),)), lease=lease)
        row = await job_of(rig, lease)
        assert (row.state, row.leased) == ("pending", True)

    async def test_a_job_that_looks_again_is_due_later(self, rig: StoreRig) -> None:
        lease = await leased(rig)
        async with rig.uow.begin() as tx:
            await tx.record(Decision(), lease=lease, outcome=Again(after=timedelta(seconds=90)))
        row = await job_of(rig, lease)
        assert (row.state, row.leased, row.attempts) == ("pending", False, 0)
        wait = row.available_at - rig.now()
        assert timedelta(seconds=80) < wait <= timedelta(seconds=91)

    async def test_a_job_that_is_given_up_is_a_dead_letter(self, rig: StoreRig) -> None:
        lease = await leased(rig)
        async with rig.uow.begin() as tx:
            await tx.record(Decision(), lease=lease, outcome=Dead("no_such_order"))
        row = await job_of(rig, lease)
        assert (row.state, row.last_error) == ("dead", "no_such_order")

    async def test_a_job_that_asks_for_itself_later_is_not_run_at_once(self, rig: StoreRig) -> None:
        lease = await leased(rig, "sweep", "mine")
        later = rig.now() + timedelta(hours=1)
        own_wish = Decision(jobs=(JobRequest(kind="sweep", ref="mine", due=later),))
        async with rig.uow.begin() as tx:
            await tx.record(own_wish, lease=lease, outcome=Done())
        assert not await rig.jobs.claim_due(10)
        await rig.pass_time(timedelta(hours=1, seconds=1))
        assert len(await rig.jobs.claim_due(10)) == 1

    # --- what people did -----------------------------------------------------------------

    async def test_audit_lines_form_one_unbroken_chain(self, rig: StoreRig) -> None:
        entries = [
            AuditEntry(
                at=rig.now(),
                actor="admin",
                action="order.retry",
                subject=f"order/{n}",
                reason="über 客 ☃",
                facts={"n": n, "none": None, "text": "a|b"},
            )
            for n in range(3)
        ]
        await record(rig, Decision(audit=(entries[0], entries[1])))
        await record(rig, Decision(audit=(entries[2],)))
        assert list(await rig.audit()) == entries
        assert await rig.audit_is_whole()

    async def test_audit_lines_written_at_once_still_form_one_chain(self, rig: StoreRig) -> None:
        def line(n: int) -> Decision:
            entry = AuditEntry(at=rig.now(), actor=f"a{n}", action="look", subject="x")
            return Decision(audit=(entry,))

        await asyncio.gather(*(record(rig, line(n)) for n in range(AT_ONCE)))
        assert {entry.actor for entry in await rig.audit()} == {f"a{n}" for n in range(AT_ONCE)}
        assert await rig.audit_is_whole()


async def job_of(rig: StoreRig, lease: Lease) -> JobRow:
    """The job of a lease as it stands."""
    return next(job for job in await rig.all_jobs() if job.id == lease.job_id)


def assert_rebuilt(file: OrderFile, events: Sequence[Event]) -> None:
    """The rows of an order are what its events say."""
    rows = (
        file.order,
        *file.items,
        *file.payments,
        *file.invoices,
        *file.reservations,
        *file.fulfilments,
        *file.attempts,
        *file.holds,
    )
    folded = fold(events)
    assert folded.keys() == {row_name(row) for row in rows}
    for row in rows:
        assert rebuilt(row, folded[row_name(row)]) == row
