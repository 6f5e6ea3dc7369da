"""The suite of the jobs table: leases, fences, wakes, doorbells, dead letters."""

import asyncio
from datetime import timedelta

import pytest

from bitloot.domain.decision import Decision, JobRequest
from bitloot.domain.limits import Limits
from bitloot.ports.errors import LeaseLost
from bitloot.ports.jobs import Again, Dead, Done, Lease
from bitloot.testing.contract import Contract
from bitloot.testing.recording import job_of, leased
from bitloot.testing.store_rig import StoreRig, record

LEASE = Limits().job_lease
RING_AGAIN = Limits().relay_ring_again
SECOND = timedelta(seconds=1)


async def wish(rig: StoreRig, ref: str, *, after: timedelta | None = None) -> None:
    """Ask for work."""
    due = None if after is None else rig.now() + after
    await record(rig, Decision(jobs=(JobRequest(kind="sweep", ref=ref, due=due),)))


async def id_of(rig: StoreRig, ref: str) -> str:
    """The id of the newest job with this ref."""
    return [job.id for job in await rig.all_jobs() if job.ref == ref][-1]


async def take(rig: StoreRig, ref: str) -> Lease:
    """Take the newest job with this ref."""
    lease = await rig.jobs.lease(await id_of(rig, ref))
    assert lease is not None
    return lease


async def bury(rig: StoreRig, ref: str) -> str:
    """A dead letter."""
    lease = await leased(rig, "sweep", ref)
    await rig.jobs.finish(lease, Dead("broken"))
    return lease.job_id


