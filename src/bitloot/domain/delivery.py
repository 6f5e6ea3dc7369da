"""From stored ciphertext to a key that can be revealed, and what that means for the order.

An item is delivered when every unit of it was; the order is fulfilled with its last item.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft
from bitloot.domain.fulfilment import Fulfilment, FulfilmentState
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.order import PAID, OrderFile, OrderItem

# A unit whose key was replaced had been delivered once: the order does not go back for it.
_HANDED_OVER: Final = frozenset[FulfilmentState]({"delivered", "replaced"})


def is_delivered(item: OrderItem, fulfilments: Iterable[Fulfilment]) -> bool:
    """Whether every unit of the item was delivered."""
    covered = {
        slot
        for f in fulfilments
        if f.order_item_id == item.id and f.state in _HANDED_OVER
        for slot in f.slots
    }
    return covered.issuperset(range(1, item.quantity + 1))


def item_is_held(file: OrderFile, item_id: str) -> bool:
    """Whether an open hold stops this item."""
    return any(h.is_open and h.subject == "item" and h.subject_id == item_id for h in file.holds)


def has_every_key(fulfilment: Fulfilment, keys: Sequence[SealedKey]) -> bool:
    """Whether each unit has a good key; one that was kept aside does not count."""
    live = {key.slot for key in keys if key.state == "live" and key.fulfilment_id == fulfilment.id}
    return live.issuperset(fulfilment.slots)


def may_deliver(file: OrderFile, fulfilment: Fulfilment) -> bool:
    """Whether its keys may be handed over now: paid, and nothing held."""
    return (
        file.order.status in PAID
        and file.open_order_hold() is None
        and not item_is_held(file, fulfilment.order_item_id)
    )


def to_upload(keys: Sequence[SealedKey]) -> tuple[SealedKey, ...]:
    """The keys whose committed bytes are not in the store yet."""
    return tuple(k for k in keys if k.state == "live" and k.uploaded_at is None and k.ciphertext)


def uploaded(
    file: OrderFile,
    fulfilment: Fulfilment,
    keys: Sequence[SealedKey],
    stored: AbstractSet[str],
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """Note what was stored and checked; with the last object the fulfilment goes as far as it may.

    `keys` are all keys of the fulfilment, `stored` the ids of those whose object is in the store.
    """
    draft = Draft(file, at=at, new_id=new_id)
    fresh = [key for key in to_upload(keys) if key.id in stored]
    for key in fresh:
        draft.set(key, uploaded_at=at, ciphertext=None)
    if fresh:
        draft.event("keys_uploaded", fulfilment.id, facts={"count": len(fresh)})
    now = [draft.now(key) for key in keys]
    row = draft.now(fulfilment)
    if not to_upload(now):
        row = draft.resume(row)
        if row.state == "sealed":
            row = draft.move(row, "upload", last_error=None)
        if row.state == "vaulted" and may_deliver(file, row):
            if has_every_key(row, now):
                _deliver(draft, row)
            else:
                # Somebody closed the hold without replacing the key: nothing can be delivered.
                draft.hold("item", row.order_item_id, "repeated_key")
    return draft.decision()


def _deliver(draft: Draft, fulfilment: Fulfilment) -> None:
    row = draft.move(fulfilment, "deliver")
    fulfilments = draft.fulfilments()
    item = draft.file.item(row.order_item_id)
    if not is_delivered(item, fulfilments):
        return
    # Grows with every delivery, so that each batch is told of once.
    batch = sum(1 for f in fulfilments if f.state in _HANDED_OVER)
    facts = {"item": item.item_no, "n": batch}
    if draft.order.status == "fulfilled":
        draft.event("item_delivered", item.id, facts=facts)
    elif all(is_delivered(each, fulfilments) for each in draft.file.items):
        draft.move_order("all_delivered", fulfilled_at=draft.at, completion_mailed=True)
        draft.event("order_fulfilled", draft.order.id, facts={"item": item.item_no})
    else:
        if draft.order.status == "paid":
            draft.move_order("item_delivered")
        draft.event("item_delivered", item.id, facts=facts)


def given_up(
    file: OrderFile, *, actor: str, reason: str, at: datetime, new_id: Callable[[], str]
) -> Decision:
    """An admin gives up on what is still open: the order failed, what was delivered stays.

    Nothing is decided for an order that is not partly or wholly owed.
    """
    draft = Draft(file, at=at, new_id=new_id)
    if file.order.status not in {"paid", "partially_fulfilled"}:
        return Decision(reason="nothing is owed")
    draft.move_order("give_up", failure_reason="fulfilment_failed")
    draft.audit(actor, "order.give_up", file.order.id, reason=reason)
    # `n` tells this mail apart from one about a failure before the payment.
    draft.event("given_up", file.order.id, facts={"n": file.order.event_seq + 1})
    return draft.decision()
