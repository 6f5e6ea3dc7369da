"""The suites of stuck work and of the invariants: each fault that is planted is found."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest

from bitloot.domain.decision import Decision, Event, JobRequest, update
from bitloot.domain.email import EmailKind
from bitloot.domain.limits import Limits
from bitloot.ports.jobs import Dead
from bitloot.ports.views.desk import StuckWork
from bitloot.ports.views.invariants import INVARIANTS
from bitloot.testing.contract import Contract
from bitloot.testing.store_rig import file_of, placed, record, rows_of
from bitloot.testing.view_rig import (
    ViewsRig,
    all_jobs_end,
    change,
    handed_over,
    ordered,
    put,
    sold,
)

Plant = Callable[[ViewsRig], Awaitable[str]]
MOST: Final = 50


# --- books ---------------------------------------------------------------------------------------


async def _unbalanced(rig: ViewsRig) -> str:
    order = (await sold(rig)).order
    await put(rig, rows_of(rig).ledger_line(order, entry="cost/x", amount=Decimal("0.00000001")))
    return order.id


async def _sale_of_unpaid(rig: ViewsRig) -> str:
    order = await ordered(rig)
    await put(rig, rows_of(rig).ledger_line(order))
    return order.id


async def _paid_without_sale(rig: ViewsRig) -> str:
    order = await ordered(rig)
    return (await change(rig, order, status="paid", paid_at=rig.now())).id


async def _refund_above(rig: ViewsRig) -> str:
    order = (await sold(rig)).order
    for n in (1, 2):
        line = rows_of(rig).ledger_line(
            order, entry=f"refund/{n}", account="refund", amount=order.total - 1
        )
        await put(rig, line)
    return order.id


async def _cost_above(rig: ViewsRig) -> str:
    sale = await sold(rig, quantity=2)
    above = sale.fulfilment.max_unit_price * 2 + Decimal("0.01")
    return (await change(rig, sale.attempt, cost=above)).id


# --- goods ---------------------------------------------------------------------------------------


async def _without_keys(rig: ViewsRig) -> str:
    sale, rows = await sold(rig, "delivered", quantity=2), rows_of(rig)
    await put(rig, rows.sold_key(sale.item, 1, fulfilment_id=sale.fulfilment.id))
    kept_aside = rows.sold_key(sale.item, 2, fulfilment_id=sale.fulfilment.id, state="quarantined")
    await put(rig, kept_aside)
    await change(rig, sale.order, status="fulfilled")
    return sale.item.id


async def _two_supplier_orders(rig: ViewsRig) -> str:
    sale = await sold(rig)
    await change(rig, sale.attempt, state="completed")
    again = rows_of(rig).attempt(
        sale.fulfilment, gen=2, state="created", supplier_order_id="so-2", external_id="again"
    )
    await put(rig, again)
    return sale.fulfilment.id


async def _unknown_supplier_order(rig: ViewsRig) -> str:
    sale = await sold(rig, "retry_wait")
    await change(rig, sale.fulfilment, waits_in="sealed")
    await change(rig, sale.attempt, supplier_order_id=None)
    return sale.fulfilment.id


async def _supplier_key_twice(rig: ViewsRig) -> str:
    rows = rows_of(rig)
    await put(rig, rows.sealed_key(supplier_key_id="sk-1"))
    repeat = rows.sealed_key(supplier_key_id="sk-1")
    await rig.force(repeat, "sealed_keys_supplier_key")
    return repeat.id


async def _fingerprint_twice(rig: ViewsRig) -> str:
    rows = rows_of(rig)
    first = await put(rig, rows.sealed_key())
    repeat = rows.sealed_key(fingerprint=first.fingerprint)
    await rig.force(repeat, "sealed_keys_fingerprint")
    return repeat.id


async def _two_attempts(rig: ViewsRig) -> str:
    sale, rows = await sold(rig, quantity=2), rows_of(rig)
    other = await put(rig, rows.fulfilment(sale.item, part=2, slots=(2,)))
    await put(rig, rows.attempt(other, state="unknown", external_id="other"))
    return sale.item.id


async def _two_keys(rig: ViewsRig) -> str:
    sale, rows = await sold(rig), rows_of(rig)
    await put(rig, rows.sold_key(sale.item))
    await rig.force(rows.sold_key(sale.item), "sealed_keys_slot")
    return sale.item.id


async def _reservation_left(rig: ViewsRig) -> str:
    order = await ordered(rig)
    await change(rig, order, status="cancelled")
    return (await file_of(rig, order.id)).reservations[0].id


# --- order and payment ---------------------------------------------------------------------------


async def _undelivered(rig: ViewsRig) -> str:
    sale = await sold(rig, "vaulted")
    await change(rig, sale.order, status="fulfilled")
    return sale.item.id


async def _unfulfilled(rig: ViewsRig) -> str:
    sale = await sold(rig, "delivered")
    return sale.order.id


async def _without_payment(rig: ViewsRig) -> str:
    sale = await sold(rig)
    await change(rig, sale.payment, status="confirming", rank=20)
    return sale.order.id


async def _part_of_unpaid(rig: ViewsRig) -> str:
    order = await ordered(rig)
    item = (await file_of(rig, order.id)).items[0]
    return (await put(rig, rows_of(rig).fulfilment(item))).id


async def _unnoticed(rig: ViewsRig) -> str:
    order = await ordered(rig)
    return (await put(rig, rows_of(rig).payment(order, status="finished", rank=60))).id


async def _expired_too_early(rig: ViewsRig) -> str:
    order = await ordered(rig)
    payment = await put(rig, rows_of(rig).payment(order, status="confirming", rank=20))
    seen = Event(kind="payment_moved", at=rig.now(), subject=payment.id, facts={"to": "confirming"})
    ended = Event(kind="order_expired", at=rig.now(), subject=order.id, facts={"by": "timer"})
    await record(
        rig,
        Decision(save=(update(order, status="expired"),), events=(seen, ended), order_id=order.id),
    )
    return order.id


async def _usable_grant(rig: ViewsRig) -> str:
    sale = await handed_over(rig)
    grant = await put(rig, rows_of(rig).grant(sale.item))
    await change(rig, sale.order, status="refunded")
    return grant.id


# --- work ----------------------------------------------------------------------------------------


async def _idle(rig: ViewsRig) -> str:
    order, rows = (await sold(rig)).order, rows_of(rig)
    # Money that is kept apart stops no work.
    (paid,) = (await file_of(rig, order.id)).payments
    await put(rig, rows.hold(order, subject="payment", subject_id=paid.id, reason="redeposit"))
    await all_jobs_end(rig)
    return order.id


async def _mail_twice(rig: ViewsRig) -> str:
    order, rows = (await placed(rig)).order, rows_of(rig)
    for _ in range(2):
        await put(rig, rows.email(order_id=order.id))
    return order.id


async def _lease_forgotten(rig: ViewsRig) -> str:
    await record(rig, Decision(jobs=(JobRequest(kind="sweep", ref="x"),)))
    (job,) = await rig.jobs.claim_due(1)
    assert await rig.jobs.lease(job) is not None
    await rig.pass_time(3 * Limits().job_lease)
    return job


PLANTS: Final[Mapping[str, Plant]] = {
    "ledger_unbalanced": _unbalanced,
    "sale_of_unpaid_order": _sale_of_unpaid,
    "paid_without_sale": _paid_without_sale,
    "refund_above_price": _refund_above,
    "cost_above_ceiling": _cost_above,
    "fulfilled_without_keys": _without_keys,
    "two_supplier_orders": _two_supplier_orders,
    "supplier_order_unknown": _unknown_supplier_order,
    "supplier_key_twice": _supplier_key_twice,
    "fingerprint_twice": _fingerprint_twice,
    "unit_with_two_attempts": _two_attempts,
    "unit_with_two_keys": _two_keys,
    "reservation_left": _reservation_left,
    "fulfilled_undelivered": _undelivered,
    "delivered_unfulfilled": _unfulfilled,
    "paid_without_payment": _without_payment,
    "fulfilment_of_unpaid_order": _part_of_unpaid,
    "finished_payment_unnoticed": _unnoticed,
    "expired_with_money_on_its_way": _expired_too_early,
    "usable_grant": _usable_grant,
    "paid_but_idle": _idle,
    "mail_twice": _mail_twice,
    "lease_forgotten": _lease_forgotten,
}
# A store without sessions of its own has no transactions that could grow old.
NOT_PLANTED: Final = frozenset({"transaction_too_old"})


class BreachesContract(Contract):
    """What must never be is found where it was planted, and nowhere else."""

    async def test_a_shop_without_faults_has_no_breaches(self, rig: ViewsRig) -> None:
        rows = rows_of(rig)
        await placed(rig)
        await put(rig, rows.payment(await ordered(rig, "confirming"), status="confirming"))
        await sold(rig)
        done = await handed_over(rig, quantity=2)
        await put(rig, rows.grant(done.item))
        held = await ordered(rig)
        await put(rig, rows.payment(held, status="finished", rank=60))
        await put(rig, rows.hold(held))
        assert await rig.desk.breaches(limit=MOST) == ()

    @pytest.mark.parametrize("name", PLANTS)
    async def test_a_planted_breach_is_found(self, rig: ViewsRig, name: str) -> None:
        await handed_over(rig)
        subject = await PLANTS[name](rig)
        found = await rig.desk.breaches(limit=MOST)
        assert [breach.subject for breach in found if breach.name == name] == [subject]
        assert {breach.name for breach in found} <= INVARIANTS.keys()

    async def test_every_invariant_has_its_plant(self) -> None:
        assert PLANTS.keys() | NOT_PLANTED == INVARIANTS.keys()

    async def test_only_so_many_of_each_are_told(self, rig: ViewsRig) -> None:
        for _ in range(3):
            await _part_of_unpaid(rig)
        assert len(await rig.desk.breaches(limit=2)) == 2

    async def test_a_hold_on_the_order_makes_a_grant_a_breach(self, rig: ViewsRig) -> None:
        sale, rows = await handed_over(rig), rows_of(rig)
        grant = await put(rig, rows.grant(sale.item))
        await put(rig, rows.hold(sale.order, reason="gateway_refund"))
        found = await rig.desk.breaches(limit=MOST)
        assert [(b.name, b.subject) for b in found] == [("usable_grant", grant.id)]
        await change(rig, grant, revoked_at=rig.now(), revoked_reason="gateway_refund")
        assert await rig.desk.breaches(limit=MOST) == ()

    async def test_what_a_person_decided_by_hand_needs_no_payment(self, rig: ViewsRig) -> None:
        sale = await sold(rig)
        await change(rig, sale.payment, status="waiting", rank=10)
        await change(rig, sale.order, remarks=("manual",))
        assert await rig.desk.breaches(limit=MOST) == ()

    async def test_a_mail_that_a_person_asked_for_again_is_no_breach(self, rig: ViewsRig) -> None:
        sale = await handed_over(rig)
        await self._mails_as_often_as_told(rig, sale.order.id, "order-ready", ("keys_resent",), 2)

    async def test_an_order_that_fails_again_is_told_again(self, rig: ViewsRig) -> None:
        sale = await handed_over(rig)
        twice = ("order_failed", "given_up")
        await self._mails_as_often_as_told(rig, sale.order.id, "order-failed", twice, 2)

    async def _mails_as_often_as_told(
        self, rig: ViewsRig, order_id: str, kind: EmailKind, told: Sequence[str], most: int
    ) -> None:
        """So many mails are right after these events, and one more is a breach."""
        for number, event_kind in enumerate(told):
            event = Event(kind=event_kind, at=rig.now(), subject=order_id, facts={"n": number})
            order = (await file_of(rig, order_id)).order
            await record(rig, Decision(save=(update(order),), events=(event,), order_id=order_id))
        for _ in range(most):
            await put(rig, rows_of(rig).email(order_id=order_id, kind=kind))
        assert await rig.desk.breaches(limit=MOST) == ()
        await put(rig, rows_of(rig).email(order_id=order_id, kind=kind))
        found = await rig.desk.breaches(limit=MOST)
        assert [(b.name, b.subject) for b in found] == [("mail_twice", order_id)]

    async def test_money_first_seen_after_the_end_is_late_and_no_breach(
        self, rig: ViewsRig
    ) -> None:
        order = (await placed(rig)).order
        file = await file_of(rig, order.id)
        await change(rig, file.reservations[0], state="expired")
        payment = await put(rig, rows_of(rig).payment(order, status="confirming", rank=20))
        ended = Event(kind="order_expired", at=rig.now(), subject=order.id, facts={"by": "timer"})
        seen = Event(
            kind="payment_moved", at=rig.now(), subject=payment.id, facts={"to": "confirming"}
        )
        await record(
            rig,
            Decision(
                save=(update(file.order, status="expired"),),
                events=(ended, seen),
                order_id=order.id,
            ),
        )
        assert await rig.desk.breaches(limit=MOST) == ()


# --- stuck ---------------------------------------------------------------------------------------


async def _stuck_fulfilment(rig: ViewsRig) -> StuckWork:
    sale = await sold(rig, "retry_wait")
    await change(rig, sale.payment, valid_until=rig.now())
    return StuckWork("fulfilment", sale.fulfilment.id, "fulfil")


async def _stuck_payment(rig: ViewsRig) -> StuckWork:
    order = await ordered(rig)
    payment = await put(rig, rows_of(rig).payment(order))
    await change(rig, order, status="cancelled")
    return StuckWork("payment", payment.id, "apply_payment")


async def _stuck_order(rig: ViewsRig) -> StuckWork:
    return StuckWork("order", (await ordered(rig, "created")).id, "expire_order")


async def _stuck_invoice(rig: ViewsRig) -> StuckWork:
    order = await ordered(rig)
    await put(rig, rows_of(rig).invoice(order))
    await change(rig, order, status="expired")
    return StuckWork("invoice", order.id, "adopt_invoice")


async def _stuck_email(rig: ViewsRig) -> StuckWork:
    tried = rig.now() - timedelta(minutes=11)
    email = await put(rig, rows_of(rig).email(first_try_at=tried))
    return StuckWork("email", email.key, "send_email")


async def _stuck_webhook(rig: ViewsRig) -> StuckWork:
    webhook = await put(rig, rows_of(rig).webhook())
    return StuckWork("webhook", webhook.id, None, webhook.provider)


STUCK: Final[Mapping[str, Callable[[ViewsRig], Awaitable[StuckWork]]]] = {
    "fulfilment": _stuck_fulfilment,
    "payment": _stuck_payment,
    "order": _stuck_order,
    "invoice": _stuck_invoice,
    "email": _stuck_email,
    "webhook": _stuck_webhook,
}


class StuckContract(Contract):
    """Work that lost its job is found; work that has one, or waits for a person, is not."""

    async def test_a_shop_at_work_has_nothing_stuck(self, rig: ViewsRig) -> None:
        rows = rows_of(rig)
        await ordered(rig)
        await sold(rig)
        await handed_over(rig)
        await put(rig, rows.email())
        await put(rig, rows.webhook(classification="applied", handled_at=rig.now()))
        await put(rig, rows.webhook(signature_ok=False, classification="invalid_signature"))
        assert await rig.desk.stuck(limit=MOST) == ()

    @pytest.mark.parametrize("kind", STUCK)
    async def test_work_without_a_job_is_found(self, rig: ViewsRig, kind: str) -> None:
        work = await STUCK[kind](rig)
        await all_jobs_end(rig)
        assert await rig.desk.stuck(limit=MOST) == (work,)

    @pytest.mark.parametrize("kind", STUCK)
    async def test_a_pending_or_a_dead_job_is_enough(self, rig: ViewsRig, kind: str) -> None:
        work = await STUCK[kind](rig)
        await all_jobs_end(rig)
        job = JobRequest(kind=work.job or "apply_payment", ref=work.ref)
        await record(rig, Decision(jobs=(job,)))
        assert await rig.desk.stuck(limit=MOST) == ()
        (job_id,) = await rig.jobs.claim_due(1)
        lease = await rig.jobs.lease(job_id)
        assert lease is not None
        await rig.jobs.finish(lease, Dead("given up"))
        assert await rig.desk.stuck(limit=MOST) == ()

    async def test_what_waits_for_a_person_is_not_stuck(self, rig: ViewsRig) -> None:
        rows, sale, order = rows_of(rig), await sold(rig, "blocked"), await ordered(rig)
        await put(rig, rows.hold(order))
        await put(rig, rows.hold(sale.order, subject="item", subject_id=sale.item.id))
        await put(rig, rows.payment(order, is_linked=True))
        await all_jobs_end(rig)
        assert await rig.desk.stuck(limit=MOST) == ()

    async def test_only_so_many_of_each_kind_are_told(self, rig: ViewsRig) -> None:
        for _ in range(3):
            await _stuck_webhook(rig)
        await _stuck_email(rig)
        found = await rig.desk.stuck(limit=2)
        assert [work.kind for work in found] == ["email", "webhook", "webhook"]
