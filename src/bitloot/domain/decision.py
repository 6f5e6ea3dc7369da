"""The narrow waist: what a rule returns, and all that may be written.

A rule never saves. It returns a `Decision`; the transaction writes it whole or not at all. What
changed is derived here, once, from the rows before and after, and stored with the first event:
so a timeline carries every change, and the rows can be rebuilt from it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final, TypeAlias, TypeVar

import msgspec

from bitloot.domain.money import plain

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A stored fact with an identity. `version` is 0 until it is first written, then 1, 2, …

    `unlogged` names fields that never enter an event: sealed bytes and wrapped keys, and who
    somebody is.
    """

    unlogged: ClassVar[frozenset[str]] = frozenset()
    # Whether an order's timeline carries the row. A webhook is a log of its own.
    in_timeline: ClassVar[bool] = True

    id: str
    version: int = 0


R = TypeVar("R", bound=Row)


class Change(msgspec.Struct, frozen=True):
    """One row written: inserted when `before` is None, otherwise updated if unchanged since."""

    before: Row | None
    after: Row


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A fact of one order. `seq` and `changes` are filled in when the decision is sealed.

    `subject` is the id of the row it speaks of (the order itself, a payment, a fulfilment, …);
    `facts` are small public values for people; `due` arms the job that reacts to it.
    """

    kind: str
    at: datetime
    subject: str
    facts: Mapping[str, str | int | None] = {}
    due: datetime | None = None
    seq: int = 0
    changes: Mapping[str, Mapping[str, JsonValue]] = {}


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Work to be done. `ref` is an id, never a payload; `due` None means now."""

    kind: str
    ref: str
    due: datetime | None = None


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did: kept in the hash chain of the audit log. Never holds a secret."""

    at: datetime
    actor: str
    action: str
    subject: str
    reason: str = ""
    facts: Mapping[str, str | int | None] = {}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """All that one transaction writes.

    `order_id` names the order whose timeline gets `events`; a decision with events must save that
    order's row, which carries the counter of its events. `remove` are rows that are gone
    afterwards, refused if one moved on since; none of them belongs to an order. `reason` says why
    nothing was done.
    """

    save: tuple[Change, ...] = ()
    remove: tuple[Row, ...] = ()
    events: tuple[Event, ...] = ()
    jobs: tuple[JobRequest, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    order_id: str | None = None
    reason: str = ""


NOTHING: Final = Decision()


def insert(row: Row) -> Change:
    """The change that writes a new row, as version 1."""
    return Change(before=None, after=msgspec.structs.replace(row, version=1))


def update(before: R, **fields: object) -> Change:
    """The change that writes `fields` over `before`, refused if the row moved on since."""
    return Change(
        before=before,
        after=msgspec.structs.replace(before, version=before.version + 1, **fields),
    )


def also(decision: Decision, *changes: Change) -> Decision:
    """The decision with more rows to save: an idempotency record, a webhook."""
    return msgspec.structs.replace(decision, save=(*decision.save, *changes))


def changed_fields(change: Change) -> dict[str, object]:
    """The fields of the row that the change writes, with their new values."""
    after = msgspec.structs.asdict(change.after)
    if change.before is None:
        return after
    before = msgspec.structs.asdict(change.before)
    return {name: value for name, value in after.items() if before[name] != value}


def row_name(row: Row) -> str:
    """How a row is named in the changes of an event: `order/<id>`, `payment/<id>`, …"""
    return f"{type(row).__name__.lower()}/{row.id}"


def logged(change: Change) -> dict[str, JsonValue]:
    """What an event keeps of a change, as JSON values; amounts in their shortest plain form.

    However many zeros a store fills an amount up with, its row reads the same as its events.
    """
    fields = {
        name: plain(value) if isinstance(value, Decimal) else value
        for name, value in changed_fields(change).items()
        if name not in change.after.unlogged
    }
    built: dict[str, JsonValue] = msgspec.to_builtins(fields)
    return built


def fold(events: Iterable[Event]) -> dict[str, dict[str, JsonValue]]:
    """Every row of an order as its events, in order of `seq`, say it is."""
    rows: dict[str, dict[str, JsonValue]] = {}
    for event in sorted(events, key=lambda event: event.seq):
        for name, fields in event.changes.items():
            rows.setdefault(name, {}).update(fields)
    return rows


def as_folded(row: Row) -> dict[str, JsonValue]:
    """The row in the form in which `fold` gives it, for comparing the two."""
    stored: dict[str, JsonValue] = msgspec.json.decode(
        msgspec.json.encode(logged(Change(before=None, after=row)))
    )
    return stored
