"""Goods kept for an order while it waits for its money."""

from datetime import datetime
from typing import Final, Literal, TypeAlias

from bitloot.domain.decision import Row
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
