"""Giving the keys of a supplier order back: one request for each order, for ever.

Kinguin eCommerce API, "Return keys": unclaimed keys, within 24 h, neither wholesale nor preorder.
The request is noted before it leaves. When nobody can say whether it arrived, it is never sent
again: what became of it is read from the supplier's order, or decided by a person.
"""

from collections.abc import Callable
from datetime import datetime

from bitloot.domain.decision import Decision, also, insert
from bitloot.domain.draft import Draft
from bitloot.domain.fulfilment import Fulfilment, ReturnState, SupplierAttempt
from bitloot.domain.fulfilment_plan import WHOLESALE_FROM
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.reconciliation import ReconciliationBreak, look_at_breaks, supplier_subject


def is_returnable(
    file: OrderFile,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    *,
    at: datetime,
    limits: Limits,
) -> bool:
    """Whether the supplier may take the keys of an order back."""
    since = attempt.created_at or attempt.intent_at
    return (
        attempt.supplier_order_id is not None
        and attempt.returning == "none"
        and at - since < limits.key_return_window
        and attempt.quantity < WHOLESALE_FROM
        and not file.item(fulfilment.order_item_id).is_preorder
    )


def ask_return(
    draft: Draft, fulfilment: Fulfilment, attempt: SupplierAttempt, limits: Limits
) -> None:
    """Have the keys of an order given back, where the supplier may take them."""
    if is_returnable(draft.file, fulfilment, attempt, at=draft.at, limits=limits):
        draft.set(attempt, returning="wanted")
        draft.event("return_requested", attempt.id, facts={"part": fulfilment.part})


def return_noted(
    file: OrderFile,
    attempt: SupplierAttempt,
    returning: ReturnState,
    *,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """Where the one request for the return of an order's keys stands. Of an order that nobody
    needs a break is open, which is settled once the supplier shows that it has the keys back.
    """
    draft = Draft(file, at=at, new_id=new_id)
    draft.set(attempt, returning=returning)
    draft.event("keys_returned", attempt.id, facts={"state": returning})
    if returning == "asked" and attempt.refusal == "surplus":
        again = look_at_breaks(attempt.supplier, attempt.id, due=at + limits.blocked_recheck)
        draft.job(again.kind, again.ref, due=again.due)
    return draft.decision(returning)


def return_unclear(
    file: OrderFile,
    attempt: SupplierAttempt,
    *,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """The request may have arrived: it stands as unknown, with a break until it is explained."""
    unclear = ReconciliationBreak(
        id=new_id(),
        kind="return_unclear",
        subject=supplier_subject(attempt.supplier, attempt.supplier_order_id or ""),
        ours=attempt.id,
        theirs="",
        found_at=at,
    )
    noted = return_noted(file, attempt, "unknown", at=at, new_id=new_id, limits=limits)
    return also(noted, insert(unclear))