class JobsContract(Contract):
    """Fixture `rig`: a `StoreRig` with the default limits."""

    async def test_a_lease_says_what_to_do_and_counts_before_the_work(self, rig: StoreRig) -> None:
        lease = await leased(rig, "sweep", "one")
        assert (lease.kind, lease.ref, lease.attempts) == ("sweep", "one", 1)
        assert lease.max_attempts == Limits().job_attempts
        assert lease.lease_seconds == LEASE.total_seconds()
        row = await job_of(rig, lease)
        assert lease.asked_at == row.created_at
        assert (row.state, row.attempts, row.leased) == ("pending", 1, True)

    async def test_a_taken_job_is_not_taken_twice(self, rig: StoreRig) -> None:
        lease = await leased(rig)
        assert await rig.jobs.lease(lease.job_id) is None

    async def test_of_many_who_take_a_job_at_once_one_gets_it(self, rig: StoreRig) -> None:
        await wish(rig, "one")
        job_id = await id_of(rig, "one")
        leases = await asyncio.gather(*(rig.jobs.lease(job_id) for _ in range(8)))
        assert sum(lease is not None for lease in leases) == 1

    async def test_nobody_takes_what_is_unknown_or_not_due(self, rig: StoreRig) -> None:
        await wish(rig, "later", after=timedelta(hours=1))
        assert await rig.jobs.lease(rig.new_id()) is None
        assert await rig.jobs.lease(await id_of(rig, "later")) is None

    async def test_a_lease_that_ended_is_taken_over_and_fences_the_first_holder_off(
        self, rig: StoreRig
    ) -> None:
        first = await leased(rig)
        await rig.pass_time(LEASE + SECOND)
        second = await rig.jobs.lease(first.job_id)
        assert second is not None
        assert second.fence > first.fence
        assert second.attempts == 2
        with pytest.raises(LeaseLost):
            await rig.jobs.finish(first, Done())
        await rig.jobs.finish(second, Done())
        assert (await job_of(rig, second)).state == "done"

    async def test_a_late_holder_may_finish_while_nobody_took_over(self, rig: StoreRig) -> None:
        lease = await leased(rig)
        await rig.pass_time(LEASE + SECOND)
        await rig.jobs.finish(lease, Done())
        assert (await job_of(rig, lease)).state == "done"

    async def test_a_finished_job_cannot_be_finished_again(self, rig: StoreRig) -> None:
        lease = await leased(rig)
        await rig.jobs.finish(lease, Done())
        with pytest.raises(LeaseLost):
            await rig.jobs.finish(lease, Done())
        assert await rig.jobs.lease(lease.job_id) is None

    # --- wishes --------------------------------------------------------------------------

    async def test_a_wish_for_pending_work_makes_no_second_job(self, rig: StoreRig) -> None:
        await wish(rig, "one", after=timedelta(minutes=5))
        await wish(rig, "one", after=timedelta(minutes=9))
        (row,) = await rig.all_jobs()
        assert row.available_at - rig.now() <= timedelta(minutes=5)

    async def test_the_earlier_of_two_times_counts(self, rig: StoreRig) -> None:
        await wish(rig, "one", after=timedelta(hours=1))
        await wish(rig, "one")
        assert len(await rig.jobs.claim_due(10)) == 1

    async def test_work_asked_for_while_it_runs_is_done_once_more(self, rig: StoreRig) -> None:
        lease = await leased(rig, "sweep", "one")
        await wish(rig, "one")
        await rig.jobs.finish(lease, Done())
        row = await job_of(rig, lease)
        assert (row.state, row.leased) == ("pending", False)
        again = await rig.jobs.lease(lease.job_id)
        assert again is not None
        await rig.jobs.finish(again, Done())
        assert (await job_of(rig, lease)).state == "done"

    async def test_work_asked_for_while_it_runs_does_not_wait_for_the_next_look(
        self, rig: StoreRig
    ) -> None:
        lease = await leased(rig, "sweep", "one")
        await wish(rig, "one")
        await rig.jobs.finish(lease, Again(after=timedelta(hours=1)))
        assert await rig.jobs.claim_due(10) == [lease.job_id]

    async def test_work_asked_for_while_it_is_given_up_is_tried_anew(self, rig: StoreRig) -> None:
        lease = await leased(rig, "sweep", "one")
        await rig.jobs.finish(lease, Again(after=timedelta(), progressed=False, error="slow"))
        last = await rig.jobs.lease(lease.job_id)
        assert last is not None
        await wish(rig, "one")
        await rig.jobs.finish(last, Dead("broken"))
        row = await job_of(rig, last)
        assert (row.state, row.attempts, row.last_error) == ("pending", 0, "broken")
        again = await rig.jobs.lease(lease.job_id)
        assert again is not None
        await rig.jobs.finish(again, Dead("broken"))
        assert (await job_of(rig, again)).state == "dead"

    async def test_a_finished_job_does_not_stand_in_the_way_of_a_new_one(
        self, rig: StoreRig
    ) -> None:
        first = await leased(rig, "sweep", "one")
        await rig.jobs.finish(first, Done())
        second = await leased(rig, "sweep", "one")
        assert second.job_id != first.job_id

    # --- attempts ------------------------------------------------------------------------

    async def test_a_definite_answer_starts_the_attempts_over(self, rig: StoreRig) -> None:
        first = await leased(rig)
        await rig.jobs.finish(first, Again(after=SECOND, progressed=False, error="timeout"))
        assert (await job_of(rig, first)).last_error == "timeout"
        await rig.pass_time(2 * SECOND)
        second = await rig.jobs.lease(first.job_id)
        assert second is not None
        assert second.attempts == 2
        await rig.jobs.finish(second, Again(after=SECOND))
        assert (await job_of(rig, second)).attempts == 0

    async def test_a_job_that_kills_its_workers_ends_as_a_dead_letter(self, rig: StoreRig) -> None:
        lease = await leased(rig)
        for _ in range(lease.max_attempts - 1):
            await rig.pass_time(LEASE + SECOND)
            assert await rig.jobs.lease(lease.job_id) is not None
        await rig.pass_time(LEASE + SECOND)
        assert await rig.jobs.lease(lease.job_id) is None
        row = await job_of(rig, lease)
        assert row.state == "dead"
        assert row.last_error

    # --- the doorbell --------------------------------------------------------------------

    async def test_due_jobs_are_rung_oldest_first_up_to_the_limit(self, rig: StoreRig) -> None:
        for minutes, ref in ((3, "c"), (1, "a"), (2, "b")):
            await wish(rig, ref, after=timedelta(minutes=minutes))
        assert await rig.jobs.claim_due(10) == []
        await rig.pass_time(timedelta(minutes=4))
        assert await rig.jobs.claim_due(2) == [await id_of(rig, "a"), await id_of(rig, "b")]
        assert await rig.jobs.claim_due(2) == [await id_of(rig, "c")]
        assert await rig.jobs.claim_due(2) == []

    async def test_a_job_that_was_rung_and_not_taken_is_rung_again(self, rig: StoreRig) -> None:
        await wish(rig, "one")
        rung = await rig.jobs.claim_due(10)
        assert await rig.jobs.claim_due(10) == []
        await rig.pass_time(RING_AGAIN + SECOND)
        assert await rig.jobs.claim_due(10) == rung

    async def test_a_doorbell_that_could_not_be_rung_is_taken_back(self, rig: StoreRig) -> None:
        await wish(rig, "one")
        rung = await rig.jobs.claim_due(10)
        await rig.jobs.take_back(rung)
        assert await rig.jobs.claim_due(10) == rung

    async def test_a_job_of_a_dead_worker_is_rung_when_its_lease_ends(self, rig: StoreRig) -> None:
        lease = await leased(rig)
        assert await rig.jobs.claim_due(10) == []
        await rig.pass_time(max(LEASE, RING_AGAIN) + SECOND)
        assert await rig.jobs.claim_due(10) == [lease.job_id]

    async def test_relays_at_once_ring_for_each_job_once(self, rig: StoreRig) -> None:
        for n in range(20):
            await wish(rig, f"r{n}")
        claims = await asyncio.gather(*(rig.jobs.claim_due(7) for _ in range(4)))
        rung = [job_id for claim in claims for job_id in claim]
        assert len(rung) == len(set(rung))
        assert all(len(claim) <= 7 for claim in claims)

    # --- ticks, dead letters -------------------------------------------------------------

    async def test_a_tick_makes_its_job_once_for_ever(self, rig: StoreRig) -> None:
        at = rig.now()
        assert await rig.jobs.tick("nightly", at, "sweep", "night")
        await rig.jobs.finish(await take(rig, "night"), Done())
        assert not await rig.jobs.tick("nightly", at, "sweep", "night")
        assert await rig.jobs.tick("nightly", at + timedelta(days=1), "sweep", "night")
        assert len(await rig.all_jobs()) == 2

    async def test_schedulers_at_once_tick_once(self, rig: StoreRig) -> None:
        at = rig.now()
        ticks = await asyncio.gather(
            *(rig.jobs.tick("hourly", at, "sweep", "hour") for _ in range(5))
        )
        assert sum(ticks) == 1

    async def test_dead_letters_are_listed_newest_first_page_by_page(self, rig: StoreRig) -> None:
        ids = [await bury(rig, f"d{n}") for n in range(3)]
        first = await rig.jobs.dead(limit=2, after=None)
        rest = await rig.jobs.dead(limit=2, after=first[-1].id)
        assert [row.id for row in (*first, *rest)] == ids[::-1]
        assert {row.last_error for row in first} == {"broken"}

    async def test_a_replayed_dead_letter_is_due_with_fresh_attempts(self, rig: StoreRig) -> None:
        job_id = await bury(rig, "one")
        assert await rig.jobs.replay(job_id)
        assert not await rig.jobs.replay(job_id)
        assert await rig.jobs.dead(limit=9, after=None) == []
        lease = await rig.jobs.lease(job_id)
        assert lease is not None
        assert (lease.attempts, lease.ref) == (1, "one")

    async def test_only_dead_letters_are_replayed(self, rig: StoreRig) -> None:
        lease = await leased(rig)
        assert not await rig.jobs.replay(lease.job_id)
        assert not await rig.jobs.replay(rig.new_id())

    async def test_replaying_work_that_is_pending_anew_makes_no_second_job(
        self, rig: StoreRig
    ) -> None:
        job_id = await bury(rig, "one")
        await wish(rig, "one", after=timedelta(hours=1))
        assert await rig.jobs.replay(job_id)
        pending = [job for job in await rig.all_jobs() if job.state == "pending"]
        assert len(pending) == 1
        assert len(await rig.jobs.claim_due(10)) == 1
