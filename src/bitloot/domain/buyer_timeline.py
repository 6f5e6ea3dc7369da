"""The timeline as its buyer may see it: which events, and which of their facts.

What is not named here is not shown. Attempts, suppliers, stock and the reasons why somebody looks
at an order stay inside: they tell a buyer nothing, and a fraudster something.
"""

from collections.abc import Mapping
from typing import Final

# Each kind of event that buyers may see, with the facts of it that they may see.
_SHOWN: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset(facts)
    for kind, facts in {
        "order_placed": ("items", "total"),
        "order_cancelled": (),
        "order_expired": (),
        "window_extended": ("until",),
        "payment_opened": ("asset",),
        "payment_adopted": ("asset",),
        "payment_requoted": (),
        "invoice_opened": (),
        "funds_seen": (),
        "order_paid": (),
        "order_overpaid": ("surplus",),
        "order_underpaid": (),
        "order_failed": (),
        "order_refunded": (),
        # That a person looks at it is said; why is for the desk.
        "order_held": (),
        "payment_held": (),
        "hold_accepted": (),
        "hold_rejected": (),
        "item_delivered": ("item",),
        "order_fulfilled": ("item",),
        "item_failed": ("item",),
        "given_up": (),
        "retry_accepted": (),
        "key_replaced": (),
        "key_revealed": ("item",),
        "key_downloaded": (),
        "grant_revoked": (),
        "unit_reported": ("item", "unit", "reason"),
    }.items()
}

BUYER_EVENTS: Final = frozenset(_SHOWN)


def facts_for_buyer(
    kind: str, facts: Mapping[str, str | int | None]
) -> dict[str, str | int | None]:
    """The facts of an event that its buyer may see; none for an event that is not shown."""
    shown = _SHOWN.get(kind, frozenset())
    return {name: value for name, value in facts.items() if name in shown}
