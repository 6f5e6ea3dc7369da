"""How far a line of an order has come, in the words that people are shown."""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from bitloot.domain.fulfilment import FulfilmentState
from bitloot.domain.order import BEFORE_PAYMENT, PAID, OrderStatus

ItemState: TypeAlias = Literal[
    "waiting",
    "preparing",
    "delayed",
    "awaiting_release",
    "partly_delivered",
    "delivered",
    "cancelled",
]

_LATE: Final = frozenset[FulfilmentState]({"blocked", "supplier_refunded", "failed_terminal"})


def item_state(
    status: OrderStatus,
    *,
    quantity: int,
    delivered: int,
    fulfilments: Iterable[FulfilmentState],
    is_held: bool,
) -> ItemState:
    """The word for a line of which `delivered` of `quantity` units have a key to show.

    `fulfilments` are the states of the line's fulfilments; `is_held`: a person has to decide
    something about the line or its order first.
    """
    if status in BEFORE_PAYMENT:
        return "waiting"
    if status != "refunded" and delivered:
        return "delivered" if delivered >= quantity else "partly_delivered"
    if status not in PAID:
        return "cancelled"
    states = frozenset(fulfilments)
    if is_held or states & _LATE:
        return "delayed"
    return "awaiting_release" if "awaiting_release" in states else "preparing"
