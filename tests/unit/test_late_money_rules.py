"""Money after the end, money twice, and the ranks of reports: rules O15 to O19, O23, O26."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloot.domain.decision import Decision
from bitloot.domain.hold_decision import decide_hold
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.order import OrderFile
from bitloot.domain.payment import GATEWAY_STATUS
from bitloot.domain.reveal import allows_reveal
from bitloot.domain.settlement import TodayNeeded, settle
from bitloot.testing.order_cases import ASKED, OrderCases, TodayFacts, applied, goods_states, kinds

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


# --- O15 to O19, O23, O26 ------------------------------------------------------------------------


def test_o15_a_late_payment_that_carries_todays_cost_is_delivered(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order("expired"), "expired")
    with pytest.raises(TodayNeeded):
        cases.told(file, "finished")
    after, decision = cases.told(file, "finished", late=True)
    assert after.order.status == "paid"
    assert after.order.remarks == ("paid_late",)
    assert goods_states(after) == {"consumed"}
    assert len(after.fulfilments) == 2
    taken = [c.after for c in decision.save if c.after.id == cases.keys[0].id]
    assert [getattr(key, "state", None) for key in taken] == ["reserved"]


@pytest.mark.parametrize(
    "today",
    [
        {"worth": Decimal("18.00")},
        {"cost": Decimal("12.50")},
        {"stock": 0},
        {"spare": ()},
    ],
)
def test_o16_a_late_payment_that_would_lose_money_or_finds_no_goods_is_held(
    cases: OrderCases, today: TodayFacts
) -> None:
    file = cases.with_payment(cases.order("expired"), "expired")
    decision = settle(
        file,
        file.payments[0],
        cases.report(file, "finished"),
        at=cases.at,
        terms=cases.terms(),
        today=cases.today(**today),
    )
    after = applied(file, decision)
    assert after.order.status == "expired"
    assert [(h.subject, h.reason) for h in after.holds] == [("order", "paid_late")]
    assert after.fulfilments == ()


def test_o15_goods_that_are_sold_from_another_offer_by_now_are_taken_from_that_one(
    cases: OrderCases,
) -> None:
    file = cases.with_payment(cases.order("expired"), "expired")
    today = cases.today()
    offer = today.sellables[0].offer
    assert offer is not None
    other = msgspec.structs.replace(offer, id=cases.new_id(), supplier="another")
    moved = msgspec.structs.replace(today.sellables[0], offer=other)
    today = msgspec.structs.replace(today, sellables=(moved, today.sellables[1]))

    def told(file: OrderFile) -> OrderFile:
        report = cases.report(file, "finished")
        payment, terms = file.payments[0], cases.terms()
        return applied(file, settle(file, payment, report, at=cases.at, terms=terms, today=today))

    after = told(file)
    assert (after.order.status, after.holds) == ("paid", ())
    taken = after.reservations[0]
    assert (taken.state, taken.supplier, taken.offer_row_id) == ("consumed", "another", other.id)
    in_bulk = msgspec.structs.replace(file.items[0], is_wholesale=True)
    bulk = told(msgspec.structs.replace(file, items=(in_bulk, file.items[1])))
    assert [h.reason for h in bulk.holds] == ["paid_late"]


def test_o17_a_late_partial_payment_fails_the_order(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order("expired"), "expired")
    after, decision = cases.told(file, "partially_paid")
    assert (after.order.status, after.order.failure_reason) == ("failed", "underpaid")
    assert "order_underpaid" in kinds(decision)


@pytest.mark.parametrize(
    ("reason", "was", "remark"),
    [("underpaid", "partially_paid", "paid_partial"), ("provider_failed", "failed", "paid_late")],
)
def test_o18_a_failed_order_is_paid_when_its_payment_is_completed(
    cases: OrderCases, reason: str, was: str, remark: str
) -> None:
    file = cases.with_payment(cases.order("failed", failure_reason=reason), was)
    after, _ = cases.told(file, "finished", late=True)
    assert (after.order.status, after.order.failure_reason) == ("paid", None)
    assert after.order.remarks == (remark,)
    held, _ = cases.told(file, "finished", late=True, price_amount=Decimal(1))
    assert held.order.status == "failed"
    assert [h.reason for h in held.holds] == ["paid_late"]


@pytest.mark.parametrize("word", ["finished", "partially_paid"])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("cancelled", None),
        ("refunded", None),
        ("failed", "wrong_asset"),
        ("failed", "amount_mismatch"),
        ("failed", "late_payment"),
        ("failed", "fulfilment_failed"),
    ],
)
def test_o19_money_after_the_end_waits_for_a_person(
    cases: OrderCases, status: str, reason: str | None, word: str
) -> None:
    file = cases.with_payment(cases.order(status, failure_reason=reason))
    after, decision = cases.told(file, word)
    assert (after.order.status, after.order.failure_reason) == (status, reason)
    assert [(h.subject, h.reason) for h in after.holds] == [("order", "paid_after_end")]
    assert "order_held" in kinds(decision)


@pytest.mark.parametrize("status", ["paid", "partially_fulfilled", "fulfilled"])
def test_o23_a_refund_by_the_gateway_holds_a_paid_order(cases: OrderCases, status: str) -> None:
    after, _ = cases.told(cases.paid(status), "refunded")
    assert after.order.status == status
    assert [(h.subject, h.reason) for h in after.holds] == [("order", "gateway_refund")]


@pytest.mark.parametrize("child", [None, "7001"])
def test_o26_what_was_decided_is_asked_again_when_more_money_comes(
    cases: OrderCases, child: str | None
) -> None:
    file = cases.with_payment(cases.paid(), parent_payment_id=child)
    short, _ = cases.told(file, "partially_paid")
    assert [h.state for h in short.holds] == ["open"]
    noted = msgspec.structs.replace(short.holds[0], state="accepted", decided_at=cases.at)
    seen = msgspec.structs.replace(short, holds=(noted,))
    again, _ = cases.told(seen, "partially_paid")
    assert [h.state for h in again.holds] == ["accepted"]
    whole, decision = cases.told(seen, "finished")
    assert [h.state for h in whole.holds] == ["accepted", "open"]
    assert "payment_held" in kinds(decision)


@pytest.mark.parametrize("word", ["finished", "partially_paid"])
@pytest.mark.parametrize("status", ["paid", "partially_fulfilled", "fulfilled"])
def test_o26_a_second_payment_of_a_paid_order_is_held_and_remarked(
    cases: OrderCases, status: str, word: str
) -> None:
    file = cases.with_payment(cases.paid(status))
    after, decision = cases.told(file, word)
    assert after.order.status == status
    assert after.order.settled_by == file.payments[0].id
    assert after.order.remarks == ("duplicate_payment",)
    assert [(h.subject, h.subject_id) for h in after.holds] == [("payment", file.payments[1].id)]
    assert not ledger(decision)
    assert "payment_held" in kinds(decision)


@pytest.mark.parametrize("status", ["waiting", "paid", "expired", "cancelled", "refunded"])
def test_o26_a_child_deposit_never_delivers_by_itself(cases: OrderCases, status: str) -> None:
    file = cases.with_payment(cases.order(status), "waiting", parent_payment_id="77")
    after, _ = cases.told(file, "finished")
    assert after.order.status == status
    assert after.order.remarks == ("redeposit",)
    assert [(h.subject, h.reason) for h in after.holds] == [("payment", "redeposit")]


def test_a_parent_that_is_only_reported_later_makes_a_child_too(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order())
    after, _ = cases.told(file, "finished", parent_payment_id="77")
    assert after.order.status == "waiting"
    assert [h.subject for h in after.holds] == ["payment"]


def test_a_wrong_asset_is_held_and_keeps_its_money_out_of_later_decisions(
    cases: OrderCases,
) -> None:
    file = cases.with_payment(cases.order())
    after, decision = cases.told(file, "wrong_asset_confirmed")
    assert after.payments[0].status == "waiting"
    assert after.order.remarks == ("wrong_asset",)
    assert [(h.subject, h.reason) for h in after.holds] == [("payment", "wrong_asset")]
    assert decision.reason == "wrong_asset"
    finished, _ = cases.told(after, "finished")
    assert finished.order.status == "waiting"
    assert finished.payments[0].status == "finished"
    twice, decision = cases.told(after, "wrong_asset_confirmed")
    assert decision.events == ()
    assert twice == after


def test_paying_over_delivers_and_notes_the_exact_surplus(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order())
    after, decision = cases.told(file, "finished", actually_paid=ASKED * Decimal("1.1"))
    assert after.order.status == "paid"
    assert after.order.remarks == ("paid_over",)
    assert after.order.paid_over == Decimal("2.50")
    assert "order_overpaid" in kinds(decision)
    assert set(ledger(decision).values()) == {Decimal(0)}
    barely, _ = cases.told(file, "finished", actually_paid=ASKED * Decimal("1.0003"))
    assert barely.order.remarks == ()


@pytest.mark.parametrize(
    ("paid", "asked", "over"),
    [("7501", "7500", ["paid_over"]), ("7500.999999", "7500", []), ("7500", "7500", [])],
)
def test_a_surplus_of_exactly_one_cent_counts_whatever_its_ratio_to_the_price(
    cases: OrderCases, paid: str, asked: str, over: list[str]
) -> None:
    placed = cases.order()
    order = msgspec.structs.replace(placed.order, total=Decimal(75))
    file = cases.with_payment(
        msgspec.structs.replace(placed, order=order),
        pay_amount=Decimal(asked),
        price_amount=Decimal(75),
    )
    after, _ = cases.told(file, "finished", actually_paid=Decimal(paid))
    assert after.order.status == "paid"
    assert list(after.order.remarks) == over
    assert after.order.paid_over == (Decimal("0.01") if over else None)


# --- ranks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", list(GATEWAY_STATUS))
@pytest.mark.parametrize("word", list(GATEWAY_STATUS))
def test_a_report_is_applied_only_when_its_rank_rises(
    cases: OrderCases, stored: str, word: str
) -> None:
    file = cases.with_payment(cases.order("cancelled"), stored)
    after, decision = cases.told(file, word)
    ranks = GATEWAY_STATUS[word][1], GATEWAY_STATUS[stored][1]
    if ranks[0] > ranks[1]:
        assert after.payments[0].status == GATEWAY_STATUS[word][0]
        assert decision.reason == "applied"
    else:
        assert after.payments[0].status == file.payments[0].status
        assert after.order.status == "cancelled"
        assert after.holds == ()


def test_confirming_after_expired_is_recorded_as_late_and_changes_nothing_visible(
    cases: OrderCases,
) -> None:
    file = cases.with_payment(cases.order("expired"), "expired")
    after, decision = cases.told(file, "confirming")
    assert (after.order.status, after.payments[0].status) == ("expired", "expired")
    assert kinds(decision) == ["late_sighting"]


def test_an_unknown_word_of_the_gateway_changes_nothing(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order())
    after, decision = cases.told(file, "teleported")
    assert decision.reason == "unknown_status"
    assert decision.save == ()
    assert after == file


@pytest.mark.parametrize("word", ["confirming", "expired", "failed"])
def test_a_paid_order_never_moves_back_by_another_payment(cases: OrderCases, word: str) -> None:
    file = cases.with_payment(cases.paid())
    after, _ = cases.told(file, word)
    assert after.order.status == "paid"
    assert after.holds == ()


def test_o23_counts_for_the_money_that_paid_whatever_else_holds_it(cases: OrderCases) -> None:
    file = cases.with_payment(cases.order("paid"), "finished", parent_payment_id="77")
    child = file.payments[0]
    order = msgspec.structs.replace(file.order, settled_by=child.id, paid_at=cases.at)
    hold = cases.rows.hold(order, subject="payment", subject_id=child.id, version=1)
    other = cases.rows.hold(order, reason="paid_after_end", version=1)
    file = msgspec.structs.replace(file, order=order, holds=(hold, other))
    after, _ = cases.told(file, "refunded")
    assert [h.reason for h in after.holds if h.subject == "order"] == [
        "paid_after_end",
        "gateway_refund",
    ]


def test_o23_suspends_the_grants_that_could_still_be_used(cases: OrderCases) -> None:
    file = cases.paid("fulfilled")
    grant = cases.rows.grant(file.items[0], version=1)
    decision = settle(
        file,
        file.payments[0],
        cases.report(file, "refunded"),
        at=cases.at,
        terms=cases.terms(),
        grants=[grant],
    )
    revoked = [c.after for c in decision.save if c.after.id == grant.id]
    assert [getattr(row, "revoked_at", None) for row in revoked] == [cases.at]


def given_up(cases: OrderCases) -> OrderFile:
    """An order of which one item was delivered before somebody gave up on the rest."""
    file = cases.paid("partially_fulfilled")
    failed = msgspec.structs.replace(
        file.order, status="failed", failure_reason="fulfilment_failed"
    )
    return msgspec.structs.replace(file, order=failed)


def test_o23_ends_what_an_order_given_up_on_still_reveals(cases: OrderCases) -> None:
    file = given_up(cases)
    assert allows_reveal(file)
    grant = cases.rows.grant(file.items[0], version=1)
    decision = settle(
        file,
        file.payments[0],
        cases.report(file, "refunded"),
        at=cases.at,
        terms=cases.terms(),
        grants=[grant],
    )
    after = applied(file, decision)
    assert (after.order.status, after.order.failure_reason) == ("failed", "fulfilment_failed")
    assert [(h.subject, h.reason) for h in after.holds] == [("order", "gateway_refund")]
    assert not allows_reveal(after)
    rejected = decide_hold(
        after,
        after.holds[0].id,
        accept=False,
        by="admin/1",
        reason="the money came again",
        expected_version=after.order.version,
        at=cases.at,
        terms=cases.terms(),
        held_keys=cases.keys,
    )
    assert allows_reveal(applied(after, rejected))
    revoked = [c.after for c in decision.save if c.after.id == grant.id]
    assert [getattr(row, "revoked_at", None) for row in revoked] == [cases.at]


def test_o23_a_refund_of_other_money_leaves_an_order_given_up_on_as_it_is(
    cases: OrderCases,
) -> None:
    after, _ = cases.told(cases.with_payment(given_up(cases)), "refunded")
    assert after.holds == ()


@pytest.mark.parametrize("status", ["finished", "partially_paid"])
def test_a_refund_of_money_that_did_not_pay_leaves_a_paid_order_alone(
    cases: OrderCases, status: str
) -> None:
    file = cases.with_payment(
        cases.paid(), "finished" if status == "finished" else "partially_paid"
    )
    after, _ = cases.told(file, "refunded")
    assert after.order.status == "paid"
    assert after.holds == ()


@given(words=st.permutations(list(GATEWAY_STATUS)))
def test_the_payment_ends_at_the_highest_rank_whatever_the_order_of_arrival(
    words: list[str],
) -> None:
    cases = OrderCases()
    file = cases.with_payment(cases.order())
    for word in words:
        file, _ = cases.told(file, word, late=True)
    assert file.payments[0].status == "refunded"
    assert len(file.payments) == 1


@given(words=st.permutations(["waiting", "confirming", "confirmed", "sending", "finished"] * 2))
def test_a_good_payment_pays_its_order_once_whatever_the_order_of_arrival(
    words: list[str],
) -> None:
    cases = OrderCases()
    file = cases.with_payment(cases.order())
    paid = 0
    for word in words:
        file, decision = cases.told(file, word)
        paid += kinds(decision).count("order_paid")
    assert (paid, file.order.status, len(file.fulfilments)) == (1, "paid", 2)
