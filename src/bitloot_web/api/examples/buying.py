"""Examples of buying: what can be paid with, quotes, orders, payments, coming back."""

from collections.abc import Mapping
from typing import Final

from bitloot.domain.quote import UNDERPAYMENT_POLICY
from bitloot_web.api.examples.names import (
    CURSOR,
    EMAIL,
    ITEM_ID,
    ORDER_ID,
    ORDER_NUMBER,
    PAYMENT_ID,
    PRODUCT_ID,
    QUOTE_ID,
    SLUG,
    TITLE,
    moment,
)
from bitloot_web.api.health import Health, Readiness
from bitloot_web.api.order_payments import NewPayment, PaymentDetails
from bitloot_web.api.orders import (
    CancelledOrder,
    Item,
    NewOrder,
    Order,
    PlacedOrder,
    Timeline,
    TimelineEvent,
)
from bitloot_web.api.payment_options import Currency, Estimate
from bitloot_web.api.quotes import NewQuote, PricedLine, Quote, QuoteEstimate, WantedLine
from bitloot_web.api.sessions import CodeAnswer, CodeRequest, CodeSent, OrderSession
from bitloot_web.openapi import Example
from bitloot_web.paging import PageOf

_CHALLENGE: Final = "01890a5d-d0e1-7a2b-8c3d-4e5f6a7b8c9d"
_JWT: Final = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXBlIjoib3JkZXJfc2Vzc2lvbiJ9.c2lnbmF0dXJl"

TIMELINE: Final = Timeline(
    items=(
        TimelineEvent(
            id=1, kind="order_placed", at=moment(600), facts={"items": 1, "total": "12.50"}
        ),
        TimelineEvent(id=2, kind="payment_opened", at=moment(601), facts={"asset": "btc"}),
    ),
    next=None,
)
_PAYMENT: Final = PaymentDetails(
    id=PAYMENT_ID,
    kind="address",
    status="waiting",
    price="12.50",
    pay_currency="btc",
    pay_amount="0.00019841",
    pay_address="bc1qexample0address0of0the0gateway00000000",
    memo=None,
    network="btc",
    url=None,
    qr_text="bitcoin:bc1qexample0address0of0the0gateway00000000?amount=0.00019841",
    usual_minutes=20,
    quote_ends_at=moment(621),
    valid_until=moment(1260),
)
_QUOTE: Final = Quote(
    id=QUOTE_ID,
    lines=(
        PricedLine(
            product_id=PRODUCT_ID,
            slug=SLUG,
            title=TITLE,
            source="kinguin",
            quantity=1,
            unit_price="12.50",
            total="12.50",
            is_preorder=False,
        ),
    ),
    total="12.50",
    currency="EUR",
    country="PT",
    asset="btc",
    frozen_until=moment(615),
    estimate=QuoteEstimate(asset="btc", amount="0.00019841", minimum="0.00002"),
    underpayment_policy=UNDERPAYMENT_POLICY,
)
_ORDER: Final = Order(
    id=ORDER_ID,
    number=ORDER_NUMBER,
    status="waiting",
    failure_reason=None,
    remarks=(),
    source="kinguin",
    email=EMAIL,
    country="PT",
    total="12.50",
    currency="EUR",
    paid_over=None,
    is_held=False,
    items=(
        Item(
            id=ITEM_ID,
            item_no=1,
            product_id=PRODUCT_ID,
            title=TITLE,
            source="kinguin",
            quantity=1,
            unit_price="12.50",
            delivered=0,
            state="waiting",
            is_preorder=False,
            instructions="Open the launcher, choose Redeem, and enter the key.",
        ),
    ),
    payment=_PAYMENT,
    created_at=moment(600),
    window_ends_at=moment(660),
    paid_at=None,
    fulfilled_at=None,
    last_event=2,
    version=2,
)
_SESSION: Final = OrderSession(order_session_token=_JWT, order_session_expires_at=moment(660))

EXAMPLES: Final[Mapping[str, Example]] = {
    "listCurrencies": Example(
        answered=PageOf(
            items=(
                Currency(
                    ticker="btc", name="Bitcoin", network="btc", needs_memo=False, precision=8
                ),
            ),
            next=CURSOR,
        )
    ),
    "estimatePayment": Example(
        answered=Estimate(
            price="12.50", asset="btc", amount="0.00019841", minimum="0.00002", is_enough=True
        )
    ),
    "createQuote": Example(
        asked=NewQuote(lines=(WantedLine(product=SLUG, quantity=1),), country="PT", asset="btc"),
        answered=_QUOTE,
    ),
    "createOrder": Example(
        asked=NewOrder(quote_id=QUOTE_ID, email=EMAIL),
        answered=PlacedOrder(
            id=ORDER_ID,
            number=ORDER_NUMBER,
            status="created",
            total="12.50",
            currency="EUR",
            created_at=moment(600),
            window_ends_at=moment(660),
            order_session_token=_JWT,
            order_session_expires_at=moment(660),
        ),
    ),
    "getOrder": Example(answered=_ORDER),
    "getTimeline": Example(answered=TIMELINE),
    "followOrder": Example(answered=TIMELINE),
    "cancelOrder": Example(
        answered=CancelledOrder(id=ORDER_ID, number=ORDER_NUMBER, status="cancelled")
    ),
    "createPayment": Example(asked=NewPayment(kind="address", asset="btc"), answered=_PAYMENT),
    "getCurrentPayment": Example(answered=_PAYMENT),
    "requestCode": Example(
        asked=CodeRequest(captcha="0.token-of-the-captcha"),
        answered=CodeSent(challenge_id=_CHALLENGE, expires_at=moment(615)),
    ),
    "createSession": Example(
        asked=CodeAnswer(challenge_id=_CHALLENGE, code="493817"), answered=_SESSION
    ),
    "takeWebhook": Example(
        asked={"payment_id": 5745459419, "payment_status": "finished", "order_id": ORDER_NUMBER}
    ),
    "health": Example(answered=Health("ok")),
    "readiness": Example(
        answered=Readiness("ready", {"database": "ok", "redis": "ok", "nowpayments": "ok"})
    ),
}
