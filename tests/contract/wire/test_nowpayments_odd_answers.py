"""Answers of a gateway that are not quite as documented: what they prove, and what they do not."""

from decimal import Decimal

import pytest
from tests.contract.wire.test_nowpayments_client import (
    ASKED,
    BTC,
    CREATED,
    INVOICE,
    client,
    error,
)

from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot_adapters.sandbox.scripted import Scripted

ID = "5524759814"
UNKNOWN = (404, {"status": False, "statusCode": 404, "message": "Payment not found"})
HTML = b"<html><body>nginx</body></html>"


# --- keys of before ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "under_the_old_key",
    [(429, HTML), (500, error("INTERNAL_ERROR", 500)), (502, HTML), (403, HTML), (404, HTML)],
)
async def test_a_payment_is_not_unknown_while_a_key_of_before_cannot_be_asked(
    under_the_old_key: tuple[int, object],
) -> None:
    async with client(Scripted(UNKNOWN, under_the_old_key), previous_api_keys=("old",)) as gateway:
        with pytest.raises(Unavailable):
            await gateway.payment(ID)


@pytest.mark.parametrize("refused", [UNKNOWN, (403, error("INVALID_API_KEY", 403))])
async def test_a_key_of_before_that_is_refused_leaves_the_next_one_to_be_asked(
    refused: tuple[int, object],
) -> None:
    script = Scripted(UNKNOWN, refused, (200, CREATED))
    async with client(script, previous_api_keys=("older", "old")) as gateway:
        assert (await gateway.payment(ID)).gateway_payment_id == ID
    keys = [asked.headers["x-api-key"] for asked in script.asked]
    assert keys == ["NOWPAY-SANDBOX-KEY-0001", "older", "old"]


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("media", ["text/html", "text/plain; charset=utf-8", "application/json"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((400, error("AMOUNT_MINIMAL_ERROR")), "below_minimum"),
        ((400, error("CURRENCY_UNAVAILABLE")), "asset_unavailable"),
        ((403, error("INVALID_API_KEY", 403)), "credentials"),
    ],
)
async def test_a_refusal_is_read_under_any_media_type(
    media: str, answer: tuple[int, object], reason: str
) -> None:
    async with client(Scripted(answer, headers={"content-type": media})) as gateway:
        with pytest.raises(Rejected) as refused:
            await gateway.create_payment(ASKED)
    assert refused.value.reason == reason


@pytest.mark.parametrize("media", ["text/html", "application/json", ""])
async def test_a_page_of_the_edge_is_no_refused_key_whatever_it_calls_itself(media: str) -> None:
    for body in (HTML, b""):
        async with client(Scripted((403, body), headers={"content-type": media})) as gateway:
            with pytest.raises(Unavailable):
                await gateway.create_payment(ASKED)


async def test_a_400_that_says_nothing_leaves_a_payment_unknown() -> None:
    for body in (HTML, b"", b"[]"):
        async with client(Scripted((400, body))) as gateway:
            with pytest.raises(OutcomeUnknown):
                await gateway.create_payment(ASKED)


@pytest.mark.parametrize(
    ("body", "bad_news"),
    [(UNKNOWN[1], Rejected), ({}, Rejected), (b"", Rejected), (HTML, Unavailable)],
)
async def test_a_payment_is_unknown_to_the_gateway_and_not_to_a_proxy_before_it(
    body: object, bad_news: type[Exception]
) -> None:
    async with client(Scripted((404, body))) as gateway:
        with pytest.raises(bad_news):
            await gateway.payment(ID)


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [0, "0", "0.0", None, "NaN", -1])
async def test_a_new_quote_of_nothing_is_no_quote(amount: object) -> None:
    async with client(Scripted((200, {"id": ID, "pay_amount": amount}))) as gateway:
        with pytest.raises(Unavailable):
            await gateway.refresh_quote(ID)


@pytest.mark.parametrize("said", [True, "true", "True", 1, "1"])
async def test_a_fixed_rate_is_told_as_a_flag_or_as_text(said: object) -> None:
    async with client(Scripted((201, {**CREATED, "is_fixed_rate": said}))) as gateway:
        assert (await gateway.create_payment(ASKED)).is_fixed_rate


@pytest.mark.parametrize(
    "url",
    [
        "httpx:5",
        "http:",
        "https://",
        "http:///payment",
        "//x/y",
        "https://x/\ud800",
        "https://x/\x00",
        5,
        None,
    ],
)
async def test_a_page_that_has_no_address_is_not_shown_to_anyone(url: object) -> None:
    async with client(Scripted((201, {"id": "4", "invoice_url": url}))) as gateway:
        with pytest.raises(OutcomeUnknown):
            await gateway.create_invoice(INVOICE)


