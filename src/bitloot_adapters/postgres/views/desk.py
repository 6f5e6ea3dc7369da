"""What the people behind the counter see: lists by key, whole files, and what must not be."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, Generic, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    select,
    text,
)

from bitloot.domain.audit_chain import AuditStretch
from bitloot.domain.decision import Event
from bitloot.domain.hold import Hold
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.domain.reservation import Reservation
from bitloot.ports.views.desk import (
    SENDING_TOO_LONG,
    AuditView,
    InvariantBreach,
    OrderLine,
    StuckWork,
    WebhookCount,
    WebhookView,
)
from bitloot.ports.views.invariants import SEVERAL_MAILS, SOON
from bitloot.ports.views.paging import Page, id_after, number_after, page_of
from bitloot_adapters.postgres.order_reads import HOLD, ID, RESERVATION
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.rows import codec
from bitloot_adapters.postgres.statements import Statement, Values, ask, compiled, is_id
from bitloot_adapters.postgres.tables import (
    audit_logs,
    events,
    fulfilments,
    grants,
    holds,
    invoices,
    ledger_lines,
    order_items,
    orders,
    payments,
    reconciliation_breaks,
    reservations,
    sealed_keys,
    supplier_attempts,
    webhook_logs,
)
from bitloot_adapters.postgres.views.audit_chain import STRETCH, stretch_of
from bitloot_adapters.postgres.views.invariants import BREACHES
from bitloot_adapters.postgres.views.orders import array_of, as_json, whole, word
from bitloot_adapters.postgres.views.stuck import STUCK

T = TypeVar("T")

_LEDGER_LINE: Final = codec(LedgerLine)
_WEBHOOK_FIELDS: Final = tuple(n for n in WebhookView.__struct_fields__ if n != "body")
_WEBHOOK: Final = tuple(webhook_logs.c[name] for name in _WEBHOOK_FIELDS)
_ORDER_LINE: Final = tuple(name for name in OrderLine.__struct_fields__ if name != "open_holds")
_FACTS: Final = msgspec.json.Decoder(dict[str, str | int | None])
_FILE: Final = msgspec.json.Decoder(OrderFile)


def _open_holds() -> ColumnElement[int]:
    return (
        select(func.count())
        .where(holds.c.order_id == orders.c.id, holds.c.state == word("open"))
        .correlate(orders)
        .scalar_subquery()
    )


class _Kind(msgspec.Struct, Generic[T], frozen=True):
    """What a list is made of: its table, what is read of each row, and what becomes of it."""

    table: Table
    columns: tuple[ColumnElement[object] | ColumnElement[int], ...]
    build: Callable[[Values], T]
    key: Callable[[T], str]


@lru_cache(maxsize=64)
def _list(name: str, filters: tuple[str, ...], *, after: bool) -> Statement:
    """A page of a list, newest first: where these columns have the values given."""
    table, columns = _COLUMNS[name]
    found = select(*columns).where(
        *(table.c[each] == bindparam(each, type_=table.c[each].type) for each in filters)
    )
    if after:
        found = found.where(table.c.id < bindparam("after", type_=ID))
    return compiled(found.order_by(table.c.id.desc()).limit(bindparam("most", type_=Integer)))


def _file() -> Statement:
    children: Mapping[str, tuple[Table, tuple[str, ...]]] = {
        "items": (order_items, ("item_no",)),
        "payments": (payments, ("id",)),
        "invoices": (invoices, ("id",)),
        "reservations": (reservations, ("id",)),
        "fulfilments": (fulfilments, ("item_no", "part")),
        "attempts": (supplier_attempts, ("fulfilment_id", "gen")),
        "holds": (holds, ("id",)),
    }
    arrays = {
        name: array_of(
            whole(table), table.c.order_id == orders.c.id, *(table.c[each] for each in order)
        )
        for name, (table, order) in children.items()
    }
    facts = as_json(order=whole(orders), **arrays)
    return compiled(select(facts).where(orders.c.id == bindparam("order_id", type_=ID)))


def _audit(*, of_order: bool, after: bool) -> Statement:
    found = select(
        audit_logs.c.seq,
        audit_logs.c.at,
        audit_logs.c.actor,
        audit_logs.c.action,
        audit_logs.c.subject,
        audit_logs.c.reason,
        audit_logs.c.facts,
        func.encode(audit_logs.c.hash, word("hex")),
    )
    if of_order:
        order_id = bindparam("order_id", type_=ID)
        names = select(cast(order_id, Text)).union_all(
            *(
                select(cast(table.c.id, Text)).where(table.c.order_id == order_id)
                for table in (order_items, payments, fulfilments, sealed_keys, holds, grants)
            )
        )
        found = found.where(audit_logs.c.subject.in_(names))
    if after:
        found = found.where(audit_logs.c.seq < bindparam("after", type_=BigInteger))
    return compiled(found.order_by(audit_logs.c.seq.desc()).limit(bindparam("most", type_=Integer)))


_AUDITS: Final = {
    (of_order, after): _audit(of_order=of_order, after=after)
    for of_order in (True, False)
    for after in (True, False)
}
_ORDER_FILE: Final = _file()
_EVENT: Final = ("kind", "at", "subject", "facts", "due", "seq", "changes")
_ORDER_EVENTS: Final = compiled(
    select(*(events.c[name] for name in _EVENT))
    .where(events.c.order_id == bindparam("order_id", type_=ID))
    .order_by(events.c.seq)
)
_LEDGER: Final = compiled(
    select(*_LEDGER_LINE.columns)
    .where(ledger_lines.c.order_id == bindparam("order_id", type_=ID))
    .order_by(ledger_lines.c.id)
)
_WITH_BODY: Final = compiled(
    select(*_WEBHOOK, webhook_logs.c.body).where(
        webhook_logs.c.id == bindparam("webhook_id", type_=Uuid(as_uuid=False))
    )
)
_NEWER: Final = compiled(
    text("""
    SELECT id FROM webhook_logs WHERE id > CAST(:webhook_id AS uuid)
        AND (CAST(:provider AS text) IS NULL OR provider = CAST(:provider AS text))
        AND (CAST(:kind AS text) IS NULL OR classification = CAST(:kind AS text))
    ORDER BY id LIMIT 1
