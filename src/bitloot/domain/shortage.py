"""A supplier order that is said to be delivered and still lacks a key, or hides one.

Kinguin eCommerce API, "Keys": an order that is `completed` has all its keys, a key that is
`DELIVERED` can be read. Where that is not so it is looked at again for a bounded time; then its
item waits for a person and its buyer is told, while the supplier is asked ever more rarely.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from bitloot.domain.decision import Decision
from bitloot.domain.delivery import item_is_held
from bitloot.domain.draft import Draft
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.limits import Limits
from bitloot.domain.order import PAID, OrderFile
from bitloot.domain.purchase import cancel
from bitloot.domain.sealing import free_slots
from bitloot.domain.supplier_progress import poll_after
from bitloot.domain.supplier_return import ask_return
from bitloot.domain.supply import SupplierOrder

_COUNTED: Final = frozenset({"live", "quarantined"})


def missing_units(
    fulfilment: Fulfilment, report: SupplierOrder, sealed: Sequence[SealedKey]
) -> int:
    """How many units the supplier calls delivered of which no key could be read."""
    free = len(free_slots(fulfilment, sealed))
    if report.state == "completed":
        return free
    ours = {key.supplier_key_id for key in sealed}
    told = {unit.key_id for unit in report.keys if unit.state == "delivered"}
    return min(len(told - ours), free)


def noted(
    file: OrderFile,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    report: SupplierOrder,
    sealed: Sequence[SealedKey],
    *,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """What it means that the order was read and every readable key of it is sealed.

    A first shortage is remembered; one that lasts holds the item. After a refund nothing is waited
    for any more: what came is given back.
    """
    missing = missing_units(fulfilment, report, sealed)
    draft = Draft(file, at=at, new_id=new_id)
    since = attempt.short_since
    if bool(missing) != (since is not None):
        draft.set(attempt, short_since=at if missing else None)
        draft.event("supplier_reported", attempt.id, facts={"short": missing})
        return draft.decision("short" if missing else "")
    if since is None:
        return Decision()
    if at - max([since, *_decided(file, fulfilment)]) < limits.short_order_patience:
        return Decision(reason="short")
    if file.order.status == "refunded":
        _end(draft, fulfilment, attempt, sealed, limits)
    elif file.order.status in PAID and not item_is_held(file, fulfilment.order_item_id):
        draft.set(fulfilment, last_error="short", updated_at=at)
        draft.event(
            "item_failed", fulfilment.id, facts={"item": fulfilment.item_no, "error": "short"}
        )
        draft.hold("item", fulfilment.order_item_id, "fulfilment")
    return draft.decision("short")


def look_again_after(
    file: OrderFile,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    *,
    at: datetime,
    limits: Limits,
) -> timedelta:
    """How long to wait before the order is read again: rarely while a person has to look."""
    is_preorder = file.item(fulfilment.order_item_id).is_preorder
    is_told = attempt.short_since is not None and (
        at - attempt.short_since >= limits.short_order_patience
        and (file.order.status not in PAID or item_is_held(file, fulfilment.order_item_id))
    )
    return poll_after(attempt, at=at, is_preorder=is_preorder or is_told, limits=limits)


def _decided(file: OrderFile, fulfilment: Fulfilment) -> list[datetime]:
    """When people last said that it should go on."""
    return [
        hold.decided_at
        for hold in file.holds
        if hold.subject_id == fulfilment.order_item_id and hold.decided_at is not None
    ]


def _end(
    draft: Draft,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    sealed: Sequence[SealedKey],
    limits: Limits,
) -> None:
    """Nobody waits for the rest: the keys that came, and the order itself, go back."""
    for key in sealed:
        if key.state in _COUNTED:
            draft.set(key, state="returned", ciphertext=None)
            draft.event("key_shredded", key.id, facts={"slot": key.slot})
    if attempt.state == "created":
        draft.move_attempt(attempt, "complete")
    ask_return(draft, fulfilment, draft.now(attempt), limits)
    row = draft.resume(fulfilment)
    if row.state == "awaiting_release":
        row = draft.move(row, "keys")
    cancel(draft, draft.move(row, "wait", waits_in=row.state))
