"""What buyers see of orders. PostgreSQL gathers an order and all that hangs on it as one JSON.

As `json`, which is text from the start: `jsonb` would be built as a tree only to be written out.
"""

from datetime import datetime
from typing import Final, TypeAlias

import msgspec
from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Table,
    Text,
    bindparam,
    exists,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, aggregate_order_by

from bitloot.domain.buyer_timeline import BUYER_EVENTS
from bitloot.ports.views.order_facts import (
    OrderFacts,
    buyer_entries,
    deliveries,
    order_view,
    receipt,
)
from bitloot.ports.views.orders import DeliveryView, OrderView, ReceiptView, TimelineEntry
from bitloot_adapters.postgres.order_reads import ID
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.statements import Statement, Values, ask, compiled, is_id
from bitloot_adapters.postgres.tables import (
    events,
    fulfilments,
    holds,
    invoices,
    ledger_lines,
    order_items,
    orders,
    payments,
    sealed_keys,
)

Part: TypeAlias = ColumnElement[object] | ColumnElement[bool] | ColumnElement[int]


def word(text: str) -> ColumnElement[str]:
    """A word that is part of the statement."""
    return literal_column(f"'{text}'", Text)


def as_json(**parts: Part) -> ColumnElement[object]:
    """A JSON object of these parts."""
    flat = (each for name, part in parts.items() for each in (word(name), part))
    return func.json_build_object(*flat, type_=JSON)


def array_of(
    one: Part, only: ColumnElement[bool], *order: ColumnElement[object]
) -> ColumnElement[object]:
    """All of what a subquery finds as a JSON array, an empty one where it finds nothing."""
    found: ScalarSelect[object] = (
        select(func.json_agg(aggregate_order_by(one, *order)))
        .where(only)
        .correlate(orders, order_items)
        .scalar_subquery()
    )
    return _or_empty(found)


def _or_empty(array: ColumnElement[object]) -> ColumnElement[object]:
    filled: ColumnElement[object] = func.coalesce(array, literal_column("'[]'::json", JSON))
    return filled


def whole(table: Table) -> ColumnElement[object]:
    """A whole row as JSON."""
    row: ColumnElement[object] = func.row_to_json(table.table_valued())
    return row


