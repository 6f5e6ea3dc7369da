"""What people decide about money: rules O22, O24, O25, and a retry of an unpaid order."""

from datetime import timedelta
from decimal import Decimal
from typing import Unpack

import msgspec
import pytest

from bitloot.domain.decision import Decision
from bitloot.domain.errors import Refused
from bitloot.domain.forbidden import forbidden_pairs
from bitloot.domain.goods import Today
from bitloot.domain.hold_decision import decide_hold
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order, OrderFile, OrderStatus
from bitloot.domain.override import overridable, override
from bitloot.domain.payment import PaymentReport
from bitloot.domain.reactions import all_jobs
from bitloot.domain.retry import retry
from bitloot.domain.settlement import TodayNeeded, settle_on_request
from bitloot.testing.order_cases import ASKED, OrderCases, TodayFacts, applied, goods_states

HOUR = timedelta(hours=1)


@pytest.fixture
def cases() -> OrderCases:
    return OrderCases()


# --- O22, O24, O25 -------------------------------------------------------------------------------


def given_up(order: Order) -> Order:
    return msgspec.structs.replace(order, status="failed", failure_reason="fulfilment_failed")


def ruled(
    cases: OrderCases,
    file: OrderFile,
    *,
    accept: bool,
    signed_loss: bool = False,
    **today: Unpack[TodayFacts],
) -> Decision:
    """What a person's word on the last hold comes to."""
    return decide_hold(
        file,
        file.holds[-1].id,
        accept=accept,
        by="admin/1",
        reason="looked at it",
        expected_version=file.order.version,
        signed_loss=signed_loss,
        at=cases.at,
        terms=cases.terms(),
        held_keys=cases.keys,
        today=cases.today(**today),
    )


def decided(
    cases: OrderCases,
    file: OrderFile,
    *,
    accept: bool,
    signed_loss: bool = False,
    **today: Unpack[TodayFacts],
) -> OrderFile:
    decision = ruled(cases, file, accept=accept, signed_loss=signed_loss, **today)
    assert [line.actor for line in decision.audit] == ["admin/1"]
    return applied(file, decision)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("waiting", None),
        ("confirming", None),
        ("expired", None),
        ("cancelled", None),
        ("failed", "provider_failed"),
    ],
)
def test_o24_accepting_pays_the_order_with_everything_that_brings(
    cases: OrderCases, status: str, reason: str | None
) -> None:
    file = cases.with_payment(cases.order(status, failure_reason=reason), "finished")
    file = msgspec.structs.replace(file, holds=(cases.rows.hold(file.order, version=1),))
    after = decided(cases, file, accept=True)
    assert after.order.status == "paid"
    assert after.order.settled_by == file.payments[0].id
    assert goods_states(after) == {"consumed"}
    assert len(after.fulfilments) == 2
    assert [h.state for h in after.holds] == ["accepted"]


@pytest.mark.parametrize("accept", [True, False])
def test_money_for_an_order_that_nobody_can_pay_yet_is_decided_later(
    cases: OrderCases, *, accept: bool
) -> None:
    file = cases.with_payment(cases.order("created"), is_linked=True)
    held, _ = cases.told(file, "finished")
    assert forbidden_pairs(held, at=cases.at) == []
    with pytest.raises(Refused, match="invalid-input"):
        decided(cases, held, accept=accept)
    expired = msgspec.structs.replace(
        held, order=msgspec.structs.replace(held.order, status="expired")
    )
    after = decided(cases, expired, accept=accept)
    assert after.order.status == ("paid" if accept else "failed")