async def test_a_coin_that_is_listed_twice_is_one_asset() -> None:
    coins = {"currencies": [BTC, {**BTC, "code": "btc"}]}
    script = Scripted((200, coins), (200, {"selectedCurrencies": ["BTC", "BTC"]}))
    async with client(script) as gateway:
        assert [each.ticker for each in await gateway.assets()] == ["btc"]


async def test_a_net_with_the_noise_of_a_double_is_a_net() -> None:
    body = b'{"payment_id":5524759814,"payment_status":"finished",'
    body += b'"outcome_amount":0.00023116599999999998,"outcome_currency":"btc"}'
    async with client(Scripted((200, body))) as gateway:
        report = await gateway.payment(ID)
    assert report.outcome_amount == Decimal("0.000231166")


async def test_a_list_that_ignores_its_filter_shows_no_payment_of_another_page() -> None:
    rows = [
        {**CREATED, "payment_id": n, "invoice_id": page}
        for n, page in ((1, 44), (2, 45), (3, "44"))
    ]
    listed = {"data": [*rows, {**CREATED, "payment_id": 4}], "pagesCount": 1}
    script = Scripted((200, {"token": "t1"}), (200, listed))
    async with client(script, account=("a@shop.example", "secret")) as gateway:
        reports = await gateway.payments_of_invoice("44")
    assert [each.gateway_payment_id for each in reports] == ["1", "3", "4"]


async def listed(*pages: dict[str, object]) -> tuple[list[str], int]:
    """The payments that come of these pages, and how many of them were asked for."""
    script = Scripted((200, {"token": "t1"}), *((200, page) for page in pages))
    async with client(script, account=("a@shop.example", "secret")) as gateway:
        reports = await gateway.payments_of_invoice("44")
    return [each.gateway_payment_id for each in reports], len(script.asked) - 1


def row(payment_id: object) -> dict[str, object]:
    return {**CREATED, "payment_id": payment_id, "invoice_id": 44}


async def test_one_odd_row_of_a_list_hides_no_other() -> None:
    odd: list[object] = [None, "row", 5, [], {}, {"payment_id": None}]
    assert await listed({"data": [row(1), *odd, row("2")], "pagesCount": "1"}) == (["1", "2"], 1)


async def test_a_list_that_counts_no_pages_ends_with_the_last_payment_that_it_counts() -> None:
    pages: list[dict[str, object]] = [
        {"data": [row(n), row(n + 1)], "total": 4, "limit": 2} for n in (1, 3)
    ]
    assert await listed(*pages) == (["1", "2", "3", "4"], 2)
    assert await listed({"data": [row(1)], "total": "1"}) == (["1"], 1)
    assert await listed({"data": [], "total": 0}) == ([], 1)


@pytest.mark.parametrize("token", ["", " ", "t\u00e9", "a\r\nx-api-key: b", None, 5])
async def test_a_token_that_no_header_can_carry_is_none(token: object) -> None:
    script = Scripted((200, {"token": token}), (200, {"data": []}))
    async with client(script, account=("a@shop.example", "secret")) as gateway:
        with pytest.raises(Unavailable):
            await gateway.payments_of_invoice("44")
    assert len(script.asked) == 1


# What JavaScript reads and no database stores.
HALF = b'"\\ud800"'


@pytest.mark.parametrize("body", [HALF, b'{"currencies":' + HALF + b"}", b"[" + HALF + b"]"])
async def test_half_a_letter_in_the_place_of_an_answer_is_an_absence(body: bytes) -> None:
    async with client(Scripted((200, body), (200, body), (429, body), (201, body))) as gateway:
        for call in (gateway.payment(ID), gateway.assets(), gateway.create_payment(ASKED)):
            with pytest.raises(Unavailable):
                await call
        with pytest.raises(OutcomeUnknown):
            await gateway.create_payment(ASKED)


async def test_half_a_letter_in_a_name_hides_nothing_else() -> None:
    coins = b'{"currencies":[{"code":"BTC",' + HALF + b':1},{"code":"LTC"}],' + HALF + b":2}"
    chosen = b'{"selectedCurrencies":["BTC","LTC"]}'
    async with client(Scripted((200, coins), (200, chosen))) as gateway:
        assert [each.ticker for each in await gateway.assets()] == ["btc", "ltc"]
