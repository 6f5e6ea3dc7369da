"""Failures that other shops are known for, in what goes on behind the counter.

The list of all of them is in `tests/unit/test_regressions.py`.
"""

import dataclasses
from datetime import timedelta

import pytest

from bitloot.domain.failpoints import AFTER_LEASE, AFTER_WEBHOOK_COMMIT
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.webhook import Webhook
from bitloot.ports.errors import Rejected
from bitloot.ports.key_vault import StoredObject
from bitloot_adapters.memory.key_vault import MemoryKeyVault
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_adapters.memory.unpaid_orders import Crashed, UnpaidOrders

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("boundary", [AFTER_WEBHOOK_COMMIT, AFTER_LEASE])
async def test_what_was_stored_is_never_without_the_job_that_looks_into_it(boundary: str) -> None:
    """Queued inside the transaction a job is lost with it, queued after it with the process."""
    shop = UnpaidOrders()
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    shop.crash_at = boundary

    async def called_back_and_worked() -> None:
        await shop.call_back(there)
        await shop.work()

    with pytest.raises(Crashed):
        await called_back_and_worked()
    [webhook] = shop.store.rows(Webhook)
    assert ("apply_payment", webhook.id) in {(j.kind, j.ref) for j in shop.store.jobs.pending()}
    # The gateway never calls again, and the payment's own poll is hours away.
    for job in shop.store.jobs.pending():
        if job.ref != webhook.id:
            job.available_at += 5 * HOUR
    await shop.work_for(timedelta(minutes=2))
    assert shop.order_row(placed.order_id).status == "paid"


async def test_a_job_whose_gateway_was_switched_off_is_given_up_and_not_queued_without_end() -> (
    None
):
    shop = UnpaidOrders()
    _, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    await shop.call_back(there)
    shop.applying = dataclasses.replace(shop.applying, gateways={})
    await shop.work_for(24 * HOUR, step=HOUR)
    letters = await shop.jobs.dead(limit=10, after=None)
    assert {(each.kind, each.last_error) for each in letters} == {
        ("apply_payment", "gateway_not_configured")
    }
    assert {each.attempts for each in letters} == {1}
    assert [j.kind for j in shop.store.jobs.pending() if j.kind == "apply_payment"] == []


async def test_goods_of_a_supplier_that_was_switched_off_are_looked_at_slowly_and_in_the_open() -> (
    None
):
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    job = shop.fulfil
    shop.fulfil = dataclasses.replace(job, desk=dataclasses.replace(job.desk, suppliers={}))
    await shop.work_for(HOUR)
    [fulfilment] = shop.fulfilments(order_id)
    assert (fulfilment.state, fulfilment.blocked_reason) == ("blocked", "breaker")
    [waiting] = [j for j in shop.store.jobs.pending() if j.kind == "fulfil"]
    assert waiting.fence <= 1 + HOUR / shop.limits.breaker_probe
    shop.fulfil = job
    await shop.work_for(HOUR)
    assert shop.order(order_id).status == "fulfilled"


class BoastfulVault(MemoryKeyVault):
    """A store that takes everything with a good answer. `keeps`: what it has of it in truth."""

    keeps: StoredObject | None = None
    is_honest = False

    async def stat(self, object_name: str) -> StoredObject | None:
        return await super().stat(object_name) if self.is_honest else self.keeps


@pytest.mark.parametrize(
    "keeps",
    [None, StoredObject(0, "0" * 64), StoredObject(34, None), StoredObject(34, "f" * 64)],
    ids=["nothing", "an empty object", "without a digest", "other bytes"],
)
async def test_a_good_answer_of_the_store_delivers_nothing_until_it_shows_what_it_holds(
    keeps: StoredObject | None,
) -> None:
    shop = PaidOrders()
    vault = BoastfulVault(random_bytes=shop.random, in_transaction=shop.uow.in_transaction)
    vault.keeps = keeps
    shop.vault = vault
    shop._open()
    order_id = await shop.paid(await shop.goods())
    await shop.work_for(HOUR)
    [fulfilment] = shop.fulfilments(order_id)
    assert (shop.order(order_id).status, fulfilment.state) == ("paid", "retry_wait")
    assert fulfilment.last_error == "stored_object_differs"
    assert list(shop.mailer.mailbox) == []
    vault.is_honest = True
    await shop.work_for(HOUR)
    assert shop.order(order_id).status == "fulfilled"
    assert len(await shop.read_keys(order_id, fulfilment.order_item_id)) == 1


async def test_two_workers_at_one_fulfilment_buy_it_once_whoever_is_first() -> None:
    """The check "is it fulfilled yet?" and the purchase are one step: the lease and its fence."""
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    [job] = [j for j in shop.store.jobs.pending() if j.kind == "fulfil"]
    first, second = await shop.jobs.lease(job.id), await shop.jobs.lease(job.id)
    assert first is not None
    assert second is None
    await shop.fulfil.run(first)
    assert await shop.jobs.lease(job.id) is None
    assert len(shop.bought(order_id)) == 1


async def test_a_supplier_is_asked_for_its_own_order_and_never_by_an_id_of_ours() -> None:
    """Where the two are mixed up, keys are fetched of nothing, or of another buyer's order."""
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    assert shop.order(order_id).status == "fulfilled"
    [attempt] = shop.attempts(order_id)
    [theirs] = shop.bought(order_id)
    assert attempt.supplier_order_id == theirs
    assert [key.supplier_key_id for key in shop.store.rows(SealedKey)] == [
        key.key_id for key in await shop.supplier.keys(theirs)
    ]
    for ours in (order_id, attempt.id, attempt.fulfilment_id, attempt.external_id):
        with pytest.raises(Rejected, match="not_found"):
            await shop.supplier.keys(ours)
