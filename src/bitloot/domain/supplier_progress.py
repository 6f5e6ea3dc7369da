"""What the state of a supplier order, and of each unit in it, means for a fulfilment.

Kinguin eCommerce API, "Order", "Keys" and "Webhooks": orders are `processing`, `completed`,
`canceled` or `refunded`; keys come one by one; notices arrive in any order, so only `updatedAt`
tells what is newer.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft, standing
from bitloot.domain.fulfilment import BEFORE_SEAL, Fulfilment, FulfilmentState, SupplierAttempt
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.supplier_refund import (
    ENDED,
    book_back,
    book_cost,
    lost_keys,
    units_given_back,
)
from bitloot.domain.supply import SupplierOrder, offer_name

_HOUR: Final = timedelta(hours=1)
_PAST_HELP: Final = frozenset[FulfilmentState]({"returned", "replaced", "cancelled"})
_COUNTED: Final = frozenset({"live", "quarantined"})


def poll_after(
    attempt: SupplierAttempt, *, at: datetime, is_preorder: bool, limits: Limits
) -> timedelta:
    """How long to wait before the order is read again; a webhook shortens it.

    2 s doubling to 60 s, each 5 min after the first hour, hourly for a preorder.
    """
    if is_preorder:
        return limits.supplier_poll_preorder
    age = max(at - (attempt.created_at or attempt.intent_at), timedelta())
    if age >= _HOUR:
        return limits.supplier_poll_after_hour
    return min(limits.supplier_poll_cap, age + limits.supplier_poll_first)


def is_stale(attempt: SupplierAttempt, report: SupplierOrder) -> bool:
    """Whether something newer is known already."""
    seen = attempt.supplier_updated_at
    return report.updated_at is not None and seen is not None and report.updated_at < seen


def has_new_keys(report: SupplierOrder, sealed: Sequence[SealedKey]) -> bool:
    """Whether the order holds keys that can be read and are not sealed yet.

    A completed order has all its keys, whatever it says of each one, and however many it lists.
    """
    if report.state in ENDED:
        return False
    ours = {key.supplier_key_id for key in sealed}
    if any(unit.state == "delivered" and unit.key_id not in ours for unit in report.keys):
        return True
    counted = sum(key.state in _COUNTED for key in sealed) + len(lost_keys(report))
    return report.state == "completed" and counted < report.quantity


def observe(
    file: OrderFile,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    report: SupplierOrder,
    sealed: Sequence[SealedKey],
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """What a fresh reading of the supplier order changes. `sealed` are the fulfilment's keys."""
    if is_stale(attempt, report):
        return Decision(reason="stale")
    draft = Draft(file, at=at, new_id=new_id)
    _note(draft, attempt, report)
    if attempt.state not in {"created", "completed"}:
        # An order that serves nobody any more says nothing of the units that another one gets; what
        # comes back of its money is ours all the same.
        book_back(draft, attempt, units_given_back(attempt, report))
        return draft.decision(report.state)
    if report.state in ENDED:
        book_back(draft, attempt, attempt.quantity)
        _order_lost(draft, fulfilment, attempt, report.state, sealed)
        return draft.decision(report.state)
    _units_lost(draft, fulfilment, attempt, report, sealed)
    row = draft.now(fulfilment)
    if standing(row) in BEFORE_SEAL:
        row = draft.resume(row)
    if row.state == "reserved" and _waits_for_release(file, row, report):
        draft.move(row, "preorder")
    return draft.decision(report.state)


def _waits_for_release(file: OrderFile, fulfilment: Fulfilment, report: SupplierOrder) -> bool:
    """Whether the keys come at a release date; only a preorder was sold with that promise."""
    is_promised = file.item(fulfilment.order_item_id).is_preorder
    return report.is_preorder and is_promised and report.state == "processing"


def _note(draft: Draft, attempt: SupplierAttempt, report: SupplierOrder) -> None:
    row = draft.now(attempt)
    if report.updated_at is not None and report.updated_at != row.supplier_updated_at:
        draft.set(row, supplier_updated_at=report.updated_at)
        draft.event("supplier_reported", row.id, facts={"state": report.state})
    if row.cost is None and report.total is not None:
        book_cost(draft, row, report.total)
        draft.event("supplier_reported", row.id, facts={"state": report.state})


