"""Paying for an order: an address shown here, or a page of the gateway."""

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec
from litestar.params import FromPath, JSONBody

from bitloot.domain.money import eur_text
from bitloot.domain.payment_hint import qr_text, usual_minutes
from bitloot.ports.views.orders import PaymentView
from bitloot.usecases.payments.facts import PaymentFacts
from bitloot_web.api.fields import PaymentStatusText, ShortText, crypto_or_none
from bitloot_web.dependencies import TheRepeatable, TheShop
from bitloot_web.problems import FieldError, ProblemError
from bitloot_web.routes import get, post
from bitloot_web.security.access import OrderOwner


class NewPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`address`: pay in place, with `asset`. `hosted`: a page of the gateway, asset optional."""

    kind: Literal["address", "hosted"] = "address"
    asset: ShortText | None = None


class PaymentDetails(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where to pay, and how much; crypto amounts as the gateway wrote them.

    `memo` has to be sent with the payment where it is not null. A hosted page has `url` alone.
    After `quoteEndsAt` the amount is asked for anew; `validUntil` is when the gateway stops
    watching. `qrText` is what a wallet scans, `usualMinutes` how long a confirmation usually takes;
    both are null where nothing is known.
    """

    id: str
    kind: Literal["address", "hosted"]
    status: PaymentStatusText
    price: str | None = None
    currency: str = "EUR"
    pay_currency: str | None
    pay_amount: str | None
    pay_address: str | None
    memo: str | None
    network: str | None
    actually_paid: str | None = None
    url: str | None
    quote_ends_at: datetime | None
    valid_until: datetime | None
    qr_text: str | None
    usual_minutes: int | None


def payment_shown(view: PaymentView) -> PaymentDetails:
    """The present payment of an order as it is answered."""
    return PaymentDetails(
        id=view.id,
        kind="hosted" if view.is_hosted else "address",
        status=view.status,
        pay_currency=view.pay_currency,
        pay_amount=crypto_or_none(view.pay_amount),
        pay_address=view.pay_address,
        memo=view.memo,
        network=view.network,
        actually_paid=crypto_or_none(view.actually_paid),
        url=view.url,
        quote_ends_at=view.quote_ends_at,
        valid_until=view.valid_until,
        qr_text=_scanned(
            view.pay_currency, view.network, view.pay_address, view.pay_amount, view.memo
        ),
        usual_minutes=_minutes(view.pay_currency, view.network),
    )


def shown(facts: PaymentFacts) -> PaymentDetails:
    """A payment as it is answered."""
    return PaymentDetails(
        id=facts.payment_id,
        kind=facts.kind,
        status=facts.status,
        price=eur_text(facts.price),
        pay_currency=facts.pay_currency,
        pay_amount=crypto_or_none(facts.pay_amount),
        pay_address=facts.pay_address,
        memo=facts.payin_extra_id,
        network=facts.network,
        url=facts.url,
        quote_ends_at=facts.quote_ends_at,
        valid_until=facts.valid_until,
        qr_text=_scanned(
            facts.pay_currency,
            facts.network,
            facts.pay_address,
            facts.pay_amount,
            facts.payin_extra_id,
        ),
        usual_minutes=_minutes(facts.pay_currency, facts.network),
    )


def _scanned(
    asset: str | None,
    network: str | None,
    address: str | None,
    amount: Decimal | None,
    memo: str | None,
) -> str | None:
    if asset is None or address is None:
        return None
    return qr_text(asset, network, address, amount, memo)


def _minutes(asset: str | None, network: str | None) -> int | None:
    return None if asset is None else usual_minutes(asset, network)


@post(
    "/v1/orders/{order_id:uuid}/payments",
    access=OrderOwner(),
    operation_id="createPayment",
)
async def create_payment(
    shop: TheShop,
    order_id: FromPath[UUID],
    data: JSONBody[NewPayment],
    repeatable: TheRepeatable,
) -> PaymentDetails:
    """Open a payment at the gateway."""
    once = await repeatable.once(f"order/{order_id}")
    if data.kind == "hosted":
        back = f"{shop.edge.public_url}/orders/{order_id}"
        facts = await shop.opening.pay_hosted(
            str(order_id), asset=data.asset, return_url=back, once=once
        )
    elif data.asset is None:
        detail = "Name the asset to pay with, such as btc."
        raise ProblemError("invalid-input", errors=(FieldError("asset", detail),))
    else:
        facts = await shop.opening.pay(str(order_id), asset=data.asset, once=once)
    return shown(facts)


@get(
    "/v1/orders/{order_id:uuid}/payments/current",
    access=OrderOwner(),
    operation_id="getCurrentPayment",
)
async def current_payment(shop: TheShop, order_id: FromPath[UUID]) -> PaymentDetails:
    """The payment that is shown to the buyer now; its amount is asked for anew when it ended."""
    facts = await shop.opening.current(str(order_id))
    if facts is None:
        raise ProblemError("not-found", "No payment was opened for this order yet.")
    return shown(facts)
