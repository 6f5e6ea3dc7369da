"""The NOWPayments stand-in: shapes, refusals, keys, quotes, lists (lines 1, 2, 8, 12 to 14)."""

import json
import re
from decimal import Decimal

import httpx
import pytest

from bitloot_adapters.sandbox.nowpayments.bench import Bench, bench
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig
from bitloot_adapters.sandbox.nowpayments.js_json import Json

ORDER: dict[str, Json] = {"price_amount": 17.5, "price_currency": "eur", "pay_currency": "ltc"}
KEYS = NowPaymentsSandboxConfig().api_keys


def refused(answer: httpx.Response, status: int, code: str | None) -> bool:
    """Whether the answer is the vendor's error shape with this status and code."""
    body = answer.json()
    assert body["status"] is False
    assert body["statusCode"] == answer.status_code
    assert isinstance(body["message"], str)
    return (answer.status_code, body.get("code")) == (status, code)


async def signed_in(opened: Bench) -> dict[str, str]:
    config = opened.config
    login = {"email": config.account_email, "password": config.account_password}
    answer = await opened.client.post("/v1/auth", json=login)
    assert answer.status_code == 200
    return {"authorization": f"Bearer {answer.json()['token']}"}


# --- 1. types ---------------------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 1)
async def test_ids_are_strings_where_created_and_numbers_where_read() -> None:
    """Line 1: string ids on create, numeric on GET, list and callback; string `purchase_id`."""
    async with bench() as opened:
        answer = await opened.client.post(
            "/v1/payment", json=ORDER | {"ipn_callback_url": "https://shop.example/ipn"}
        )
        made = answer.json()
        assert answer.status_code == 201
        assert re.fullmatch(r"\d+", made["payment_id"])
        assert re.fullmatch(r"\d+", made["purchase_id"])
        assert made["burning_percent"] is None
        assert '"price_amount":17.5,' in answer.text

        read = await opened.read(made["payment_id"])
        assert read["payment_id"] == int(made["payment_id"])
        assert read["purchase_id"] == int(made["purchase_id"])
        assert read["burning_percent"] == "null"
        assert (read["invoice_id"], read["payment_extra_ids"]) == (None, None)
        assert "parent_payment_id" not in read

        listed = await opened.client.get("/v1/payment/", headers=await signed_in(opened))
        assert listed.json()["data"] == [read]

        await opened.control(f"payments/{made['payment_id']}/pay")
        body = httpx.Response(200, content=opened.receiver.got[0].body).json()
        assert body["payment_id"] == int(made["payment_id"])
        assert body["purchase_id"] == made["purchase_id"]


@pytest.mark.emulator("nowpayments", 1)
async def test_an_invoice_has_a_string_price_and_coins_are_selected_in_upper_case() -> None:
    """Line 1: string `price_amount` on invoices; `selectedCurrencies` upper-case."""
    config = NowPaymentsSandboxConfig(merchant_coins=("btc", "usdttrc20"))
    async with bench(config) as opened:
        order = {"price_amount": 17.5, "price_currency": "EUR"}
        invoice = (await opened.client.post("/v1/invoice", json=order)).json()
        assert (invoice["price_amount"], invoice["price_currency"]) == ("17.5", "EUR")
        assert re.fullmatch(r"\d+", invoice["id"])
        assert invoice["pay_currency"] is None
        assert "payment_status" not in invoice
        coins = (await opened.client.get("/v1/merchant/coins")).json()
        assert coins == {"selectedCurrencies": ["BTC", "USDTTRC20"]}


@pytest.mark.emulator("nowpayments", 1)
async def test_the_type_of_network_precision_varies_from_coin_to_coin() -> None:
    """Line 1: `network_precision` is text, a number or null; codes are upper-case."""
    async with bench() as opened:
        coins = (await opened.client.get("/v1/full-currencies")).json()["currencies"]
        assert {type(coin["network_precision"]) for coin in coins} == {str, int, type(None)}
        assert all(coin["code"] == coin["code"].upper() for coin in coins)
        assert len(coins) >= 45
        off = {coin["code"].lower() for coin in coins if not coin["enable"]}
        tickers = (await opened.client.get("/v1/currencies")).json()["currencies"]
        assert len(tickers) >= 40
        assert off
        assert not off & set(tickers)
        fixed = await opened.client.get("/v1/currencies", params={"fixed_rate": "true"})
        assert set(fixed.json()["currencies"]) < set(tickers)