@pytest.mark.parametrize(
    ("status", "hold", "before", "after"),
    [
        ("waiting", "amount_mismatch", None, "amount_mismatch"),
        ("confirming", "wrong_asset", None, "wrong_asset"),
        ("expired", "paid_late", None, "late_payment"),
        ("cancelled", "paid_after_end", None, "late_payment"),
        ("failed", "paid_late", "underpaid", "underpaid"),
    ],
)
def test_o24_rejecting_fails_the_order_and_a_failed_one_keeps_its_reason(
    cases: OrderCases, status: str, hold: str, before: str | None, after: str
) -> None:
    file = cases.with_payment(cases.order(status, failure_reason=before), "finished")
    row = cases.rows.hold(file.order, reason=hold, version=1)
    ended = decided(cases, msgspec.structs.replace(file, holds=(row,)), accept=False)
    assert (ended.order.status, ended.order.failure_reason) == ("failed", after)
    assert "held" not in goods_states(ended)


def test_each_rejection_of_an_order_is_told_to_its_buyer(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order("expired"), "finished")
    earlier = cases.rows.hold(file.order, reason="paid_late", state="rejected", version=1)
    later = cases.rows.hold(file.order, reason="paid_after_end", version=1)
    file = msgspec.structs.replace(file, holds=(earlier, later))
    told = ruled(cases, file, accept=False)
    mails = [job.ref for job in all_jobs(told) if job.kind == "send_email"]
    assert mails == [f"hold-rejected/{file.order.id}/2"]


def refused(cases: OrderCases, file: OrderFile, **today: Unpack[TodayFacts]) -> str:
    with pytest.raises(Refused) as no:
        decided(cases, file, accept=True, **today)
    return no.value.code


def test_o24_accepting_needs_money_and_todays_cost_or_a_signed_loss(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order("expired"), "expired")
    file = msgspec.structs.replace(file, holds=(cases.rows.hold(file.order, version=1),))
    assert refused(cases, file) == "hold-needs-money"
    file = cases.with_payment(file, "finished")
    assert refused(cases, file, worth=Decimal(1)) == "below-cost"
    signed = decided(cases, file, accept=True, signed_loss=True, worth=Decimal(1))
    assert signed.order.status == "paid"


def test_o24_money_within_the_tolerance_is_money_as_a_finished_payment_is() -> None:
    cases = OrderCases(limits=Limits(underpayment_tolerance=Decimal("0.1")))
    nearly = ASKED * Decimal("0.95")
    file = cases.with_payment(cases.order("expired"), "partially_paid", actually_paid=nearly)
    file = msgspec.structs.replace(file, holds=(cases.rows.hold(file.order, reason="paid_late"),))
    assert decided(cases, file, accept=True).order.status == "paid"
    too_little = msgspec.structs.replace(file.payments[0], actually_paid=ASKED / 2)
    file = msgspec.structs.replace(file, payments=(too_little,))
    assert refused(cases, file) == "hold-needs-money"


def test_what_came_of_another_asset_is_never_counted_as_so_much_of_the_one_asked(
    cases: OrderCases,
) -> None:
    file = cases.with_payment(cases.order())
    held, decision = cases.told(file, "finished", pay_currency="LTC", actually_paid=Decimal(1))
    assert [hold.reason for hold in held.holds] == ["wrong_asset"]
    assert held.payments[0].actually_paid is None
    [moved] = [event for event in decision.events if event.kind == "payment_moved"]
    assert (moved.facts["paid"], moved.facts["asset"]) == ("1", "ltc")
    paid = decided(cases, held, accept=True, signed_loss=True)
    assert (paid.order.status, paid.order.paid_over) == ("paid", None)
    assert "paid_over" not in paid.order.remarks


def test_o24_a_decision_needs_the_version_that_was_seen_and_is_made_once(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order(), "finished")
    file = msgspec.structs.replace(file, holds=(cases.rows.hold(file.order, version=1),))
    after = decided(cases, file, accept=True)
    assert refused(cases, after) == "hold-already-decided"
    moved = msgspec.structs.replace(file.order, version=9)
    with pytest.raises(Refused, match="version-conflict"):
        decide_hold(
            msgspec.structs.replace(file, order=moved),
            file.holds[0].id,
            accept=False,
            by="admin/1",
            reason="no",
            expected_version=1,
            at=cases.at,
            terms=cases.terms(),
        )


