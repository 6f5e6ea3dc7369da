"""The suite of housekeeping: what is over is forgotten a batch at a time, and nothing else."""

from datetime import timedelta
from typing import Final, Protocol

import msgspec
import pytest

from bitloot.domain.decision import Decision, JobRequest, insert, update
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.quote import Quote
from bitloot.domain.reconciliation import BreakKind, ReconciliationBreak
from bitloot.ports.errors import Duplicate
from bitloot.ports.jobs import Dead, Done, Outcome
from bitloot.ports.upkeep import Upkeep
from bitloot.testing.contract import Contract
from bitloot.testing.people_rows import people_of
from bitloot.testing.store_rig import StoreRig, placed, record, rows_of, store
from bitloot.testing.view_rig import ViewsRig, change, put, sold

SOON: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)


class UpkeepRig(ViewsRig, Protocol):
    """The views' rig, and the upkeep of the same store."""

    @property
    def upkeep(self) -> Upkeep: ...


class UpkeepContract(Contract):
    """Fixture `rig`: an `UpkeepRig`."""

    # --- records whose time is over ------------------------------------------------------

    async def test_idempotency_records_are_forgotten_a_few_at_a_time(self, rig: UpkeepRig) -> None:
        await store(rig, *(insert(rows_of(rig).idempotency()) for _ in range(5)))
        earlier, later = rig.now() - SOON, rig.now() + SOON
        forget = rig.upkeep.expire_idempotency
        assert await forget(before=earlier, limit=3) == 0
        assert [await forget(before=later, limit=3) for _ in range(3)] == [3, 2, 0]

    async def test_done_jobs_are_forgotten_and_no_others(self, rig: UpkeepRig) -> None:
        outcomes: dict[str, Outcome] = {"a": Done(), "b": Dead("given up"), "c": Done()}
        jobs = tuple(JobRequest(kind="sweep", ref=ref) for ref in outcomes)
        await record(rig, Decision(jobs=jobs))
        for job_id in await rig.jobs.claim_due(3):
            lease = await rig.jobs.lease(job_id)
            assert lease is not None
            await rig.jobs.finish(lease, outcomes[lease.ref])
        waiting = JobRequest(kind="push", ref="d", due=rig.now() + HOUR)
        await record(rig, Decision(jobs=(waiting,)))
        earlier, later = rig.now() - SOON, rig.now() + SOON
        forget = rig.upkeep.forget_done_jobs
        assert await forget(before=earlier, limit=9) == 0
        assert [await forget(before=later, limit=1) for _ in range(3)] == [1, 1, 0]
        (dead,) = await rig.jobs.dead(limit=9, after=None)
        assert dead.ref == "b"
        await rig.pass_time(2 * HOUR)
        assert len(await rig.jobs.claim_due(9)) == 1

    async def test_ticks_are_forgotten_once_nobody_looks_for_them(self, rig: UpkeepRig) -> None:
        at = rig.now()
        for n in range(3):
            assert await rig.jobs.tick("redrive", at - n * HOUR, "sweep", f"redrive/{n}")
        forget = rig.upkeep.forget_ticks
        assert [await forget(before=at, limit=1) for _ in range(3)] == [1, 1, 0]
        assert not await rig.jobs.tick("redrive", at, "sweep", "redrive/0")

    async def test_only_quotes_that_no_order_came_of_are_forgotten(self, rig: UpkeepRig) -> None:
        rows = rows_of(rig)
        ordered = await placed(rig)
        used = msgspec.structs.replace(ordered.quote, version=1)
        await change(rig, used, used_by=ordered.order.id)
        quote = rows.purchase(rows.goods()).quote
        left = [_copy_of(quote, rig) for _ in range(3)]
        await store(rig, *map(insert, left))
        over = quote.frozen_until + SOON
        forget = rig.upkeep.forget_quotes
        assert await forget(before=rig.now() - SOON, limit=9) == 0
        assert [await forget(before=over, limit=2) for _ in range(3)] == [2, 1, 0]
        async with rig.uow.begin() as tx:
            of = {"email_person": "buyer@shop.example", "placed_from": "192.0.2.7"}
            assert await tx.checkout.placing(ordered.order.quote_id, **of) is not None
            assert await tx.checkout.placing(left[0].id, **of) is None

    async def test_sessions_that_are_over_are_forgotten_and_no_others(self, rig: UpkeepRig) -> None:
        rows, at = people_of(rig), rig.now()
        user = await put(rig, rows.user())
        over = [rows.session(user, expires_at=at - HOUR) for _ in range(3)]
        live = await put(rig, rows.session(user))
        await store(rig, *map(insert, over))
        forget = rig.upkeep.forget_sessions
        assert await forget(before=at - 2 * HOUR, limit=9) == 0
        assert [await forget(before=at, limit=2) for _ in range(3)] == [2, 1, 0]
        async with rig.uow.begin() as tx:
            assert await tx.people.session(over[0].id) is None
            assert await tx.people.session(live.id) is not None

    # --- stored objects ------------------------------------------------------------------

    async def test_live_uploaded_keys_are_walked_in_the_order_of_their_ids(
        self, rig: UpkeepRig
    ) -> None:
        rows, sale = rows_of(rig), await sold(rig, "delivered", quantity=4)
        at = rig.now()
        keys = [
            await put(rig, rows.sold_key(sale.item, slot, uploaded_at=at, ciphertext=None))
            for slot in (1, 2, 3)
        ]
        await put(rig, rows.sold_key(sale.item, 4, uploaded_at=None))
        await change(rig, keys[2], state="returned")
        ask = rig.upkeep.uploaded_keys
        (first,) = await ask(since=at, after=None, limit=1)
        assert (first.id, first.object_name, first.sha256) == _stored(keys[0])
        rest = await ask(since=at, after=first.id, limit=9)
        assert [key.id for key in rest] == [keys[1].id]
        assert await ask(since=at + SOON, after=None, limit=9) == []
        assert await rig.upkeep.uploaded_key(keys[0].id) == first
        assert await rig.upkeep.uploaded_key(keys[2].id) is None
        assert await rig.upkeep.uploaded_key("none") is None

    async def test_a_key_is_known_as_long_as_it_has_a_row(self, rig: UpkeepRig) -> None:
        rows, sale = rows_of(rig), await sold(rig, "delivered")
        key = await put(rig, rows.sold_key(sale.item, 1, uploaded_at=rig.now()))
        await change(rig, key, state="returned")
        asked = [key.id, rig.new_id(), "none"]
        assert await rig.upkeep.known_keys(asked) == {key.id}
        assert await rig.upkeep.known_keys([]) == frozenset()

    # --- breaks --------------------------------------------------------------------------

    async def test_open_breaks_are_listed_oldest_first_until_they_are_settled(
        self, rig: UpkeepRig
    ) -> None:
        one = await put(rig, a_break(rig, "kinguin/1"))
        two = await put(rig, a_break(rig, "kinguin/2"))
        assert await rig.desk.open_breaks(limit=9) == (one, two)
        assert await rig.desk.open_breaks(limit=1) == (one,)
        assert await rig.desk.open_breaks(limit=9, after=one.id) == (two,)
        settled = await change(rig, one, state="settled", note="explained", settled_at=rig.now())
        assert await rig.desk.open_breaks(limit=9) == (two,)
        assert list(await rig.upkeep.breaks_of("kinguin/1")) == [settled]
        assert list(await rig.upkeep.breaks_of("none")) == []

    async def test_a_subject_has_one_open_break_of_a_kind(self, rig: UpkeepRig) -> None:
        first = await put(rig, a_break(rig, "kinguin/1"))
        with pytest.raises(Duplicate, match="reconciliation_breaks_open"):
            await put(rig, a_break(rig, "kinguin/1"))
        await put(rig, a_break(rig, "kinguin/1", kind="surplus_too_late"))
        await store(rig, update(first, state="settled"))
        await put(rig, a_break(rig, "kinguin/1"))
        assert len(await rig.upkeep.breaks_of("kinguin/1")) == 3


def a_break(
    rig: StoreRig, subject: str, *, kind: BreakKind = "supplier_order_foreign"
) -> ReconciliationBreak:
    """A difference that was found now."""
    return ReconciliationBreak(
        id=rig.new_id(), kind=kind, subject=subject, ours="", theirs="there", found_at=rig.now()
    )


def _stored(key: SealedKey) -> tuple[str, str, str]:
    return key.id, key.object_name, key.sha256


def _copy_of(quote: Quote, rig: StoreRig) -> Quote:
    return msgspec.structs.replace(quote, id=rig.new_id(), used_by=None)
