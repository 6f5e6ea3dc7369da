"""Whole orders: the order's row is locked first, then all that hangs on it is read, in one go.

Every statement sees what was committed before it began, so the children are as fresh as the lock.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import (
    Integer,
    ScalarSelect,
    Table,
    Text,
    Uuid,
    bindparam,
    literal_column,
    or_,
    select,
)
from sqlalchemy.sql import ColumnElement

from bitloot.domain.decision import Row
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.hold import Hold
from bitloot.domain.order import Order, OrderFile, OrderItem
from bitloot.domain.payment import Invoice, Payment
from bitloot.domain.reservation import Reservation
from bitloot_adapters.postgres.job_statements import MOMENT
from bitloot_adapters.postgres.rows import Codec, codec
from bitloot_adapters.postgres.session import Session
from bitloot_adapters.postgres.statements import Rows, Statement, ask, compiled, is_id
from bitloot_adapters.postgres.tables import (
    fulfilments,
    grants,
    holds,
    invoices,
    order_items,
    orders,
    payments,
    supplier_attempts,
)

R = TypeVar("R", bound=Row)

ID: Final = Uuid(as_uuid=False)
ORDER: Final = codec(Order)
ITEM: Final = codec(OrderItem)
PAYMENT: Final = codec(Payment)
INVOICE: Final = codec(Invoice)
RESERVATION: Final = codec(Reservation)
FULFILMENT: Final = codec(Fulfilment)
ATTEMPT: Final = codec(SupplierAttempt)
HOLD: Final = codec(Hold)

# The order in which the rows of each kind are told.
_CHILDREN: Final[tuple[tuple[Table, tuple[ColumnElement[object], ...], tuple[str, ...]], ...]] = (
    (ITEM.table, ITEM.columns, ("item_no",)),
    (PAYMENT.table, PAYMENT.columns, ("id",)),
    (INVOICE.table, INVOICE.columns, ("id",)),
    (RESERVATION.table, RESERVATION.columns, ("id",)),
    (FULFILMENT.table, FULFILMENT.columns, ("item_no", "part")),
    (ATTEMPT.table, ATTEMPT.columns, ("fulfilment_id", "gen")),
    (HOLD.table, HOLD.columns, ("id",)),
)


def _file_by(order_id: ColumnElement[str] | ScalarSelect[str]) -> tuple[Statement, ...]:
    """The statements of a file, the order being named by an expression."""
    locked = select(*ORDER.columns).where(orders.c.id == order_id).with_for_update(key_share=True)
    children = (
        select(*columns)
        .where(table.c.order_id == order_id)
        .order_by(*(table.c[name] for name in order))
        for table, columns, order in _CHILDREN
    )
    return (compiled(locked), *(compiled(child) for child in children))


def _named(name: str) -> ColumnElement[str]:
    return bindparam(name, type_=Text)


BY_ID: Final = _file_by(bindparam("order_id", type_=ID))
BY_NUMBER: Final = _file_by(
    select(orders.c.id).where(orders.c.number == _named("number")).scalar_subquery()
)
BY_PAYMENT: Final = _file_by(
    select(payments.c.order_id)
    .where(
        payments.c.gateway == _named("gateway"),
        payments.c.gateway_payment_id == _named("gateway_id"),
    )
    .scalar_subquery()
)
BY_INVOICE: Final = _file_by(
    select(invoices.c.order_id)
    .where(
        invoices.c.gateway == _named("gateway"),
        invoices.c.gateway_invoice_id == _named("gateway_id"),
    )
    .scalar_subquery()
)
_OWNERS: Final[Mapping[str, Statement]] = {
    kind: compiled(select(table.c.order_id).where(table.c.id == bindparam("row_id", type_=ID)))
    for kind, table in {
        "fulfilment": fulfilments,
        "attempt": supplier_attempts,
        "payment": payments,
        "hold": holds,
        "grant": grants,
        "item": order_items,
    }.items()
}
_BY_SUPPLIER: Final = {
    name: compiled(
        select(supplier_attempts.c.order_id, supplier_attempts.c.fulfilment_id)
        .where(
            supplier_attempts.c.supplier == _named("supplier"),
            supplier_attempts.c[name] == _named("found_by"),
        )
        .order_by(supplier_attempts.c.gen.desc())
        .limit(literal_column("1"))
    )
    for name in ("supplier_order_id", "external_id")
}
_PURCHASES: Final = compiled(
    select(*ATTEMPT.columns)
    .where(
        supplier_attempts.c.supplier == _named("supplier"),
        or_(
            supplier_attempts.c.state.in_([literal_column("'intent', 'unknown'")]),
            supplier_attempts.c.intent_at >= bindparam("since", type_=MOMENT),
            supplier_attempts.c.created_at >= bindparam("since", type_=MOMENT),
            supplier_attempts.c.back_at >= bindparam("since", type_=MOMENT),
        ),
    )
    .order_by(supplier_attempts.c.intent_at, supplier_attempts.c.id)
    .limit(bindparam("most", type_=Integer))
)


class OrderReads:
    """The port `Orders`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def file(self, order_id: str) -> OrderFile | None:
        return await self._file(BY_ID, order_id=order_id) if is_id(order_id) else None

    async def file_of_payment(self, gateway: str, gateway_payment_id: str) -> OrderFile | None:
        return await self._file(BY_PAYMENT, gateway=gateway, gateway_id=gateway_payment_id)

    async def file_of_invoice(self, gateway: str, gateway_invoice_id: str) -> OrderFile | None:
        return await self._file(BY_INVOICE, gateway=gateway, gateway_id=gateway_invoice_id)

    async def file_by_number(self, number: str) -> OrderFile | None:
        return await self._file(BY_NUMBER, number=number)

    async def order_of(self, kind: str, row_id: str) -> str | None:
        if not is_id(row_id):
            return None
        (rows,) = await self._session.ask(ask(_OWNERS[kind], row_id=row_id))
        return str(rows[0][0]) if rows else None

    async def order_of_supplier_order(
        self, supplier: str, supplier_order_id: str | None, external_id: str | None
    ) -> tuple[str, str] | None:
        wanted = {"supplier_order_id": supplier_order_id, "external_id": external_id}
        questions = [
            ask(_BY_SUPPLIER[name], supplier=supplier, found_by=value)
            for name, value in wanted.items()
            if value is not None
        ]
        if not questions:
            return None
        for rows in await self._session.ask(*questions):
            for order_id, fulfilment_id in rows:
                return str(order_id), str(fulfilment_id)
        return None

    async def purchases_at(
        self, supplier: str, *, since: datetime, limit: int
    ) -> Sequence[SupplierAttempt]:
        (rows,) = await self._session.ask(
            ask(_PURCHASES, supplier=supplier, since=since, most=limit)
        )
        return ATTEMPT.rows(rows)

    async def _file(self, statements: tuple[Statement, ...], **named: str) -> OrderFile | None:
        answers = await self._session.ask(*(ask(statement, **named) for statement in statements))
        order = ORDER.first(answers[0])
        return _assembled(order, answers[1:]) if order else None


def _assembled(order: Order, children: list[Rows]) -> OrderFile:
    items, paid, pages, kept, parts, attempts, held = children
    return OrderFile(
        order=order,
        items=ITEM.rows(items),
        payments=PAYMENT.rows(paid),
        invoices=INVOICE.rows(pages),
        reservations=RESERVATION.rows(kept),
        fulfilments=FULFILMENT.rows(parts),
        attempts=ATTEMPT.rows(attempts),
        holds=HOLD.rows(held),
    )


def locked_by_id(codec: Codec[R], name: str) -> Statement:
    """One row of a table by its id, locked."""
    return compiled(
        select(*codec.columns)
        .where(codec.table.c.id == bindparam(name, type_=ID))
        .with_for_update(key_share=True)
    )
