"""The vendor's API under `/v1`: one handler for each endpoint that a shop uses.

The answers of `POST` are 201 where something is created, 200 otherwise. Every call but
`/status` and `/auth` needs `x-api-key` (NOWPayments API documentation).
"""

from decimal import Decimal, InvalidOperation
from typing import Final

from litestar import Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from msgspec.structs import replace

from bitloot_adapters.sandbox.nowpayments import payments, wire
from bitloot_adapters.sandbox.nowpayments.clock import iso
from bitloot_adapters.sandbox.nowpayments.errors import (
    ApiError,
    authorization_needed,
    invalid_params,
    not_found,
    wrong_credentials,
)
from bitloot_adapters.sandbox.nowpayments.js_json import Json, js_number, stringify
from bitloot_adapters.sandbox.nowpayments.listing import list_payments
from bitloot_adapters.sandbox.nowpayments.records import Payment
from bitloot_adapters.sandbox.nowpayments.request_fields import Fields
from bitloot_adapters.sandbox.nowpayments.tokens import issue_token, token_holds
from bitloot_adapters.sandbox.nowpayments.transitions import apply_due
from bitloot_adapters.sandbox.nowpayments.world import World

ApiRequest = Request[None, None, State]
_JSON: Final = "application/json; charset=utf-8"
_TRUE: Final = frozenset({"true", "1"})


def world_of(request: ApiRequest) -> World:
    """The world of this server, brought up to the present."""
    world: World = request.app.state.world
    apply_due(world)
    return world


def reply(shape: Json, status: int = 200) -> Response[bytes]:
    """A JSON answer, written as the vendor's Node servers write it."""
    return Response(stringify(shape).encode(), status_code=status, media_type=_JSON)


def owner_of(request: ApiRequest, world: World) -> str:
    return world.owner_of(request.headers.get("x-api-key"))


def page_url(request: ApiRequest, world: World, invoice_id: int) -> str:
    """The hosted page of an invoice."""
    base = world.config.public_url or str(request.base_url)
    return f"{base.rstrip('/')}/payment/?iid={invoice_id}"


@get("/status")
async def status() -> Response[bytes]:
    return reply({"message": "OK"})


