"""The two ways to pay, an address or a hosted page, in the one shape that opening needs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from bitloot.domain.decision import Decision
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.payment_opening import (
    PayTo,
    answer_invoice,
    answer_payment,
    open_invoice,
    open_payment,
    reject_invoice,
    reject_payment,
)
from bitloot.ports.clock import NewId
from bitloot.ports.payment_gateway import (
    NewInvoice,
    NewPayment,
    OpenedInvoice,
    OpenedPayment,
    PaymentGateway,
)

C = TypeVar("C")


@dataclass(frozen=True, kw_only=True)
class Way(Generic[C]):
    """`announce` is the row before the call; `store` and `refuse` write what came of it."""

    announce: Callable[[OrderFile, str, datetime], Decision]
    create: Callable[[str, Decimal], Awaitable[C]]
    store: Callable[[OrderFile, str, C, datetime], Decision]
    refuse: Callable[[OrderFile, str, str, datetime], Decision]


def by_address(
    gateway: PaymentGateway, ticker: str, *, new_id: NewId, limits: Limits
) -> Way[OpenedPayment]:
    """An address and an amount, shown by the shop."""

    def announce(file: OrderFile, row_id: str, at: datetime) -> Decision:
        return open_payment(
            file,
            gateway=gateway.name,
            asset=ticker,
            payment_id=row_id,
            at=at,
            new_id=new_id,
            limits=limits,
        )

    async def create(order_number: str, price: Decimal) -> OpenedPayment:
        return await gateway.create_payment(
            NewPayment(
                order_number=order_number,
                price=price,
                asset=ticker,
                description=f"Order {order_number}",
            )
        )

    def store(file: OrderFile, row_id: str, opened: OpenedPayment, at: datetime) -> Decision:
        answer = PayTo(**msgspec.structs.asdict(opened))
        return answer_payment(file, row_id, answer, at=at, new_id=new_id, limits=limits)

    def refuse(file: OrderFile, row_id: str, reason: str, at: datetime) -> Decision:
        return reject_payment(file, row_id, reason, at=at, new_id=new_id)

    return Way(announce=announce, create=create, store=store, refuse=refuse)


def by_page(
    gateway: PaymentGateway,
    ticker: str | None,
    return_url: str | None,
    *,
    new_id: NewId,
    limits: Limits,
) -> Way[OpenedInvoice]:
    """A page of the gateway, where the payer may still choose the asset."""

    def announce(file: OrderFile, row_id: str, at: datetime) -> Decision:
        return open_invoice(
            file, gateway=gateway.name, invoice_id=row_id, at=at, new_id=new_id, limits=limits
        )

    async def create(order_number: str, price: Decimal) -> OpenedInvoice:
        return await gateway.create_invoice(
            NewInvoice(
                order_number=order_number,
                price=price,
                asset=ticker,
                description=f"Order {order_number}",
                return_url=return_url,
            )
        )

    def store(file: OrderFile, row_id: str, opened: OpenedInvoice, at: datetime) -> Decision:
        return answer_invoice(
            file,
            row_id,
            opened.gateway_invoice_id,
            opened.url,
            at=at,
            new_id=new_id,
            limits=limits,
        )

    def refuse(file: OrderFile, row_id: str, reason: str, at: datetime) -> Decision:
        return reject_invoice(file, row_id, reason, at=at, new_id=new_id)

    return Way(announce=announce, create=create, store=store, refuse=refuse)
