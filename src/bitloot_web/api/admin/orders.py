"""Orders as the desk sees them: the list, everything about one, and its records."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath, QueryParameter

from bitloot.domain.address import parse_address
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.money import eur_text
from bitloot.domain.order import OrderFile, OrderStatus
from bitloot.domain.override import overridable
from bitloot.ports.views.desk import AuditView, OrderLine
from bitloot_web.api.admin.holds import HoldShown, hold_shown
from bitloot_web.api.admin.webhooks import WebhookShown, webhook_shown
from bitloot_web.api.fields import (
    FulfilmentStateText,
    OrderStatusText,
    PaymentStatusText,
    crypto_or_none,
)
from bitloot_web.api.orders import After, Timeline, timeline_shown
from bitloot_web.dependencies import TheShop
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging, page_size
from bitloot_web.problems import ProblemError
from bitloot_web.routes import get
from bitloot_web.security.access import Staff
from bitloot_web.shop import Shop
from bitloot_web.versions import versioned


class OrderRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order in a list; EUR."""

    id: str
    number: str
    status: OrderStatusText
    failure_reason: str | None
    remarks: tuple[str, ...]
    email: str
    source: str
    total: str
    currency: str = "EUR"
    open_holds: int
    created_at: datetime
    paid_at: datetime | None
    version: int


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A payment; crypto amounts as the gateway wrote them."""

    id: str
    gateway: str
    gateway_payment_id: str | None
    parent_payment_id: str | None
    status: PaymentStatusText
    pay_currency: str
    pay_amount: str | None
    actually_paid: str | None
    updated_at: datetime


class FulfilmentRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A fulfilment; `attempts` are the ids under which the supplier knows its orders."""

    id: str
    item_no: int
    part: int
    quantity: int
    supplier: str
    state: FulfilmentStateText
    blocked_reason: str | None
    last_error: str | None
    attempts: tuple[str, ...]
    updated_at: datetime