# --- 2. refusals ------------------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 2)
@pytest.mark.parametrize("key", [None, "", "another-environment", KEYS[0].lower()])
async def test_a_missing_or_wrong_key_is_403_and_not_401(key: str | None) -> None:
    """Line 2: invalid or missing key → 403 `INVALID_API_KEY`."""
    async with bench() as opened:
        del opened.client.headers["x-api-key"]
        headers = {} if key is None else {"x-api-key": key}
        for method, path in (
            ("GET", "/v1/currencies"),
            ("GET", "/v1/full-currencies"),
            ("GET", "/v1/merchant/coins"),
            ("GET", "/v1/min-amount?currency_from=btc"),
            ("GET", "/v1/estimate?amount=1&currency_from=eur&currency_to=btc"),
            ("POST", "/v1/payment"),
            ("POST", "/v1/invoice"),
            ("POST", "/v1/invoice-payment"),
            ("POST", "/v1/payment/1/update-merchant-estimate"),
            ("GET", "/v1/payment/1"),
            ("GET", "/v1/payment/"),
        ):
            answer = await opened.client.request(method, path, headers=headers)
            assert refused(answer, 403, "INVALID_API_KEY"), path
        assert (await opened.client.get("/v1/status")).json() == {"message": "OK"}


@pytest.mark.emulator("nowpayments", 2)
async def test_an_unknown_payment_is_404() -> None:
    """Line 2: unknown id → 404, without a stable `code`."""
    async with bench() as opened:
        for number in ("1", "99999999999999999999999", "abc"):
            assert refused(await opened.client.get(f"/v1/payment/{number}"), 404, None)
        assert refused(await opened.client.get("/v1/nothing"), 404, None)


@pytest.mark.emulator("nowpayments", 2)
async def test_below_the_minimum_is_refused_with_the_same_flags_as_asked() -> None:
    """Line 2: below minimum → 400 `AMOUNT_MINIMAL_ERROR`; flags raise the minimum."""
    async with bench() as opened:
        ask = "/v1/min-amount?currency_from=usdttrc20&fiat_equivalent=usd"
        plain = (await opened.client.get(ask)).json()
        fixed = (await opened.client.get(f"{ask}&is_fixed_rate=True")).json()
        by_payer = (await opened.client.get(f"{ask}&is_fee_paid_by_user=true")).json()
        assert plain["fiat_equivalent"] == plain["min_amount"] == 9
        assert fixed["min_amount"] >= 2 * plain["min_amount"]
        assert by_payer == fixed
        order = {"price_amount": 15, "price_currency": "usd", "pay_currency": "usdttrc20"}
        assert (await opened.client.post("/v1/payment", json=order)).status_code == 201
        for flag in ("is_fixed_rate", "is_fee_paid_by_user"):
            answer = await opened.client.post("/v1/payment", json=order | {flag: True})
            assert refused(answer, 400, "AMOUNT_MINIMAL_ERROR")


@pytest.mark.emulator("nowpayments", 2)
@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"price_amount": "17.5"}, "INVALID_REQUEST_PARAMS", "price_amount"),
        ({"price_amount": None}, "INVALID_REQUEST_PARAMS", "price_amount"),
        ({"price_amount": -1}, "INVALID_REQUEST_PARAMS", "price_amount"),
        ({"price_amount": True}, "INVALID_REQUEST_PARAMS", "price_amount"),
        ({"price_currency": None}, "INVALID_REQUEST_PARAMS", "price_currency"),
        ({"pay_currency": 5}, "INVALID_REQUEST_PARAMS", "pay_currency"),
        ({"is_fixed_rate": "yes"}, "INVALID_REQUEST_PARAMS", "is_fixed_rate"),
        ({"case": "miracle"}, "INVALID_REQUEST_PARAMS", "case"),
        ({"ipn_callback_url": "shop/ipn"}, "INVALID_REQUEST_PARAMS", "ipn_callback_url"),
        ({"ipn_callback_url": "http://[bad"}, "INVALID_REQUEST_PARAMS", "ipn_callback_url"),
        ({"ipn_callback_url": "http://localhost/i"}, "BAD_CREATE_PAYMENT_REQUEST", "localhost"),
        ({"pay_currency": "nocoin"}, "BAD_CREATE_PAYMENT_REQUEST", "NOCOIN"),
        ({"price_currency": "zzz"}, "BAD_CREATE_PAYMENT_REQUEST", "ZZZ"),
        ({"payout_address": "T1"}, "BAD_CREATE_PAYMENT_REQUEST", "payout_currency"),
        ({"pay_currency": "shib", "price_amount": 5000}, "BAD_CREATE_PAYMENT_REQUEST", "2000"),
        ({"pay_currency": "busdbsc"}, "CURRENCY_UNAVAILABLE", "BUSDBSC"),
    ],
)
async def test_a_create_that_does_not_fit_is_refused_by_code(
    change: dict[str, Json], code: str, named: str
) -> None:
    """Line 2: the 400 codes, with the field or coin named in the message."""
    async with bench() as opened:
        answer = await opened.client.post("/v1/payment", json=ORDER | change)
        assert refused(answer, 400, code)
        assert named in answer.json()["message"]


