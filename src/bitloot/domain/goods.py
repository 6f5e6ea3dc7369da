"""The goods kept for an order: given back when it ends unpaid, taken when it is paid."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from bitloot.domain.draft import Draft
from bitloot.domain.key_inventory import INVENTORY_KEY, InventoryKey
from bitloot.domain.money import Eur
from bitloot.domain.order import OrderFile, OrderItem
from bitloot.domain.product import Offer, Sellable
from bitloot.domain.reservation import RESERVATION, Reservation


class Today(msgspec.Struct, frozen=True, kw_only=True):
    """What a late payment is measured against: read when it is decided.

    `worth` is the EUR value of the amount paid, now; `spare_keys` are free own keys of the order's
    products, locked.
    """

    worth: Eur
    sellables: tuple[Sellable, ...]
    spare_keys: tuple[InventoryKey, ...] = ()

    def sellable(self, item: OrderItem) -> Sellable | None:
        """The product of an item as it is sold today."""
        return next((s for s in self.sellables if s.product.id == item.product_id), None)

    def spare(self, product_id: str) -> tuple[InventoryKey, ...]:
        """The free own keys of a product."""
        return tuple(key for key in self.spare_keys if key.product_id == product_id)


def give_back(
    draft: Draft, held_keys: Iterable[InventoryKey], *, signal: Literal["release", "expire"]
) -> None:
    """End every held reservation; its own keys are free again.

    `held_keys` are the inventory rows of the order's reservations.
    """
    keys = {key.id: key for key in held_keys}
    for reservation in draft.file.reservations:
        row = draft.now(reservation)
        following = RESERVATION.step(row.state, signal)
        if following is None:
            continue
        draft.set(row, state=following)
        for key_id in row.key_ids:
            key = keys[key_id]
            free = INVENTORY_KEY.step(key.state, "release")
            if free is not None and key.reservation_id == row.id:
                draft.set(key, state=free, reservation_id=None)


def can_be_had(file: OrderFile, today: Today) -> bool:
    """Whether every unit is still kept for the order or can be taken anew."""
    return all(
        reservation.state in {"held", "consumed"} or _anew(file, reservation, today) is not None
        for reservation in file.reservations
    )


def take(draft: Draft, today: Today | None) -> None:
    """Consume the reservations of an order that is paid.

    One that had ended takes its goods anew where they can be had. Where they cannot, it stays as
    it is: the order is paid all the same, and its fulfilment waits for stock.
    """
    for reservation in draft.file.reservations:
        row = draft.now(reservation)
        if row.state == "held":
            draft.set(row, state="consumed")
            continue
        if row.state == "consumed" or today is None:
            continue
        goods = _anew(draft.file, row, today)
        if goods is None:
            continue
        draft.set(row, state="consumed", key_ids=tuple(key.id for key in goods.keys))
        if goods.offer is not None:
            draft.set(row, supplier=goods.offer.supplier, offer_row_id=goods.offer.id)
        for key in goods.keys:
            draft.set(key, state="reserved", reservation_id=row.id)


class _Goods(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken for an ended reservation: own keys, or units of an offer."""

    keys: Sequence[InventoryKey] = ()
    offer: Offer | None = None


def _anew(file: OrderFile, reservation: Reservation, today: Today) -> _Goods | None:
    """The goods to take for an ended reservation; None where there are not enough.

    A supplier's goods are those of the offer that is sold from today, whichever was kept then: the
    cost guard has asked for its price. Only what was sold in bulk stays with the offer of its tier.
    """
    if reservation.offer_row_id is None:
        keys = today.spare(reservation.product_id)[: reservation.quantity]
        return _Goods(keys=keys) if len(keys) == reservation.quantity else None
    item = file.item(reservation.order_item_id)
    sellable = today.sellable(item)
    if sellable is None or sellable.offer is None:
        return None
    if item.is_wholesale and sellable.offer.id != reservation.offer_row_id:
        return None
    is_enough = sellable.available >= reservation.quantity
    return _Goods(offer=sellable.offer) if is_enough else None