def _order_lost(
    draft: Draft,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    state: str,
    sealed: Sequence[SealedKey],
) -> None:
    """Our money came back: the buyer is still owed, unless the keys were already at hand."""
    row = draft.now(fulfilment)
    is_cancelled = state == "canceled" and attempt.state == "created"
    draft.move_attempt(attempt, "cancel" if is_cancelled else "refund")
    if standing(row) in BEFORE_SEAL:
        row = draft.resume(row)
        for key in sealed:
            if key.state in _COUNTED:
                _take_back(draft, key)
        tried = row.tried_offers
        if _was_lost_before(draft, attempt):
            tried = (*tried, offer_name(attempt.supplier, attempt.offer_id))
        draft.move(row, "supplier_refund", last_error=state, tried_offers=tried)
    elif row.state not in _PAST_HELP:
        # The key may be in the buyer's hands already: a person decides.
        draft.hold("item", row.order_item_id, "supplier_refund")


def _was_lost_before(draft: Draft, attempt: SupplierAttempt) -> bool:
    """Whether this offer failed the fulfilment already: once is bad luck, twice is its answer."""
    return any(
        other.id != attempt.id
        and other.fulfilment_id == attempt.fulfilment_id
        and (other.supplier, other.offer_id) == (attempt.supplier, attempt.offer_id)
        and other.state in {"canceled", "refunded"}
        for other in draft.file.attempts
    )


def _units_lost(
    draft: Draft,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    report: SupplierOrder,
    sealed: Sequence[SealedKey],
) -> None:
    """Units that the supplier took back move to a linked fulfilment, which buys them anew."""
    row = draft.now(fulfilment)
    lost = lost_keys(report)
    # Only what was lost since the last look: whatever was lost before has moved or was told.
    missing = len(lost) - attempt.units_back
    if missing <= 0:
        return
    book_back(draft, attempt, units_given_back(attempt, report))
    if row.state in _PAST_HELP:
        return
    # A key whose unit was given another one meanwhile is missed by nobody.
    ours = [key for key in sealed if key.state in _COUNTED and key.slot in row.slots]
    if standing(row) not in BEFORE_SEAL:
        if any(key.supplier_key_id in lost for key in ours):
            draft.hold("item", row.order_item_id, "supplier_refund")
        return
    if missing >= row.quantity:
        _order_lost(draft, row, attempt, "refunded", sealed)
        return
    taken = [key for key in ours if key.supplier_key_id in lost][:missing]
    for key in taken:
        _take_back(draft, key)
    held = {key.slot for key in ours}
    free = [slot for slot in row.slots if slot not in held]
    gone = sorted(
        [key.slot for key in taken if key.slot is not None] + free[::-1][: missing - len(taken)]
    )
    _split_off(draft, row, tuple(gone))


def _split_off(draft: Draft, fulfilment: Fulfilment, gone: tuple[int, ...]) -> None:
    row = draft.set(
        fulfilment,
        slots=tuple(slot for slot in fulfilment.slots if slot not in gone),
        updated_at=draft.at,
    )
    linked_fulfilment(draft, row, gone, state="supplier_refunded")


def linked_fulfilment(
    draft: Draft, fulfilment: Fulfilment, slots: tuple[int, ...], *, state: FulfilmentState
) -> Fulfilment:
    """A new fulfilment of the same item for these units, and the job that works on it."""
    item_parts = [
        f.part for f in draft.fulfilments() if f.order_item_id == fulfilment.order_item_id
    ]
    linked = draft.put(
        Fulfilment(
            id=draft.new_id(),
            order_id=fulfilment.order_id,
            order_item_id=fulfilment.order_item_id,
            item_no=fulfilment.item_no,
            part=max(item_parts) + 1,
            slots=slots,
            supplier=fulfilment.supplier,
            own_stock=fulfilment.own_stock,
            supplier_product_id=fulfilment.supplier_product_id,
            offer_id=fulfilment.offer_id,
            max_unit_price=fulfilment.max_unit_price,
            state=state,
            replaces=fulfilment.id,
            created_at=draft.at,
            updated_at=draft.at,
        )
    )
    draft.event(
        "fulfilment_planned", linked.id, facts={"item": linked.item_no, "part": linked.part}
    )
    return linked


def _take_back(draft: Draft, key: SealedKey) -> None:
    draft.set(key, state="returned", ciphertext=None)
    draft.event("key_shredded", key.id, facts={"slot": key.slot})
