"""Sealing a decision: its events get their numbers and carry all that changed."""

import msgspec

from bitloot.domain.decision import Change, Decision, Event, JsonValue, logged, row_name
from bitloot.domain.order import Order


class Sealed(msgspec.Struct, frozen=True):
    """The rows and numbered events that a transaction writes."""

    save: tuple[Change, ...]
    events: tuple[Event, ...]


def seal_events(decision: Decision) -> Sealed:
    """Number the events after the order's last one and give the first of them every change.

    Raises ValueError when rows of an order change without an event, or events come without their
    order's row: such a decision could not be rebuilt from its timeline.
    """
    if decision.order_id is None:
        if decision.events:
            raise ValueError("events without the order that they belong to")
        return Sealed(decision.save, ())
    if not decision.events:
        raise ValueError("an order's rows change only with an event")
    own = next(
        (
            c
            for c in decision.save
            if isinstance(c.after, Order) and c.after.id == decision.order_id
        ),
        None,
    )
    if own is None or not isinstance(own.after, Order):
        raise ValueError("events need their order's row, which counts them")
    last = own.before.event_seq if isinstance(own.before, Order) else 0
    counted = Change(
        before=own.before,
        after=msgspec.structs.replace(own.after, event_seq=last + len(decision.events)),
    )
    save = tuple(counted if change is own else change for change in decision.save)
    changes: dict[str, dict[str, JsonValue]] = {
        row_name(change.after): logged(change)
        for change in save
        if change is counted
        or (change.after.in_timeline and getattr(change.after, "order_id", None) is not None)
    }
    events = tuple(
        msgspec.structs.replace(event, seq=last + n, changes=changes if n == 1 else {})
        for n, event in enumerate(decision.events, start=1)
    )
    return Sealed(save, events)
