"""Rebuilding an order from its events, and saying where it differs from its rows."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from bitloot.domain.decision import Event, JsonValue, Row, fold, row_name
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.order import OrderFile

R = TypeVar("R", bound=Row)


def rebuilt(row: R, fields: Mapping[str, JsonValue]) -> R:
    """The row as its folded events say it is; what never enters an event is taken from the row.

    Raises msgspec.ValidationError for events that make no such row.
    """
    hidden = {name: getattr(row, name) for name in row.unlogged}
    return msgspec.convert({**fields, **hidden}, type(row), strict=False)


def differences(
    file: OrderFile, ledger: Sequence[LedgerLine], events: Sequence[Event]
) -> tuple[str, ...]:
    """One line for each gap in the timeline and each field that its events do not explain.

    Empty when the events, and nothing else, give the rows.
    """
    found = _gaps(file, events)
    folded = fold(events)
    rows = _rows(file, ledger)
    for row in rows:
        name = row_name(row)
        fields = folded.get(name)
        found += [f"{name}: no event wrote it"] if fields is None else _unlike(row, fields)
    kinds = {row_name(row).partition("/")[0] for row in rows}
    stored = {row_name(row) for row in rows}
    found += [
        f"{name}: events wrote it, but there is no such row"
        for name in folded
        if name not in stored and name.partition("/")[0] in kinds
    ]
    return tuple(found)


def _rows(file: OrderFile, ledger: Sequence[LedgerLine]) -> list[Row]:
    return [
        file.order,
        *file.items,
        *file.payments,
        *file.invoices,
        *file.reservations,
        *file.fulfilments,
        *file.attempts,
        *file.holds,
        *ledger,
    ]


def _gaps(file: OrderFile, events: Sequence[Event]) -> list[str]:
    numbers = sorted(event.seq for event in events)
    expected = list(range(1, file.order.event_seq + 1))
    if numbers == expected:
        return []
    missing = sorted(set(expected) - set(numbers))
    return [f"timeline: event {number} is missing" for number in missing] or [
        f"timeline: {len(numbers)} events where {len(expected)} were counted"
    ]


def _unlike(row: Row, fields: dict[str, JsonValue]) -> list[str]:
    """Fields whose value is not what the events say, compared as values, not as texts."""
    name = row_name(row)
    try:
        made = rebuilt(row, fields)
    except msgspec.ValidationError as error:
        return [f"{name}: the events do not make a row ({error})"]
    return [
        f"{name}.{field}: the row says {stored!r}, the events {told!r}"
        for field in row.__struct_fields__
        if field not in row.unlogged
        and (stored := getattr(row, field)) != (told := getattr(made, field))
    ]
