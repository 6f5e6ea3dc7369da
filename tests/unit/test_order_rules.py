"""An order before it is paid, and the moment of payment: rules O2 to O10."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from bitloot.domain.decision import NOTHING, Decision
from bitloot.domain.errors import Refused
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.order_end import cancel, expire
from bitloot.domain.payment_opening import (
    PayTo,
    answer_invoice,
    answer_payment,
    open_invoice,
    open_payment,
    reject_payment,
)
from bitloot.domain.reactions import all_jobs
from bitloot.domain.settlement import TodayNeeded, settle
from bitloot.testing.order_cases import ASKED, OrderCases, applied, goods_states, kinds

HOUR = timedelta(hours=1)


@pytest.fixture
def cases() -> OrderCases:
    return OrderCases()


def ledger(decision: Decision) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for change in decision.save:
        if isinstance(change.after, LedgerLine):
            sums[change.after.entry] = sums.get(change.after.entry, Decimal(0))
            sums[change.after.entry] += change.after.amount
    return sums


# --- O2, O3, O4 ----------------------------------------------------------------------------------


ADDRESS = PayTo(
    gateway_payment_id="501",
    status="waiting",
    pay_address="bc1q",
    pay_amount=ASKED,
    pay_currency="BTC",
)


def opened(cases: OrderCases, file: OrderFile) -> OrderFile:
    begun = open_payment(
        file,
        gateway="gateway",
        asset="btc",
        payment_id="row-1",
        at=cases.at,
        new_id=cases.new_id,
        limits=cases.limits,
    )
    return applied(file, begun)


def test_o2_a_stored_address_makes_the_order_wait_and_tells_its_buyer(cases: OrderCases) -> None:
    file = opened(cases, cases.order("created"))
    assert file.order.status == "created"
    assert file.payments[0].status == "created"
    assert not file.payments[0].call_answered
    answer = msgspec.structs.replace(ADDRESS, quote_ends_at=cases.at + HOUR)
    decision = answer_payment(
        file,
        "row-1",
        answer,
        at=cases.at,
        new_id=cases.new_id,
        limits=cases.limits,
    )
    file = applied(file, decision)
    assert file.order.status == "waiting"
    assert file.payments[0].pay_amount == ASKED
    assert file.payments[0].pay_currency == "btc"
    assert file.order.window_ends_at == cases.at + HOUR + timedelta(minutes=10)
    assert "payment_opened" in kinds(decision)


def test_a_refused_create_call_leaves_the_order_as_it_was(cases: OrderCases) -> None:
    file = opened(cases, cases.order("created"))
    decision = reject_payment(file, "row-1", "below_minimum", at=cases.at, new_id=cases.new_id)
    file = applied(file, decision)
    assert file.order.status == "created"
    assert file.payments[0].status == "rejected"


def test_an_answer_after_the_order_ended_only_gets_the_payment_watched(cases: OrderCases) -> None:
    file = opened(cases, cases.order("created"))
    ended = msgspec.structs.replace(file.order, status="cancelled")
    file = msgspec.structs.replace(file, order=ended)
    decision = answer_payment(
        file, "row-1", ADDRESS, at=cases.at, new_id=cases.new_id, limits=cases.limits
    )
    assert applied(file, decision).order.status == "cancelled"
    assert kinds(decision) == ["payment_watched"]


def test_a_page_that_opens_after_the_order_ended_is_watched_and_nobody_is_sent_there(
    cases: OrderCases,
) -> None:
    file = cases.order("created")
    begun = open_invoice(
        file,
        gateway="gateway",
        invoice_id="page-1",
        at=cases.at,
        new_id=cases.new_id,
        limits=cases.limits,
    )
    file = applied(file, begun)
    file = msgspec.structs.replace(
        file, order=msgspec.structs.replace(file.order, status="expired")
    )
    decision = answer_invoice(
        file,
        "page-1",
        "601",
        "https://pay.example/601",
        at=cases.at,
        new_id=cases.new_id,
        limits=cases.limits,
    )
    assert [job.kind for job in all_jobs(decision)] == ["adopt_invoice"]
    assert applied(file, decision).invoices[0].status == "open"


def test_a_sixth_payment_of_an_order_is_refused(cases: OrderCases) -> None:
    file = cases.order("waiting")
    for _ in range(5):
        file = cases.with_payment(file)
    with pytest.raises(Refused) as no:
        opened(cases, file)
    assert no.value.code == "too-many-payments"


@pytest.mark.parametrize("status", ["created", "waiting"])
def test_o3_cancelling_gives_the_goods_back(cases: OrderCases, status: str) -> None:
    file = cases.order(status)
    decision = cancel(file, at=cases.at, new_id=cases.new_id, held_keys=cases.keys)
    after = applied(file, decision)
    assert after.order.status == "cancelled"
    assert goods_states(after) == {"released"}
    freed = [c.after for c in decision.save if c.after.id == cases.keys[0].id]
    assert [getattr(key, "state", None) for key in freed] == ["available"]
    again = cancel(after, at=cases.at, new_id=cases.new_id, held_keys=())
    assert again == NOTHING


@pytest.mark.parametrize("status", ["confirming", "finished", "partially_paid"])
def test_o3_an_order_that_received_money_cannot_be_cancelled(
    cases: OrderCases, status: str
) -> None:
    file = cases.with_payment(cases.order("waiting"), status)
    with pytest.raises(Refused) as no:
        cancel(file, at=cases.at, new_id=cases.new_id, held_keys=cases.keys)
    assert no.value.code == "order-not-cancellable"


def run_out(cases: OrderCases, file: OrderFile) -> tuple[OrderFile, Decision]:
    at = cases.pass_time(timedelta(days=2))
    decision = expire(file, at=at, new_id=cases.new_id, held_keys=cases.keys)
    return applied(file, decision), decision


@pytest.mark.parametrize("status", ["created", "waiting"])
def test_o4_the_timer_expires_an_order_whose_window_is_over(cases: OrderCases, status: str) -> None:
    early = cases.order(status)
    same = expire(early, at=cases.at, new_id=cases.new_id, held_keys=())
    assert same == NOTHING
    after, _ = run_out(cases, early)
    assert after.order.status == "expired"
    assert goods_states(after) == {"expired"}


@pytest.mark.parametrize("status", ["confirming", "confirmed", "sending"])
def test_o4_the_timer_never_expires_an_order_with_money_on_its_way(
    cases: OrderCases, status: str
) -> None:
    after, decision = run_out(cases, cases.with_payment(cases.order(), status))
    assert after.order.status == "waiting"
    assert decision == NOTHING


@pytest.mark.parametrize("status", ["partially_paid", "finished"])
@pytest.mark.parametrize("is_child", [True, False])
def test_o4_money_that_waits_for_a_person_stops_no_timer_and_can_be_accepted_later(
    cases: OrderCases, status: str, *, is_child: bool
) -> None:
    file = cases.with_payment(cases.order(), status, is_linked=is_child)
    hold = cases.rows.hold(
        file.order, subject="payment", subject_id=file.payments[0].id, reason="wrong_asset"
    )
    after, _ = run_out(cases, msgspec.structs.replace(file, holds=(hold,)))
    assert after.order.status == "expired"
    assert goods_states(after) == {"expired"}
    assert [h.is_open for h in after.holds] == [True]
    free = cases.with_payment(cases.order(), status)
    assert run_out(cases, free)[1] == NOTHING


def test_o4_the_timer_only_takes_the_goods_of_a_confirming_order(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order("confirming"), "confirming")
    after, decision = run_out(cases, file)
    assert after.order.status == "confirming"
    assert goods_states(after) == {"expired"}
    assert kinds(decision) == ["reservations_expired"]


def test_o4_the_timer_of_a_held_order_stands_still(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order(), "waiting")
    held = msgspec.structs.replace(file, holds=(cases.rows.hold(file.order),))
    _, decision = run_out(cases, held)
    assert decision == NOTHING


@pytest.mark.parametrize("status", ["waiting", "confirming"])
def test_o4_the_gateway_expires_an_order_without_another_payment_alive(
    cases: OrderCases, status: str
) -> None:
    file = cases.with_payment(cases.order(status))
    after, _ = cases.told(file, "expired")
    assert after.order.status == "expired"
    two = cases.with_payment(cases.with_payment(cases.order(status)))
    after, decision = cases.told(two, "expired")
    assert after.order.status == status
    assert after.payments[1].status == "expired"
    assert kinds(decision) == ["payment_moved"]


# --- O5 to O10 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["confirming", "confirmed", "sending"])
def test_o5_funds_seen_keep_the_goods_for_a_day_from_the_last_sighting(
    cases: OrderCases, status: str
) -> None:
    file = cases.with_payment(cases.order())
    after, decision = cases.told(file, status)
    assert after.order.status == "confirming"
    assert after.order.window_ends_at == cases.at + timedelta(hours=24)
    assert {r.expires_at for r in after.reservations} == {after.order.window_ends_at}
    assert "window_extended" in kinds(decision)
    cases.pass_time(HOUR)
    again, decision = cases.told(after, status)
    assert again.order.window_ends_at == cases.at + timedelta(hours=24)
    assert decision.reason == "duplicate"


def test_o5_a_second_sighting_that_extends_nothing_writes_no_row_without_an_event(
    cases: OrderCases,
) -> None:
    seen, _ = cases.told(cases.with_payment(cases.order()), "confirming")
    again, decision = cases.told(seen, "confirming")
    assert again == seen
    assert (decision.save, decision.events) == ((), ())


@pytest.mark.parametrize("status", ["waiting", "confirming"])
def test_o6_a_finished_payment_brings_everything_in_one_decision(
    cases: OrderCases, status: str
) -> None:
    file = cases.with_payment(cases.order(status))
    after, decision = cases.told(file, "finished")
    assert after.order.status == "paid"
    assert after.order.settled_by == file.payments[0].id
    assert goods_states(after) == {"consumed"}
    assert len(after.fulfilments) == 2
    assert kinds(decision).count("fulfilment_planned") == 2
    entries = ledger(decision)
    assert set(entries) == {f"sale/{file.order.id}", f"payment/{file.payments[0].id}"}
    assert set(entries.values()) == {Decimal(0)}


def test_o6_goods_that_ended_while_the_money_was_on_its_way_are_taken_anew(
    cases: OrderCases,
) -> None:
    file = cases.with_payment(cases.order("confirming"), "confirming")
    file, _ = run_out(cases, file)
    with pytest.raises(TodayNeeded):
        cases.told(file, "finished")
    after, decision = cases.told(file, "finished", late=True)
    assert after.order.status == "paid"
    assert goods_states(after) == {"consumed"}
    assert after.order.remarks == ()
    assert "order_paid" in kinds(decision)


@pytest.mark.parametrize("status", ["waiting", "confirming"])
def test_o7_a_partial_payment_fails_the_order(cases: OrderCases, status: str) -> None:
    after, decision = cases.told(cases.with_payment(cases.order(status)), "partially_paid")
    assert (after.order.status, after.order.failure_reason) == ("failed", "underpaid")
    assert goods_states(after) == {"released"}
    assert "order_underpaid" in kinds(decision)


def test_within_the_tolerance_a_partial_payment_is_as_finished() -> None:
    cases = OrderCases(limits=Limits(underpayment_tolerance=Decimal("0.05")))
    file = cases.with_payment(cases.order())
    nearly = ASKED * Decimal("0.96")
    after, _ = cases.told(file, "partially_paid", actually_paid=nearly)
    assert after.order.status == "paid"
    later, decision = cases.told(after, "finished")
    assert later.order.status == "paid"
    assert kinds(decision) == ["payment_moved"]


def booked(decision: Decision, entry: str) -> dict[str, Decimal]:
    lines = (change.after for change in decision.save)
    return {
        line.account: line.amount
        for line in lines
        if isinstance(line, LedgerLine) and line.entry == entry
    }


@pytest.mark.parametrize("status", ["partially_paid", "finished"])
def test_what_was_paid_short_within_the_tolerance_is_booked_as_received(status: str) -> None:
    cases = OrderCases(limits=Limits(underpayment_tolerance=Decimal("0.05")))
    file = cases.with_payment(cases.order())
    _, decision = cases.told(file, status, actually_paid=ASKED * Decimal("0.96"))
    assert set(ledger(decision).values()) == {Decimal(0)}
    total, received = file.order.total, file.order.total * Decimal("0.96")
    fee = received * file.order.gateway_fee
    assert booked(decision, f"payment/{file.payments[0].id}") == {
        "gateway": received - total - fee,
        "fee": fee,
        "surplus": total - received,
    }
    _, decision = cases.told(
        file,
        status,
        actually_paid=ASKED * Decimal("0.96"),
        outcome_amount=Decimal("23.60"),
        outcome_currency="eur",
    )
    sale = booked(decision, f"sale/{file.order.id}")["gateway"]
    paid = booked(decision, f"payment/{file.payments[0].id}")
    assert sale + paid["gateway"] == Decimal("23.60")
    assert paid["fee"] == received - Decimal("23.60")


def test_a_share_that_does_not_come_out_even_is_booked_to_eight_decimals() -> None:
    cases = OrderCases(limits=Limits(underpayment_tolerance=Decimal("0.5")))
    file = cases.with_payment(cases.order(), pay_amount=Decimal(3))
    _, decision = cases.told(file, "partially_paid", actually_paid=Decimal(2))
    assert set(ledger(decision).values()) == {Decimal(0)}
    assert booked(decision, f"payment/{file.payments[0].id}")["surplus"] == Decimal("8.33333333")


def test_the_sandbox_that_reports_nothing_paid_books_the_price(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order())
    report = cases.report(file, "finished", actually_paid=Decimal(0))
    terms = cases.terms(zero_paid_is_fine=True)
    decision = settle(
        file, file.payments[0], report, at=cases.at, terms=terms, held_keys=cases.keys
    )
    assert "surplus" not in booked(decision, f"payment/{file.payments[0].id}")


@pytest.mark.parametrize("word", ["failed", "cancelled", "canceled"])
def test_o8_the_last_payment_alive_that_failed_fails_the_order(
    cases: OrderCases, word: str
) -> None:
    after, decision = cases.told(cases.with_payment(cases.order()), word)
    assert (after.order.status, after.order.failure_reason) == ("failed", "provider_failed")
    assert goods_states(after) == {"released"}
    assert "order_failed" in kinds(decision)
    two = cases.with_payment(cases.with_payment(cases.order()))
    after, _ = cases.told(two, word)
    assert after.order.status == "waiting"


@pytest.mark.parametrize("status", ["waiting", "confirming"])
@pytest.mark.parametrize("word", ["expired", "failed", "partially_paid", "refunded"])
def test_an_order_whose_finished_money_waits_for_a_person_is_not_ended_by_another_payment(
    cases: OrderCases, status: str, word: str
) -> None:
    file = cases.with_payment(cases.with_payment(cases.order(status), "finished"))
    file = msgspec.structs.replace(file, holds=(cases.rows.hold(file.order, version=1),))
    after, _ = cases.told(file, word)
    assert after.order.status == status
    assert goods_states(after) == {"held"}
    assert after.payments[1].rank > file.payments[1].rank
    set_apart = [h.reason for h in after.holds if h.subject == "payment"]
    assert set_apart == (["duplicate_payment"] if word == "partially_paid" else [])


@pytest.mark.parametrize(
    ("word", "status"), [("expired", "expired"), ("failed", "failed"), ("refunded", "refunded")]
)
@pytest.mark.parametrize("apart", ["held", "child"])
def test_money_that_is_kept_apart_stops_nothing_else(
    cases: OrderCases, word: str, status: str, apart: str
) -> None:
    file = cases.with_payment(cases.with_payment(cases.order()), "finished")
    first, money = file.payments
    hold = cases.rows.hold(file.order, subject="payment", subject_id=money.id, reason="wrong_asset")
    if apart == "child":
        money = msgspec.structs.replace(money, is_linked=True)
        file = msgspec.structs.replace(file, payments=(first, money))
    else:
        file = msgspec.structs.replace(file, holds=(hold,))
    after, _ = cases.told(file, word, which=0)
    assert after.order.status == status


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"actually_paid": ASKED - Decimal("1e-18")}, "amount_mismatch"),
        ({"actually_paid": Decimal(0)}, "amount_mismatch"),
        ({"actually_paid": None}, "amount_mismatch"),
        ({"price_amount": Decimal("24.99")}, "amount_mismatch"),
        ({"price_currency": "usd"}, "amount_mismatch"),
        ({"order_number": "BLOTHER99"}, "amount_mismatch"),
        ({"order_number": None}, "amount_mismatch"),
        ({"outcome_amount": Decimal(20), "outcome_currency": "eur"}, "amount_mismatch"),
        ({"outcome_amount": ASKED / 2, "outcome_currency": "btc"}, "amount_mismatch"),
        ({"pay_currency": "ltc"}, "wrong_asset"),
    ],
)
def test_o9_a_finished_payment_that_the_guard_refuses_holds_the_order(
    cases: OrderCases, wrong: dict[str, object], reason: str
) -> None:
    file = cases.with_payment(cases.order())
    after, decision = cases.told(file, "finished", which=-1, late=False, **wrong)
    assert after.order.status == "waiting"
    assert [(h.subject, h.reason) for h in after.holds] == [("order", reason)]
    assert after.fulfilments == ()
    assert not ledger(decision)


@pytest.mark.parametrize(
    ("asked", "outcome", "status"),
    [
        ("0.20881407", "0.20672592", "paid"),  # 1 % less is 0.2067259293
        ("0.20881407", "0.20672591", "waiting"),
        ("18.912345", "18.723221", "paid"),
        ("18.912345", "18.72322", "waiting"),
        ("0.208814070000000000", "0.20672592", "paid"),
        ("0.25", "0.2475", "paid"),
        ("0.25", "0.24749999", "waiting"),
        ("0.3", "0.29", "waiting"),
    ],
)
def test_a_fee_that_does_not_come_out_even_is_no_shortage(
    cases: OrderCases, asked: str, outcome: str, status: str
) -> None:
    file = cases.with_payment(cases.order(), pay_amount=Decimal(asked))
    after, _ = cases.told(
        file,
        "finished",
        actually_paid=Decimal(asked),
        outcome_amount=Decimal(outcome),
        outcome_currency="btc",
    )
    assert after.order.status == status


def test_nothing_paid_settles_only_in_the_environment_that_says_so(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order())
    report = cases.report(file, "finished", actually_paid=Decimal(0))
    terms = cases.terms(zero_paid_is_fine=True)
    decision = settle(
        file, file.payments[0], report, at=cases.at, terms=terms, held_keys=cases.keys
    )
    assert applied(file, decision).order.status == "paid"
    some = msgspec.structs.replace(report, actually_paid=ASKED / 2)
    decision = settle(file, file.payments[0], some, at=cases.at, terms=terms, held_keys=cases.keys)
    assert applied(file, decision).order.status == "waiting"


def test_o10_money_sent_back_by_the_gateway_refunds_an_unpaid_order(cases: OrderCases) -> None:
    after, decision = cases.told(cases.with_payment(cases.order("confirming")), "refunded")
    assert after.order.status == "refunded"
    assert goods_states(after) == {"released"}
    assert "order_refunded" in kinds(decision)
    two = cases.with_payment(cases.with_payment(cases.order()))
    after, _ = cases.told(two, "refunded")
    assert after.order.status == "waiting"