@pytest.mark.parametrize("accept", [True, False])
@pytest.mark.parametrize("status", ["paid", "partially_fulfilled", "fulfilled", "refunded"])
def test_o25_deciding_the_hold_of_a_paid_order_only_lets_it_go_on(
    cases: OrderCases, status: str, accept: bool
) -> None:
    file, _ = cases.told(cases.with_payment(cases.order()), "finished")
    moved = msgspec.structs.replace(file.order, status=status)
    hold = cases.rows.hold(file.order, reason="gateway_refund", version=1)
    file = msgspec.structs.replace(file, order=moved, holds=(hold,))
    after = decided(cases, file, accept=accept)
    assert after.order.status == status
    assert not after.holds[0].is_open
    assert after.fulfilments == file.fulfilments


@pytest.mark.parametrize("accept", [True, False])
def test_o25_deciding_the_hold_of_an_item_that_failed_takes_it_up_again(
    cases: OrderCases, accept: bool
) -> None:
    file, _ = cases.told(cases.with_payment(cases.order()), "finished")
    first, second = file.fulfilments
    hold = cases.rows.hold(
        file.order,
        reason="fulfilment",
        subject="item",
        subject_id=second.order_item_id,
        version=1,
    )
    failed = msgspec.structs.replace(second, state="failed_terminal", rebuys=1)
    file = msgspec.structs.replace(file, holds=(hold,), fulfilments=(first, failed))
    decision = ruled(cases, file, accept=accept)
    jobs = [(job.kind, job.ref) for job in all_jobs(decision)]
    after = applied(file, decision)
    assert after.fulfilment(second.id).state == "reserving"
    assert ("fulfil", second.id) in jobs
    assert ("fulfil", first.id) not in jobs


def overridden(
    cases: OrderCases,
    file: OrderFile,
    to: OrderStatus,
    *,
    reason: str = "by hand",
    expected_version: int | None = None,
    confirmed: bool = True,
) -> OrderFile:
    decision = override(
        file,
        to,
        by="admin/1",
        reason=reason,
        expected_version=file.order.version if expected_version is None else expected_version,
        confirmed=confirmed,
        at=cases.at,
        terms=cases.terms(),
        held_keys=cases.keys,
        today=cases.today(),
    )
    return applied(file, decision)


def test_o22_an_override_stays_within_the_table_and_is_remarked(cases: OrderCases) -> None:
    file = cases.order("waiting")
    after = overridden(cases, file, "cancelled")
    assert after.order.status == "cancelled"
    assert after.order.remarks == ("manual",)
    assert goods_states(after) == {"released"}
    unreachable: tuple[OrderStatus, ...] = ("fulfilled", "partially_fulfilled", "created")
    for to in unreachable:
        with pytest.raises(Refused, match="invalid-input"):
            overridden(cases, file, to)
    with pytest.raises(Refused, match="version-conflict"):
        overridden(cases, file, "cancelled", expected_version=99)
    with pytest.raises(Refused, match="invalid-input"):
        overridden(cases, file, "cancelled", confirmed=False)
    with pytest.raises(Refused, match="invalid-input"):
        overridden(cases, file, "cancelled", reason=" ")


def test_o22_paid_by_hand_needs_a_finished_payment(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order("waiting"), "waiting")
    with pytest.raises(Refused, match="payment-not-settled"):
        overridden(cases, file, "paid")
    file = cases.with_payment(cases.order("waiting"), "finished")
    after = overridden(cases, file, "paid")
    assert after.order.status == "paid"
    assert len(after.fulfilments) == 2


@pytest.mark.parametrize("status", ["fulfilled", "refunded"])
def test_o22_nobody_overrides_a_fulfilled_or_refunded_order(status: OrderStatus) -> None:
    assert overridable(status) == frozenset()


# --- a retry that is asked for -------------------------------------------------------------------


def asked(
    cases: OrderCases, file: OrderFile, report: PaymentReport, **world: Today | None
) -> Decision:
    return settle_on_request(
        file,
        file.payments[0],
        report,
        actor="admin/1",
        reason="the buyer asked",
        at=cases.at,
        terms=cases.terms(),
        today=world.get("today", cases.today()),
    )


