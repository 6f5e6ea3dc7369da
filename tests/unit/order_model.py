"""Where an order and its payments stand after a history: the tables of states, and nothing else.

The model shares no code with the shop. It knows no rows, jobs or callbacks, only what was told in
which order; the rules are named as in the tables (O1 to O26).
"""

from dataclasses import dataclass
from decimal import Decimal

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
ON_ITS_WAY = {"confirming", "confirmed", "sending"}
ALIVE = {"waiting", *ON_ITS_WAY}
MONEY = {"underpaid", "finished"}
PAID = {"paid", "fulfilled"}
MENDABLE = {"underpaid": "paid_partial", "provider_failed": "paid_late"}
WINDOW = 30
ORDER, ITEM = "order", "item"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """All that shop and model are compared by. Holds are open ones: (subject, reason)."""

    status: str
    reason: str | None
    payments: dict[str, str]
    holds: set[tuple[str, str]]
    remarks: set[str]


class Model:
    """One order of one item. Times are minutes since it was placed.

    `goods` is what the supplier does when it is asked: `there` (they come at once), `slow` (they
    come when `goods_come` is told) or `refused` (the item fails, until somebody asks again).
    """

    def __init__(self, goods: str) -> None:
        self.status = "created"
        self.reason: str | None = None
        self.remarks: set[str] = set()
        self.settled_by: str | None = None
        self.payments: dict[str, str] = {}
        self.children: set[str] = set()
        self.holds: set[tuple[str, str]] = set()
        self.goods = goods
        self.now = 0
        self.window_ends = WINDOW

    def standing(self) -> Standing:
        """The model now; it goes on changing."""
        return Standing(
            status=self.status,
            reason=self.reason,
            payments=self.payments,
            holds=self.holds,
            remarks=self.remarks,
        )

    # --- questions -------------------------------------------------------------------------

    def is_held(self, subject: str) -> bool:
        return any(of == subject for of, _ in self.holds)

    def may_cancel(self) -> bool:
        came = {*MONEY, *ON_ITS_WAY} & {*self.payments.values()}
        return self.status in {"created", "waiting"} and not came and not self.holds

    def evidence(self, subject: str) -> list[str]:
        """The finished payments that can stand behind a hold; a child deposit comes last."""
        finished = [p for p, status in self.payments.items() if status == "finished"]
        if subject != ORDER:
            return [p for p in finished if p == subject]
        return [p for p in finished if p not in self.children] or finished

    # --- buyer and gateway -----------------------------------------------------------------

    def opened(self, payment: str) -> None:
        """O2."""
        self.payments[payment] = "waiting"
        self.window_ends = max(self.window_ends, self.now + WINDOW)
        if self.status == "created":
            self.status = "waiting"

    def cancelled(self) -> None:
        """O3."""
        self.status = "cancelled"

    def reported(self, payment: str, word: str, paid: Decimal) -> None:
        """The gateway says `word` of a payment; `paid` is the part of its amount that came."""
        told, rank = MEANING[word]
        if rank <= RANK[self.payments[payment]]:
            return
        self.payments[payment] = told
        if told == "refunded" and payment == self.settled_by:
            was_given_up = (self.status, self.reason) == ("failed", "fulfilment_failed")
            if self.status in PAID or was_given_up:
                self.holds.add((ORDER, "gateway_refund"))  # O23; keys may be shown after O14 too
        elif self.is_held(payment):
            return
        elif told in ON_ITS_WAY:
            if self.status == "waiting":
                self.status = "confirming"  # O5
        elif told == "finished":
            self._finished(payment, paid)
        elif told == "underpaid":
            self._underpaid(payment)
        elif self.status in {"waiting", "confirming"}:
            self._ended(payment, told)

    def deposited_again(self, child: str) -> None:
        """O26: more money at an address never settles anything by itself."""
        self.payments[child] = "finished"
        self.children.add(child)
        self._set_apart(child, "redeposit")

    def _finished(self, payment: str, paid: Decimal) -> None:
        is_late = self.status == "expired" or (self.status == "failed" and self.reason in MENDABLE)
        if self.status in {"waiting", "confirming"}:
            if paid >= 1:
                self._settled(payment, paid)  # O6
            else:
                self._hold_order("amount_mismatch")  # O9
        elif is_late and paid >= 1:
            remark = MENDABLE.get(self.reason or "", "paid_late")
            self._settled(payment, paid, remark)  # O15, O18
        elif is_late:
            self._hold_order("paid_late")  # O16
        else:
            self._not_needed(payment)

    def _underpaid(self, payment: str) -> None:
        if self.is_held(ORDER) and self.evidence(ORDER):
            self._set_apart(payment, "duplicate_payment")
        elif self.status in {"waiting", "confirming", "expired"}:
            self.status, self.reason = "failed", "underpaid"  # O7, O17
        elif not (self.status == "failed" and self.reason in MENDABLE):
            self._not_needed(payment)

    def _ended(self, payment: str, told: str) -> None:
        others = [status for other, status in self.payments.items() if other != payment]
        if ALIVE & {*others} or MONEY & {*others}:
            return
        if told == "expired":
            self.status = "expired"  # O4
        elif told == "failed":
            self.status, self.reason = "failed", "provider_failed"  # O8
        elif told == "refunded":
            self.status = "refunded"  # O10

    def _not_needed(self, payment: str) -> None:
        if self.status in PAID:
            self._set_apart(payment, "duplicate_payment")  # O26
        else:
            self._hold_order("paid_after_end")  # O19

    def _settled(self, payment: str, paid: Decimal, *remarks: str) -> None:
        self.status, self.reason, self.settled_by = "paid", None, payment
        self.remarks |= {*remarks, *(["paid_over"] if paid > 1 else [])}
        self._get_goods()

    def _hold_order(self, reason: str) -> None:
        if not self.is_held(ORDER):
            self.holds.add((ORDER, reason))

    def _set_apart(self, payment: str, reason: str) -> None:
        self.remarks.add(reason)
        self.holds.add((payment, reason))

    # --- goods and time --------------------------------------------------------------------

    def _get_goods(self) -> None:
        """A hold on the order stops its deliveries."""
        if self.status != "paid" or self.is_held(ORDER) or self.is_held(ITEM):
            return
        if self.goods == "there":
            self.status = "fulfilled"  # O12
        elif self.goods == "refused":
            self.holds.add((ITEM, "fulfilment"))  # O13

    def goods_come(self) -> None:
        self.goods = "there"
        self._get_goods()

    def time_passes(self, minutes: int) -> None:
        self.now += minutes
        is_open = self.status in {"created", "waiting"} and not self.is_held(ORDER)
        if is_open and self.now >= self.window_ends:
            self.status = "expired"  # O4

    # --- the desk --------------------------------------------------------------------------

    def refunded(self) -> None:
        """O21; the reason goes with `failed` alone."""
        self.status, self.reason = "refunded", None

    def given_up(self) -> None:
        """O14."""
        self.status, self.reason = "failed", "fulfilment_failed"

    def retried(self) -> None:
        """O20, and the same for a paid order."""
        if self.is_held(ITEM):
            self.holds.discard((ITEM, "fulfilment"))
            self.goods = "there"
        self.status, self.reason = "paid", None
        self._get_goods()

    def overridden(self, status: str) -> None:
        """O22."""
        self.status, self.reason = status, "provider_failed" if status == "failed" else None
        self.remarks.add("manual")

    def decided(self, hold: tuple[str, str], *, accept: bool, paid: Decimal) -> None:
        """O24 where the order is unpaid, O25 where it is. `paid`: of the payment behind it."""
        subject, reason = hold
        self.holds.remove(hold)
        if self.status in {*PAID, "refunded"}:
            self._get_goods()
        elif accept:
            is_late = self.status in {"expired", "cancelled", "failed"}
            [payment] = self.evidence(subject)
            over = paid if payment not in self.children else Decimal(1)
            self._settled(payment, over, *(["paid_late"] if is_late else []))
        else:
            late = {"paid_late", "paid_after_end"}
            self.reason = self.reason or ("late_payment" if reason in late else "amount_mismatch")
            self.status = "failed"
