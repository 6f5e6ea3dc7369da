"""What a report of the gateway does to an order: the rules O4-O10, O15-O19, O23 and O26.

One function per kind of news. A pair of order status and news without a rule changes the payment
row only, which its event records.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.goods import Today, give_back
from bitloot.domain.hold import Hold, HoldReason
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.limits import Limits
from bitloot.domain.observation import FUNDS_SEEN, classify, observe
from bitloot.domain.order import ORDER, PAID, FailureReason, Order, OrderFile, OrderStatus, Remark
from bitloot.domain.paying import Terms, become_paid, with_remark
from bitloot.domain.payment import Payment, PaymentReport, PaymentStatus
from bitloot.domain.refund import stop_for_gateway_refund
from bitloot.domain.retry import close_holds
from bitloot.domain.reveal import Grant, revoke, shows_keys
from bitloot.domain.settlement_guard import (
    GuardFault,
    guard_faults,
    hold_reason,
    is_whole,
    is_within_tolerance,
    late_guard_holds,
)

MONEY: Final = frozenset[PaymentStatus]({"finished", "underpaid"})
UNPAID: Final = frozenset[OrderStatus]({"created", "waiting", "confirming"})
# A failed order that a finished payment may still turn into a paid one, without a person.
MENDABLE: Final = frozenset[FailureReason]({"underpaid", "provider_failed"})
# Holds of an order that ask one question: does this money pay for it?
ABOUT_MONEY: Final = frozenset[HoldReason](
    {"amount_mismatch", "wrong_asset", "paid_late", "paid_after_end"}
)


class TodayNeeded(Exception):
    """The payment is late: the decision needs what its money and the goods are worth now."""

    def __init__(self, payment: Payment) -> None:
        super().__init__(payment.id)
        self.payment = payment


def settle(
    file: OrderFile,
    payment: Payment,
    report: PaymentReport,
    *,
    at: datetime,
    terms: Terms,
    held_keys: Iterable[InventoryKey] = (),
    grants: Iterable[Grant] = (),
    today: Today | None = None,
) -> Decision:
    """The consequence of a report for one payment of an order, by the rank rule and the O-table.

    From rank 45 on `report` must be a fresh read of the gateway. `held_keys` are the inventory
    rows of the order's reservations, `grants` its usable ones. Raises TodayNeeded when the payment
    is late and `today` is missing.
    """
    draft = Draft(file, at=at, new_id=terms.new_id)
    seen = settle_in(
        draft, payment, report, terms=terms, held_keys=held_keys, grants=grants, today=today
    )
    return draft.decision(reason=seen)


def settle_in(
    draft: Draft,
    payment: Payment,
    report: PaymentReport,
    *,
    terms: Terms,
    held_keys: Iterable[InventoryKey] = (),
    grants: Iterable[Grant] = (),
    today: Today | None = None,
) -> str:
    """As `settle`, within a decision that has begun. Gives how the report was classified."""
    case = _Case(
        draft,
        payment,
        report,
        terms=terms,
        held_keys=tuple(held_keys),
        grants=tuple(grants),
        today=today,
    )
    seen = classify(draft.now(payment), report)
    if seen == "wrong_asset":
        case.wrong_asset()
    elif seen == "late_sighting":
        case.draft.set(payment, last_seen_at=draft.at, updated_at=draft.at)
        case.draft.event("late_sighting", payment.id, facts={"status": report.status})
    elif seen == "duplicate" and case.is_awaited():
        case.sighted()
    elif seen == "applied":
        observe(draft, payment, report)
        case.route()
    if seen in {"applied", "duplicate"}:
        case.count_deposits()
    return seen


def settle_on_request(
    file: OrderFile,
    payment: Payment,
    report: PaymentReport,
    *,
    actor: str,
    reason: str,
    at: datetime,
    terms: Terms,
    today: Today | None = None,
) -> Decision:
    """A person asks to go on with an unpaid order: only a finished payment and the guard pay it.

    `report` is a fresh read, and has to say `finished` itself: what is stored is not believed, nor
    a report that lags behind it. Unlike `settle` it also speaks for payments whose status is
    stored already, and for orders that failed for another reason than `underpaid`. The holds that
    kept this money waiting are decided with it. Raises Refused `payment-not-settled` (or
    `underpaid-non-refundable`), and TodayNeeded.
    """
    order = file.order
    is_short = order.failure_reason == "underpaid"
    refused = Refused("underpaid-non-refundable" if is_short else "payment-not-settled")
    draft = Draft(file, at=at, new_id=terms.new_id)
    if report.status == "finished" and report.rank > payment.rank:
        observe(draft, payment, report)
    case = _Case(draft, payment, report, terms=terms, today=today)
    if not _may_ask(file, payment, report) or case.faults():
        raise refused
    if order.status != "failed":
        case.pay_in_time()
    elif not case.pay_late():
        raise refused
    facts = {"payment": payment.id, "order": order.number}
    draft.audit(actor, "order.settle", order.id, reason=reason, facts=facts)
    close_holds(draft, {order.id}, set(ABOUT_MONEY), actor=actor, reason=reason)
    return draft.decision()


def _may_ask(file: OrderFile, payment: Payment, report: PaymentReport) -> bool:
    """Whether a retry may turn this payment into a paid order, its guard aside."""
    order = file.order
    is_unpaid = order.status in {"waiting", "confirming"} or (
        order.status == "failed" and order.failure_reason != "fulfilment_failed"
    )
    is_finished = report.status == "finished" and report.rank >= payment.rank
    others = (h for h in file.holds if h.is_open and h.subject == "order")
    stops = any(h.reason not in ABOUT_MONEY for h in others)
    return is_unpaid and is_finished and _is_free(file, payment) and not stops


class _Case:
    """One report for one payment of one order, with what the rules share."""

    def __init__(
        self,
        draft: Draft,
        payment: Payment,
        report: PaymentReport,
        *,
        terms: Terms,
        held_keys: tuple[InventoryKey, ...] = (),
        grants: tuple[Grant, ...] = (),
        today: Today | None = None,
    ) -> None:
        self.draft = draft
        self.file = draft.file
        self._payment = payment
        self.report = report
        self.terms = terms
        self.limits: Limits = terms.limits
        self.held_keys = held_keys
        self.grants = grants
        self.today = today

    @property
    def order(self) -> Order:
        return self.draft.order

    @property
    def payment(self) -> Payment:
        return self.draft.now(self._payment)

    def route(self) -> None:
        """Apply the payment's new status to the order."""
        payment = self.payment
        if payment.status == "refunded" and payment.id == self.order.settled_by:
            # Whatever holds it: the money that paid for the order is gone.
            self._refunded()
        elif payment.is_child:
            self._deposit()
        elif _is_free(self.file, payment):
            news: dict[PaymentStatus, Callable[[], None]] = {
                "confirming": self.sighted,
                "confirmed": self.sighted,
                "sending": self.sighted,
                "expired": self._ended,
                "failed": self._failed,
                "underpaid": self._partial,
                "finished": self._finished,
                "refunded": self._refunded,
            }
            if payment.status in news:
                news[payment.status]()

    def is_awaited(self) -> bool:
        """Whether money is on its way that may settle the order by itself."""
        payment = self.payment
        on_its_way = payment.status in FUNDS_SEEN
        return on_its_way and not payment.is_child and _is_free(self.file, payment)

    # --- before the money ----------------------------------------------------------------------

    def sighted(self) -> None:
        """O5: money is on its way; the goods are kept for a day from the last sighting."""
        if ORDER.step(self.order.status, "funds_seen"):
            self.draft.move_order("funds_seen")
            self.draft.event("funds_seen", self.order.id, facts={"payment": self.payment.id})
        until = self.draft.at + self.limits.confirming_window
        # A second sighting at the same moment, or by a clock that lags, changes nothing.
        if self.order.status == "confirming" and until > self.order.window_ends_at:
            self.draft.set(self.payment, last_seen_at=self.draft.at)
            extend_window(self.draft, until)

    def _ended(self) -> None:
        """O4 by the gateway: no other payment alive, and none of them brought money."""
        if self._others_alive() or self._has_money():
            return
        if ORDER.step(self.order.status, "expire"):
            self.draft.move_order("expire")
            self.draft.event("order_expired", self.order.id, facts={"by": "gateway"})
            give_back(self.draft, self.held_keys, signal="expire")

    def _failed(self) -> None:
        """O8: the last payment alive failed, and no money of another one waits for a person."""
        if self._others_alive() or self._has_money():
            return
        if ORDER.step(self.order.status, "gateway_failed"):
            self._fail("gateway_failed", "provider_failed", "order_failed")

    # --- money -----------------------------------------------------------------------------------

    def _partial(self) -> None:
        """O7 and O17, or as finished where the amount lies within the tolerance.

        Beside whole money that waits for a person it is a second payment: it does not make the
        order one that was paid too little, of which nothing is given back.
        """
        tolerance = self.limits.underpayment_tolerance
        if is_within_tolerance(self.payment, self.report, tolerance):
            self._finished()
        elif self._is_held_for_another():
            self._set_apart("duplicate_payment", "duplicate_payment")
        elif ORDER.step(self.order.status, "underpaid"):
            self._fail("underpaid", "underpaid", "order_underpaid")
        else:
            self._money_after_the_end()

    def _finished(self) -> None:
        """O6, O9, O15, O16, O18; money for an order that needs none is O19 or O26."""
        order = self.order
        if order.status in UNPAID:
            faults = self.faults()
            if faults or not ORDER.step(order.status, "settled"):
                self._hold_order(hold_reason(faults))
            else:
                self.pay_in_time()
        elif order.status == "expired" or (
            order.status == "failed" and order.failure_reason in MENDABLE
        ):
            self._late()
        else:
            self._money_after_the_end()

    def pay_in_time(self) -> None:
        """O6. Goods whose keeping ended while the money was on its way are taken anew."""
        ended = any(r.state != "held" for r in self.file.reservations)
        if ended and self.today is None:
            raise TodayNeeded(self.payment)
        today = self.today if ended else None
        become_paid(self.draft, self._payment, signal="settled", terms=self.terms, today=today)

    def _late(self) -> None:
        """O15, O16, O18: the money came after the order had ended; today's cost decides."""
        if self.today is None:
            raise TodayNeeded(self.payment)
        if self.faults() or not self.pay_late():
            self._hold_order("paid_late")

    def pay_late(self) -> bool:
        """Pay an order that had ended, at today's cost; whether that carries it."""
        if self.today is None:
            raise TodayNeeded(self.payment)
        if not late_guard_holds(self.file, self.today):
            return False
        remark: Remark = "paid_partial" if self.order.failure_reason == "underpaid" else "paid_late"
        become_paid(
            self.draft,
            self._payment,
            signal="settled",
            terms=self.terms,
            today=self.today,
            at_todays_cost=True,
            remarks=(remark,),
        )
        return True

    def _money_after_the_end(self) -> None:
        order = self.order
        if order.status in PAID:
            if order.settled_by != self.payment.id:
                self._set_apart("duplicate_payment", "duplicate_payment")  # O26
        elif order.status in {"cancelled", "refunded"} or (
            order.status == "failed" and order.failure_reason not in MENDABLE
        ):
            self._hold_order("paid_after_end")  # O19

    def _refunded(self) -> None:
        """O10 before payment; O23 after it, for the money that paid for the order.

        An order that somebody gave up on after a part of it was delivered (O14) still shows those
        keys, and rule O23 does not name its status: that stays as it is, but whoever got the money
        back reveals nothing more until a person has decided.
        """
        order = self.order
        if order.status in PAID or shows_keys(order):
            if order.settled_by in {None, self.payment.id}:
                # Beside any other hold: whoever decides that one must see this too.
                stop_for_gateway_refund(self.draft, self.grants)
        elif self._others_alive() or self._has_money():
            return
        elif ORDER.step(order.status, "gateway_refunded"):
            self.draft.move_order("gateway_refunded")
            self.draft.event("order_refunded", order.id, facts={"by": "gateway"})
            give_back(self.draft, self.held_keys, signal="release")

    def _deposit(self) -> None:
        """O26: a repeated or foreign deposit never pays by itself."""
        payment = self.payment
        if payment.status in MONEY:
            self._set_apart("redeposit", "redeposit")
        elif payment.status in FUNDS_SEEN:
            self._hold_payment("redeposit")

    def count_deposits(self) -> None:
        """More deposits than are taken in: once its own money is told, a person looks at them."""
        many = len(self.report.child_payment_ids) > self.limits.deposits_per_payment
        if many and not self.payment.is_alive:
            self._set_apart("redeposit", "redeposit")

    def wrong_asset(self) -> None:
        """Another asset than asked arrived at the address."""
        self._set_apart("wrong_asset", "wrong_asset")

    # --- shared ----------------------------------------------------------------------------------

    def faults(self) -> tuple[GuardFault, ...]:
        return guard_faults(
            self.order,
            self.payment,
            self.report,
            tolerance=self.limits.underpayment_tolerance,
            zero_paid_is_fine=self.terms.zero_paid_is_fine,
        )

    def _others_alive(self) -> bool:
        return any(p.is_alive for p in self.file.payments if p.id != self.payment.id)

    def _has_money(self) -> bool:
        """Whether another payment brought money for which the order waits for a person.

        A further deposit and what a hold of its own keeps apart are no such money: they stop
        nothing else, and whoever decides them may still pay an order that ended meanwhile.
        """
        others = (p for p in self.file.payments if p.id != self.payment.id and not p.is_child)
        return any(p.status in MONEY and _is_free(self.file, p) for p in others)

    def _is_held_for_another(self) -> bool:
        others = (p for p in self.file.payments if p.id != self.payment.id)
        tolerance = self.limits.underpayment_tolerance
        return self.file.open_order_hold() is not None and any(
            is_whole(p, tolerance) for p in others
        )

    def _fail(self, signal: str, reason: FailureReason, event: str) -> None:
        self.draft.move_order(signal, failure_reason=reason)
        self.draft.event(event, self.order.id, facts={"payment": self.payment.id})
        give_back(self.draft, self.held_keys, signal="release")

    def _hold_order(self, reason: HoldReason) -> None:
        """The order waits for a person; until then nothing of it is revealed either."""
        if self.file.open_order_hold() is None:
            self.draft.hold("order", self.order.id, reason)
            revoke(self.draft, self.grants, reason)

    def _set_apart(self, reason: HoldReason, remark: Remark) -> None:
        if remark not in self.order.remarks:
            self.draft.set(self.order, remarks=with_remark(self.order, remark))
            self.draft.event("remark_added", self.order.id, facts={"remark": remark})
        self._hold_payment(reason)

    def _hold_payment(self, reason: HoldReason) -> None:
        """Once: what a person has decided is asked again only if more money came since then."""
        drafted = (row for row in self.draft.written() if isinstance(row, Hold))
        holds = [h for h in (*self.file.holds, *drafted) if h.subject_id == self.payment.id]
        has_news = self.payment.status in MONEY and self.payment.status != self._payment.status
        if not any(h.is_open or not has_news for h in holds):
            self.draft.hold("payment", self.payment.id, reason)


def _is_free(file: OrderFile, payment: Payment) -> bool:
    """No open hold keeps this money out of automatic decisions."""
    return not any(h.is_open and h.subject_id == payment.id for h in file.holds)


def extend_window(draft: Draft, until: datetime) -> None:
    """Keep the order and its goods until then, if that is later; its timer is armed anew."""
    if until <= draft.order.window_ends_at:
        return
    draft.set(draft.order, window_ends_at=until)
    for reservation in draft.file.reservations:
        row = draft.now(reservation)
        if row.state == "held":
            draft.set(row, expires_at=until)
    draft.event("window_extended", draft.order.id, due=until, facts={"until": until.isoformat()})
