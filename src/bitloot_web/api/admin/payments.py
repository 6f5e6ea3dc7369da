"""Asking a gateway about a payment now."""

from datetime import datetime
from uuid import UUID

import msgspec
from litestar.params import FromPath

from bitloot_web.api.fields import PaymentStatusText, crypto_or_none
from bitloot_web.dependencies import TheShop
from bitloot_web.routes import post
from bitloot_web.security.access import Staff


class RefreshedPayment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payment after the gateway's answer was applied."""

    id: str
    order_id: str
    status: PaymentStatusText
    pay_currency: str
    pay_amount: str | None
    actually_paid: str | None
    updated_at: datetime


@post(
    "/payments/{payment_id:uuid}/refresh",
    access=Staff("payments.write"),
    status_code=200,
    operation_id="adminRefreshPayment",
)
async def refresh(shop: TheShop, payment_id: FromPath[UUID]) -> RefreshedPayment:
    """Ask the gateway, and apply what it says as if it had called back."""
    payment = await shop.applying.refresh(str(payment_id))
    return RefreshedPayment(
        id=payment.id,
        order_id=payment.order_id,
        status=payment.status,
        pay_currency=payment.pay_currency,
        pay_amount=crypto_or_none(payment.pay_amount),
        actually_paid=crypto_or_none(payment.actually_paid),
        updated_at=payment.updated_at,
    )
