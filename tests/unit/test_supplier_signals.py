"""Every signal of a supplier has its consequence for the fulfilment."""

from datetime import timedelta
from decimal import Decimal
from itertools import count

import msgspec
import pytest

from bitloot.domain import purchase, supplier_progress
from bitloot.domain.decision import Decision
from bitloot.domain.fulfilment import BlockedReason, Fulfilment, SupplierAttempt
from bitloot.domain.hold import Hold
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.supply import SupplierKeyState, SupplierOrder, UnitState
from bitloot.domain.unknown_order import unknown_order
from bitloot.testing.order_cases import applied
from bitloot.testing.rows import Rows
from bitloot.testing.virtual_time import START

LIMITS = Limits()
NEXT = count(1)
ROWS = Rows(clock=lambda: START, new_id=lambda: f"id-{next(NEXT):06d}")
AT = START + timedelta(seconds=5)


def case(
    state: str = "reserved", *, quantity: int = 3, attempt_state: str = "created"
) -> tuple[OrderFile, Fulfilment, SupplierAttempt]:
    bought = ROWS.purchase(ROWS.goods(), quantity=quantity)
    order = msgspec.structs.replace(bought.order, version=1, status="paid")
    fulfilment = ROWS.fulfilment(bought.item, version=1, state=state, gen=1)
    attempt = ROWS.attempt(
        fulfilment,
        version=1,
        state=attempt_state,
        supplier_order_id="S1",
        created_at=START,
        cost=Decimal(27),
        external_id=f"{order.number}-1-1-1",
    )
    file = OrderFile(
        order=order, items=bought.items, fulfilments=(fulfilment,), attempts=(attempt,)
    )
    return file, fulfilment, attempt


def report(
    state: str = "processing", *units: UnitState, minute: int = 0, preorder: bool = False
) -> SupplierOrder:
    keys = tuple(SupplierKeyState(f"K{n}", unit) for n, unit in enumerate(units, start=1))
    order = SupplierOrder(
        supplier_order_id="S1",
        external_id="x",
        state="processing",
        quantity=3,
        total=Decimal(27),
        is_preorder=preorder,
        keys=keys,
        created_at=START,
        updated_at=START + timedelta(minutes=minute),
    )
    return msgspec.structs.replace(order, state=state)


def observed(
    file: OrderFile, seen: SupplierOrder, sealed: tuple[SealedKey, ...] = ()
) -> tuple[Decision, OrderFile]:
    decision = supplier_progress.observe(
        file,
        file.fulfilments[0],
        file.attempts[0],
        seen,
        sealed,
        at=AT,
        new_id=ROWS.new_id,
    )
    return decision, applied(file, decision)


def sealed(fulfilment: Fulfilment, slot: int, key_id: str) -> SealedKey:
    return ROWS.sealed_key(
        version=1,
        order_id=fulfilment.order_id,
        order_item_id=fulfilment.order_item_id,
        slot=slot,
        fulfilment_id=fulfilment.id,
        supplier_key_id=key_id,
    )


def test_an_order_in_processing_stays_reserved() -> None:
    file, _, _ = case()
    _, after = observed(file, report("processing", "pending", "pending", "pending"))
    assert after.fulfilments[0].state == "reserved"


def test_a_preorder_in_processing_waits_for_its_release_if_it_was_sold_as_one() -> None:
    file, _, _ = case()
    _, unpromised = observed(file, report(preorder=True))
    assert unpromised.fulfilments[0].state == "reserved"
    item = msgspec.structs.replace(file.items[0], is_preorder=True)
    _, after = observed(msgspec.structs.replace(file, items=(item,)), report(preorder=True))
    assert after.fulfilments[0].state == "awaiting_release"


@pytest.mark.parametrize(("word", "ended"), [("canceled", "canceled"), ("refunded", "refunded")])
def test_a_lost_order_gives_our_money_back_and_the_buyer_is_still_owed(
    word: str, ended: str
) -> None:
    file, fulfilment, _ = case()
    key = sealed(fulfilment, 1, "K1")
    decision, after = observed(file, report(word, "refunded", "refunded", "refunded"), (key,))
    assert after.fulfilments[0].state == "supplier_refunded"
    assert after.attempts[0].state == ended
    rows = [change.after for change in decision.save]
    assert [r.state for r in rows if isinstance(r, SealedKey)] == ["returned"]
    booked = {r.account: r.amount for r in rows if isinstance(r, LedgerLine)}
    assert booked == {"supplier": Decimal(27), "cost": Decimal(-27)}


def test_an_order_refunded_after_delivery_holds_the_item_instead() -> None:
    file, fulfilment, _ = case("delivered", attempt_state="completed")
    decision, after = observed(file, report("refunded", "refunded"), (sealed(fulfilment, 1, "K1"),))
    assert after.fulfilments[0].state == "delivered"
    assert [h.reason for h in after.holds] == ["supplier_refund"]
    again, _ = observed(after, report("refunded", "refunded"))
    assert not any(isinstance(change.after, Hold) for change in again.save)
    assert any(isinstance(change.after, LedgerLine) for change in decision.save)


