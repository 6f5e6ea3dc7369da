"""The NOWPayments client on the wire: what it sends, and what each answer comes to."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from decimal import Decimal

import httpx
import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.payment_gateway import NewInvoice, NewPayment, VerifiedPayment
from bitloot_adapters.http import HttpClient
from bitloot_adapters.nowpayments.client import NowPayments
from bitloot_adapters.sandbox.loopback import served
from bitloot_adapters.sandbox.nowpayments.app import build_app
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig
from bitloot_adapters.sandbox.scripted import Scripted

SECRET = "ipn-secret"
NUMBER = "BL7K2M9QXA"
# All the digits that an amount of a coin may have.
LONGEST = f"{'1234567890' * 3}.{'123456789' * 2}"
LIMITS = Limits(nowpayments_create_per_second=1000, nowpayments_estimate_per_second=1000)
ASKED = NewPayment(order_number=NUMBER, price=Decimal("25.00"), asset="ltc")
INVOICE = NewInvoice(order_number=NUMBER, price=Decimal("25.00"))
CREATED: dict[str, object] = {
    "payment_id": "5524759814",
    "payment_status": "waiting",
    "pay_address": "ltc1qpay",
    "pay_amount": 0.3120001,
    "pay_currency": "ltc",
    "order_id": NUMBER,
    "price_amount": 25,
    "price_currency": "eur",
}


@contextlib.asynccontextmanager
async def client(
    app: Callable[..., Awaitable[None]] | None,
    *,
    base_url: str = "http://nowpayments/v1",
    account: tuple[str, str] = ("", ""),
    fixed_rate: bool = False,
    outcome_currency: str = "",
    previous_api_keys: tuple[str, ...] = (),
) -> AsyncIterator[NowPayments]:
    http = HttpClient(
        base_url,
        limits=LIMITS,
        in_transaction=lambda: False,
        headers={"x-api-key": "NOWPAY-SANDBOX-KEY-0001"},
        transport=None if app is None else lambda: httpx.ASGITransport(app),
    )
    try:
        yield NowPayments(
            http,
            ipn_secret=SECRET,
            callback_url="https://shop.example/v1/webhooks/nowpayments",
            limits=LIMITS,
            is_fixed_rate=fixed_rate,
            outcome_currency=outcome_currency,
            previous_api_keys=previous_api_keys,
            email=account[0],
            password=account[1],
        )
    finally:
        await http.close()


def error(code: str, status: int = 400) -> dict[str, object]:
    return {"status": False, "statusCode": status, "code": code, "message": "No."}


# --- opening -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "written"), [("25.00", "25"), ("9.90", "9.9"), ("0.1", "0.1"), ("1E+3", "1000")]
)
async def test_a_price_is_sent_as_the_shortest_plain_number(price: str, written: str) -> None:
    script = Scripted((201, CREATED))
    async with client(script) as gateway:
        await gateway.create_payment(msgspec.structs.replace(ASKED, price=Decimal(price)))
    sent = script.asked[0]
    assert (sent.method, sent.path) == ("POST", "/v1/payment")
    assert f'"price_amount":{written},"price_currency":"eur"'.encode() in sent.body
    body = json.loads(sent.body)
    assert body["order_id"] == NUMBER
    assert body["ipn_callback_url"] == "https://shop.example/v1/webhooks/nowpayments"
    assert (body["is_fixed_rate"], body["is_fee_paid_by_user"]) == (False, False)


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        (b'"pay_amount":0.3120001', "0.3120001"),
        (b'"pay_amount":"0.312000100"', "0.3120001"),
        (b'"pay_amount":1.5e-7', "0.00000015"),
        (b'"pay_amount":' + LONGEST.encode(), LONGEST),
    ],
)
async def test_an_amount_to_pay_is_exact_to_the_last_digit(fields: bytes, amount: str) -> None:
    known = b'{"payment_id":5524759814,"pay_address":"ltc1qpay","pay_currency":"LTC",'
    body = known + fields + b"}"
    async with client(Scripted((201, body))) as gateway:
        opened = await gateway.create_payment(ASKED)
    assert opened.pay_amount == Decimal(amount)
    assert (opened.gateway_payment_id, opened.pay_currency) == ("5524759814", "ltc")
    assert opened.status == "waiting"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((400, error("AMOUNT_MINIMAL_ERROR")), "below_minimum"),
        ((400, error("CURRENCY_UNAVAILABLE")), "asset_unavailable"),
        ((400, error("INVALID_REQUEST_PARAMS")), "invalid"),
        ((400, error("SOMETHING_NEW")), "invalid"),
        ((400, error("AMOUNT_MINIMAL_ERROR") | {"message": None}), "below_minimum"),
        ((400, error("AMOUNT_MINIMAL_ERROR") | {"message": ["too", "small"]}), "below_minimum"),
        ((400, {"code": "amount_minimal_error"}), "below_minimum"),
        ((400, {"message": "Crypto amount 0.001 is less than minimal"}), "below_minimum"),
        ((400, {"statusCode": 400, "message": "amountTo is too small"}), "below_minimum"),
        ((400, {"message": "pay_currency is required"}), "invalid"),
        ((403, error("INVALID_API_KEY", 403)), "credentials"),
        ((403, {"statusCode": 403, "message": "Invalid api key"}), "credentials"),
        ((401, error("AUTH_REQUIRED", 401)), "credentials"),
    ],
)
async def test_a_documented_refusal_means_that_nothing_was_opened(
    answer: tuple[int, object], reason: str
) -> None:
    script = Scripted(answer, answer)
    async with client(script) as gateway:
        for call in (gateway.create_payment(ASKED), gateway.create_invoice(INVOICE)):
            with pytest.raises(Rejected) as refused:
                await call
            assert refused.value.reason == reason
    assert [asked.path for asked in script.asked] == ["/v1/payment", "/v1/invoice"]


@pytest.mark.parametrize(
    "answer",
    [
        (500, error("INTERNAL_ERROR", 500)),
        (502, b"<html>"),
        (302, b""),
        (201, b""),
        (201, b"<html>"),
        (201, {}),
        (201, {**CREATED, "payment_id": None}),
        (201, {**CREATED, "pay_address": None}),
        (201, {**CREATED, "pay_amount": "NaN"}),
        (201, {**CREATED, "pay_amount": -1}),
        (201, {**CREATED, "pay_currency": True}),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("disconnected"),
    ],
)
async def test_anything_that_proves_nothing_leaves_a_payment_unknown(
    answer: tuple[int, object] | Exception,
) -> None:
    script = Scripted(answer)
    async with client(script) as gateway:
        with pytest.raises(OutcomeUnknown) as unknown:
            await gateway.create_payment(ASKED)
    assert unknown.value.key == NUMBER
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "answer", [(429, b"<html>"), (403, b"<html>blocked"), httpx.ConnectTimeout("nobody")]
)
async def test_what_never_got_through_is_an_absence(answer: tuple[int, object] | Exception) -> None:
    async with client(Scripted(answer, headers={"content-type": "text/html"})) as gateway:
        with pytest.raises(Unavailable):
            await gateway.create_payment(ASKED)


async def test_a_page_sends_the_payer_back_and_is_read_with_a_number_for_an_id() -> None:
    script = Scripted(
        (200, {"id": 4522625843, "invoice_url": "https://nowpayments.io/payment/?iid=4"})
    )
    async with client(script) as gateway:
        page = await gateway.create_invoice(
            msgspec.structs.replace(
                INVOICE, return_url="https://shop.example/orders/1", asset="ltc"
            )
        )
    assert page.gateway_invoice_id == "4522625843"
    body = json.loads(script.asked[0].body)
    ways = {body["success_url"], body["cancel_url"], body["partially_paid_url"]}
    assert ways == {"https://shop.example/orders/1"}
    assert body["pay_currency"] == "ltc"


@pytest.mark.parametrize("url", ["javascript:alert(1)", ""])
async def test_a_page_that_is_no_web_address_is_not_shown_to_anyone(url: str) -> None:
    async with client(Scripted((200, {"id": "4", "invoice_url": url}))) as gateway:
        with pytest.raises(OutcomeUnknown):
            await gateway.create_invoice(INVOICE)


# --- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [(200, {}), (200, b"["), (200, {**CREATED, "payment_id": 7}), (500, b""), (503, error("X"))],
)
async def test_a_report_of_nothing_or_of_another_payment_is_an_absence(
    answer: tuple[int, object],
) -> None:
    async with client(Scripted(answer)) as gateway:
        with pytest.raises(Unavailable):
            await gateway.payment("5524759814")


async def test_a_report_reads_parents_children_and_case_leniently() -> None:
    body = {
        **CREATED,
        "payment_id": 5524759814,
        "payment_status": "Finished",
        "actually_paid": "0.3120001",
        "parent_payment_id": 0,
        "payment_extra_ids": {"0": 7, "1": "8"},
        "invoice_id": None,
        "pay_currency": "LTC",
        "something_new": {"a": [1]},
    }
    async with client(Scripted((200, body))) as gateway:
        report = await gateway.payment("5524759814")
    assert (report.status, report.parent_payment_id) == ("finished", None)
    assert report.child_payment_ids == ("7", "8")
    assert report.actually_paid == Decimal("0.3120001")
    assert report.pay_currency == "ltc"


async def test_a_token_of_the_list_that_ended_is_fetched_once_more() -> None:
    listed = {"data": [{**CREATED, "invoice_id": 44}]}
    script = Scripted(
        (200, {"token": "t1"}),
        (401, error("AUTH_REQUIRED", 401)),
        (200, {"token": "t2"}),
        (200, listed),
    )
    async with client(script, account=("a@shop.example", "secret")) as gateway:
        (report,) = await gateway.payments_of_invoice("44")
    assert report.gateway_invoice_id == "44"
    assert [asked.path for asked in script.asked] == [
        "/v1/auth",
        "/v1/payment/",
        "/v1/auth",
        "/v1/payment/",
    ]
    assert script.asked[3].headers["authorization"] == "Bearer t2"
    assert script.asked[3].query["invoiceId"] == "44"


def page_of(ids: range, pages: int) -> tuple[int, dict[str, object]]:
    rows = [{**CREATED, "payment_id": each, "invoice_id": 44} for each in ids]
    return 200, {"data": rows, "limit": 500, "page": 0, "pagesCount": pages, "total": 700}


async def test_the_payments_of_an_invoice_are_listed_page_by_page() -> None:
    script = Scripted(
        (200, {"token": "t1"}), page_of(range(1, 501), 2), page_of(range(501, 701), 2)
    )
    async with client(script, account=("a@shop.example", "secret")) as gateway:
        reports = await gateway.payments_of_invoice("44")
    assert [int(each.gateway_payment_id) for each in reports] == list(range(1, 701))
    pages = [asked.query for asked in script.asked[1:]]
    assert [(query["page"], query["limit"]) for query in pages] == [("0", "500"), ("1", "500")]
    assert {(query["sortBy"], query["orderBy"]) for query in pages} == {("created_at", "asc")}


async def test_listing_ends_once_there_are_more_payments_than_the_shop_takes() -> None:
    pages = [page_of(range(n, n + 500), 9) for n in (1, 501, 1001)]
    script = Scripted((200, {"token": "t1"}), *pages)
    async with client(script, account=("a@shop.example", "secret")) as gateway:
        reports = await gateway.payments_of_invoice("44")
    assert len(reports) == 1500 > Limits().payments_per_invoice
    assert len(script.asked) == 4


async def test_without_an_account_nothing_is_listed_and_nothing_is_asked() -> None:
    script = Scripted()
    async with client(script) as gateway:
        assert not gateway.capabilities.lists_by_invoice
        assert await gateway.payments_of_invoice("44") == ()
    assert script.asked == []


@pytest.mark.parametrize("name", ["currencies", "selectedCurrencies"])
async def test_assets_are_what_the_merchant_ticked_under_either_name(name: str) -> None:
    coins = {
        "currencies": [
            {"code": "LTC", "name": "Litecoin", "enable": True, "network": "ltc"},
            {"code": "XRP", "name": "Ripple", "extra_id_exists": True, "network_precision": "6"},
            {"code": "BTC", "name": "Bitcoin"},
            {"code": "OFF", "enable": False},
        ]
    }
    script = Scripted((200, coins), (200, {name: ["LTC", "XRP", "OFF"]}))
    async with client(script) as gateway:
        assets = {each.ticker: each for each in await gateway.assets()}
    assert set(assets) == {"ltc", "xrp"}
    assert (assets["xrp"].needs_memo, assets["xrp"].precision) == (True, 6)
    assert (assets["ltc"].needs_memo, assets["ltc"].precision) == (False, 8)


BTC = {"code": "BTC", "name": "Bitcoin", "enable": True, "extra_id_exists": False}


@pytest.mark.parametrize(
    "odd",
    [
        {"name": None},
        {"enable": None},
        {"enable": 1},
        {"code": None},
        {"network": 5},
        {"network_precision": "²"},
        {"extra_id_exists": "true"},
        {"available_for_payment": None},
    ],
)
async def test_one_odd_coin_hides_no_other(odd: dict[str, object]) -> None:
    coins = {"currencies": [{**BTC, "code": "LTC", **odd}, "doge", BTC]}
    script = Scripted((200, coins), (200, {"selectedCurrencies": ["BTC", "LTC", "DOGE"]}))
    async with client(script) as gateway:
        tickers = {each.ticker for each in await gateway.assets()}
    assert tickers == ({"btc", "doge"} if "code" in odd else {"btc", "doge", "ltc"})


@pytest.mark.parametrize("ticked", [[" BTC "], [None, "BTC"], [{"code": "BTC"}, "LTC"]])
async def test_ticked_assets_are_texts_or_objects(ticked: list[object]) -> None:
    script = Scripted((200, {"currencies": [BTC]}), (200, {"selectedCurrencies": ticked}))
    async with client(script) as gateway:
        assert [each.ticker for each in await gateway.assets()] == ["btc"]


@pytest.mark.parametrize("media", ["Application/JSON; charset=utf-8", ""])
async def test_a_refusal_is_read_however_its_media_type_is_written(media: str) -> None:
    script = Scripted((400, error("AMOUNT_MINIMAL_ERROR")), headers={"content-type": media})
    async with client(script) as gateway:
        with pytest.raises(Rejected) as refused:
            await gateway.create_payment(ASKED)
    assert refused.value.reason == "below_minimum"


async def test_a_new_quote_with_an_unreadable_end_is_a_quote() -> None:
    script = Scripted((200, {"pay_amount": 1.5, "expiration_estimate_date": 1768465800456}))
    async with client(script) as gateway:
        quote = await gateway.refresh_quote("5524759814")
    assert (quote.pay_amount, quote.quote_ends_at) == (Decimal("1.5"), None)


async def test_the_minimum_is_asked_with_the_flags_that_the_payment_will_use() -> None:
    script = Scripted((200, {"estimated_amount": "0.3"}), (200, {"min_amount": 0.001}))
    async with client(script, fixed_rate=True) as gateway:
        quote = await gateway.asset_quote(Decimal("25.00"), "ltc")
    assert (quote.amount, quote.minimum) == (Decimal("0.3"), Decimal("0.001"))
    assert script.asked[0].query == {"amount": "25", "currency_from": "eur", "currency_to": "ltc"}
    assert script.asked[1].query == {
        "currency_from": "ltc",
        "is_fixed_rate": "True",
        "is_fee_paid_by_user": "False",
    }


async def test_the_minimum_is_asked_for_the_wallet_that_the_settings_name() -> None:
    script = Scripted((200, {"estimated_amount": "0.3"}), (200, {"min_amount": 0.001}))
    async with client(script, outcome_currency=" USDTTRC20 ") as gateway:
        await gateway.asset_quote(Decimal("25.00"), "ltc")
    assert script.asked[1].query["currency_to"] == "usdttrc20"


# --- against the stand-in ----------------------------------------------------------------------


class Caught:
    """What the stand-in sent to the shop."""

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, str], bytes]] = []

    async def __call__(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        del url
        self.sent.append(({name.lower(): value for name, value in headers.items()}, body))
        return 200, b""


def sandbox(caught: Caught, **settings: object) -> Callable[..., Awaitable[None]]:
    config = msgspec.convert({"ipn_secret": SECRET} | settings, NowPaymentsSandboxConfig)
    app: Callable[..., Awaitable[None]] = build_app(config, deliver=caught)
    return app


async def control(app: Callable[..., Awaitable[None]], path: str, **body: object) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://nowpayments"
    ) as door:
        (await door.post(f"/_control/{path}", json=body)).raise_for_status()


@pytest.mark.parametrize("mode", ["modern", "legacy"])
@pytest.mark.parametrize("array_form", ["array", "index_object"])
@pytest.mark.parametrize("fraction", ["1", "0.5", "1.5", "0.0000001"])
async def test_every_callback_of_the_stand_in_is_verified_and_agrees_with_the_payment(
    mode: str, array_form: str, fraction: str
) -> None:
    caught = Caught()
    app = sandbox(caught, ipn_mode=mode, ipn_array_form=array_form, ipn_child_ids=True)
    async with client(app) as gateway:
        opened = await gateway.create_payment(ASKED)
        await control(
            app, f"payments/{opened.gateway_payment_id}/pay", fraction=fraction, mode=mode
        )
        now = await gateway.payment(opened.gateway_payment_id)
        told = [gateway.read_webhook(headers, body) for headers, body in caught.sent]
    assert told
    assert all(isinstance(each, VerifiedPayment) for each in told)
    last = told[-1]
    assert isinstance(last, VerifiedPayment)
    assert (last.report.status, last.report.actually_paid) == (now.status, now.actually_paid)


@pytest.mark.parametrize("named", ["", "usdttrc20"])
@pytest.mark.parametrize("fixed_rate", [True, False])
async def test_the_minimum_that_is_told_is_the_one_that_a_payment_is_held_to(
    named: str, *, fixed_rate: bool
) -> None:
    app = sandbox(Caught(), outcome_currency="usdttrc20")
    async with client(app, fixed_rate=fixed_rate, outcome_currency=named) as gateway:
        for cents in range(10, 400, 15):
            asked = msgspec.structs.replace(ASKED, price=Decimal(cents) / 100)
            quote = await gateway.asset_quote(asked.price, "ltc")
            if quote.amount >= quote.minimum:
                await gateway.create_payment(asked)
            else:
                with pytest.raises(Rejected, match="below_minimum"):
                    await gateway.create_payment(asked)


@pytest.mark.parametrize("fault", ["drop_after", "500_after", "garbage"])
async def test_a_payment_whose_answer_is_lost_is_opened_once(fault: str) -> None:
    app = sandbox(Caught())
    async with client(app) as gateway:
        await control(app, "faults", op="create_payment", fault=fault)
        with pytest.raises(OutcomeUnknown):
            await gateway.create_payment(ASKED)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://nowpayments"
    ) as door:
        listed = await door.get("/_control/payments", params={"order_id": NUMBER})
    assert len(listed.json()["payments"]) == 1


@pytest.mark.parametrize(
    ("fault", "bad_news"), [("drop_after", OutcomeUnknown), ("drop_before", OutcomeUnknown)]
)
async def test_over_a_real_socket_a_cut_answer_leaves_it_unknown(
    fault: str, bad_news: type[Exception]
) -> None:
    app = sandbox(Caught())
    async with served(app) as base, client(None, base_url=f"{base}/v1") as gateway:
        await gateway.check()
        await control(app, "faults", op="create_payment", fault=fault)
        with pytest.raises(bad_news):
            await gateway.create_payment(ASKED)
        assert (await gateway.create_payment(ASKED)).status == "waiting"


async def test_a_slow_gateway_is_given_up_on_at_the_deadline() -> None:
    app = sandbox(Caught())
    await control(app, "faults", op="get_payment", fault="slow", seconds=5)
    limits = msgspec.structs.replace(LIMITS, http_total=timedelta(seconds=0.2))
    http = HttpClient(
        "http://nowpayments/v1",
        limits=limits,
        in_transaction=lambda: False,
        headers={"x-api-key": "NOWPAY-SANDBOX-KEY-0001"},
        transport=lambda: httpx.ASGITransport(app),
    )
    gateway = NowPayments(http, ipn_secret=SECRET, callback_url="https://x.example", limits=limits)
    with pytest.raises(Unavailable) as absent:
        await gateway.payment("5524759814")
    assert absent.value.reason == "deadline"
    await http.close()
