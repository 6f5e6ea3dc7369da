"""Random histories of one order and its payments, told to the shop and to a small pure model.

After each step the shop must stand where the model stands. `BITLOOT_TEST_HISTORIES=20000` runs so
many of them with other seeds each time, instead of the few that every run of the tests has.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.order_model import ALIVE, ITEM, MEANING, Model, Standing
from tests.unit.simulation.world import at_once

from bitloot.domain import failpoints
from bitloot.domain.errors import Refused
from bitloot.domain.hold import Hold
from bitloot.domain.idempotency import Once
from bitloot.domain.order import Order, OrderItem, OrderStatus
from bitloot.domain.payment import Payment
from bitloot.domain.quote import Wanted
from bitloot.domain.refund import RefundRecord
from bitloot.usecases.payments.desk import Ruling
from bitloot_adapters.memory.supplier import NextOrder
from bitloot_web.composition.memory import GATEWAY
from bitloot_web.testing import TestShop, shop

HISTORIES = int(os.environ.get("BITLOOT_TEST_HISTORIES", "0"))
BELIEVED_BELOW = 45
# A little longer than a lease, and than the dark a crash leaves at the supplier.
LEASE_OVER, SETTLED = 2, 20
# Longer than the order's window, and than the gap between two polls after it.
HOUR = 65
MOST_MINUTES = 4 * HOUR
DEADLY_TO_MONEY = (
    failpoints.AFTER_SIGNATURE_CHECK,
    failpoints.AFTER_WEBHOOK_COMMIT,
    failpoints.BEFORE_PAID_COMMIT,
    failpoints.AFTER_PAID_COMMIT,
)
DEADLY_TO_GOODS = (
    failpoints.AFTER_INTENT_COMMIT,
    failpoints.SUPPLIER_DONE_NO_REPLY,
    failpoints.REPLY_BEFORE_OUTCOME,
    failpoints.AFTER_OUTCOME_COMMIT,
    failpoints.KEYS_READ_BEFORE_SEAL,
    failpoints.AFTER_SEAL,
    failpoints.UPLOADED_BEFORE_DELIVER,
    failpoints.AFTER_DELIVER_COMMIT,
)
DEADLY = (*DEADLY_TO_MONEY, *DEADLY_TO_GOODS)


class Crash(BaseException):
    """The process dies here: nothing of the shop catches it."""


class OrderHistory(RuleBasedStateMachine):
    """Tells shop and model the same story."""

    shop: TestShop
    model: Model

    @initialize(goods=st.sampled_from(["there", "slow", "refused"]))
    def is_placed_with_a_payment(self, goods: str) -> None:
        self.deadly: str | None = None
        self.shop = at_once(shop(seed=5, failpoint=self._failpoint).__aenter__())
        self.model = Model(goods)
        self.gateway = self.shop.around.gateway
        self.callbacks: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.now: dict[str, str] = {}
        self.paid: dict[str, Decimal] = {}
        self.unheard: str | None = None
        self.count = 0
        if goods == "slow":
            self.shop.around.supplier.next_order(NextOrder(after=timedelta(days=400)))
        elif goods == "refused":
            self.shop.around.supplier.next_order(NextOrder(refuse="invalid"))
        self.order_id = self._placed()
        self._open()

    def _failpoint(self, name: str) -> None:
        if name == self.deadly:
            self.deadly = None
            raise Crash(name)

    def _placed(self) -> str:
        slug = at_once(self.shop.stock_supplier("Lantern", cost=Decimal("8.00"), units=9))
        checkout = self.shop.shop.checkout
        basket = [Wanted(product=slug, quantity=1)]
        quoted = at_once(checkout.quote(basket, country=None, asset=None))
        facts = at_once(
            checkout.place(
                quoted.quote.id, email="a@shop.example", placed_from="a", once=_once("place")
            )
        )
        return facts.order_id

    def order(self) -> Order:
        found = self.shop.around.store.tables.get(Order, self.order_id)
        assert found is not None
        return found

    def _another(self, what: str) -> Once:
        self.count += 1
        return _once(f"{what}-{self.count}")

    def _ruling(self) -> Ruling:
        return Ruling(by="desk", reason="seen", expected_version=self.order().version)

    def _work(self) -> None:
        """Every job that is due. Who dies at it is followed by another once the lease is over."""
        died = False
        for _ in range(3):
            try:
                at_once(self.shop.run_due())
            except Crash:
                died = True
                at_once(self.shop.advance(timedelta(minutes=LEASE_OVER)))
        if died:
            at_once(self.shop.advance(timedelta(minutes=SETTLED)))

    # --- what buyer and gateway do ---------------------------------------------------------

    @precondition(
        lambda self: (
            self.model.status in {"created", "waiting"}
            and not self.model.is_held("order")
            and len(self.now) < 3
        )
    )
    @rule()
    def opens_another_payment(self) -> None:
        self._open()

    def _open(self) -> None:
        at_once(self.shop.shop.opening.pay(self.order_id, asset="btc", once=self._another("pay")))
        known = self.gateway.of_order(self.order().number)[-1].gateway_payment_id
        self.now[known], self.paid[known] = "waiting", Decimal(0)
        self.model.opened(known)

    @precondition(lambda self: self.movable())
    @rule(data=st.data(), part=st.sampled_from(["0.5", "1", "1", "1.5"]))
    def the_gateway_moves_a_payment(self, data: st.DataObject, part: str) -> None:
        self._move(data, Decimal(part), is_heard=True)

    @precondition(lambda self: self.movable())
    @rule(data=st.data(), part=st.sampled_from(["0.5", "1", "1.5"]))
    def the_gateway_moves_a_payment_and_its_callback_is_lost(
        self, data: st.DataObject, part: str
    ) -> None:
        self._move(data, Decimal(part), is_heard=False)

    @precondition(lambda self: self.movable() and self.has_time(LEASE_OVER + SETTLED))
    @rule(data=st.data())
    def a_process_dies_while_it_takes_in_a_payment(self, data: st.DataObject) -> None:
        before = self.shop.around.clock.now()
        # A refusal that nobody wrote down is asked for once more, and may be none then.
        points = DEADLY_TO_MONEY if self.model.goods == "refused" else DEADLY
        self.deadly = data.draw(st.sampled_from(points))
        self._move(data, Decimal(1), is_heard=True)
        self.deadly = None
        gone = (self.shop.around.clock.now() - before).total_seconds() / 60
        self.model.time_passes(round(gone))

    def movable(self) -> list[str]:
        return sorted(payment for payment, word in self.now.items() if word != "refunded")

    def has_time(self, minutes: int) -> bool:
        """Whether so much can pass without the order's window or a poll coming into it."""
        model = self.model
        is_timed = model.status in {"created", "waiting"}
        ends = model.now + minutes + 2
        return self.unheard is None and (not is_timed or ends < model.window_ends)

    def _move(self, data: st.DataObject, part: Decimal, *, is_heard: bool) -> None:
        payment = data.draw(st.sampled_from(self.movable()))
        rank = MEANING[self.now[payment]][1]
        word = data.draw(st.sampled_from([w for w, (_, r) in MEANING.items() if r > rank]))
        if word in {"finished", "partially_paid"}:
            came = part if word == "finished" else Decimal("0.5")
            self.paid[payment] += came
            self.gateway.move(payment, "waiting")
            self.gateway.pay(payment, came, status=word)
        else:
            self.gateway.move(payment, word)
        self.now[payment] = word
        headers, body = self.gateway.webhook(payment)
        self.callbacks.append((payment, word, headers, body))
        # Two polls would come in either order: one payment at a time is left to them.
        may_be_lost = self.unheard is None and self.model.payments[payment] in ALIVE
        if is_heard or not may_be_lost:
            self._hear(len(self.callbacks) - 1)
        else:
            self.unheard = payment

    @precondition(lambda self: self.callbacks)
    @rule(data=st.data())
    def a_callback_comes_late_or_twice(self, data: st.DataObject) -> None:
        self._hear(data.draw(st.integers(0, len(self.callbacks) - 1)))

    def _hear(self, index: int) -> None:
        payment, word, headers, body = self.callbacks[index]
        intake = self.shop.shop.webhook_intake
        was_known = False
        try:
            was_known = at_once(intake.accept(GATEWAY, headers, body)) == "duplicate"
        except Crash:
            # Not answered: the gateway sends it again.
            at_once(intake.accept(GATEWAY, headers, body))
        self._work()
        if was_known:
            return
        believed = word if MEANING[word][1] < BELIEVED_BELOW else self.now[payment]
        self._told(payment, believed)
        if self.unheard == payment and believed == self.now[payment]:
            self.unheard = None

    def _told(self, payment: str, word: str) -> None:
        self.model.reported(payment, word, self.paid[payment])

    @precondition(
        lambda self: (
            self.unheard is None
            and len(self.model.children) < 2
            and "finished" in self.now.values()
        )
    )
    @rule(data=st.data())
    def more_money_comes_to_an_address(self, data: st.DataObject) -> None:
        finished = sorted(payment for payment, word in self.now.items() if word == "finished")
        parent = data.draw(st.sampled_from(finished))
        child = self.gateway.redeposit(parent, Decimal("0.0001")).gateway_payment_id
        headers, body = self.gateway.webhook(child)
        at_once(self.shop.shop.webhook_intake.accept(GATEWAY, headers, body))
        self._work()
        self.model.deposited_again(child)

    @rule()
    def the_buyer_cancels(self) -> None:
        cancelling = self.shop.shop.checkout.cancel(self.order_id, once=self._another("cancel"))
        if self.model.status == "cancelled" or self.model.may_cancel():
            at_once(cancelling)
            self.model.cancelled()
        else:
            with pytest.raises(Refused, match="order-not-cancellable"):
                at_once(cancelling)

    # --- time, and what the supplier does --------------------------------------------------

    @precondition(lambda self: self.model.now < MOST_MINUTES)
    @rule()
    def an_hour_passes(self) -> None:
        at_once(self.shop.advance(timedelta(minutes=HOUR)))
        if self.unheard is not None:
            self._told(self.unheard, self.now[self.unheard])
            self.unheard = None
        self.model.time_passes(HOUR)

    @precondition(
        lambda self: (
            self.model.goods == "slow"
            and self.model.status == "paid"
            and not self.model.is_held("order")
            and self.has_time(7)
        )
    )
    @rule()
    def the_supplier_delivers(self) -> None:
        [ordered] = self.shop.around.supplier.order_ids
        self.shop.around.supplier.deliver(ordered)
        at_once(self.shop.advance(timedelta(minutes=7)))
        self.model.time_passes(7)
        self.model.goods_come()

    # --- what the desk does ----------------------------------------------------------------

    @precondition(
        lambda self: (
            self.model.status in {"paid", "fulfilled"}
            or (self.model.status == "failed" and self.model.reason != "underpaid")
        )
    )
    @rule()
    def the_desk_refunds(self) -> None:
        record = RefundRecord(
            amount="1",
            asset="btc",
            address="a",
            tx_id="t",
            basis="fiat",
            eur=Decimal(1),
            reason="r",
        )
        at_once(
            self.shop.shop.aftercare.refund(self.order_id, record, actor="desk", confirmed=True)
        )
        self.model.refunded()

    @precondition(lambda self: self.model.status == "paid")
    @rule()
    def the_desk_gives_up(self) -> None:
        at_once(self.shop.shop.aftercare.give_up(self.order_id, actor="desk", reason="r"))
        self.model.given_up()

    @precondition(lambda self: self.may_retry())
    @rule()
    def the_desk_tries_again(self) -> None:
        at_once(self.shop.shop.aftercare.retry(self.order_id, actor="desk", reason="r"))
        self.model.retried()

    def may_retry(self) -> bool:
        model = self.model
        is_owed = model.status == "paid" and model.is_held(ITEM)
        was_given_up = model.status == "failed" and model.reason == "fulfilment_failed"
        kept = model.payments.get(model.settled_by or "") != "refunded"
        return is_owed or (was_given_up and kept)

    @precondition(lambda self: self.model.status in {"waiting", "confirming"})
    @rule(to=st.sampled_from(["failed", "expired"]))
    def the_desk_sets_the_status(self, to: OrderStatus) -> None:
        at_once(
            self.shop.shop.money_desk.override(
                self.order_id,
                to,
                self._ruling(),
                confirmed=True,
                failure_reason="provider_failed" if to == "failed" else None,
            )
        )
        self.model.overridden(to)

    @precondition(lambda self: self.decidable())
    @rule(data=st.data(), accept=st.booleans())
    def the_desk_decides_a_hold(self, data: st.DataObject, accept: bool) -> None:
        subject, reason = data.draw(st.sampled_from(self.decidable()))
        is_paid = self.model.status in {"paid", "fulfilled", "refunded"}
        behind = self.model.evidence(subject)
        # Which of several payments stands behind it is not for the model to say.
        accept = accept and (is_paid or len(behind) == 1)
        self._decide(subject, reason, accept=accept)
        paid = self.paid.get(behind[0], Decimal(1)) if behind else Decimal(0)
        self.model.decided((subject, reason), accept=accept, paid=paid)

    def decidable(self) -> list[tuple[str, str]]:
        return sorted(hold for hold in self.model.holds if hold[0] != ITEM)

    def _decide(self, subject: str, reason: str, *, accept: bool) -> None:
        names = self._names()
        hold = next(
            hold
            for hold in self.shop.around.store.rows(Hold)
            if hold.is_open and (names[hold.subject_id], hold.reason) == (subject, reason)
        )
        at_once(
            self.shop.shop.money_desk.decide_hold(
                hold.id,
                self._ruling(),
                accept=accept,
                signed_loss=True,
                once=self._another("decide"),
            )
        )

    # --- what must be the same -------------------------------------------------------------

    def _names(self) -> dict[str, str]:
        """The rows' ids as the model calls them."""
        store = self.shop.around.store
        payments = {row.id: row.gateway_payment_id or "" for row in store.rows(Payment)}
        items = {row.id: ITEM for row in store.rows(OrderItem)}
        return payments | items | {self.order_id: "order"}

    @invariant()
    def the_shop_stands_where_the_model_stands(self) -> None:
        self._work()
        order, names = self.order(), self._names()
        stands = Standing(
            status=order.status,
            reason=order.failure_reason,
            payments={names[row.id]: row.status for row in self.shop.around.store.rows(Payment)},
            holds={
                (names[hold.subject_id], hold.reason)
                for hold in self.shop.around.store.rows(Hold)
                if hold.is_open
            },
            remarks={*order.remarks},
        )
        expected = self.model.standing()
        assert stands == expected, f"\nshop:  {stands}\nmodel: {expected}"


def _once(key: str) -> Once:
    return Once(route="test", caller="a", key=key, request_hash="0" * 64)


TestOrderHistory = OrderHistory.TestCase
TestOrderHistory.settings = settings(
    max_examples=HISTORIES or 200,
    stateful_step_count=50,
    derandomize=not HISTORIES,
    deadline=None,
    # A failure is shown as it was found: making it small takes minutes, which a run of many has.
    phases=(Phase.generate, Phase.shrink) if HISTORIES else (Phase.generate,),
)