@pytest.mark.parametrize("reason", ["wrong_asset", "late_payment", "provider_failed", "underpaid"])
def test_a_retry_pays_a_failed_order_only_when_the_gateway_says_finished(
    cases: OrderCases, reason: str
) -> None:
    file = cases.with_payment(cases.order("failed", failure_reason=reason), "finished")
    payment = file.payments[0]
    good = cases.report(file, "finished")
    decision = asked(cases, file, good)
    assert applied(file, decision).order.status == "paid"
    assert [(line.actor, line.action) for line in decision.audit] == [("admin/1", "order.settle")]
    expected = "underpaid-non-refundable" if reason == "underpaid" else "payment-not-settled"
    for wrong in (
        msgspec.structs.replace(good, actually_paid=ASKED / 2),
        cases.report(file, "partially_paid", actually_paid=ASKED),
        cases.report(file, "sending", actually_paid=ASKED),
        cases.report(file, "refunded", actually_paid=ASKED),
    ):
        with pytest.raises(Refused) as no:
            asked(cases, file, wrong)
        assert no.value.code == expected
    sent_back = msgspec.structs.replace(payment, status="refunded", rank=70)
    with pytest.raises(Refused, match=expected):
        asked(cases, msgspec.structs.replace(file, payments=(sent_back,)), good)


def test_a_retry_of_a_failed_order_pays_only_what_todays_cost_lets_through(
    cases: OrderCases,
) -> None:
    file = cases.with_payment(cases.order("failed", failure_reason="late_payment"), "finished")
    good = cases.report(file, "finished")
    with pytest.raises(TodayNeeded):
        asked(cases, file, good, today=None)
    with pytest.raises(Refused, match="payment-not-settled"):
        asked(cases, file, good, today=cases.today(worth=Decimal(1)))


@pytest.mark.parametrize("held", ["amount_mismatch", "paid_late", "paid_after_end"])
def test_a_retry_decides_the_hold_that_the_money_waited_for(cases: OrderCases, held: str) -> None:
    file = cases.with_payment(cases.order("failed", failure_reason="underpaid"), "finished")
    file = msgspec.structs.replace(file, holds=(cases.rows.hold(file.order, reason=held),))
    after = applied(file, asked(cases, file, cases.report(file, "finished")))
    assert after.order.status == "paid"
    assert [(h.state, h.decided_by) for h in after.holds] == [("accepted", "admin/1")]


def test_a_retry_takes_no_money_that_waits_for_a_person_on_its_own(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order("failed", failure_reason="late_payment"), "finished")
    payment = file.payments[0]
    for hold in (
        cases.rows.hold(file.order, subject="payment", subject_id=payment.id, reason="redeposit"),
        cases.rows.hold(file.order, reason="gateway_refund"),
    ):
        held = msgspec.structs.replace(file, holds=(hold,))
        with pytest.raises(Refused, match="payment-not-settled"):
            asked(cases, held, cases.report(file, "finished"))


@pytest.mark.parametrize("status", ["waiting", "confirming"])
def test_a_retry_of_an_unpaid_order_is_no_way_to_get_keys(cases: OrderCases, status: str) -> None:
    file = cases.with_payment(cases.order(status))
    with pytest.raises(Refused, match="payment-not-settled"):
        asked(cases, file, cases.report(file, "confirming"))


def test_a_retry_delivers_nothing_for_money_that_the_gateway_sent_back(cases: OrderCases) -> None:
    """The order had failed before the refund came, so no hold of O23 speaks for it."""
    file = cases.with_payment(cases.order("failed", failure_reason="fulfilment_failed"), "refunded")
    settled = msgspec.structs.replace(file.order, settled_by=file.payments[-1].id)
    with pytest.raises(Refused, match="payment-not-settled"):
        retry(
            msgspec.structs.replace(file, order=settled),
            actor="admin/1",
            reason="again",
            at=cases.at,
            new_id=cases.new_id,
            limits=Limits(),
        )


