"""Giving each key that a supplier handed out its unit, and telling apart those that are not right.

A key is sealed for one unit and committed as ciphertext; it is never encrypted again. A key that
was seen before, belongs to another product or cannot be read is kept aside and its item is held.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft, standing
from bitloot.domain.fulfilment import BEFORE_SEAL, Fulfilment, SupplierAttempt
from bitloot.domain.hold import HoldReason
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.order import OrderFile
from bitloot.domain.sealed import Bound, SealedBytes
from bitloot.domain.supply import LOST_UNIT, SuppliedKey, SupplierOrder

CONTENT_TYPES: Final = frozenset({"text/plain", "image/jpeg", "image/png", "image/gif"})
Fault: TypeAlias = Literal["repeated", "wrong_product", "unreadable"]
_OCCUPIES: Final = frozenset({"live", "quarantined"})


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A key in memory with the unit that it is for, about to be sealed. Shows no serial."""

    key: SuppliedKey
    slot: int
    sealed_key_id: str

    def bound(self, fulfilment: Fulfilment) -> Bound:
        """What its data key is bound to."""
        return Bound(
            sealed_key_id=self.sealed_key_id,
            order_id=fulfilment.order_id,
            order_item_id=fulfilment.order_item_id,
            slot=self.slot,
        )


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it was sealed: no plaintext any more. `is_readable` is False for an empty one."""

    sealed_key_id: str
    slot: int
    supplier_key_id: str
    supplier_product_id: str
    content_type: str
    is_readable: bool
    sealed: SealedBytes


def free_slots(fulfilment: Fulfilment, sealed: Sequence[SealedKey]) -> tuple[int, ...]:
    """The units that have no key yet."""
    taken = {key.slot for key in sealed if key.state in _OCCUPIES}
    return tuple(slot for slot in fulfilment.slots if slot not in taken)


def usable(report: SupplierOrder, supplied: Sequence[SuppliedKey]) -> tuple[SuppliedKey, ...]:
    """The keys of an order without those that the supplier took back, readable or not."""
    lost = {unit.key_id for unit in report.keys if unit.state in LOST_UNIT}
    return tuple(key for key in supplied if key.key_id not in lost)


def place_keys(
    fulfilment: Fulfilment,
    sealed: Sequence[SealedKey],
    supplied: Sequence[SuppliedKey],
    *,
    foreign: AbstractSet[str] = frozenset(),
    new_id: Callable[[], str],
) -> tuple[Placed, ...]:
    """Give the keys that are not sealed yet a unit each, in the supplier's order.

    Reading the same keys again changes nothing; keys beyond the last free unit are left alone.
    `foreign` are ids that were sealed for another fulfilment: they are kept aside once.
    """
    known = {key.supplier_key_id for key in sealed}
    if any(key.state == "quarantined" and key.supplier_key_id is None for key in sealed):
        known |= foreign
    fresh = {key.key_id: key for key in supplied if key.key_id not in known}
    return tuple(
        Placed(key=key, slot=slot, sealed_key_id=new_id())
        for slot, key in zip(free_slots(fulfilment, sealed), fresh.values(), strict=False)
    )


def sealed_form(placed: Placed, sealed: SealedBytes) -> NewKey:
    """What is kept of a key once it is sealed."""
    return NewKey(
        sealed_key_id=placed.sealed_key_id,
        slot=placed.slot,
        supplier_key_id=placed.key.key_id,
        supplier_product_id=placed.key.supplier_product_id,
        content_type=placed.key.content_type,
        is_readable=bool(placed.key.serial.strip()),
        sealed=sealed,
    )


def seal(
    file: OrderFile,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    new: Sequence[NewKey],
    sealed: Sequence[SealedKey],
    *,
    known_fingerprints: AbstractSet[str],
    known_key_ids: AbstractSet[str],
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """Store freshly sealed keys; with the last one the fulfilment is `sealed`.

    Nothing is done for one that another worker has brought further meanwhile.
    `sealed` are the keys that the fulfilment has already; `known_fingerprints` and `known_key_ids`
    are those of the new keys that were ever seen, in any order or stock.
    """
    draft = Draft(file, at=at, new_id=new_id)
    if standing(fulfilment) not in BEFORE_SEAL:
        return draft.decision("sealed")
    seen_prints, seen_ids = set(known_fingerprints), set(known_key_ids)
    for key in new:
        fault = _fault(key, attempt, seen_prints, seen_ids)
        is_foreign = key.supplier_key_id in seen_ids
        row = draft.put(_row(fulfilment, key, fault, at, is_foreign=is_foreign))
        seen_prints.add(key.sealed.fingerprint)
        seen_ids.add(key.supplier_key_id)
        if fault is not None:
            draft.event("key_quarantined", row.id, facts={"slot": key.slot, "fault": fault})
            draft.hold("item", fulfilment.order_item_id, _reason(fault))
    if new:
        draft.event("keys_sealed", fulfilment.id, facts={"count": len(new)})
    stored = [row for row in draft.written() if isinstance(row, SealedKey)]
    if not free_slots(fulfilment, [*sealed, *stored]):
        row_now = draft.resume(fulfilment)
        signals = ("seal",) if standing(row_now) == "keys_ready" else ("keys", "seal")
        draft.move(row_now, *signals, last_error=None)
        if attempt.state == "created":
            draft.move_attempt(attempt, "complete")
        if attempt.short_since is not None:
            draft.set(attempt, short_since=None)
    return draft.decision()


def _fault(
    key: NewKey, attempt: SupplierAttempt, prints: AbstractSet[str], ids: AbstractSet[str]
) -> Fault | None:
    if key.sealed.fingerprint in prints or key.supplier_key_id in ids:
        return "repeated"
    if key.supplier_product_id and key.supplier_product_id != attempt.supplier_product_id:
        return "wrong_product"
    if not key.is_readable or key.content_type not in CONTENT_TYPES:
        return "unreadable"
    return None


def _reason(fault: Fault) -> HoldReason:
    return "repeated_key" if fault == "repeated" else "fulfilment"


def _row(
    fulfilment: Fulfilment, key: NewKey, fault: Fault | None, at: datetime, *, is_foreign: bool
) -> SealedKey:
    """`is_foreign`: the supplier's id belongs to another sealed key and stays with that one."""
    return SealedKey(
        id=key.sealed_key_id,
        order_id=fulfilment.order_id,
        order_item_id=fulfilment.order_item_id,
        slot=key.slot,
        fulfilment_id=fulfilment.id,
        supplier=fulfilment.supplier,
        supplier_key_id=None if is_foreign else key.supplier_key_id,
        content_type=key.content_type,
        fingerprint=key.sealed.fingerprint,
        wrapped_dek=key.sealed.wrapped_dek,
        kek_id=key.sealed.kek_id,
        nonce=key.sealed.nonce,
        ciphertext=key.sealed.ciphertext,
        sha256=key.sealed.sha256,
        size=key.sealed.size,
        object_name=key.sealed.object_name,
        state="quarantined" if fault else "live",
        created_at=at,
    )
