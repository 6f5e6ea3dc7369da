"""How an order ends unpaid: its buyer cancels it (O3), or its time is over (O4)."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from bitloot.domain.decision import NOTHING, Decision
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.goods import give_back
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.order import ORDER, OrderFile
from bitloot.domain.payment import Payment, PaymentStatus

# Some money was seen: on its way, too little, or whole.
RECEIVED: Final = frozenset[PaymentStatus](
    {"confirming", "confirmed", "sending", "underpaid", "finished"}
)
ON_ITS_WAY: Final = frozenset[PaymentStatus]({"confirming", "confirmed", "sending"})


def cancel(
    file: OrderFile,
    *,
    at: datetime,
    new_id: Callable[[], str],
    held_keys: Iterable[InventoryKey],
) -> Decision:
    """O3: give the goods back; payments stay watched, for money may still come.

    Cancelling a cancelled order again changes nothing. Raises Refused `order-not-cancellable`.
    """
    if file.order.status == "cancelled":
        return NOTHING
    draft = Draft(file, at=at, new_id=new_id)
    received = any(p.status in RECEIVED for p in file.payments)
    held = any(h.is_open for h in file.holds)
    if ORDER.step(file.order.status, "cancel") is None or received or held:
        raise Refused("order-not-cancellable")
    draft.move_order("cancel")
    draft.event("order_cancelled", file.order.id)
    give_back(draft, held_keys, signal="release")
    return draft.decision()


def expire(
    file: OrderFile,
    *,
    at: datetime,
    new_id: Callable[[], str],
    held_keys: Iterable[InventoryKey],
) -> Decision:
    """O4 by the timer. Nothing happens before the window is over, nor to a held order.

    Money that is on its way is never answered with an expiry: such an order only loses its goods,
    a day after the last sighting. Money that was set apart for a person (a child deposit, a
    payment with a hold) does not stop the timer: it can be accepted for an expired order too.
    """
    order = file.order
    if at < order.window_ends_at or file.open_order_hold() is not None:
        return NOTHING
    draft = Draft(file, at=at, new_id=new_id)
    on_its_way = any(p.status in ON_ITS_WAY for p in file.payments)
    if order.status == "confirming":
        if any(r.state == "held" for r in file.reservations):
            give_back(draft, held_keys, signal="expire")
            draft.event("reservations_expired", order.id)
        return draft.decision()
    received = any(p.status in RECEIVED and not _is_apart(file, p) for p in file.payments)
    if order.status not in {"created", "waiting"} or on_its_way or received:
        return NOTHING
    draft.move_order("expire")
    draft.event("order_expired", order.id, facts={"by": "timer"})
    give_back(draft, held_keys, signal="expire")
    return draft.decision()


def _is_apart(file: OrderFile, payment: Payment) -> bool:
    """Whether this money never settles the order by itself."""
    return payment.is_child or any(h.subject_id == payment.id for h in file.holds)
