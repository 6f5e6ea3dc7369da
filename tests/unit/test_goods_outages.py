"""Outages behind the till: stored bytes stay the same, mails stay few, late orders harm nobody."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from bitloot.domain.decision import Decision, Event, update
from bitloot.domain.email import Email
from bitloot.domain.failpoints import AFTER_INTENT_COMMIT
from bitloot.domain.fulfilment import SupplierAttempt
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.domain.refund import RefundRecord
from bitloot.domain.resolution import searched
from bitloot.domain.supplier_progress import observe
from bitloot.domain.supply import SupplierKeyState, SupplierOrder
from bitloot.ports.errors import Rejected
from bitloot.ports.key_vault import StoredObject
from bitloot.ports.supplier import SupplierRequest
from bitloot.testing.rows import COST
from bitloot.usecases.fulfilment import FulfilmentJob
from bitloot_adapters.memory.key_vault import MemoryKeyVault
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_adapters.memory.supplier import NextOrder

HOUR = timedelta(hours=1)
RECORD = RefundRecord(
    amount="0.0002",
    asset="btc",
    address="bc1q",
    tx_id="tx-1",
    basis="then",
    eur=Decimal("12.50"),
    reason="asked",
)


# --- the object store --------------------------------------------------------------------------


async def test_the_very_bytes_that_were_committed_are_stored_after_hours_of_outage() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods(), quantity=3)
    shop.vault.faults.go_down()
    await shop.work_for(30 * HOUR)
    committed = {key.object_name: key.ciphertext for key in shop.store.rows(SealedKey)}
    assert None not in committed.values()
    assert shop.order(order_id).status == "paid"
    shop.vault.faults.come_back()
    await shop.work_for(timedelta(minutes=11))
    assert shop.order(order_id).status == "fulfilled"
    for key in shop.store.rows(SealedKey):
        assert key.ciphertext is None
        assert await shop.vault.get(key.object_name, size=key.size) == committed[key.object_name]


async def test_a_long_outage_is_asked_about_ever_more_rarely() -> None:
    shop = PaidOrders()
    await shop.paid(await shop.goods())
    shop.vault.faults.go_down()
    await shop.work_for(6 * HOUR)
    asked = runs(shop, "fulfil")
    await shop.work_for(30 * HOUR)
    # Every five minutes in the mean; a count that starts over would begin at two seconds again.
    assert 5 * 30 < runs(shop, "fulfil") - asked < 14 * 30


async def test_what_is_left_to_do_after_a_refund_is_asked_ever_more_rarely_too() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    shop.supplier.faults.go_down()
    shop.vault.faults.go_down()
    await shop.work_for(6 * HOUR)
    before = runs(shop, "return_keys"), runs(shop, "delete_object")
    await shop.work_for(30 * HOUR)
    assert 5 * 30 < runs(shop, "return_keys") - before[0] < 14 * 30
    assert 5 * 30 < runs(shop, "delete_object") - before[1] < 14 * 30


def runs(shop: PaidOrders, kind: str) -> int:
    """How often the jobs of this kind were taken up."""
    return sum(job.fence for job in shop.store.jobs.all() if job.kind == kind)


async def test_a_store_that_refuses_our_credentials_only_delays_the_delivery() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.vault.faults.knows_credentials = False
    await shop.work_for(48 * HOUR)
    assert [job.state for job in shop.store.jobs.all() if job.kind == "fulfil"] == ["pending"]
    shop.vault.faults.knows_credentials = True
    await shop.work_for(timedelta(minutes=11))
    assert shop.order(order_id).status == "fulfilled"


class BlindVault(MemoryKeyVault):
    """Its key may not list: what is missing is refused, not told (Cloudflare R2, "Errors")."""

    async def stat(self, object_name: str) -> StoredObject | None:
        found = await super().stat(object_name)
        if found is None:
            raise Rejected(self.name, "credentials", "AccessDenied")
        return found


async def test_a_store_that_hides_what_is_missing_is_stored_into_all_the_same() -> None:
    shop = PaidOrders()
    vault = BlindVault(random_bytes=shop.random, in_transaction=shop.uow.in_transaction)
    shop.fulfil = FulfilmentJob(replace(shop.fulfil.desk, vault=vault))
    order_id = await shop.paid(await shop.goods())
    vault.faults.time_out_next(2)
    await shop.work_for(timedelta(minutes=1))
    assert shop.order(order_id).status == "fulfilled"
    assert len(vault.objects) == 1


# --- mails -------------------------------------------------------------------------------------


async def test_a_mail_outage_of_thirty_hours_ends_with_one_mail() -> None:
    shop = PaidOrders()
    await shop.paid(await shop.goods())
    shop.mailer.faults.go_down()
    await shop.work_for(30 * HOUR)
    assert [mail.state for mail in shop.store.rows(Email)] == ["sending"]
    shop.mailer.faults.come_back()
    await shop.work_for(HOUR)
    assert len(shop.mailer.mailbox) == 1
    assert [mail.state for mail in shop.store.rows(Email)] == ["sent"]


async def test_answers_lost_for_thirty_hours_make_one_mail_and_at_most_one_more() -> None:
    shop = PaidOrders()
    await shop.paid(await shop.goods())
    shop.mailer.faults.lose_next_reply(times=100_000)
    await shop.work_for(22 * HOUR)
    assert len(shop.mailer.mailbox) == 1
    [mail] = shop.store.rows(Email)
    assert mail.provider_key == mail.key
    await shop.work_for(8 * HOUR)
    assert len(shop.mailer.mailbox) == 2
    [mail] = shop.store.rows(Email)
    assert mail.provider_key == f"{mail.key}/again"
    shop.mailer.faults.lose_next_reply(times=-100_000)
    await shop.work_for(HOUR)
    assert len(shop.mailer.mailbox) == 2


async def test_a_permanent_bounce_ends_mails_to_an_address_of_an_international_domain() -> None:
    shop = PaidOrders()
    first = await shop.paid(await shop.goods(), email="Buyer@b\u00fccher.example")
    await shop.work()
    [sent] = shop.mailer.mailbox
    headers, body = shop.mailer.webhook(sent.provider_id, "bounced", permanent=True)
    assert await shop.emails.accept(headers, body) == "accepted"
    await shop.work()
    await shop.aftercare.refund(first, RECORD, actor="admin", confirmed=False)
    await shop.work()
    assert len(shop.mailer.mailbox) == 1
    assert sorted(mail.state for mail in shop.store.rows(Email)) == ["sent", "suppressed"]


async def test_giving_up_is_told_even_where_a_failure_was_told_before() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(units=0))
    order_id = await shop.paid(await shop.goods())
    async with shop.uow.begin() as tx:
        told = Event(kind="order_failed", at=shop.clock.now(), subject=order_id)
        file = await tx.orders.file(order_id)
        assert file is not None
        await tx.record(Decision(save=(update(file.order),), events=(told,), order_id=order_id))
    await shop.work()
    await shop.aftercare.give_up(order_id, actor="admin", reason="never came")
    await shop.work()
    assert [sent.message.kind for sent in shop.mailer.mailbox] == ["order-failed", "order-failed"]


# --- supplier orders that show up late -----------------------------------------------------------


def _late(attempt: SupplierAttempt, *, keys: tuple[SupplierKeyState, ...] = ()) -> SupplierOrder:
    return SupplierOrder(
        supplier_order_id="late-1",
        external_id=attempt.external_id,
        state="processing",
        quantity=attempt.quantity,
        total=Decimal(9) * attempt.quantity,
        is_preorder=False,
        keys=keys,
        created_at=attempt.intent_at,
        updated_at=None,
    )


async def _decided(shop: PaidOrders, order_id: str, order: SupplierOrder) -> Decision:
    """What a search that finds this order decides, recorded."""
    async with shop.uow.begin() as tx:
        file = await tx.orders.file(order_id)
        assert file is not None
        decision = searched(
            file,
            file.fulfilments[0],
            file.attempts[0],
            [order],
            balance=None,
            at=shop.clock.now(),
            new_id=shop.new_id,
            limits=shop.limits,
        )
        await tx.record(decision)
        return decision


async def doubted(shop: PaidOrders) -> str:
    """An order whose create call ended without an answer, while its money went."""
    shop.at_failpoint[AFTER_INTENT_COMMIT] = shop.supplier.faults.time_out_next
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    shop.supplier.set_balance(await shop.supplier.balance() - COST)
    return order_id


async def test_what_another_order_cost_just_before_does_not_prove_that_ours_cost_nothing() -> None:
    shop = PaidOrders()
    await shop.paid(await shop.goods())
    await shop.work()
    shop.clock.advance(timedelta(seconds=30))
    order_id = await doubted(shop)
    await shop.work_for(2 * HOUR)
    assert [a.state for a in shop.attempts(order_id)] == ["unknown"]


async def test_what_a_cancelled_order_had_cost_does_not_prove_that_ours_cost_nothing() -> None:
    shop = PaidOrders()
    order_id = await doubted(shop)
    shop.clock.advance(timedelta(seconds=5))
    shop.supplier.next_order(NextOrder(units=0))
    cancelled = await shop.paid(await shop.goods())
    await shop.work()
    # Somebody else's purse: what is bought instead of it is not in question here.
    shop.supplier.end(shop.bought(cancelled)[0], "canceled")
    shop.supplier.next_order(NextOrder(refuse="invalid"))
    await shop.work_for(2 * HOUR)
    assert [a.state for a in shop.attempts(order_id)] == ["unknown"]


async def test_what_another_order_cost_afterwards_lets_ours_be_bought_again() -> None:
    shop = PaidOrders()
    shop.at_failpoint[AFTER_INTENT_COMMIT] = shop.supplier.faults.time_out_next
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    shop.clock.advance(timedelta(seconds=5))
    await shop.paid(await shop.goods())
    await shop.work_for(2 * HOUR)
    assert [a.state for a in shop.attempts(order_id)] == ["absent", "completed"]


@pytest.mark.parametrize(
    ("age", "told"),
    [(HOUR, ("wanted", "surplus_order")), (25 * HOUR, ("none", "surplus_too_late"))],
    ids=["in time", "too late"],
)
async def test_an_order_found_after_the_refund_is_given_back_and_delivered_to_nobody(
    age: timedelta, told: tuple[str, str]
) -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.at_failpoint[AFTER_INTENT_COMMIT] = shop.supplier.faults.time_out_next
    await shop.work()
    # Somebody bought for that much elsewhere: nobody can tell any more that nothing was bought.
    shop.supplier.set_balance(Decimal(50))
    await shop.work_for(25 * HOUR)
    assert [f.state for f in shop.fulfilments(order_id)] == ["failed_terminal"]
    await shop.aftercare.refund(order_id, RECORD, actor="admin", confirmed=False)
    await shop.work()
    assert [f.state for f in shop.fulfilments(order_id)] == ["cancelled"]
    late = _late(shop.attempts(order_id)[0])
    made_at = shop.clock.now() - age
    await _decided(shop, order_id, msgspec.structs.replace(late, created_at=made_at))
    [attempt] = shop.attempts(order_id)
    assert (attempt.state, attempt.refusal) == ("canceled", "surplus")
    [found] = shop.store.rows(ReconciliationBreak)
    assert (attempt.returning, found.kind) == told
    assert [f.state for f in shop.fulfilments(order_id)] == ["cancelled"]
    assert sum(line.amount for line in shop.store.rows(LedgerLine)) == 0


async def test_units_of_an_order_that_serves_nobody_touch_no_units_of_the_one_that_does() -> None:
    shop = PaidOrders()
    shop.supplier.next_order(NextOrder(units=0))
    order_id = await shop.paid(await shop.goods(), quantity=3)
    await shop.work()
    async with shop.uow.begin() as tx:
        file = await tx.orders.file(order_id)
    assert file is not None
    [serving] = file.attempts
    surplus = SupplierAttempt(
        id=shop.new_id(),
        fulfilment_id=serving.fulfilment_id,
        order_id=order_id,
        gen=2,
        supplier=serving.supplier,
        external_id=serving.external_id,
        supplier_product_id=serving.supplier_product_id,
        offer_id=None,
        quantity=3,
        max_price=serving.max_price,
        state="canceled",
        supplier_order_id="late-1",
        refusal="surplus",
        intent_at=serving.intent_at,
    )
    report = _late(surplus, keys=(SupplierKeyState("k-1", "returned"),))
    decision = observe(
        file,
        file.fulfilments[0],
        surplus,
        report,
        (),
        at=shop.clock.now(),
        new_id=shop.new_id,
    )
    assert all(type(change.after) is not type(file.fulfilments[0]) for change in decision.save)
    assert not any(event.kind == "fulfilment_planned" for event in decision.events)
    assert decision.reason == "processing"


async def test_an_order_that_the_comparison_finds_after_all_is_made_ready_for_who_decides() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.supplier.faults.lose_next_reply()
    shop.supplier.lag_behind(48 * HOUR)
    await shop.work_for(25 * HOUR)
    assert [f.state for f in shop.fulfilments(order_id)] == ["failed_terminal"]
    at = shop.clock.now()
    await shop.jobs.tick("reconcile-supplier", at, "sweep", f"reconcile-supplier/{at}")
    await shop.work_for(timedelta(minutes=1))
    # The hold on its item waits for a person still, with the keys at hand.
    assert [a.state for a in shop.attempts(order_id)] == ["completed"]
    assert [f.state for f in shop.fulfilments(order_id)] == ["vaulted"]


@pytest.mark.parametrize("trouble", ["away", "credentials"])
async def test_a_comparison_of_orders_waits_for_its_supplier_however_long(trouble: str) -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    [ours] = shop.attempts(order_id)
    foreign = SupplierRequest(
        external_id="bought-by-hand",
        supplier_product_id=ours.supplier_product_id,
        offer_id=None,
        quantity=1,
        max_price=ours.max_price,
    )
    await shop.supplier.place(foreign)
    if trouble == "away":
        shop.supplier.faults.go_down()
    shop.supplier.faults.knows_credentials = trouble != "credentials"
    at = shop.clock.now()
    await shop.jobs.tick("reconcile-supplier", at, "sweep", f"reconcile-supplier/{at}")
    await shop.work_for(50 * HOUR)
    shop.supplier.faults.come_back()
    shop.supplier.faults.knows_credentials = True
    await shop.work_for(timedelta(minutes=11))
    assert [row.kind for row in shop.store.rows(ReconciliationBreak)] == ["supplier_order_foreign"]


async def compared_slowly(shop: PaidOrders) -> list[str]:
    """Compare the stored objects, each answer of their store taking a while; gives the states of
    what was found.
    """
    at = shop.clock.now()
    await shop.jobs.tick("objects", at, "sweep", f"objects/{at}")
    for _ in range(20):
        due = next((j for j in shop.store.jobs.pending() if j.kind == "sweep"), None)
        if due is None:
            break
        lease = await shop.jobs.lease(due.id)
        assert lease is not None
        begun = shop.clock.now()
        await shop.run(lease)
        assert shop.clock.now() - begun < shop.limits.job_lease
    return [row.state for row in shop.store.rows(ReconciliationBreak)]


async def test_a_comparison_of_objects_longer_than_a_lease_goes_on_in_jobs_of_their_own() -> None:
    shop = PaidOrders()
    await shop.paid(await shop.goods(), quantity=18)
    await shop.work()
    keys = shop.store.rows(SealedKey)
    objects = dict(shop.vault.objects)
    for key in keys:
        await shop.vault.delete(key.object_name)
    shop.vault.faults.answer_slowly(lambda: shop.clock.advance(timedelta(seconds=4)))
    assert await compared_slowly(shop) == ["open"] * 18
    for key in keys:
        await shop.vault.put(key.object_name, objects[key.object_name], key.sha256)
    assert await compared_slowly(shop) == ["settled"] * 18


async def test_a_comparison_of_objects_waits_for_their_store_however_long() -> None:
    shop = PaidOrders()
    await shop.paid(await shop.goods())
    await shop.work()
    [key] = shop.store.rows(SealedKey)
    await shop.vault.delete(key.object_name)
    shop.vault.faults.go_down()
    at = shop.clock.now()
    await shop.jobs.tick("objects", at, "sweep", f"objects/{at}")
    await shop.work_for(5 * HOUR)
    shop.vault.faults.come_back()
    await shop.work_for(timedelta(minutes=11))
    assert [row.kind for row in shop.store.rows(ReconciliationBreak)] == ["key_object_missing"]