@pytest.mark.parametrize("word", ["returned", "refunded", "canceled"])
def test_a_unit_taken_back_moves_to_a_linked_fulfilment(word: UnitState) -> None:
    file, fulfilment, _ = case()
    seen = report("processing", "delivered", word, "pending")
    key = sealed(fulfilment, 1, "K1")
    _, after = observed(file, seen, (key,))
    first, linked = after.fulfilments
    assert (first.slots, linked.slots) == ((1, 2), (3,))
    assert (linked.state, linked.replaces, linked.part) == ("supplier_refunded", first.id, 2)
    repeated, _ = observed(after, seen, (key,))
    assert not any(event.kind == "fulfilment_planned" for event in repeated.events)


def test_a_sealed_unit_taken_back_frees_its_own_slot() -> None:
    file, fulfilment, _ = case()
    key = sealed(fulfilment, 2, "K1")
    _, after = observed(file, report("processing", "refunded", "pending", "pending"), (key,))
    assert [f.slots for f in after.fulfilments] == [(1, 3), (2,)]


def test_a_key_taken_back_is_missed_though_another_unit_was_replaced_before_the_delivery() -> None:
    file, fulfilment, _ = case("vaulted", attempt_state="completed")
    rest = msgspec.structs.replace(fulfilment, slots=(1, 3))
    file = msgspec.structs.replace(file, fulfilments=(rest,))
    aside = msgspec.structs.replace(sealed(fulfilment, 2, "K2"), state="quarantined")
    keys = (sealed(fulfilment, 1, "K1"), aside, sealed(fulfilment, 3, "K3"))
    _, replaced = observed(file, report("completed", "delivered", "returned", "delivered"), keys)
    assert replaced.holds == ()
    seen = report("completed", "returned", "delivered", "delivered", minute=1)
    decision, after = observed(file, seen, keys)
    assert [(h.subject, h.reason) for h in after.holds] == [("item", "supplier_refund")]
    assert after.fulfilments[0].slots == (1, 3)
    booked = {r.account: r.amount for c in decision.save if isinstance(r := c.after, LedgerLine)}
    assert booked == {"supplier": Decimal(9), "cost": Decimal(-9)}


def test_units_lost_one_after_the_other_are_each_booked_once_to_the_whole_cost() -> None:
    file, fulfilment, _ = case("vaulted", attempt_state="completed")
    (attempt,) = file.attempts
    file = msgspec.structs.replace(
        file, attempts=(msgspec.structs.replace(attempt, cost=Decimal(10)),)
    )
    keys = tuple(sealed(fulfilment, slot, f"K{slot}") for slot in (1, 2, 3))
    lines: list[LedgerLine] = []
    for lost, word in ((1, "completed"), (1, "completed"), (2, "completed"), (3, "refunded")):
        units: list[UnitState] = ["returned"] * lost
        units += ["delivered"] * (3 - lost)
        decision, file = observed(file, report(word, *units), keys)
        lines += [r for change in decision.save if isinstance(r := change.after, LedgerLine)]
    assert sum(line.amount for line in lines if line.account == "cost") == Decimal(-10)
    assert sum(line.amount for line in lines) == 0
    assert len({(line.entry, line.account) for line in lines}) == len(lines)
    assert file.attempts[0].state == "refunded"


def test_news_older_than_what_is_known_is_ignored() -> None:
    file, _, _ = case()
    _, after = observed(file, report("processing", minute=9))
    decision, _ = observed(after, report("refunded", minute=8))
    assert decision.reason == "stale"
    assert decision.save == ()


def test_keys_are_wanted_as_soon_as_one_can_be_read() -> None:
    _, fulfilment, _ = case()
    none = report("processing", "pending", "pending")
    one = report("processing", "delivered", "pending")
    assert not supplier_progress.has_new_keys(none, ())
    assert supplier_progress.has_new_keys(one, ())
    assert not supplier_progress.has_new_keys(one, (sealed(fulfilment, 1, "K1"),))


def test_a_completed_order_is_asked_for_all_its_keys_whatever_it_says_of_each() -> None:
    _, fulfilment, _ = case()
    keys = tuple(sealed(fulfilment, n, f"K{n}") for n in (1, 2, 3))
    wanted = supplier_progress.has_new_keys
    for told in ((), ("pending",) * 3, ("delivered", "delivered", "pending"), ("delivered",) * 2):
        order = report("completed", *told)
        assert wanted(order, ())
        assert wanted(order, keys[:2])
        assert not wanted(order, keys)
        # What an order of before gave is no key of this one.
        old = (sealed(fulfilment, n, f"OLD{n}") for n in (1, 2, 3))
        assert wanted(order, [msgspec.structs.replace(key, state="returned") for key in old])
    assert not wanted(report("completed", "delivered", "delivered", "returned"), keys[:2])
    assert not wanted(report("processing", "pending", "pending", "pending"), ())


