"""A person corrects own stock: what a key cost, until when it is good, whether it is sold."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from bitloot.domain.decision import AuditEntry, Decision, update
from bitloot.domain.errors import Refused
from bitloot.domain.key_inventory import INVENTORY_KEY, InventoryKey, SealedKey
from bitloot.domain.own_stock import end_of_use
from bitloot.domain.rule_change import reprice
from bitloot.domain.stock_item import ItemKind

CountOutcome: TypeAlias = Literal["not_in_stock", "repeated_in_file"]


class Recount(msgspec.Struct, frozen=True, kw_only=True):
    """How a count differs from the stock. `missing` are ids of keys that were not counted.

    Nothing is changed by it: a person looks at each difference.
    """

    expected: int
    found: int
    missing: tuple[str, ...]
    surplus: tuple[tuple[int, CountOutcome], ...]


def edited(
    key: InventoryKey, fields: Mapping[str, object], *, actor: str, reason: str, at: datetime
) -> Decision:
    """Another cost or end; its product's price is made anew. Raises Refused `in-use` for a key
    that is not on the shelf, `invalid-input` for an end that has no date.
    """
    _demand_shelf(key)
    if isinstance(end := fields.get("expires_at"), datetime):
        end_of_use(end)
    facts: dict[str, str | int | None] = {"fields": ", ".join(sorted(fields)), "key": key.id}
    entry = _entry("key.changed", key, actor, at, reason=reason, facts=facts)
    change = update(key, **fields)
    return Decision(save=(change,), jobs=(reprice(key.product_id),), audit=(entry,))


def burned(key: InventoryKey, *, actor: str, reason: str, at: datetime) -> Decision:
    """The key is sold no more. Raises Refused `in-use` for a key that is not on the shelf."""
    _demand_shelf(key)
    state = INVENTORY_KEY.step(key.state, "burn")
    assert state is not None
    entry = _entry("key.burned", key, actor, at, reason=reason, facts={"key": key.id})
    change = update(key, state=state)
    return Decision(save=(change,), jobs=(reprice(key.product_id),), audit=(entry,))


def removed(
    key: InventoryKey, sealed: SealedKey, *, actor: str, reason: str, at: datetime
) -> Decision:
    """The key is gone, as if it had never come in. It has to be off the shelf.

    Raises Refused `in-use` for a key that is kept, was sold, or may have been seen by a buyer.
    """
    if not is_unsold(key, sealed):
        raise Refused("in-use", "Only a key that was never sold can be taken out.")
    entry = _entry("key.removed", key, actor, at, reason=reason, facts={"key": key.id})
    return Decision(remove=(key, sealed), audit=(entry,))


def is_unsold(key: InventoryKey, sealed: SealedKey) -> bool:
    """Whether the key is off the shelf and no order ever had it."""
    return (
        key.state in {"burned", "expired"}
        and key.order_item_id is None
        and sealed.order_id is None
        and sealed.downloads == 0
    )


def recounted(stock: Mapping[str, str], lines: Sequence[tuple[int, str]]) -> Recount:
    """`stock` gives ids by fingerprint, `lines` the fingerprint of each counted line's number."""
    seen: set[str] = set()
    surplus: list[tuple[int, CountOutcome]] = []
    for number, fingerprint in lines:
        if fingerprint in seen:
            surplus.append((number, "repeated_in_file"))
        elif fingerprint not in stock:
            surplus.append((number, "not_in_stock"))
        seen.add(fingerprint)
    missing = tuple(sorted(key_id for mark, key_id in stock.items() if mark not in seen))
    return Recount(
        expected=len(stock),
        found=len(stock) - len(missing),
        missing=missing,
        surplus=tuple(surplus),
    )


def recount_noted(product_id: str, count: Recount, *, actor: str, at: datetime) -> Decision:
    """That somebody counted, and how far it was off."""
    facts: dict[str, str | int | None] = {
        "expected": count.expected,
        "found": count.found,
        "surplus": len(count.surplus),
    }
    entry = AuditEntry(at=at, actor=actor, action="keys.recount", subject=product_id, facts=facts)
    return Decision(audit=(entry,))


def export_noted(
    product_id: str, kind: ItemKind, keys: int, *, actor: str, reason: str, at: datetime
) -> Decision:
    """That somebody takes items of a kind out of the shop, written before the first one leaves.

    `keys` is how many there are on the shelf or kept.
    """
    entry = AuditEntry(
        at=at,
        actor=actor,
        action="keys.export",
        subject=product_id,
        reason=reason,
        facts={"kind": kind, "keys": keys},
    )
    return Decision(audit=(entry,))


def _demand_shelf(key: InventoryKey) -> None:
    if key.state != "available":
        raise Refused("in-use", f"The key is {key.state}; only one on the shelf can be changed.")


def _entry(
    action: str,
    key: InventoryKey,
    actor: str,
    at: datetime,
    *,
    reason: str,
    facts: Mapping[str, str | int | None],
) -> AuditEntry:
    return AuditEntry(
        at=at, actor=actor, action=action, subject=key.product_id, reason=reason, facts=facts
    )
