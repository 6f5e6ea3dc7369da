"""Which source a paid unit comes from: one of several suppliers' offers, or the shop's own keys.

The cheapest that has all units wins, by what its supplier said a moment ago, within the ceiling of
the purchase; at equal cost own keys, which nobody has to be asked for. Suppliers that cannot be
asked now are passed over. A unit moves on to another source only when the attempt before it ended
for certain without a purchase: what is chosen here is written down by `purchase.intend`, which an
attempt that is still open refuses.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.draft import Draft
from bitloot.domain.fulfilment import BlockedReason, Fulfilment, SupplierAttempt
from bitloot.domain.fulfilment_plan import OWN_STOCK, WHOLESALE_FROM
from bitloot.domain.key_inventory import INVENTORY_KEY, InventoryKey
from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur
from bitloot.domain.order import OrderFile
from bitloot.domain.product import Offer
from bitloot.domain.reservation import ReservationState
from bitloot.domain.supplier_progress import linked_fulfilment
from bitloot.domain.supply import SupplierOffer, offer_name


class Source(msgspec.Struct, frozen=True):
    """Where to ask: a supplier, and its own id of the product."""

    supplier: str
    supplier_product_id: str


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """Where a product can come from, as the shop knows it: every supplier's offers, and how many
    own keys are free (`key_cost`: EUR, of the dearest of them).
    """

    offers: tuple[Offer, ...] = ()
    free_keys: int = 0
    key_cost: Eur | None = None


class Found(msgspec.Struct, frozen=True):
    """An offer as its supplier told it a moment ago."""

    supplier: str
    offer: SupplierOffer


NO_SHELF: Final = Shelf()
# Such a reservation took its units off what is known of its offer.
_KEPT: Final = frozenset[ReservationState]({"held", "consumed"})
# What a supplier refuses until a person mends it; then the same purchase goes through.
MENDED_BY_PEOPLE: Final[Mapping[str, BlockedReason]] = {
    "balance": "balance",
    "credentials": "credentials",
}
# An offer of a supplier, own keys, or why there is neither.
Choice: TypeAlias = Found | Literal["own", "price", "stock"]


def units_at_once(fulfilment: Fulfilment, limits: Limits) -> int:
    """How many units are asked for. Own stock was one fulfilment; a supplier takes it in parts."""
    if fulfilment.own_stock:
        return min(fulfilment.quantity, limits.units_per_fulfilment)
    return fulfilment.quantity


def sources(
    file: OrderFile, fulfilment: Fulfilment, shelf: Shelf, limits: Limits
) -> tuple[Source, ...]:
    """Whom to ask: the supplier that it was sold from, then others with enough by what is known,
    the cheapest first, `limits.supplier_sources` in all. What is kept for the item counts for it.
    """
    needed = units_at_once(fulfilment, limits)
    kept: dict[str | None, int] = {}
    for row in file.reservations:
        if row.order_item_id == fulfilment.order_item_id and row.state in _KEPT:
            kept[row.offer_row_id] = kept.get(row.offer_row_id, 0) + row.quantity
    asked = [] if fulfilment.own_stock else [_present(fulfilment)]
    asked += [
        Source(offer.supplier, offer.supplier_product_id)
        for offer in sorted(shelf.offers, key=lambda offer: (offer.cost, offer.id))
        if offer.stock - offer.held + kept.get(offer.id, 0) >= needed
    ]
    return tuple(dict.fromkeys(asked))[: limits.supplier_sources]


def unit_price(offer: SupplierOffer, quantity: int) -> Eur:
    """What a unit costs when that many are bought of the offer, EUR."""
    reached = [tier.price for tier in offer.wholesale if tier.from_units <= quantity]
    return min([offer.price, *reached])


def choose(
    fulfilment: Fulfilment,
    found: Sequence[Found],
    *,
    limits: Limits,
    shelf: Shelf = NO_SHELF,
    prefer: str | None = None,
    lost: AbstractSet[str] = frozenset(),
) -> Choice:
    """The cheapest source within the ceiling that has all units and did not refuse before.

    Own keys of `shelf` are one. `prefer` names a supplier that comes before cheaper ones; offers
    that are `lost` come last. Otherwise why there is none: `price` when only the ceiling stands in
    the way, else `stock`.
    """
    quantity, ceiling = units_at_once(fulfilment, limits), fulfilment.max_unit_price
    able = [f for f in found if _is_able(f.offer, quantity)]
    within = [f for f in able if unit_price(f.offer, quantity) <= ceiling]
    untried = [
        f for f in within if offer_name(f.supplier, f.offer.offer_id) not in fulfilment.tried_offers
    ]
    best = min(
        untried,
        key=lambda f: (
            f.supplier != prefer,
            offer_name(f.supplier, f.offer.offer_id) in lost,
            unit_price(f.offer, quantity),
            f.supplier,
            f.offer.offer_id,
        ),
        default=None,
    )
    own = shelf.key_cost if shelf.free_keys >= fulfilment.quantity else None
    if own is not None and own <= ceiling:
        is_beaten = best is not None and (
            best.supplier == prefer
            or (
                offer_name(best.supplier, best.offer.offer_id) not in lost
                and unit_price(best.offer, quantity) < own
            )
        )
        if not is_beaten:
            return "own"
    if best is not None:
        return best
    return "price" if len(able) > len(within) or own is not None else "stock"


def lost_offers(file: OrderFile, fulfilment: Fulfilment) -> frozenset[str]:
    """The offers that were bought for these units in vain: the money came back, so the next offer
    has its turn, and one that was lost only where there is no other.
    """
    tried = (*file.attempts_of(fulfilment.id), *file.attempts_of(fulfilment.replaces or ""))
    return frozenset(
        offer_name(attempt.supplier, attempt.offer_id)
        for attempt in tried
        if attempt.refusal != "surplus"
        and (attempt.units_back or attempt.state in {"canceled", "refunded"})
    )


def supplier_in_doubt(attempts: Sequence[SupplierAttempt]) -> str | None:
    """The supplier that is bought from again although another is cheaper: its last order was looked
    for in vain. Under the same id a late one turns up beside the new one; elsewhere it would not.
    """
    last = max(attempts, key=lambda attempt: attempt.gen, default=None)
    return last.supplier if last is not None and last.state == "absent" else None


def reason_of_nothing(
    fulfilment: Fulfilment,
    attempts: Sequence[SupplierAttempt],
    word: BlockedReason,
) -> BlockedReason:
    """Why nothing can be bought when every offer refused: what a person can mend comes first."""
    for attempt in sorted(attempts, key=lambda attempt: -attempt.gen):
        mended = MENDED_BY_PEOPLE.get(attempt.refusal or "")
        was_tried = offer_name(attempt.supplier, attempt.offer_id) in fulfilment.tried_offers
        if mended is not None and was_tried:
            return mended
    return word


def turn_to_supplier(
    draft: Draft,
    fulfilment: Fulfilment,
    found: Found,
    kept: Sequence[InventoryKey],
    limits: Limits,
) -> Fulfilment:
    """Have a fulfilment supplied from there; nothing where it is so already.

    Own keys that were `kept` for it are free again, and what is more than a supplier takes at once
    becomes parts of their own.
    """
    row = draft.now(fulfilment)
    if not row.own_stock and row.supplier == found.supplier:
        return row
    for key in kept:
        free = INVENTORY_KEY.step(key.state, "release")
        if free is not None:
            draft.set(key, state=free, reservation_id=None)
    most, slots = units_at_once(row, limits), row.slots
    draft.event("fulfilment_rerouted", row.id, facts={"from": row.supplier, "to": found.supplier})
    row = draft.set(
        row,
        slots=slots[:most],
        own_stock=False,
        supplier=found.supplier,
        supplier_product_id=found.offer.supplier_product_id,
        offer_id=found.offer.offer_id or None,
        updated_at=draft.at,
    )
    for start in range(most, len(slots), most):
        linked_fulfilment(draft, row, slots[start : start + most], state="pending")
    return row


def turn_to_own_stock(draft: Draft, fulfilment: Fulfilment) -> Fulfilment:
    """Have a fulfilment supplied from own keys, which are bound in the next transaction."""
    facts = {"from": fulfilment.supplier, "to": OWN_STOCK}
    draft.event("fulfilment_rerouted", fulfilment.id, facts=facts)
    return draft.set(
        fulfilment,
        own_stock=True,
        supplier=OWN_STOCK,
        supplier_product_id=None,
        offer_id=None,
        updated_at=draft.at,
    )


def _present(fulfilment: Fulfilment) -> Source:
    return Source(fulfilment.supplier, fulfilment.supplier_product_id or "")


def _is_able(offer: SupplierOffer, quantity: int) -> bool:
    return offer.stock >= quantity and (quantity < WHOLESALE_FROM or bool(offer.wholesale))