def open_hold(subject: str, subject_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether there is an open hold on this order, or on this item of it."""
    return exists(
        select(holds.c.id)
        .where(
            holds.c.order_id == orders.c.id,
            holds.c.subject == word(subject),
            holds.c.subject_id == subject_id,
            holds.c.state == word("open"),
        )
        .correlate(orders, order_items)
    )


def _keys() -> ColumnElement[object]:
    facts = as_json(
        live=func.count(),
        downloads=func.coalesce(func.sum(sealed_keys.c.downloads), literal_column("0", Integer)),
        first_download_at=func.min(sealed_keys.c.first_download_at),
        last_download_at=func.max(sealed_keys.c.last_download_at),
    )
    found: ScalarSelect[object] = (
        select(facts)
        .select_from(sealed_keys.join(fulfilments, fulfilments.c.id == sealed_keys.c.fulfilment_id))
        .where(
            sealed_keys.c.order_item_id == order_items.c.id,
            sealed_keys.c.state == word("live"),
            fulfilments.c.state == word("delivered"),
        )
        .correlate(order_items)
        .scalar_subquery()
    )
    return found


def _lines() -> ColumnElement[object]:
    parts = array_of(
        as_json(state=fulfilments.c.state, slots=fulfilments.c.slots),
        fulfilments.c.order_item_id == order_items.c.id,
        fulfilments.c.part,
    )
    line = as_json(
        item=whole(order_items),
        parts=parts,
        keys=_keys(),
        is_held=open_hold("item", order_items.c.id),
    )
    found: ScalarSelect[object] = (
        select(func.json_agg(aggregate_order_by(line, order_items.c.item_no)))
        .where(order_items.c.order_id == orders.c.id)
        .correlate(orders)
        .scalar_subquery()
    )
    return _or_empty(found)


def _refunded() -> ColumnElement[object]:
    """What was booked as given back to the buyer."""
    found: ScalarSelect[object] = (
        select(func.sum(ledger_lines.c.amount))
        .where(
            ledger_lines.c.order_id == orders.c.id,
            ledger_lines.c.account == word("refund"),
        )
        .correlate(orders)
        .scalar_subquery()
    )
    return found


def _about(**more: Part) -> Statement:
    facts = as_json(
        order=whole(orders), is_held=open_hold("order", orders.c.id), lines=_lines(), **more
    )
    return compiled(select(facts).where(orders.c.id == bindparam("order_id", type_=ID)))


_PAYMENTS: Final = array_of(whole(payments), payments.c.order_id == orders.c.id, payments.c.id)
_INVOICES: Final = array_of(whole(invoices), invoices.c.order_id == orders.c.id, invoices.c.id)

_ORDER: Final = _about(payments=_PAYMENTS, invoices=_INVOICES)
_DELIVERIES: Final = _about()
_RECEIPT: Final = _about(payments=_PAYMENTS, refunded=_refunded())
_FACTS: Final = msgspec.json.Decoder(OrderFacts)


def _timeline(*only: ColumnElement[bool]) -> Statement:
    return compiled(
        select(events.c.seq, events.c.kind, events.c.at, events.c.subject, events.c.facts)
        .where(
            events.c.order_id == bindparam("order_id", type_=ID),
            events.c.seq > bindparam("after", type_=Integer),
            *only,
        )
        .order_by(events.c.seq)
        .limit(bindparam("most", type_=Integer))
    )


_EVENTS: Final = _timeline()
_EVENTS_OF_KINDS: Final = _timeline(
    events.c.kind == func.any(bindparam("kinds", type_=ARRAY(Text)))
)
_EVENT_FACTS: Final = msgspec.json.Decoder(dict[str, str | int | None])


class PostgresOrderViews:
    """The port `OrderViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def order(self, order_id: str) -> OrderView | None:
        facts = await self._facts(_ORDER, order_id)
        return order_view(facts) if facts else None

    async def deliveries(self, order_id: str) -> tuple[DeliveryView, ...] | None:
        facts = await self._facts(_DELIVERIES, order_id)
        return deliveries(facts) if facts else None

    async def receipt(self, order_id: str) -> ReceiptView | None:
        facts = await self._facts(_RECEIPT, order_id)
        return receipt(facts) if facts else None

    async def timeline(
        self, order_id: str, *, after: int, limit: int, kinds: frozenset[str] | None
    ) -> tuple[TimelineEntry, ...]:
        if not is_id(order_id):
            return ()
        values: dict[str, object] = {"order_id": order_id, "after": after, "most": limit}
        if kinds is None:
            question = ask(_EVENTS, **values)
        else:
            question = ask(_EVENTS_OF_KINDS, **values, kinds=sorted(kinds))
        (rows,) = await self._database.read(question)
        return tuple(_entry(row) for row in rows)

    async def buyer_timeline(
        self, order_id: str, *, after: int, limit: int
    ) -> tuple[TimelineEntry, ...]:
        found = await self.timeline(order_id, after=after, limit=limit, kinds=BUYER_EVENTS)
        return buyer_entries(found)

    async def _facts(self, statement: Statement, order_id: str) -> OrderFacts | None:
        if not is_id(order_id):
            return None
        (rows,) = await self._database.read(ask(statement, order_id=order_id))
        return _FACTS.decode(str(rows[0][0])) if rows else None


def _entry(values: Values) -> TimelineEntry:
    seq, kind, at, subject, facts = values
    assert isinstance(seq, int)
    assert isinstance(at, datetime)
    return TimelineEntry(
        seq=seq,
        kind=str(kind),
        at=at,
        subject=str(subject),
        facts=_EVENT_FACTS.decode(str(facts)),
    )