""")
)
_COUNTS: Final = compiled(
    text("""
    SELECT CASE WHEN CAST(:hourly AS boolean) THEN date_trunc('hour', received_at, 'UTC') END AS at,
        provider, classification, count(*)
    FROM webhook_logs WHERE received_at >= CAST(:since AS timestamptz)
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
""")
)
_BY_NUMBER: Final = compiled(
    select(orders.c.id).where(orders.c.number == bindparam("number", type_=Text))
)


_ANY_ID: Final = "00000000-0000-0000-0000-000000000000"


def _order_line(values: Values) -> OrderLine:
    fields = dict(zip(_ORDER_LINE, values, strict=False))
    return msgspec.convert({**fields, "open_holds": values[-1]}, OrderLine)


def _webhook(values: Values) -> WebhookView:
    return msgspec.convert(dict(zip(_WEBHOOK_FIELDS, values, strict=True)), WebhookView)


def _audit_view(values: Values) -> AuditView:
    *plain, facts, digest = values
    names = ("seq", "at", "actor", "action", "subject", "reason")
    fields = dict(zip(names, plain, strict=True))
    return msgspec.convert(
        {**fields, "facts": _FACTS.decode(str(facts)), "hash": digest}, AuditView
    )


def _event(values: Values) -> Event:
    fields = dict(zip(_EVENT, values, strict=True))
    return Event(
        kind=str(fields["kind"]),
        at=_moment(fields["at"]),
        subject=str(fields["subject"]),
        facts=_FACTS.decode(str(fields["facts"])),
        due=_moment(fields["due"]) if fields["due"] is not None else None,
        seq=int(str(fields["seq"])),
        changes=msgspec.json.decode(str(fields["changes"])),
    )


def _moment(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value


_ORDERS: Final = _Kind(
    orders,
    (*(orders.c[name] for name in _ORDER_LINE), _open_holds()),
    _order_line,
    lambda line: line.id,
)
_HOLDS: Final = _Kind(holds, HOLD.columns, HOLD.row, lambda hold: hold.id)
_RESERVATIONS: Final = _Kind(reservations, RESERVATION.columns, RESERVATION.row, lambda row: row.id)
_ONE_RESERVATION: Final = compiled(
    select(*RESERVATION.columns).where(reservations.c.id == bindparam("reservation_id", type_=ID))
)
_WEBHOOKS: Final = _Kind(webhook_logs, _WEBHOOK, _webhook, lambda hook: hook.id)
_COLUMNS: Final = {
    kind.table.name: (kind.table, kind.columns)
    for kind in (_ORDERS, _HOLDS, _RESERVATIONS, _WEBHOOKS)
}


_FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"
_BREAK: Final = codec(ReconciliationBreak)
_OPEN_BREAKS: Final = compiled(
    select(*_BREAK.columns)
    .where(
        reconciliation_breaks.c.state == word("open"),
        reconciliation_breaks.c.id > bindparam("after", type_=ID),
    )
    .order_by(reconciliation_breaks.c.id)
    .limit(bindparam("most", type_=Integer))
)


class PostgresDeskViews:
    """The port `DeskViews`."""

    def __init__(self, database: Database, *, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    async def orders(
        self,
        *,
        status: str | None = None,
        email_key: str | None = None,
        limit: int,
        after: str | None,
    ) -> Page[OrderLine]:
        only = {"status": status, "email_key": email_key}
        return await self._page(_ORDERS, only, limit, after)

    async def holds(
        self,
        *,
        state: str | None = None,
        order_id: str | None = None,
        limit: int,
        after: str | None,
    ) -> Page[Hold]:
        only = {"state": state, "order_id": order_id}
        return await self._page(_HOLDS, only, limit, after)

    async def reservations(
        self,
        *,
        state: str | None = None,
        order_id: str | None = None,
        product_id: str | None = None,
        supplier: str | None = None,
        limit: int,
        after: str | None,
    ) -> Page[Reservation]:
        only = {
            "state": state,
            "order_id": order_id,
            "product_id": product_id,
            "supplier": supplier,
        }
        return await self._page(_RESERVATIONS, only, limit, after)

    async def reservation(self, reservation_id: str) -> Reservation | None:
        if not is_id(reservation_id):
            return None
        (rows,) = await self._database.read(ask(_ONE_RESERVATION, reservation_id=reservation_id))
        return RESERVATION.row(rows[0]) if rows else None

    async def webhooks(
        self,
        *,
        provider: str | None = None,
        classification: str | None = None,
        order_id: str | None = None,
        limit: int,
        after: str | None,
    ) -> Page[WebhookView]:
        only = {"provider": provider, "classification": classification, "order_id": order_id}
        return await self._page(_WEBHOOKS, only, limit, after)

    async def webhook(self, webhook_id: str) -> WebhookView | None:
        if not is_id(webhook_id):
            return None
        (rows,) = await self._database.read(ask(_WITH_BODY, webhook_id=webhook_id))
        if not rows:
            return None
        *values, body = rows[0]
        assert isinstance(body, bytes)
        return msgspec.structs.replace(
            _webhook(tuple(values)), body=body.decode("utf-8", errors="replace")
        )

    async def newer_webhook(
        self, webhook_id: str, *, provider: str | None = None, classification: str | None = None
    ) -> str | None:
        if not is_id(webhook_id):
            return None
        (rows,) = await self._database.read(
            ask(_NEWER, webhook_id=webhook_id, provider=provider, kind=classification)
        )
        return str(rows[0][0]) if rows else None

    async def webhook_counts(self, *, since: datetime, hourly: bool) -> tuple[WebhookCount, ...]:
        (rows,) = await self._database.read(ask(_COUNTS, since=since, hourly=hourly))
        names = WebhookCount.__struct_fields__
        return tuple(
            msgspec.convert(dict(zip(names, row, strict=True)), WebhookCount) for row in rows
        )

    async def audit(
        self, *, order_id: str | None = None, limit: int, after: str | None
    ) -> Page[AuditView]:
        before = number_after(after)
        if order_id is not None and not is_id(order_id):
            return Page((), None)
        given = {"order_id": order_id, "after": before}
        values = {name: value for name, value in given.items() if value is not None}
        statement = _AUDITS[order_id is not None, before is not None]
        (rows,) = await self._database.read(ask(statement, **values, most=limit + 1))
        return page_of([_audit_view(row) for row in rows], limit, lambda line: str(line.seq))

    async def audit_chain(self, *, after: int, limit: int) -> AuditStretch:
        # One more than asked for: the line before is read along.
        question = ask(STRETCH, after=after, most=limit + (after > 0))
        (rows,) = await self._database.read(question)
        return stretch_of(rows, after=after)

    async def ledger(self, order_id: str) -> tuple[LedgerLine, ...]:
        if not is_id(order_id):
            return ()
        (rows,) = await self._database.read(ask(_LEDGER, order_id=order_id))
        return _LEDGER_LINE.rows(rows)

    async def file(self, order_id: str) -> OrderFile | None:
        if not is_id(order_id):
            return None
        (rows,) = await self._database.read(ask(_ORDER_FILE, order_id=order_id))
        return _FILE.decode(str(rows[0][0])) if rows else None

    async def events(self, order_id: str) -> tuple[Event, ...]:
        if not is_id(order_id):
            return ()
        (rows,) = await self._database.read(ask(_ORDER_EVENTS, order_id=order_id))
        return tuple(_event(row) for row in rows)

    async def order_id_of_number(self, number: str) -> str | None:
        (rows,) = await self._database.read(ask(_BY_NUMBER, number=number))
        return str(rows[0][0]) if rows else None

    async def stuck(self, *, limit: int) -> tuple[StuckWork, ...]:
        question = ask(
            STUCK, most=limit, watch=self._limits.payment_watch, patience=SENDING_TOO_LONG
        )
        (rows,) = await self._database.read(question)
        names = StuckWork.__struct_fields__
        return tuple(msgspec.convert(dict(zip(names, row, strict=True)), StuckWork) for row in rows)

    async def breaches(self, *, limit: int) -> tuple[InvariantBreach, ...]:
        question = ask(
            BREACHES,
            most=limit,
            soon=SOON,
            several=sorted(SEVERAL_MAILS),
            lease=self._limits.job_lease,
            downloads=self._limits.downloads_per_link,
            transaction=self._limits.database_idle_in_transaction,
        )
        (rows,) = await self._database.read(question)
        return tuple(InvariantBreach(name=str(name), subject=str(what)) for name, what in rows)

    async def open_breaks(
        self, *, limit: int, after: str | None = None
    ) -> tuple[ReconciliationBreak, ...]:
        question = ask(_OPEN_BREAKS, after=id_after(after) or _FIRST_ID, most=limit)
        (rows,) = await self._database.read(question)
        return _BREAK.rows(rows)

    async def _page(
        self, kind: _Kind[T], only: Mapping[str, str | None], limit: int, after: str | None
    ) -> Page[T]:
        before = id_after(after)
        values: dict[str, object] = {n: value for n, value in only.items() if value is not None}
        if not all(is_id(only.get(name) or _ANY_ID) for name in ("order_id", "product_id")):
            return Page((), None)
        statement = _list(kind.table.name, tuple(values), after=before is not None)
        if before is not None:
            values["after"] = before
        (rows,) = await self._database.read(ask(statement, **values, most=limit + 1))
        return page_of([kind.build(row) for row in rows], limit, kind.key)
