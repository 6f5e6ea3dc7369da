"""A person decides a hold: O24 where the order is not paid, O25 where it is."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.goods import Today, give_back
from bitloot.domain.hold import Hold, HoldReason
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.limits import Limits
from bitloot.domain.order import ORDER, FailureReason, OrderFile, OrderStatus, Remark
from bitloot.domain.paying import Terms, become_paid
from bitloot.domain.payment import Payment
from bitloot.domain.retry import take_up_again
from bitloot.domain.reveal import Grant, revoke, shows_keys
from bitloot.domain.settlement_guard import covers_cost, is_whole

OPEN_ENDED: Final = frozenset[OrderStatus](
    {"waiting", "confirming", "expired", "cancelled", "failed"}
)
ENDED: Final = frozenset[OrderStatus]({"expired", "cancelled", "failed"})

_FAILURE: Final[dict[HoldReason, FailureReason]] = {
    "wrong_asset": "wrong_asset",
    "paid_late": "late_payment",
    "paid_after_end": "late_payment",
}


def asks_for_payment(file: OrderFile, hold: Hold) -> bool:
    """Whether accepting the hold pays the order (O24), so that its money has to carry the goods."""
    return hold.subject != "item" and file.order.status in OPEN_ENDED


def evidence(file: OrderFile, hold: Hold, limits: Limits) -> Payment | None:
    """The finished payment behind a hold: its own one, or the order's latest."""
    if hold.subject == "payment":
        payment = file.payment(hold.subject_id)
        return payment if is_whole(payment, limits.underpayment_tolerance) else None
    return latest_finished(file, limits)


def latest_finished(file: OrderFile, limits: Limits) -> Payment | None:
    """The finished payment that best shows that an order was paid; a child deposit comes last.

    One that was paid short within the tolerance counts as finished.
    """
    finished = [p for p in file.payments if is_whole(p, limits.underpayment_tolerance)]
    return max(finished, key=lambda p: (not p.is_child, p.updated_at, p.id), default=None)


def decide_hold(
    file: OrderFile,
    hold_id: str,
    *,
    accept: bool,
    by: str,
    reason: str,
    expected_version: int,
    signed_loss: bool = False,
    at: datetime,
    terms: Terms,
    held_keys: Iterable[InventoryKey] = (),
    grants: Sequence[Grant] = (),
    today: Today | None = None,
) -> Decision:
    """Close a hold and do what the decision means for its order.

    `expected_version` is the version of the order that the person saw, `grants` are its usable
    ones. Accepting an unpaid order
    needs a finished payment behind the hold and money worth today's cost, or `signed_loss`.
    Raises Refused `not-found`, `hold-already-decided`, `version-conflict`, `invalid-input`,
    `hold-needs-money` or `below-cost`.
    """
    hold = next((h for h in file.holds if h.id == hold_id), None)
    if hold is None:
        raise Refused("not-found")
    if not hold.is_open:
        raise Refused("hold-already-decided")
    if file.order.version != expected_version:
        raise Refused("version-conflict")
    if not reason.strip():
        raise Refused("invalid-input", "Say why.", field="reason")
    if file.order.status == "created":
        # No rule takes it anywhere from here, and closed the hold would leave its money unnoticed.
        raise Refused("invalid-input", "Decide once the order waits for its payment or has ended.")
    draft = Draft(file, at=at, new_id=terms.new_id)
    draft.set(
        hold,
        state="accepted" if accept else "rejected",
        decided_at=at,
        decided_by=by,
        decision_reason=reason,
    )
    facts: dict[str, str | int | None] = {
        "hold": hold.reason,
        "order": file.order.number,
        "signed_loss": int(signed_loss),
    }
    action = "hold.accept" if accept else "hold.reject"
    draft.audit(by, action, hold.id, reason=reason, facts=facts)
    if not asks_for_payment(file, hold):
        _go_on(draft, hold)
    elif accept:
        _accept(draft, hold, terms=terms, today=today, signed_loss=signed_loss)
    else:
        _reject(draft, hold, held_keys)
    if not shows_keys(draft.order):
        revoke(draft, grants, "hold decided")
    return draft.decision()


def _accept(
    draft: Draft, hold: Hold, *, terms: Terms, today: Today | None, signed_loss: bool
) -> None:
    """O24, accepted: paid with everything that this brings."""
    file = draft.file
    payment = evidence(file, hold, terms.limits)
    if payment is None:
        raise Refused("hold-needs-money")
    if not signed_loss and (today is None or not covers_cost(file, today)):
        raise Refused("below-cost")
    remarks: tuple[Remark, ...] = ("paid_late",) if file.order.status in ENDED else ()
    draft.event("hold_accepted", hold.id, facts={"reason": hold.reason})
    become_paid(
        draft,
        payment,
        signal="accept",
        terms=terms,
        today=today,
        at_todays_cost=True,
        remarks=remarks,
    )


def _reject(draft: Draft, hold: Hold, held_keys: Iterable[InventoryKey]) -> None:
    """O24, rejected: failed; an order that had failed keeps its reason."""
    failed_as = draft.order.failure_reason or _FAILURE.get(hold.reason, "amount_mismatch")
    if ORDER.step(draft.order.status, "reject"):
        draft.move_order("reject", failure_reason=failed_as)
    before = sum(h.state == "rejected" for h in draft.file.holds)
    # `n` tells the mails of an order's rejections apart.
    facts: dict[str, str | int | None] = {
        "reason": hold.reason,
        "failed": failed_as,
        "n": before + 1,
    }
    draft.event("hold_rejected", hold.id, facts=facts)
    give_back(draft, held_keys, signal="release")


def _go_on(draft: Draft, hold: Hold) -> None:
    """O25: the order stays as it is, and what the hold had stopped goes on, whatever was decided.

    So is taken up again what had failed for good: the buyer is owed it until a refund is recorded.
    """
    draft.event("hold_closed", hold.id, facts={"reason": hold.reason})
    other = next((h for h in draft.file.holds if h.is_open and h.id != hold.id), None)
    if hold.subject == "payment" or (other is not None and other.subject == "order"):
        return
    for fulfilment in draft.file.fulfilments:
        concerned = hold.subject == "order" or fulfilment.order_item_id == hold.subject_id
        if not concerned or fulfilment.is_over:
            continue
        if fulfilment.state != "failed_terminal":
            draft.event("fulfilment_resumed", fulfilment.id)
        elif hold.reason == "fulfilment":
            take_up_again(draft, fulfilment)