def test_o22_leaving_what_may_be_revealed_ends_the_grants(cases: OrderCases) -> None:
    file = cases.paid("partially_fulfilled")
    grant = cases.rows.grant(file.items[0], version=1)
    decision = override(
        file,
        "failed",
        by="admin/1",
        reason="by hand",
        expected_version=file.order.version,
        confirmed=True,
        failure_reason="provider_failed",
        at=cases.at,
        terms=cases.terms(),
        grants=[grant],
    )
    revoked = [c.after for c in decision.save if c.after.id == grant.id]
    assert [getattr(row, "revoked_at", None) for row in revoked] == [cases.at]


def test_o24_accepting_for_an_order_given_up_on_keeps_what_was_delivered(
    cases: OrderCases,
) -> None:
    file, _ = cases.told(cases.with_payment(cases.order()), "finished")
    first, second = file.fulfilments
    failed = given_up(file.order)
    file = msgspec.structs.replace(
        file,
        order=failed,
        holds=(cases.rows.hold(failed, reason="paid_after_end", version=1),),
        fulfilments=(msgspec.structs.replace(first, state="delivered"), second),
    )
    after = decided(cases, file, accept=True)
    assert after.order.status == "partially_fulfilled"
    assert len(after.fulfilments) == 2


@pytest.mark.parametrize("state", ["pending", "reserved", "vaulted", "retry_wait"])
def test_o24_accepting_for_an_order_given_up_on_lets_what_was_open_go_on(
    cases: OrderCases, state: str
) -> None:
    file, _ = cases.told(cases.with_payment(cases.order()), "finished")
    first, second = file.fulfilments
    failed = given_up(file.order)
    file = msgspec.structs.replace(
        file,
        order=failed,
        holds=(cases.rows.hold(failed, reason="paid_after_end", version=1),),
        fulfilments=(
            msgspec.structs.replace(first, state="delivered"),
            msgspec.structs.replace(second, state=state),
        ),
    )
    decision = ruled(cases, file, accept=True)
    jobs = [(job.kind, job.ref) for job in all_jobs(decision)]
    assert ("fulfil", second.id) in jobs
    assert ("fulfil", first.id) not in jobs


def test_money_that_pays_an_order_once_more_is_booked_whole_as_surplus(cases: OrderCases) -> None:
    file, _ = cases.told(cases.with_payment(cases.order()), "finished")
    failed = given_up(file.order)
    file = cases.with_payment(msgspec.structs.replace(file, order=failed), "finished")
    hold = cases.rows.hold(failed, reason="paid_after_end", version=1)
    held = msgspec.structs.replace(file, holds=(hold,))
    another = max(file.payments, key=lambda payment: payment.id != failed.settled_by)
    decision = ruled(cases, held, accept=True)
    written = [change.after for change in decision.save if isinstance(change.after, LedgerLine)]
    assert {line.entry for line in written} == {f"payment/{another.id}"}
    lines = {line.account: line.amount for line in written}
    assert lines["surplus"] == -file.order.total
    assert lines["gateway"] + lines["fee"] == file.order.total


def test_money_that_comes_twice_leaves_the_first_payment_the_one_that_paid(
    cases: OrderCases,
) -> None:
    file, _ = cases.told(cases.with_payment(cases.order()), "finished")
    failed = given_up(file.order)
    file = cases.with_payment(msgspec.structs.replace(file, order=failed), "finished")
    second = max(file.payments, key=lambda payment: payment.id != failed.settled_by)
    hold = cases.rows.hold(
        failed, reason="duplicate_payment", subject="payment", subject_id=second.id, version=1
    )
    after = decided(cases, msgspec.structs.replace(file, holds=(hold,)), accept=True)
    assert after.order.status == "paid"
    assert after.order.settled_by == failed.settled_by
    gone = [
        msgspec.structs.replace(p, status="refunded") if p.id == failed.settled_by else p
        for p in file.payments
    ]
    held = msgspec.structs.replace(file, holds=(hold,), payments=tuple(gone))
    assert decided(cases, held, accept=True).order.settled_by == second.id