def test_the_order_is_polled_ever_more_slowly() -> None:
    _, _, attempt = case()
    waits = [
        supplier_progress.poll_after(
            attempt, at=START + timedelta(seconds=age), is_preorder=False, limits=LIMITS
        )
        for age in (0, 2, 6, 14, 30, 62, 3599, 3600, 90_000)
    ]
    assert [int(wait.total_seconds()) for wait in waits] == [2, 4, 8, 16, 32, 60, 60, 300, 300]
    preorder = supplier_progress.poll_after(attempt, at=START, is_preorder=True, limits=LIMITS)
    assert preorder == timedelta(hours=1)


def refused(reason: str) -> OrderFile:
    file, fulfilment, attempt = case("reserving", attempt_state="intent")
    decision = purchase.refused(
        file, fulfilment, attempt, reason, at=AT, new_id=ROWS.new_id, limits=LIMITS
    )
    return applied(file, decision)


@pytest.mark.parametrize(
    ("reason", "state", "blocked"),
    [
        ("balance", "blocked", "balance"),
        ("credentials", "blocked", "credentials"),
        ("unavailable", "reserving", None),
        ("not_found", "reserving", None),
        ("invalid", "failed_terminal", None),
        ("something new", "failed_terminal", None),
    ],
)
def test_each_definite_no_has_its_consequence(reason: str, state: str, blocked: str | None) -> None:
    after = refused(reason)
    assert after.attempts[0].state == "rejected"
    assert (after.fulfilments[0].state, after.fulfilments[0].blocked_reason) == (state, blocked)
    assert [h.subject for h in after.holds] == (["item"] if state == "failed_terminal" else [])


def test_an_offer_that_was_refused_is_not_asked_again_in_this_round() -> None:
    after = refused("unavailable")
    attempt = after.attempts[0]
    assert after.fulfilments[0].tried_offers == (f"{attempt.supplier}/{attempt.offer_id}",)


@pytest.mark.parametrize("reason", ["price", "stock"])
def test_money_that_came_back_and_no_offer_are_for_a_person_also_when_a_breaker_came_between(
    reason: BlockedReason,
) -> None:
    file, fulfilment, _ = case("supplier_refunded", attempt_state="canceled")
    waiting = applied(
        file,
        purchase.blocked(file, fulfilment, "breaker", at=AT, new_id=ROWS.new_id, limits=LIMITS),
    )
    [row] = waiting.fulfilments
    assert (row.state, row.blocked_reason, row.round) == ("blocked", "breaker", 2)
    told = applied(
        waiting, purchase.blocked(waiting, row, reason, at=AT, new_id=ROWS.new_id, limits=LIMITS)
    )
    assert told.fulfilments[0].state == "failed_terminal"
    # Without money that came back it is waited for as ever.
    file, fulfilment, _ = case("pending", attempt_state="rejected")
    waiting = applied(
        file,
        purchase.blocked(file, fulfilment, "breaker", at=AT, new_id=ROWS.new_id, limits=LIMITS),
    )
    patient = applied(
        waiting,
        purchase.blocked(
            waiting, waiting.fulfilments[0], reason, at=AT, new_id=ROWS.new_id, limits=LIMITS
        ),
    )
    assert patient.fulfilments[0].state == "blocked"


def test_an_order_elsewhere_under_the_same_id_is_given_back_and_never_taken_for_ours() -> None:
    file, fulfilment, doubted = case("reserving", attempt_state="unknown")
    doubted = msgspec.structs.replace(doubted, supplier_order_id=None, cost=None)
    file = msgspec.structs.replace(file, attempts=(doubted,))
    late = msgspec.structs.replace(
        report("processing", "delivered"), external_id=doubted.external_id
    )
    elsewhere = applied(
        file,
        unknown_order(
            file, fulfilment, late, supplier="other", at=AT, new_id=ROWS.new_id, limits=LIMITS
        ),
    )
    assert [(a.supplier, a.state, a.returning) for a in elsewhere.attempts] == [
        (doubted.supplier, "unknown", "none"),
        ("other", "canceled", "wanted"),
    ]
    ours = applied(
        file,
        unknown_order(
            file,
            fulfilment,
            late,
            supplier=doubted.supplier,
            at=AT,
            new_id=ROWS.new_id,
            limits=LIMITS,
        ),
    )
    assert [(a.supplier, a.state) for a in ours.attempts] == [(doubted.supplier, "created")]


def test_a_supplier_that_cannot_be_reached_is_waited_for_in_the_state_it_was() -> None:
    file, fulfilment, attempt = case("reserving", attempt_state="intent")
    decision = purchase.unsent(file, fulfilment, attempt, "rate_limited", at=AT, new_id=ROWS.new_id)
    after = applied(file, decision).fulfilments[0]
    assert (after.state, after.waits_in, after.last_error) == (
        "retry_wait",
        "reserving",
        "rate_limited",
    )


def test_doubt_leaves_the_fulfilment_as_it_is_and_arms_the_search() -> None:
    file, _, attempt = case("reserving", attempt_state="intent")
    decision = purchase.doubted(file, attempt, at=AT, new_id=ROWS.new_id, limits=LIMITS)
    after = applied(file, decision)
    assert after.fulfilments[0].state == "reserving"
    assert after.attempts[0].state == "unknown"
    assert after.attempts[0].next_check_at == AT + timedelta(seconds=2)