class OrderDetail(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything about an order that the desk decides by. `version` goes into `If-Match`.

    `allowedNext` are the statuses that a person may set from here.
    """

    id: str
    number: str
    status: OrderStatusText
    failure_reason: str | None
    remarks: tuple[str, ...]
    email: str
    country: str | None
    total: str
    currency: str = "EUR"
    created_at: datetime
    paid_at: datetime | None
    version: int
    allowed_next: tuple[str, ...]
    payments: tuple[PaymentRow, ...]
    fulfilments: tuple[FulfilmentRow, ...]
    holds: tuple[HoldShown, ...]


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did, with its place in the hash chain."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str
    facts: Mapping[str, str | int | None]
    hash: str


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """Part of an entry that sums to zero; EUR, signed."""

    entry: str
    account: str
    amount: str
    currency: str = "EUR"
    at: datetime


@get("/orders", access=Staff("orders.read"), operation_id="adminListOrders")
async def orders(
    *,
    shop: TheShop,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    status: Annotated[OrderStatus | None, QueryParameter()] = None,
    email: Annotated[str | None, QueryParameter(max_length=254)] = None,
) -> PageOf[OrderRow]:
    """Orders, newest first."""
    address = parse_address(email).key if email else None
    paging = Paging(shop, f"orders|{status}|{address}", limit, cursor)
    page = await shop.views.desk.orders(
        status=status,
        email_key=address,
        limit=paging.size,
        after=paging.after,
    )
    return paging.page(page, _row)


@get("/orders/{order_id:uuid}", access=Staff("orders.read"), operation_id="adminGetOrder")
async def order(shop: TheShop, order_id: FromPath[UUID]) -> Response[OrderDetail]:
    """Everything about one order."""
    file = await _file(shop, order_id)
    return versioned(_detail(file), file.order.version)


@get(
    "/orders/{order_id:uuid}/timeline", access=Staff("orders.read"), operation_id="adminGetTimeline"
)
async def timeline(
    *,
    shop: TheShop,
    order_id: FromPath[UUID],
    limit: PageLimit = None,
    after: After = 0,
) -> Timeline:
    """All events of an order with all their facts."""
    size = page_size(limit, shop.limits)
    entries = await shop.views.orders.timeline(str(order_id), after=after, limit=size, kinds=None)
    return timeline_shown(entries, size)


@get("/orders/{order_id:uuid}/ledger", access=Staff("payments.read"), operation_id="adminGetLedger")
async def ledger(
    *,
    shop: TheShop,
    order_id: FromPath[UUID],
    limit: PageLimit = None,
    cursor: PageCursor = None,
) -> PageOf[LedgerRow]:
    """Where an order's money went; 100 lines a page unless told."""
    lines = await shop.views.desk.ledger(str(order_id))
    paging = Paging(shop, f"ledger|{order_id}", limit, cursor)
    return paging.part(lines, _ledger_row)


def _ledger_row(line: LedgerLine) -> LedgerRow:
    return LedgerRow(entry=line.entry, account=line.account, amount=f"{line.amount:f}", at=line.at)


@get("/orders/{order_id:uuid}/audit", access=Staff("audit.read"), operation_id="adminGetOrderAudit")
async def audit(
    *,
    shop: TheShop,
    order_id: FromPath[UUID],
    limit: PageLimit = None,
    cursor: PageCursor = None,
) -> PageOf[AuditLine]:
    """What people did about an order, newest first."""
    paging = Paging(shop, f"audit|{order_id}", limit, cursor)
    page = await shop.views.desk.audit(
        order_id=str(order_id),
        limit=paging.size,
        after=paging.after,
    )
    return paging.page(page, audit_line)


@get(
    "/orders/{order_id:uuid}/webhooks",
    access=Staff("webhooks.read"),
    operation_id="adminGetOrderWebhooks",
)
async def order_webhooks(
    *,
    shop: TheShop,
    order_id: FromPath[UUID],
    limit: PageLimit = None,
    cursor: PageCursor = None,
) -> PageOf[WebhookShown]:
    """What providers said of an order, newest first."""
    paging = Paging(shop, f"webhooks|{order_id}", limit, cursor)
    page = await shop.views.desk.webhooks(
        order_id=str(order_id),
        limit=paging.size,
        after=paging.after,
    )
    return paging.page(page, webhook_shown)


async def _file(shop: Shop, order_id: UUID) -> OrderFile:
    file = await shop.views.desk.file(str(order_id))
    if file is None:
        raise ProblemError("not-found")
    return file


def _row(line: OrderLine) -> OrderRow:
    return OrderRow(
        id=line.id,
        number=line.number,
        status=line.status,
        failure_reason=line.failure_reason,
        remarks=line.remarks,
        email=line.email,
        source=line.source,
        total=eur_text(line.total),
        open_holds=line.open_holds,
        created_at=line.created_at,
        paid_at=line.paid_at,
        version=line.version,
    )


def audit_line(view: AuditView) -> AuditLine:
    """The line as it is answered."""
    return AuditLine(
        seq=view.seq,
        at=view.at,
        actor=view.actor,
        action=view.action,
        subject=view.subject,
        reason=view.reason,
        facts=view.facts,
        hash=view.hash,
    )


def _detail(file: OrderFile) -> OrderDetail:
    order = file.order
    return OrderDetail(
        id=order.id,
        number=order.number,
        status=order.status,
        failure_reason=order.failure_reason,
        remarks=order.remarks,
        email=order.email,
        country=order.country,
        total=eur_text(order.total),
        created_at=order.created_at,
        paid_at=order.paid_at,
        version=order.version,
        allowed_next=tuple(sorted(overridable(order.status))),
        payments=tuple(
            PaymentRow(
                id=row.id,
                gateway=row.gateway,
                gateway_payment_id=row.gateway_payment_id,
                parent_payment_id=row.parent_payment_id,
                status=row.status,
                pay_currency=row.pay_currency,
                pay_amount=crypto_or_none(row.pay_amount),
                actually_paid=crypto_or_none(row.actually_paid),
                updated_at=row.updated_at,
            )
            for row in file.payments
        ),
        fulfilments=tuple(
            FulfilmentRow(
                id=row.id,
                item_no=row.item_no,
                part=row.part,
                quantity=row.quantity,
                supplier=row.supplier,
                state=row.state,
                blocked_reason=row.blocked_reason,
                last_error=row.last_error,
                attempts=tuple(a.external_id for a in file.attempts if a.fulfilment_id == row.id),
                updated_at=row.updated_at,
            )
            for row in file.fulfilments
        ),
        holds=tuple(hold_shown(hold) for hold in file.holds),
    )