@pytest.mark.emulator("nowpayments", 2)
async def test_unreadable_bodies_are_refused_as_parameters() -> None:
    """Line 2: bodies that are no JSON object."""
    async with bench() as opened:
        for body in (b"{", b"[]", b"\xff", b"[" * 30_000):
            answer = await opened.client.post("/v1/payment", content=body)
            assert refused(answer, 400, "INVALID_REQUEST_PARAMS")


@pytest.mark.emulator("nowpayments", 2)
async def test_the_limiter_answers_html_without_retry_after_before_it_looks_at_keys() -> None:
    """Line 2: per-address limiter → 429 `text/html`, no `Retry-After`."""
    async with bench(NowPaymentsSandboxConfig(create_per_second=3)) as opened:
        for _ in range(3):
            answer = await opened.client.post("/v1/payment", headers={"x-api-key": "wrong"})
            assert answer.status_code == 403
        answer = await opened.client.post("/v1/payment", json=ORDER)
        assert answer.status_code == 429
        assert answer.headers["content-type"] == "text/html"
        assert "retry-after" not in answer.headers
        assert "429 Too Many Requests" in answer.text
        await opened.control("advance", seconds=1)
        assert (await opened.client.post("/v1/payment", json=ORDER)).status_code == 201


# --- 8. quotes --------------------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 8)
async def test_a_quote_lasts_twenty_minutes_and_a_payment_seven_days() -> None:
    """Line 8: `expiration_estimate_date` +20 min, `valid_until` +7 days, also at fixed rate."""
    async with bench() as opened:
        for fixed in (False, True):
            order = ORDER | {"is_fixed_rate": fixed}
            made = (await opened.client.post("/v1/payment", json=order)).json()
            assert made["created_at"] == "2026-01-15T12:00:00.456Z"
            assert made["expiration_estimate_date"] == "2026-01-15T12:20:00.456Z"
            assert made["valid_until"] == "2026-01-22T12:00:00.456Z"
            assert made["is_fixed_rate"] is fixed


@pytest.mark.emulator("nowpayments", 8)
async def test_the_quote_is_renewed_only_after_it_has_ended() -> None:
    """Line 8: the quote refresh endpoint."""
    async with bench(NowPaymentsSandboxConfig(quote_seconds=600)) as opened:
        number = await opened.create()
        asked = (await opened.read(number))["pay_amount"]
        await opened.control("rates", ltc="41")
        path = f"/v1/payment/{number}/update-merchant-estimate"
        current = (await opened.client.post(path)).json()
        assert set(current) == {"id", "token_id", "pay_amount", "expiration_estimate_date"}
        assert (current["id"], current["pay_amount"]) == (number, asked)
        assert current["expiration_estimate_date"] == "2026-01-15T12:10:00.456Z"
        await opened.control("advance", seconds=601)
        renewed = (await opened.client.post(path)).json()
        assert renewed["pay_amount"] == pytest.approx(2 * float(str(asked)))
        assert renewed["expiration_estimate_date"] == "2026-01-15T12:20:01.456Z"
        assert (await opened.read(number))["pay_amount"] == renewed["pay_amount"]


