"""An admin asks for another try at an order's goods: never a way around its payment.

What is done follows from the order's status alone; an unpaid order is not fulfilled by asking.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from bitloot.domain.decision import Decision
from bitloot.domain.delivery import is_delivered
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.hold import HoldReason
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile

# The fact of `retry_accepted` that says when.
ACCEPTED_AT: Final = "at"
_RESTS: Final = frozenset({"delivered", "returned", "replaced", "cancelled"})
_RESTARTS: Final = frozenset({"failed_terminal", "blocked", "retry_wait"})


def retry(
    file: OrderFile,
    *,
    actor: str,
    reason: str,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
    last: datetime | None = None,
    just_paid: bool = False,
) -> Decision:
    """Take up every open fulfilment again; a failed order is owed again with it (O20).

    `last` is when a retry of it was accepted before. `just_paid`: this asking had the order
    settled, so its goods have started by themselves, and what is left is to record who asked.

    Raises Refused: `retry-not-allowed`, `underpaid-non-refundable`, `payment-not-settled` (the
    gateway has to say `finished` first), or `retry-in-progress` naming the fulfilment at work.
    """
    still_open = [f for f in file.fulfilments if f.state not in _RESTS]
    if not just_paid:
        _admit(file)
        if last is not None and at - last < limits.job_lease:
            _refuse_a_second(file, still_open, at, limits)
    draft = Draft(file, at=at, new_id=new_id)
    draft.audit(actor, "order.retry_fulfilment", file.order.id, reason=reason)
    accepted: dict[str, str | int | None] = {
        "fulfilments": len(still_open),
        ACCEPTED_AT: at.isoformat(),
    }
    if just_paid:
        draft.event("retry_accepted", file.order.id, facts=accepted)
        return draft.decision()
    if file.order.status == "failed":
        delivered = any(is_delivered(item, file.fulfilments) for item in file.items)
        draft.move_order("retry_partial" if delivered else "retry", failure_reason=None)
    draft.event("retry_accepted", file.order.id, facts=accepted)
    for fulfilment in still_open:
        take_up_again(draft, fulfilment)
    short = {a.fulfilment_id for a in file.attempts if a.short_since is not None}
    failed = {f.order_item_id for f in still_open if f.state == "failed_terminal" or f.id in short}
    close_holds(draft, failed, {"fulfilment"}, actor=actor, reason=reason)
    return draft.decision()


def close_holds(
    draft: Draft, subjects: set[str], reasons: set[HoldReason], *, actor: str, reason: str
) -> None:
    """Asking for the remedy decides the holds that waited for somebody to ask."""
    for hold in draft.file.holds:
        if hold.is_open and hold.subject_id in subjects and hold.reason in reasons:
            draft.set(
                hold,
                state="accepted",
                decided_at=draft.at,
                decided_by=actor,
                decision_reason=reason,
            )
            draft.event("hold_closed", hold.id, facts={"reason": hold.reason})


def _admit(file: OrderFile) -> None:
    order = file.order
    if order.status in {"paid", "partially_fulfilled"}:
        return
    if order.status == "failed" and order.failure_reason == "fulfilment_failed":
        if any(p.id == order.settled_by and p.status == "refunded" for p in file.payments):
            # The gateway sent the money back after the order had failed.
            raise Refused("payment-not-settled")
        return
    if order.status == "failed" and order.failure_reason == "underpaid":
        raise Refused("underpaid-non-refundable")
    if order.status in {"failed", "waiting", "confirming"}:
        raise Refused("payment-not-settled")
    raise Refused("retry-not-allowed")


def _refuse_a_second(
    file: OrderFile, still_open: list[Fulfilment], at: datetime, limits: Limits
) -> None:
    """Two retries at once: the second finds the first one's fulfilments at work. What is at work
    by itself is no retry.
    """
    if file.order.status == "failed" or any(f.state in _RESTARTS for f in still_open):
        return
    at_work = next((f for f in still_open if at - f.updated_at < limits.job_lease), None)
    if at_work is not None:
        raise Refused("retry-in-progress", facts={"running": at_work.id})


def take_up_again(draft: Draft, fulfilment: Fulfilment) -> None:
    """Have an open fulfilment go on because a person says so, also one that had failed for good."""
    row = draft.resume(fulfilment)
    if row.state in {"failed_terminal", "blocked"}:
        row = draft.move(row, "begin", blocked_reason=None, waits_in=None)
    # A person takes responsibility: patience and automatic tries start over.
    draft.set(row, blocked_since=None, rebuys=0, tried_offers=(), updated_at=draft.at)
    draft.event("fulfilment_resumed", row.id)
