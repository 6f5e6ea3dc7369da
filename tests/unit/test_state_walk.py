"""Every table walked, and every order that the rules can reach: no dead end, nothing forbidden."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from click.testing import CliRunner

from bitloot.domain.decision import Decision, Row
from bitloot.domain.delivery import given_up, uploaded
from bitloot.domain.errors import Refused
from bitloot.domain.forbidden import OF_THE_ORDER, expired_under_way, forbidden_pairs
from bitloot.domain.fulfilment import ATTEMPT, FULFILMENT, Fulfilment
from bitloot.domain.goods import Today
from bitloot.domain.hold_decision import decide_hold
from bitloot.domain.key_inventory import INVENTORY_KEY, InventoryKey, SealedKey
from bitloot.domain.machine import Machine, faults
from bitloot.domain.order import ORDER, OrderFile, OrderStatus
from bitloot.domain.order_end import cancel, expire
from bitloot.domain.override import overridable, override
from bitloot.domain.payment import GATEWAY_STATUS, PAYMENT, Payment
from bitloot.domain.refund import Goods as RefundGoods
from bitloot.domain.refund import RefundRecord, record_refund
from bitloot.domain.reservation import RESERVATION
from bitloot.domain.reveal import Grant
from bitloot.domain.settlement import TodayNeeded, settle
from bitloot.domain.state_tables import state_tables
from bitloot.testing.order_cases import OrderCases, applied
from bitloot_web.cli.states import states

ROOT = Path(__file__).parents[2]
MACHINES = (ORDER, PAYMENT, FULFILMENT, ATTEMPT, RESERVATION, INVENTORY_KEY)
DEPTH = 5
WORDS = ("confirming", "expired", "failed", "partially_paid", "finished", "refunded")


# --- the tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_table_has_no_unknown_unreachable_or_dead_state(machine: Machine[str]) -> None:
    assert faults(machine) == []


@pytest.mark.parametrize(
    ("moves", "terminal", "fault"),
    [
        ({"a": {"go": "b"}}, frozenset(), "which has no row"),
        ({"a": {"go": "a2"}, "a2": {}, "b": {}}, frozenset({"a2", "b"}), "cannot be reached"),
        ({"a": {"go": "b"}, "b": {}}, frozenset(), "is a dead end"),
        ({"a": {"go": "b"}, "b": {"stay": "b"}}, frozenset(), "is a dead end"),
    ],
)
def test_a_planted_fault_of_each_kind_is_found_in_a_table(
    moves: dict[str, dict[str, str]], terminal: frozenset[str], fault: str
) -> None:
    machine = Machine(name="planted", initial="a", moves=moves, terminal=terminal)
    assert any(fault in found for found in faults(machine))


def test_the_printed_tables_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "states.md").read_text()
    assert page == state_tables()
    assert CliRunner().invoke(states).output == page


# --- the walk ------------------------------------------------------------------------------------


R = TypeVar("R", bound=Row)


def _now(rows: Mapping[str, Row], row: R) -> R:
    """The row as a decision left it."""
    after = rows.get(row.id, row)
    assert isinstance(after, type(row))
    return after


@dataclass(frozen=True)
class World:
    """An order with what a walk needs besides its file."""

    file: OrderFile
    stock: tuple[InventoryKey, ...]
    sealed: tuple[SealedKey, ...] = ()
    grants: tuple[Grant, ...] = ()
    over: bool = False

    def after(self, decision: Decision) -> "World":
        rows = {change.after.id: change.after for change in decision.save}
        return World(
            file=applied(self.file, decision),
            stock=tuple(_now(rows, key) for key in self.stock),
            sealed=tuple(_now(rows, key) for key in self.sealed),
            grants=tuple(_now(rows, grant) for grant in self.grants),
            over=self.over,
        )

    def shape(self) -> tuple[object, ...]:
        """What two worlds share when they go on alike: everything but ids and times."""
        file = self.file
        place = {p.id: n for n, p in enumerate(file.payments)} | {file.order.id: -1}
        return (
            file.order.status,
            file.order.failure_reason,
            frozenset(file.order.remarks),
            file.order.paid_at is not None,
            place.get(file.order.settled_by or ""),
            tuple((p.status, p.is_child) for p in file.payments),
            tuple(r.state for r in file.reservations),
            tuple(f.state for f in file.fulfilments),
            frozenset((h.subject, place.get(h.subject_id), h.reason, h.state) for h in file.holds),
            any(g.revoked_at is None for g in self.grants),
            self.over,
        )


Step = Callable[["Walk", World], Iterator[World]]


class Walk:
    """Steps that the world may take next, each through the rule that the shop uses."""

    def __init__(self, **planted: Step) -> None:
        self.cases = OrderCases()
        self.steps: dict[str, Step] = {**STEPS, **planted}

    def start(self) -> World:
        file = self.cases.with_payment(self.cases.order("waiting"))
        return World(file, self.cases.keys)

    def today(self, world: World) -> Today:
        free = tuple(key for key in world.stock if key.state == "available")
        return self.cases.today(spare=free)

    def judge(self, before: World, after: World, step: str) -> list[str]:
        at = self.cases.at
        found = forbidden_pairs(after.file, at=at, grants=after.grants, keys=after.sealed)
        if step == "timer" and expired_under_way(before.file, after.file):
            found.append("7 expired under way")
        return found

    def find(self, depth: int = DEPTH, until: str | None = None) -> dict[str, str]:
        """Breadth first; each forbidden pair with the step that led to it. Stops at `until`."""
        first = self.start()
        seen = {first.shape()}
        frontier: deque[tuple[World, int]] = deque([(first, 0)])
        found: dict[str, str] = {}
        self.seen = seen
        while frontier and until not in found:
            world, steps = frontier.popleft()
            if steps == depth:
                continue
            for name, step in self.steps.items():
                for following in step(self, world):
                    for pair in self.judge(world, following, name):
                        found.setdefault(pair, name)
                    shape = following.shape()
                    if shape not in seen:
                        seen.add(shape)
                        frontier.append((following, steps + 1))
        return found


def told(walk: Walk, world: World, payment: Payment, word: str, paid: Decimal) -> World:
    report = walk.cases.report(world.file, word, payment, actually_paid=paid)

    def settled(today: Today | None) -> Decision:
        return settle(
            world.file,
            payment,
            report,
            at=walk.cases.at,
            terms=walk.cases.terms(),
            held_keys=world.stock,
            grants=[grant for grant in world.grants if grant.revoked_at is None],
            today=today,
        )

    try:
        decision = settled(None)
    except TodayNeeded:
        decision = settled(walk.today(world))
    return world.after(decision)


def reports(walk: Walk, world: World) -> Iterator[World]:
    for payment in world.file.payments:
        for word in WORDS:
            if GATEWAY_STATUS[word][1] > payment.rank:
                asked = payment.pay_amount or Decimal(1)
                yield told(walk, world, payment, word, asked)
                if word == "finished":
                    yield told(walk, world, payment, word, asked / 3)


def wrong_assets(walk: Walk, world: World) -> Iterator[World]:
    payment = world.file.payments[0]
    yield told(walk, world, payment, "wrong_asset_confirmed", Decimal(0))


def second_payment(walk: Walk, world: World) -> Iterator[World]:
    if world.file.order.status == "waiting" and len(world.file.payments) == 1:
        file = walk.cases.with_payment(world.file)
        yield World(file, world.stock, world.sealed, world.grants, over=world.over)


def child_deposit(walk: Walk, world: World) -> Iterator[World]:
    if not any(p.is_child for p in world.file.payments) and len(world.file.payments) == 1:
        file = walk.cases.with_payment(world.file, "waiting", is_linked=True)
        yield World(file, world.stock, world.sealed, world.grants, over=world.over)


def timer(walk: Walk, world: World) -> Iterator[World]:
    late = world.file.order.window_ends_at + timedelta(days=30)
    yield world.after(expire(world.file, at=late, new_id=walk.cases.new_id, held_keys=world.stock))


def cancelling(walk: Walk, world: World) -> Iterator[World]:
    try:
        yield world.after(
            cancel(world.file, at=walk.cases.at, new_id=walk.cases.new_id, held_keys=world.stock)
        )
    except Refused:
        return


def deciding(walk: Walk, world: World) -> Iterator[World]:
    for hold in world.file.holds:
        for accept in (True, False):
            try:
                decision = decide_hold(
                    world.file,
                    hold.id,
                    accept=accept,
                    by="admin/1",
                    reason="looked",
                    expected_version=world.file.order.version,
                    at=walk.cases.at,
                    terms=walk.cases.terms(),
                    held_keys=world.stock,
                    grants=[grant for grant in world.grants if grant.revoked_at is None],
                    today=walk.today(world),
                )
            except Refused:
                continue
            yield world.after(decision)


def overriding(walk: Walk, world: World) -> Iterator[World]:
    for to in overridable(world.file.order.status):
        try:
            decision = override(
                world.file,
                to,
                by="admin/1",
                reason="by hand",
                expected_version=world.file.order.version,
                confirmed=True,
                at=walk.cases.at,
                terms=walk.cases.terms(),
                held_keys=world.stock,
                grants=[grant for grant in world.grants if grant.revoked_at is None],
                today=walk.today(world),
            )
        except Refused:
            continue
        yield world.after(decision)


def delivering(walk: Walk, world: World) -> Iterator[World]:
    for row in world.file.fulfilments:
        if row.state not in {"pending", "vaulted"}:
            continue
        item = world.file.item(row.order_item_id)
        sealed = next((k for k in world.sealed if k.fulfilment_id == row.id), None)
        key = sealed or walk.cases.rows.sold_key(
            item, fulfilment_id=row.id, version=1, uploaded_at=walk.cases.at
        )
        ready = msgspec.structs.replace(row, state="vaulted")
        rest = [f for f in world.file.fulfilments if f.id != row.id]
        file = msgspec.structs.replace(world.file, fulfilments=(*rest, ready))
        decision = uploaded(
            file, ready, [key], {key.id}, at=walk.cases.at, new_id=walk.cases.new_id
        )
        keys = world.sealed if sealed else (*world.sealed, key)
        yield World(file, world.stock, keys, world.grants, over=world.over).after(decision)


def revealing(walk: Walk, world: World) -> Iterator[World]:
    order = world.file.order
    allowed = order.status in {"partially_fulfilled", "fulfilled"}
    if allowed and world.file.open_order_hold() is None and not world.grants:
        grant = walk.cases.rows.grant(world.file.items[0], version=1)
        yield World(world.file, world.stock, world.sealed, (grant,), over=world.over)


def giving_up(walk: Walk, world: World) -> Iterator[World]:
    yield world.after(
        given_up(
            world.file,
            actor="admin/1",
            reason="no stock",
            at=walk.cases.at,
            new_id=walk.cases.new_id,
        )
    )


def refunding(walk: Walk, world: World) -> Iterator[World]:
    record = RefundRecord(
        amount="0.0002",
        asset="btc",
        address="bc1q",
        tx_id="tx",
        basis="custom",
        eur=Decimal(1),
        reason="asked",
    )
    try:
        decision = record_refund(
            world.file,
            RefundGoods(),
            [grant for grant in world.grants if grant.revoked_at is None],
            record,
            actor="admin/1",
            confirmed=True,
            at=walk.cases.at,
            new_id=walk.cases.new_id,
            limits=walk.cases.limits,
        )
    except Refused:
        return
    yield world.after(decision)


STEPS: dict[str, Step] = {
    "report": reports,
    "wrong asset": wrong_assets,
    "second payment": second_payment,
    "child deposit": child_deposit,
    "timer": timer,
    "cancel": cancelling,
    "decide": deciding,
    "override": overriding,
    "deliver": delivering,
    "reveal": revealing,
    "give up": giving_up,
    "refund": refunding,
}


def test_no_forbidden_pair_can_be_reached_through_the_rules() -> None:
    walk = Walk()
    assert walk.find() == {}
    statuses = {shape[0] for shape in walk.seen}
    assert statuses == set(ORDER.moves) - {"created"}
    assert len(walk.seen) > 500, len(walk.seen)


# --- planted rules -------------------------------------------------------------------------------


def moved(world: World, status: OrderStatus, **fields: object) -> World:
    order = msgspec.structs.replace(world.file.order, status=status, **fields)
    file = msgspec.structs.replace(world.file, order=order)
    return World(file, world.stock, world.sealed, world.grants, over=world.over)


def fulfils_too_soon(walk: Walk, world: World) -> Iterator[World]:
    for after in delivering(walk, world):
        yield moved(after, "fulfilled")


def never_fulfils(walk: Walk, world: World) -> Iterator[World]:
    for after in delivering(walk, world):
        yield moved(after, "paid")


def believes_a_sighting(walk: Walk, world: World) -> Iterator[World]:
    for after in reports(walk, world):
        on_its_way = after.file.order.status == "confirming"
        yield moved(after, "paid", paid_at=walk.cases.at) if on_its_way else after


def plans_before_the_money(walk: Walk, world: World) -> Iterator[World]:
    for after in reports(walk, world):
        row: Fulfilment = walk.cases.rows.fulfilment(after.file.items[0], version=1)
        planned = msgspec.structs.replace(after.file, fulfilments=(row,))
        yield World(planned, after.stock, after.sealed, after.grants)


def drops_what_does_not_fit(walk: Walk, world: World) -> Iterator[World]:
    for after in reports(walk, world):
        yield World(msgspec.structs.replace(after.file, holds=()), after.stock)


def leaves_grants_usable(walk: Walk, world: World) -> Iterator[World]:
    for after in reports(walk, world):
        yield World(after.file, after.stock, after.sealed, world.grants)


def seals_twice(walk: Walk, world: World) -> Iterator[World]:
    for after in delivering(walk, world):
        twice = tuple(msgspec.structs.replace(k, id=walk.cases.new_id()) for k in after.sealed)
        yield World(after.file, after.stock, (*after.sealed, *twice), after.grants)


def keeps_the_goods(walk: Walk, world: World) -> Iterator[World]:
    for after in timer(walk, world):
        file = msgspec.structs.replace(after.file, reservations=world.file.reservations)
        yield World(file, world.stock)


def expires_whatever_comes(walk: Walk, world: World) -> Iterator[World]:
    if world.file.order.status == "confirming":
        yield moved(world, "expired")


PLANTED: tuple[tuple[str, Step, str], ...] = (
    ("deliver", fulfils_too_soon, "1 fulfilled but owed"),
    ("deliver", never_fulfils, "1 fulfilled but owed"),
    ("report", believes_a_sighting, "2 paid without money"),
    ("report", plans_before_the_money, "3 fulfilment of an unpaid order"),
    ("report", drops_what_does_not_fit, "4 money unnoticed"),
    ("report", leaves_grants_usable, "5 grant beyond its right"),
    ("deliver", seals_twice, "6 a unit twice"),
    ("timer", keeps_the_goods, "7 goods kept too long"),
    ("timer", expires_whatever_comes, "7 expired under way"),
)


@pytest.mark.parametrize(("step", "planted", "pair"), PLANTED)
def test_a_planted_rule_that_breaks_a_promise_is_found(step: str, planted: Step, pair: str) -> None:
    walk = Walk(**{step: planted})
    assert pair in walk.find(until=pair)


def test_every_pair_of_the_order_has_a_planted_rule() -> None:
    planted = {pair for _, _, pair in PLANTED}
    assert set(OF_THE_ORDER) <= planted
    assert len(planted) == 8