@pytest.mark.emulator("nowpayments", 8)
async def test_prices_follow_the_rate_table_and_the_payer_of_the_fee() -> None:
    """Line 8: estimates, forced amounts and the fee margin; the fee flag fixes the rate."""
    async with bench() as opened:
        ask = "/v1/estimate?amount=17.5&currency_from=eur&currency_to=ltc"
        estimate = await opened.client.get(ask)
        assert estimate.text == (
            '{"currency_from":"eur","amount_from":17.5,"currency_to":"ltc",'
            '"estimated_amount":0.2304878}'
        )
        await opened.control("config", estimate_as_text=True)
        assert (await opened.client.get(ask)).json()["estimated_amount"] == "0.2304878"
        made = (await opened.client.post("/v1/payment", json=ORDER)).json()
        dearer = ORDER | {"is_fee_paid_by_user": True}
        by_payer = (await opened.client.post("/v1/payment", json=dearer)).json()
        assert by_payer["is_fixed_rate"] is True
        assert by_payer["pay_amount"] > made["pay_amount"]
        forced = (await opened.client.post("/v1/payment", json=ORDER | {"pay_amount": 0.3})).json()
        assert forced["pay_amount"] == 0.3
        for query in ("amount=0&", "amount=x&", "", "amount=1&currency_from=zzz&"):
            answer = await opened.client.get(f"/v1/estimate?{query}currency_to=btc")
            assert refused(answer, 400, "INVALID_REQUEST_PARAMS")


# --- 12. the list -----------------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 12)
async def test_the_list_needs_both_headers_and_the_token_lives_300_seconds() -> None:
    """Line 12: JWT expiry after 300 s on the list call; list requires both headers."""
    async with bench() as opened:
        bearer = await signed_in(opened)
        key = {"x-api-key": KEYS[0]}
        del opened.client.headers["x-api-key"]
        assert refused(await opened.client.get("/v1/payment/", headers=key), 401, None)
        only_token = await opened.client.get("/v1/payment/", headers=bearer)
        assert refused(only_token, 403, "INVALID_API_KEY")
        assert (await opened.client.get("/v1/payment/", headers=key | bearer)).status_code == 200
        forged = {"authorization": bearer["authorization"][:-2] + "AA"}
        assert refused(await opened.client.get("/v1/payment/", headers=key | forged), 401, None)
        await opened.control("advance", seconds=299)
        assert (await opened.client.get("/v1/payment/", headers=key | bearer)).status_code == 200
        await opened.control("advance", seconds=1)
        assert refused(await opened.client.get("/v1/payment/", headers=key | bearer), 401, None)


@pytest.mark.emulator("nowpayments", 12)
async def test_the_password_is_case_sensitive() -> None:
    """Line 12: `/auth` refuses other spellings."""
    async with bench() as opened:
        config = opened.config
        for email, password in (
            (config.account_email.upper(), config.account_password),
            (config.account_email, config.account_password.lower()),
        ):
            login = {"email": email, "password": password}
            answer = await opened.client.post("/v1/auth", json=login)
            assert answer.status_code == 403


@pytest.mark.emulator("nowpayments", 12)
async def test_the_list_pages_from_zero_sorts_and_filters() -> None:
    """Line 12: paging, sorting, dates, invoices, and the 500 for a field in `orderBy`."""
    async with bench() as opened:
        ids = []
        for count in range(12):
            ids.append(int(await opened.create(price_amount=10 + count)))
            await opened.control("advance", seconds=10)
        bearer = await signed_in(opened)

        async def ask(query: str) -> httpx.Response:
            return await opened.client.get(f"/v1/payment/?{query}", headers=bearer)

        def shown(answer: httpx.Response) -> list[int]:
            return [payment["payment_id"] for payment in answer.json()["data"]]

        first = await ask("")
        assert shown(first) == ids[:10]
        page = {name: first.json()[name] for name in ("limit", "page", "pagesCount", "total")}
        assert page == {"limit": 10, "page": 0, "pagesCount": 2, "total": 12}
        assert shown(await ask("page=1")) == ids[10:]
        assert shown(await ask("limit=3&sortBy=price_amount&orderBy=desc")) == ids[:-4:-1]
        since = "dateFrom=2026-01-15T12:01:00.000Z&dateTo=2026-01-15T12:01:15Z"
        assert shown(await ask(since)) == ids[6:8]
        assert shown(await ask("dateFrom=2026-01-16")) == []
        assert shown(await ask("invoiceId=5")) == []
        for query in ("limit=0", "limit=501", "page=-1", "sortBy=zzz", "dateFrom=soon"):
            assert refused(await ask(query), 400, "INVALID_REQUEST_PARAMS"), query
        assert (await ask("orderBy=created_at")).status_code == 500


