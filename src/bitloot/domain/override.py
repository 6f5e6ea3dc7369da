"""O22: a person sets an order's status by hand, within the table, with evidence and on record."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.goods import Today, give_back
from bitloot.domain.hold_decision import latest_finished
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.order import (
    BEFORE_PAYMENT,
    ORDER,
    PAID,
    FailureReason,
    OrderFile,
    OrderStatus,
)
from bitloot.domain.paying import Terms, become_paid, with_remark
from bitloot.domain.reveal import Grant, revoke, shows_keys

NEVER_FROM: Final = frozenset[OrderStatus]({"fulfilled", "refunded"})


def overridable(status: OrderStatus) -> frozenset[OrderStatus]:
    """The statuses that a person may set from here.

    Never `fulfilled`, which deliveries make. Money that was received is refunded by recording the
    refund, which takes back the keys too, not by setting a status.
    """
    if status in NEVER_FROM:
        return frozenset()
    allowed = ORDER.next_states(status) - {"fulfilled"}
    return allowed if status in BEFORE_PAYMENT else allowed - {"refunded"}


def override(
    file: OrderFile,
    to: OrderStatus,
    *,
    by: str,
    reason: str,
    expected_version: int,
    confirmed: bool,
    failure_reason: FailureReason | None = None,
    at: datetime,
    terms: Terms,
    held_keys: Iterable[InventoryKey] = (),
    grants: Sequence[Grant] = (),
    today: Today | None = None,
) -> Decision:
    """Set the status, remark `manual`, audit line. `grants` are the order's usable ones.

    Raises Refused `version-conflict`, `invalid-input` (status not reachable, no reason, not
    confirmed) or `payment-not-settled` (paid without a finished payment).
    """
    order = file.order
    if order.version != expected_version:
        raise Refused("version-conflict")
    if to not in overridable(order.status):
        allowed = ", ".join(sorted(overridable(order.status))) or "none"
        raise Refused("invalid-input", f"From {order.status} one can go to: {allowed}.", field="to")
    if not reason.strip():
        raise Refused("invalid-input", "Say why.", field="reason")
    if not confirmed:
        raise Refused("invalid-input", "Confirm the change.", field="confirmed")
    draft = Draft(file, at=at, new_id=terms.new_id)
    draft.event("status_overridden", order.id, facts={"from": order.status, "to": to})
    draft.audit(
        by, "order.override", order.id, reason=reason, facts={"from": order.status, "to": to}
    )
    draft.set(order, remarks=with_remark(order, "manual"))
    if to in PAID:
        _to_paid(draft, to, terms=terms, today=today)
    else:
        usual = "fulfilment_failed" if order.status in PAID else "provider_failed"
        why = failure_reason or order.failure_reason or usual
        draft.set(order, status=to, failure_reason=why if to == "failed" else None)
        if to not in BEFORE_PAYMENT:
            give_back(draft, held_keys, signal="expire" if to == "expired" else "release")
    if not shows_keys(draft.order):
        revoke(draft, grants, "status set by hand")
    return draft.decision()


def _to_paid(draft: Draft, to: OrderStatus, *, terms: Terms, today: Today | None) -> None:
    order = draft.file.order
    payment = latest_finished(draft.file, terms.limits)
    if payment is None:
        raise Refused("payment-not-settled")
    if order.paid_at is not None:
        draft.set(order, status=to, failure_reason=None)
        for fulfilment in draft.file.fulfilments:
            draft.event("fulfilment_resumed", fulfilment.id)
        return
    signal = "settled" if ORDER.step(order.status, "settled") else "accept"
    become_paid(draft, payment, signal=signal, terms=terms, today=today)