@post("/auth", status_code=200)
async def auth(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    fields = Fields.parse(await request.body())
    sent = (fields.required_text("email"), fields.required_text("password"))
    if sent != (world.config.account_email, world.config.account_password):
        raise wrong_credentials()
    return reply({"token": issue_token(world)})


@get("/currencies")
async def currencies(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    owner_of(request, world)
    fixed = _query_flag(request, "fixed_rate")
    coins = [coin for coin in world.rates.coins.values() if world.rates.enabled(coin)]
    return reply({"currencies": [coin.ticker for coin in coins if coin.fixed_rate or not fixed]})


@get("/full-currencies")
async def full_currencies(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    owner_of(request, world)
    coins = world.rates.coins.values()
    details = [wire.coin_details(coin, enabled=world.rates.enabled(coin)) for coin in coins]
    return reply({"currencies": details})


@get("/merchant/coins")
async def merchant_coins(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    owner_of(request, world)
    ticked = world.config.merchant_coins
    if ticked is None:
        coins = world.rates.coins.values()
        ticked = tuple(coin.ticker for coin in coins if world.rates.enabled(coin))
    return reply({"selectedCurrencies": [ticker.upper() for ticker in ticked]})


@get("/min-amount")
async def min_amount(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    owner_of(request, world)
    source = _query_currency(request, world, "currency_from")
    named = bool(request.query_params.get("currency_to"))
    target = _query_currency(request, world, "currency_to") if named else None
    settlement = target or world.config.outcome_currency or source
    least = world.rates.minimum(
        source,
        settlement,
        fixed_rate=_query_flag(request, "is_fixed_rate"),
        fee_by_payer=_query_flag(request, "is_fee_paid_by_user"),
    )
    shape: dict[str, Json] = {
        "currency_from": source,
        "currency_to": settlement,
        "min_amount": least,
    }
    if request.query_params.get("fiat_equivalent"):
        fiat = _query_currency(request, world, "fiat_equivalent")
        value = least * world.rates.usd(source) / world.rates.usd(fiat)
        shape["fiat_equivalent"] = value.quantize(Decimal("0.00000001"))
    return reply(shape)


@get("/estimate")
async def estimate(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    owner_of(request, world)
    amount = _query_amount(request, "amount")
    source = _query_currency(request, world, "currency_from")
    target = _query_currency(request, world, "currency_to")
    value = world.rates.convert(amount, source, target)
    return reply(
        {
            "currency_from": source,
            "amount_from": amount,
            "currency_to": target,
            "estimated_amount": js_number(float(value)) if world.config.estimate_as_text else value,
        }
    )


@post("/payment", status_code=201)
async def create_payment(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    owner = owner_of(request, world)
    made = payments.create_payment(world, Fields.parse(await request.body()), owner)
    return reply(_created(world, made), 201)


@post("/invoice", status_code=201)
async def create_invoice(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    owner = owner_of(request, world)
    made = payments.create_invoice(world, Fields.parse(await request.body()), owner)
    page = page_url(request, world, made.id)
    return reply(wire.created_invoice(made, page, world.config.outcome_currency), 201)


@post("/invoice-payment", status_code=201)
async def create_invoice_payment(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    owner = owner_of(request, world)
    made = payments.create_invoice_payment(world, Fields.parse(await request.body()), owner)
    return reply(_created(world, made), 201)


@post("/payment/{number:str}/update-merchant-estimate", status_code=200)
async def update_estimate(request: ApiRequest, number: FromPath[str]) -> Response[bytes]:
    world = world_of(request)
    payment = _owned(request, world, number)
    quoted = payments.requoted(world, payment)
    world.store.put(quoted)
    return reply(
        {
            "id": str(quoted.id),
            "token_id": str(quoted.token_id),
            "pay_amount": quoted.pay_amount,
            "expiration_estimate_date": iso(quoted.quote_until),
        }
    )


@get("/payment/{number:str}")
async def get_payment(request: ApiRequest, number: FromPath[str]) -> Response[bytes]:
    world = world_of(request)
    payment = _owned(request, world, number)
    return reply(wire.read_payment(payment, zero_when_finished=world.config.actually_paid_zero))


@get("/payment")
async def get_payments(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    owner = owner_of(request, world)
    if not token_holds(world, request.headers.get("authorization", "")):
        raise authorization_needed()
    return reply(list_payments(world, owner, dict(request.query_params.items())))


def api_error(_request: ApiRequest, error: ApiError) -> Response[bytes]:
    return reply(error.body(), error.http)


def http_error(_request: ApiRequest, error: HTTPException) -> Response[bytes]:
    """An unknown path, a wrong method, a body that is too long."""
    return reply(
        {"status": False, "statusCode": error.status_code, "message": error.detail},
        error.status_code,
    )


def api_router() -> Router:
    return Router(
        "/v1",
        route_handlers=[
            status,
            auth,
            currencies,
            full_currencies,
            merchant_coins,
            min_amount,
            estimate,
            create_payment,
            create_invoice,
            create_invoice_payment,
            update_estimate,
            get_payment,
            get_payments,
        ],
    )


def _created(world: World, payment: Payment) -> dict[str, Json]:
    coin = world.rates.coins[payment.pay_currency]
    received = payments.amount_received(world, payment, payment.pay_amount)
    # What a script has already done to the payment is seen by reading it, not here.
    fresh = replace(payment, status="waiting", updated_at=payment.created_at)
    return wire.created_payment(fresh, coin, received)


def _owned(request: ApiRequest, world: World, number: str) -> Payment:
    owner = owner_of(request, world)
    known = number.isascii() and number.isdigit() and len(number) <= 18
    payment = world.store.payments.get(int(number)) if known else None
    if payment is None or payment.owner != owner:
        raise not_found("Payment")
    return payment


def _query_flag(request: ApiRequest, name: str) -> bool:
    return str(request.query_params.get(name, "")).lower() in _TRUE


def _query_currency(request: ApiRequest, world: World, name: str) -> str:
    currency = str(request.query_params.get(name) or "").strip().lower()
    if not currency:
        raise invalid_params(f"{name} is required")
    if not world.rates.knows(currency):
        raise invalid_params(f"{name} {currency.upper()} is not supported")
    return currency


def _query_amount(request: ApiRequest, name: str) -> Decimal:
    text = str(request.query_params.get(name) or "")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise invalid_params(f"{name} is required and must be a number") from None
    if not (amount.is_finite() and 0 < amount < Decimal("1e18")):
        raise invalid_params(f"{name} must be a positive number")
    return amount