# --- 13 and 14 --------------------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 13)
@pytest.mark.parametrize(
    ("price", "coin", "status"),
    [
        ("1e99999999999999999999", "ltc", 400),
        ("1e400", "ltc", 400),
        ("99999999999999999", "dai", 201),
    ],
)
async def test_no_amount_is_too_much_for_the_stand_in(price: str, coin: str, status: int) -> None:
    body = f'{{"price_amount":{price},"price_currency":"eur","pay_currency":"{coin}"}}'
    async with bench() as opened:
        for case in ("", ',"case":"partially_paid"'):
            sent = body.replace("}", case + "}")
            answer = await opened.client.post("/v1/payment", content=sent)
            assert answer.status_code == status
        query = "/v1/estimate?amount=99999999999999999&currency_from=btc&currency_to=bttc"
        assert (await opened.client.get(query)).status_code == 200


@pytest.mark.parametrize(("coin", "memo"), [("xrp", True), ("xlm", True), ("ltc", False)])
async def test_memo_coins_return_the_memo_that_the_payer_must_send(coin: str, memo: bool) -> None:
    """Line 13: memo coins return `payin_extra_id`."""
    async with bench() as opened:
        order = ORDER | {"pay_currency": coin}
        made = (await opened.client.post("/v1/payment", json=order)).json()
        coins = (await opened.client.get("/v1/full-currencies")).json()["currencies"]
        details = {one["ticker"]: one for one in coins}[coin]
        assert details["extra_id_exists"] is memo
        assert re.fullmatch(details["wallet_regex"], made["pay_address"])
        if memo:
            assert re.fullmatch(details["extra_id_regex"], made["payin_extra_id"])
        else:
            assert made["payin_extra_id"] is None


@pytest.mark.emulator("nowpayments", 14)
async def test_a_payment_is_visible_only_to_the_key_that_made_it() -> None:
    """Line 14: key scope, on reading, on the quote, on the list, and on invoices."""
    async with bench() as opened:
        number = await opened.create()
        invoice = {"price_amount": 20, "price_currency": "eur"}
        iid = (await opened.client.post("/v1/invoice", json=invoice)).json()["id"]
        other = {"x-api-key": KEYS[1]}
        path = f"/v1/payment/{number}"
        assert refused(await opened.client.get(path, headers=other), 404, None)
        quote = await opened.client.post(f"{path}/update-merchant-estimate", headers=other)
        assert refused(quote, 404, None)
        listed = await opened.client.get("/v1/payment/", headers=other | await signed_in(opened))
        assert listed.json()["data"] == []
        under = {"iid": iid, "pay_currency": "ltc"}
        answer = await opened.client.post("/v1/invoice-payment", json=under, headers=other)
        assert refused(answer, 404, None)
        assert (await opened.client.get(path)).status_code == 200


@pytest.mark.emulator("nowpayments", 14)
async def test_replacing_the_key_hides_the_payments_of_the_old_one() -> None:
    """Line 14: after rotation open payments answer 404 to the new key."""
    async with bench() as opened:
        number = await opened.create()
        await opened.control("config", api_keys=["rotated"])
        path = f"/v1/payment/{number}"
        assert refused(await opened.client.get(path), 403, "INVALID_API_KEY")
        answer = await opened.client.get(path, headers={"x-api-key": "rotated"})
        assert refused(answer, 404, None)


def test_amounts_asked_are_never_less_than_the_price() -> None:
    """The payer's amount is rounded up in every coin."""
    from bitloot_adapters.sandbox.nowpayments.rates import RateBook

    book = RateBook()
    for ticker in book.coins:
        asked = book.pay_amount(
            Decimal("17.5"), "eur", ticker, fixed_rate=False, fee_by_payer=False
        )
        assert asked * book.usd(ticker) >= Decimal("17.5") * book.usd("eur")


async def test_a_text_with_half_a_character_is_kept_as_the_replacement_character() -> None:
    async with bench() as opened:
        body = json.dumps(ORDER | {"order_id": "\ud800!"})
        answer = await opened.client.post("/v1/payment", content=body)
        assert (answer.status_code, answer.json()["order_id"]) == (201, "\ufffd!")
