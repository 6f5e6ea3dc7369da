"""Random histories of one order and its payments, told to the shop and to a small pure model.

The model knows the tables of order and payment and nothing of jobs, rows or callbacks; after each
step the shop must stand where the model stands.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.simulation.world import at_once

from bitloot.domain.errors import Refused
from bitloot.domain.hold import Hold
from bitloot.domain.idempotency import Once
from bitloot.domain.order import Order
from bitloot.domain.payment import Payment
from bitloot.domain.quote import Wanted
from bitloot.domain.refund import RefundRecord
from bitloot.usecases.payments.desk import Ruling
from bitloot_web.composition.memory import GATEWAY
from bitloot_web.testing import TestShop, shop

# What each word of the gateway makes of a payment, and its rank.
MEANING = {
    "waiting": ("waiting", 10),
    "confirming": ("confirming", 20),
    "confirmed": ("confirmed", 30),
    "sending": ("sending", 40),
    "expired": ("expired", 45),
    "failed": ("failed", 50),
    "partially_paid": ("underpaid", 55),
    "finished": ("finished", 60),
    "refunded": ("refunded", 70),
}
RANK = dict(MEANING.values())
ALIVE = ("waiting", "confirming", "confirmed", "sending")
MENDABLE = ("underpaid", "provider_failed")
BELIEVED_BELOW = 45


class Model:
    """Where an order stands after everything that was told. Goods are always there at once."""

    def __init__(self) -> None:
        self.status = "created"
        self.reason: str | None = None
        self.settled_by: str | None = None
        self.payments: dict[str, str] = {}
        self.holds: set[tuple[str, str]] = set()

    def opened(self, payment: str) -> None:
        self.payments[payment] = "waiting"
        if self.status == "created":
            self.status = "waiting"

    def reported(self, payment: str, word: str) -> None:
        told, rank = MEANING[word]
        if rank <= RANK[self.payments[payment]]:
            return
        self.payments[payment] = told
        is_alone = not any(
            status in ALIVE for other, status in self.payments.items() if other != payment
        )
        is_kept_apart = any(subject == payment for subject, _ in self.holds)
        if told == "refunded" and self.settled_by == payment:
            if self.status == "fulfilled":
                self.holds.add(("order", "gateway_refund"))
        elif is_kept_apart:
            return
        elif told in ALIVE and self.status == "waiting":
            self.status = "confirming"
        elif told in {"finished", "underpaid"}:
            self._money(payment, told)
        elif self.status in {"waiting", "confirming"} and is_alone:
            self._nothing_more_comes(told)

    def _money(self, payment: str, told: str) -> None:
        can_settle = self.status in {"waiting", "confirming", "expired"}
        is_mendable = self.status == "failed" and self.reason in MENDABLE
        if told == "finished" and (can_settle or is_mendable):
            self.status, self.reason, self.settled_by = "fulfilled", None, payment
        elif can_settle:
            self.status, self.reason = "failed", "underpaid"
        elif self.status == "fulfilled":
            self.holds.add((payment, "duplicate_payment"))
        elif not is_mendable and not any(subject == "order" for subject, _ in self.holds):
            self.holds.add(("order", "paid_after_end"))

    def _nothing_more_comes(self, told: str) -> None:
        if told == "expired":
            self.status = "expired"
        elif told == "failed":
            self.status, self.reason = "failed", "provider_failed"
        elif told == "refunded":
            self.status = "refunded"

    def window_passed(self) -> None:
        if self.status in {"created", "waiting"}:
            self.status = "expired"


class OrderHistory(RuleBasedStateMachine):
    """Tells shop and model the same story."""

    def __init__(self) -> None:
        super().__init__()
        self.shop: TestShop = at_once(shop(seed=5).__aenter__())
        self.model = Model()
        self.gateway = self.shop.around.gateway
        self.order_id = self._placed()
        self.callbacks: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.now: dict[str, str] = {}
        self.unheard: str | None = None
        self.count = 0

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

    # --- what buyer and gateway do ---------------------------------------------------------

    @initialize()
    def begins_with_a_payment(self) -> None:
        self._open()

    @precondition(lambda self: self.model.status in {"created", "waiting"} and len(self.now) < 3)
    @rule()
    def opens_another_payment(self) -> None:
        self._open()

    def _open(self) -> None:
        at_once(self.shop.shop.opening.pay(self.order_id, asset="btc", once=self._another("pay")))
        known = self.gateway.of_order(self.order().number)[-1].gateway_payment_id
        self.now[known] = "waiting"
        self.model.opened(known)

    @precondition(lambda self: any(word != "refunded" for word in self.now.values()))
    @rule(data=st.data())
    def the_gateway_moves_a_payment(self, data: st.DataObject) -> None:
        self._move(data, is_heard=True)

    @precondition(lambda self: any(word != "refunded" for word in self.now.values()))
    @rule(data=st.data())
    def the_gateway_moves_a_payment_and_its_callback_is_lost(self, data: st.DataObject) -> None:
        self._move(data, is_heard=False)

    def _move(self, data: st.DataObject, *, is_heard: bool) -> None:
        movable = sorted(payment for payment, word in self.now.items() if word != "refunded")
        payment = data.draw(st.sampled_from(movable))
        rank = MEANING[self.now[payment]][1]
        word = data.draw(st.sampled_from([w for w, (_, r) in MEANING.items() if r > rank]))
        if word == "finished":
            self.gateway.move(payment, "waiting")
            self.gateway.pay(payment, status="finished")
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
        taken = at_once(self.shop.shop.webhook_intake.accept(GATEWAY, headers, body))
        at_once(self.shop.run_due())
        if taken == "duplicate":
            return
        believed = word if MEANING[word][1] < BELIEVED_BELOW else self.now[payment]
        self.model.reported(payment, believed)
        if self.unheard == payment and believed == self.now[payment]:
            self.unheard = None

    @rule(is_patient=st.booleans())
    def two_hours_pass_or_the_buyer_cancels(self, is_patient: bool) -> None:
        if not is_patient:
            self._cancel()
            return
        at_once(self.shop.advance(timedelta(hours=2)))
        if self.unheard is not None:
            self.model.reported(self.unheard, self.now[self.unheard])
            self.unheard = None
        self.model.window_passed()

    def _cancel(self) -> None:
        cancelling = self.shop.shop.checkout.cancel(self.order_id, once=self._another("cancel"))
        if self.model.status in {"created", "waiting", "cancelled"}:
            at_once(cancelling)
            self.model.status = "cancelled"
        else:
            with pytest.raises(Refused, match="order-not-cancellable"):
                at_once(cancelling)

    # --- what the desk does ----------------------------------------------------------------

    @precondition(lambda self: self.model.status == "fulfilled")
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
        self.model.status = "refunded"

    @precondition(
        lambda self: (
            self.model.status == "cancelled"
            and list(self.model.payments.values()).count("finished") == 1
            and ("order", "paid_after_end") in self.model.holds
        )
    )
    @rule()
    def the_desk_accepts_late_money(self) -> None:
        hold = next(h for h in self.shop.around.store.rows(Hold) if h.is_open)
        ruling = Ruling(by="desk", reason="paid", expected_version=self.order().version)
        at_once(
            self.shop.shop.money_desk.decide_hold(
                hold.id, ruling, accept=True, signed_loss=True, once=self._another("accept")
            )
        )
        self.model.holds.discard(("order", "paid_after_end"))
        self.model.status = "fulfilled"
        self.model.settled_by = next(
            p for p, status in self.model.payments.items() if status == "finished"
        )

    # --- what must be the same -------------------------------------------------------------

    @invariant()
    def the_shop_stands_where_the_model_stands(self) -> None:
        at_once(self.shop.run_due())
        order = self.order()
        rows = self.shop.around.store.rows(Payment)
        ours = {row.id: row.gateway_payment_id or "" for row in rows} | {order.id: "order"}
        assert {ours[row.id]: row.status for row in rows} == self.model.payments
        assert (order.status, order.failure_reason) == (self.model.status, self.model.reason)
        holds = {
            (ours[hold.subject_id], hold.reason)
            for hold in self.shop.around.store.rows(Hold)
            if hold.is_open
        }
        assert holds == self.model.holds


def _once(key: str) -> Once:
    return Once(route="test", caller="a", key=key, request_hash="0" * 64)


TestOrderHistory = OrderHistory.TestCase
TestOrderHistory.settings = settings(
    max_examples=60, stateful_step_count=20, derandomize=True, deadline=None
)
