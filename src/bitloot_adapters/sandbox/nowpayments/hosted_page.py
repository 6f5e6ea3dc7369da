"""The hosted invoice page: choose a coin, then press how the payment shall end.

Plain HTML forms without script; every text that a merchant supplied is escaped.
"""

from html import escape
from typing import Final
from urllib.parse import parse_qs

from litestar import Response, Router, get, post
from litestar.response import Redirect

from bitloot_adapters.sandbox.nowpayments.api import ApiRequest, world_of
from bitloot_adapters.sandbox.nowpayments.deposits import find, pay
from bitloot_adapters.sandbox.nowpayments.errors import ApiError, not_found
from bitloot_adapters.sandbox.nowpayments.js_json import Json, js_number
from bitloot_adapters.sandbox.nowpayments.payments import create_invoice_payment
from bitloot_adapters.sandbox.nowpayments.records import Invoice, Payment
from bitloot_adapters.sandbox.nowpayments.request_fields import Fields
from bitloot_adapters.sandbox.nowpayments.world import World

_ACTIONS: Final[dict[str, tuple[str, dict[str, Json]]]] = {
    "full": ("pay in full", {"fraction": "1"}),
    "half": ("pay half", {"fraction": "0.5"}),
    "over": ("pay too much", {"fraction": "1.2"}),
    "fail": ("fail", {"fraction": "0", "steps": ["confirming", "failed"]}),
}
_SHOWN_PAYMENTS: Final = 50


@get("/payment", media_type="text/html")
async def show_invoice(request: ApiRequest) -> Response[str]:
    world = world_of(request)
    invoice = _invoice(world, str(request.query_params.get("iid") or ""))
    return _page(_body(world, invoice, None))


@post("/payment/coin", status_code=200, media_type="text/html")
async def choose_coin(request: ApiRequest) -> Response[str] | Redirect:
    world = world_of(request)
    form = await _form(request)
    invoice = _invoice(world, form.get("iid", ""))
    order: dict[str, Json] = {"iid": invoice.id, "pay_currency": form.get("coin", "")}
    try:
        create_invoice_payment(world, Fields(order), invoice.owner, may_play=False)
    except ApiError as error:
        return _page(_body(world, invoice, error.message), error.http)
    return Redirect(f"/payment/?iid={invoice.id}", status_code=303)


@post("/payment/act", status_code=200, media_type="text/html")
async def act(request: ApiRequest) -> Response[str] | Redirect:
    world = world_of(request)
    form = await _form(request)
    invoice = _invoice(world, form.get("iid", ""))
    number = form.get("payment", "")
    payment = find(world, int(number) if number.isascii() and number.isdigit() else 0)
    action = _ACTIONS.get(form.get("action", ""))
    if action is None or payment.invoice_id != invoice.id:
        raise not_found("Payment")
    try:
        pay(world, payment, Fields(action[1]))
    except ApiError as error:
        return _page(_body(world, invoice, error.message), error.http)
    return Redirect(f"/payment/?iid={invoice.id}", status_code=303)


def page_router() -> Router:
    return Router("/", route_handlers=[show_invoice, choose_coin, act])


async def _form(request: ApiRequest) -> dict[str, str]:
    body = (await request.body()).decode("utf-8", "replace")
    return {name: values[0] for name, values in parse_qs(body, max_num_fields=20).items()}


def _invoice(world: World, iid: str) -> Invoice:
    known = iid.isascii() and iid.isdigit() and len(iid) <= 18
    invoice = world.store.invoices.get(int(iid)) if known else None
    if invoice is None:
        raise not_found("Invoice")
    return invoice


def _page(body: str, status: int = 200) -> Response[str]:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<title>Test payment</title></head>"
        f"<body><main><h1>Test payment page</h1>{body}</main></body></html>"
    )
    return Response(
        html,
        status_code=status,
        media_type="text/html",
        headers={
            "content-security-policy": "default-src 'none'; form-action 'self'",
            "cache-control": "no-store",
        },
    )


def _body(world: World, invoice: Invoice, refusal: str | None) -> str:
    price = f"{js_number(float(invoice.price_amount))} {escape(invoice.price_currency.upper())}"
    parts = [f"<p>To pay: <strong>{price}</strong></p>"]
    if invoice.order_description:
        parts.append(f"<p>{escape(invoice.order_description)}</p>")
    if refusal is not None:
        parts.append(f'<p role="alert">{escape(refusal)}</p>')
    parts.append(_coin_form(world, invoice))
    payments = [one for one in world.store.payments.values() if one.invoice_id == invoice.id]
    parts += [_payment_section(invoice, payment) for payment in payments[-_SHOWN_PAYMENTS:]]
    parts.append(_way_back(invoice, payments))
    return "".join(parts)


def _coin_form(world: World, invoice: Invoice) -> str:
    coins = [coin for coin in world.rates.coins.values() if world.rates.enabled(coin)]
    if invoice.pay_currency is not None:
        coins = [coin for coin in coins if coin.ticker == invoice.pay_currency.lower()]
    options = "".join(
        f'<option value="{coin.ticker}">{escape(coin.name)} ({coin.ticker})</option>'
        for coin in coins
    )
    return (
        f'<form method="post" action="/payment/coin">{_hidden("iid", invoice.id)}'
        f'<label>Coin <select name="coin">{options}</select></label> '
        "<button>get an address</button></form>"
    )


def _payment_section(invoice: Invoice, payment: Payment) -> str:
    memo = f"<dt>Memo</dt><dd>{payment.payin_extra_id}</dd>" if payment.payin_extra_id else ""
    facts = (
        f"<h2>Payment {payment.id}: {escape(payment.status)}</h2><dl>"
        f"<dt>Send</dt><dd>{payment.pay_amount:f} {payment.pay_currency}</dd>"
        f"<dt>To</dt><dd><code>{payment.pay_address}</code></dd>{memo}"
        f"<dt>Received</dt><dd>{payment.actually_paid:f}</dd></dl>"
    )
    if payment.status not in {"waiting", "expired"}:
        return f"<section>{facts}</section>"
    buttons = "".join(
        f'<button name="action" value="{name}">{label}</button> '
        for name, (label, _) in _ACTIONS.items()
    )
    return (
        f'<section>{facts}<form method="post" action="/payment/act">'
        f"{_hidden('iid', invoice.id)}{_hidden('payment', payment.id)}{buttons}</form></section>"
    )


def _way_back(invoice: Invoice, payments: list[Payment]) -> str:
    statuses = {payment.status for payment in payments}
    links = [("Cancel and go back", invoice.cancel_url)]
    if "finished" in statuses:
        links = [("Back to the shop", invoice.success_url)]
    elif "partially_paid" in statuses:
        links = [("Back to the shop", invoice.partially_paid_url or invoice.cancel_url)]
    return "".join(
        f'<p><a href="{escape(url)}">{label}</a></p>' for label, url in links if url is not None
    )


def _hidden(name: str, value: int) -> str:
    return f'<input type="hidden" name="{name}" value="{value}">'
