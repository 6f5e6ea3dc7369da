"""Goods kept for an order while it waits for its money."""

from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.decision import Change, Row
from bitloot.domain.machine import Machine

ReservationState: TypeAlias = Literal["held", "consumed", "released", "expired"]

RESERVATION: Final[Machine[ReservationState]] = Machine(
    name="reservation",
    initial="held",
    moves={
        "held": {"consume": "consumed", "release": "released", "expire": "expired"},
        "consumed": {},
        # A late payment takes goods again if they can be had.
        "released": {"consume": "consumed"},
        "expired": {"consume": "consumed"},
    },
    terminal=frozenset({"consumed"}),
)


class Reservation(Row, frozen=True, kw_only=True):
    """Own stock: `key_ids` are the very keys kept. Supplier goods: a count against known stock.

    `offer_row_id` is the id of our `product_offers` row, None for own stock.
    """

    order_id: str
    order_item_id: str
    product_id: str
    supplier: str
    offer_row_id: str | None
    quantity: int
    key_ids: tuple[str, ...] = ()
    state: ReservationState = "held"
    expires_at: datetime
    created_at: datetime


class StockMove(msgspec.Struct, frozen=True):
    """What a written reservation does to the counters of its offer: `held` and `stock`, added.

    A `guarded` move takes goods that nothing was keeping: it is refused (NoStockLeft) when
    `stock - held` would fall below zero. Any other always goes through, `stock` stopping at zero.
    """

    offer_row_id: str
    held: int
    stock: int
    guarded: bool


def stock_move(change: Change) -> StockMove | None:
    """The counters that a change of a reservation moves; None for own stock and for other rows.

    A held reservation counts in `held`. A consumed one left the known stock until the supplier's
    own figure is read again.
    """
    after = change.after
    if not isinstance(after, Reservation) or after.offer_row_id is None:
        return None
    before = change.before.state if isinstance(change.before, Reservation) else None
    held = (after.state == "held") - (before == "held")
    stock = (before == "consumed") - (after.state == "consumed")
    if not held and not stock:
        return None
    return StockMove(
        after.offer_row_id,
        held * after.quantity,
        stock * after.quantity,
        guarded=before != "held" and after.state in {"held", "consumed"},
    )
