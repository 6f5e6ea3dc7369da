"""A bad key is replaced: the old one stays in the history, a linked fulfilment gets a new one."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft, standing
from bitloot.domain.errors import Refused
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.order import PAID, OrderFile
from bitloot.domain.retry import close_holds
from bitloot.domain.supplier_progress import linked_fulfilment

_AT_HAND: Final = frozenset({"sealed", "vaulted"})


def replace_key(
    file: OrderFile,
    key: SealedKey,
    inventory: Mapping[str, InventoryKey],
    *,
    actor: str,
    reason: str,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """Start getting another key for the unit of `key`.

    A unit that was handed over leaves its order as it is: the buyer had a key once. A key that was
    kept aside before delivery gives its unit to the new fulfilment. `inventory` holds the
    own-stock row of the key, if it has one. Raises Refused(`key-not-replaceable`).
    """
    fulfilment = next((f for f in file.fulfilments if f.id == key.fulfilment_id), None)
    slot = key.slot or 0
    is_counted = key.state in {"live", "quarantined"}
    if fulfilment is None or slot not in fulfilment.slots or not is_counted:
        raise Refused("key-not-replaceable")
    if file.order.status not in PAID:
        raise Refused("key-not-replaceable")
    draft = Draft(file, at=at, new_id=new_id)
    is_only_unit = fulfilment.slots == (slot,)
    if fulfilment.state == "delivered":
        if is_only_unit:
            draft.move(fulfilment, "replace")
    elif standing(fulfilment) in _AT_HAND:
        if is_only_unit:
            draft.move(draft.resume(fulfilment), "return")
        else:
            rest = tuple(each for each in fulfilment.slots if each != slot)
            draft.set(fulfilment, slots=rest, updated_at=at)
            draft.event("fulfilment_resumed", fulfilment.id)
    else:
        raise Refused("key-not-replaceable")
    # A key kept aside stays so: it may be a key that somebody else has by right.
    if key.state == "live":
        draft.set(key, state="replaced")
    if key.id in inventory:
        draft.set(inventory[key.id], state="burned")
    linked = linked_fulfilment(draft, fulfilment, (slot,), state="pending")
    close_holds(
        draft,
        {fulfilment.order_item_id},
        {"repeated_key", "supplier_refund", "fulfilment"},
        actor=actor,
        reason=reason,
    )
    draft.audit(actor, "key.replace", key.id, reason=reason, facts={"slot": slot})
    draft.event("key_replaced", key.id, facts={"slot": slot, "part": linked.part})
    return draft.decision()
