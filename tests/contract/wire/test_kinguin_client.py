"""The Kinguin client on the wire: what it sends, and what each answer comes to."""

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.supplier import SupplierRequest
from bitloot_adapters.http import HttpClient
from bitloot_adapters.kinguin.catalogue import KeyType
from bitloot_adapters.kinguin.client import Kinguin
from bitloot_adapters.sandbox.scripted import Scripted

SECRET = "kinguin-secret"
PRODUCT = "5c9b5f6b2539a4e8f1000001"
MINE = "BL7K2M9QXA-1-1-1"


@contextlib.asynccontextmanager
async def client(
    transport: Callable[[], httpx.AsyncBaseTransport] | None,
    *,
    base_url: str = "http://kinguin/esa/api",
    key_type: KeyType = "text",
    preorders: bool = False,
    limits: Limits | None = None,
) -> AsyncIterator[Kinguin]:
    http = HttpClient(
        base_url,
        limits=limits or Limits(),
        in_transaction=lambda: False,
        headers={"x-api-key": "kinguin-sandbox-api-key"},
        transport=transport,
    )
    try:
        yield Kinguin(
            http,
            webhook_secret=SECRET,
            limits=Limits(),
            key_type=key_type,
            preorders=preorders,
        )
    finally:
        await http.close()


def scripted(
    script: Scripted, *, key_type: KeyType = "text", preorders: bool = False
) -> contextlib.AbstractAsyncContextManager[Kinguin]:
    app: Callable[..., Awaitable[None]] = script
    return client(lambda: httpx.ASGITransport(app), key_type=key_type, preorders=preorders)


REQUEST = SupplierRequest(
    external_id=MINE,
    supplier_product_id=PRODUCT,
    offer_id=None,
    quantity=1,
    max_price=Decimal("9.90"),
)


def order(**changes: object) -> dict[str, object]:
    return {
        "orderId": "A1",
        "orderExternalId": MINE,
        "status": "processing",
        "totalQty": 1,
    } | changes


def error(kind: str, **changes: object) -> dict[str, object]:
    return {"kind": kind, "status": 400, "type": "Bad Request"} | changes


# --- buying ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "written"),
    [
        ("9.90", "9.9"),
        ("10.00", "10"),
        ("0.1", "0.1"),
        ("1E+2", "100"),
        ("5.12345678", "5.12345678"),
    ],
)
async def test_the_ceiling_is_sent_as_the_shortest_plain_number(price: str, written: str) -> None:
    script = Scripted((201, order()))
    async with scripted(script) as kinguin:
        await kinguin.place(msgspec.structs.replace(REQUEST, max_price=Decimal(price)))
    assert (
        script.asked[0].body
        == (
            f'{{"products":[{{"productId":"{PRODUCT}","qty":1,"price":{written},"keyType":"text"}}],'
            f'"orderExternalId":"{MINE}"}}'
        ).encode()
    )
    assert (script.asked[0].method, script.asked[0].path) == ("POST", "/esa/api/v2/order")


async def test_a_named_offer_is_sent_and_any_key_type_or_a_preorder_names_none() -> None:
    script = Scripted((201, order()), (201, order()))
    async with scripted(script, key_type="any") as kinguin:
        await kinguin.place(msgspec.structs.replace(REQUEST, offer_id="of1", quantity=10))
    async with scripted(script, preorders=True) as kinguin:
        await kinguin.place(msgspec.structs.replace(REQUEST, is_preorder=True))
    wholesale, preorder = (json.loads(asked.body)["products"][0] for asked in script.asked)
    assert (wholesale["offerId"], wholesale["qty"]) == ("of1", 10)
    assert "keyType" not in wholesale
    assert "keyType" not in preorder
    assert "offerId" not in preorder


async def test_a_placed_order_costs_what_was_taken_as_number_or_text() -> None:
    script = Scripted(
        (201, order(paymentPrice=9.35, totalPrice=10)), (201, order(paymentPrice="9.35"))
    )
    async with scripted(script) as kinguin:
        totals = [(await kinguin.place(REQUEST)).total for _ in range(2)]
    assert totals == [Decimal("9.35")] * 2


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("InsufficientBalance", 400, "balance"),
        ("InsufficientBalance", 402, "balance"),
        ("Authorization", 401, "credentials"),
        ("ProductUnavailable", 422, "unavailable"),
        ("ProductUnavailable", 400, "unavailable"),
        ("ConstraintViolation", 400, "invalid"),
        ("OrderNotSupported", 400, "invalid"),
        ("Preorder", 400, "invalid"),
        ("Http", 405, "invalid"),
    ],
)
@pytest.mark.parametrize("variant", ["type", "title"])
async def test_a_documented_refusal_is_certain_whatever_its_status(
    kind: str, status: int, reason: str, variant: str
) -> None:
    script = Scripted((status, {"kind": kind, "status": status, variant: "No"}))
    async with scripted(script) as kinguin:
        with pytest.raises(Rejected) as refused:
            await kinguin.place(REQUEST)
    assert refused.value.reason == reason
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (422, error("OrderFailed")),
        (404, error("HttpClient")),
        (503, error("HttpClient")),
        (500, error("Error")),
        (409, error("ResourceLock")),
        (404, error("OrderNotFound")),
        (400, error("SomethingNew")),
        (400, {}),
        (400, b"<html>"),
        (403, b"<html>blocked"),
        (302, b""),
        (500, error("ProductUnavailable")),
        (503, error("ConstraintViolation")),
        (201, b""),
        (201, {}),
        (201, {"orderId": None}),
        (201, b'{"orderId": "A1"'),
        (201, b'{"orderId": "\xff"}'),
        (204, b""),
        (201, order(orderExternalId="BL-somebody-else")),
        (400, error("ConstraintViolation", propertyPath="orderExternalId")),
        (400, error("ConstraintViolation", propertyPath="[orderExternalId]")),
        (400, error("ConstraintViolation", detail="orderExternalId: this value is used already")),
        (400, error("ConstraintViolation", propertyPath="OrderExternalID")),
        (400, error("ConstraintViolation", detail="Not unique.", invalidValue=MINE)),
        (400, error("ConstraintViolation", detail=f"An order {MINE.lower()} exists.")),
        httpx.ReadTimeout("slow"),
        httpx.ReadError("cut"),
        httpx.RemoteProtocolError("disconnected without response"),
        httpx.WriteError("cut"),
    ],
)
async def test_anything_that_proves_nothing_leaves_a_purchase_unknown(
    answer: tuple[int, object] | Exception,
) -> None:
    script = Scripted(answer)
    async with scripted(script) as kinguin:
        with pytest.raises(OutcomeUnknown) as unknown:
            await kinguin.place(REQUEST)
    assert unknown.value.key == MINE
    assert len(script.asked) == 1


async def test_too_many_calls_and_an_unreachable_supplier_are_absences() -> None:
    limited = (429, {"message": "slow down"})
    script = Scripted(limited, httpx.ConnectError("refused"), headers={"retry-after": "7"})
    async with scripted(script) as kinguin:
        for reason, wait in (("rate_limited", 7.0), ("connect_error", None)):
            with pytest.raises(Unavailable) as absent:
                await kinguin.place(REQUEST)
            assert (absent.value.reason, absent.value.retry_after) == (reason, wait)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "Sun, 22 Nov 2026 16:00:30 GMT"}, 30.0),
        ({"retry-after": "Sunday, 22-Nov-26 16:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 15:59:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2099 16:00:30 GMT"}, 86_400.0),
        ({"retry-after": "Sun, 22 Nov 2026 16:00:30 GMT", "date": "soon"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 16:00:30 GMT", "date": ""}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
async def test_how_long_to_wait_is_told_in_seconds_or_by_a_date(
    headers: dict[str, str], wait: float | None
) -> None:
    sent = {"date": "Sun, 22 Nov 2026 16:00:00 GMT", **headers}
    for status in (429, 503):
        async with scripted(Scripted((status, error("Error")), headers=sent)) as kinguin:
            with pytest.raises(Unavailable) as absent:
                await kinguin.balance()
        assert absent.value.retry_after == wait


# --- reading -----------------------------------------------------------------------------------


async def test_a_product_404_in_the_form_of_an_internal_call_means_sold_out() -> None:
    script = Scripted((404, {"kind": "HttpClient", "status": 404, "type": "Not Found"}))
    async with scripted(script) as kinguin:
        assert await kinguin.offers(PRODUCT) == ()


@pytest.mark.parametrize(
    ("answer", "bad_news"),
    [
        ((404, b"<html>"), Unavailable),
        ((503, error("HttpClient")), Unavailable),
        ((500, error("ProductUnavailable")), Unavailable),
        ((404, error("Http")), Rejected),
        ((401, error("Authorization")), Rejected),
        ((401, b""), Rejected),
        ((200, b"[]"), Unavailable),
        ((200, {"productId": "another"}), Unavailable),
        ((409, error("ResourceLock")), Unavailable),
    ],
)
async def test_another_404_or_answer_is_no_proof_that_a_product_is_sold_out(
    answer: tuple[int, object], bad_news: type[Exception]
) -> None:
    async with scripted(Scripted(answer)) as kinguin:
        with pytest.raises(bad_news):
            await kinguin.offers(PRODUCT)


@pytest.mark.parametrize("odd", ["", "../../balance", "a/b", "a?b=1", "%2e%2e", "a b"])
async def test_an_id_that_would_reach_another_path_is_not_sent(odd: str) -> None:
    script = Scripted()
    async with scripted(script) as kinguin:
        for call in (kinguin.offers(odd), kinguin.order(odd), kinguin.keys(odd)):
            with pytest.raises(Rejected) as refused:
                await call
            assert refused.value.reason == "not_found"
    assert script.asked == []


async def test_a_search_keeps_what_carries_exactly_the_id_oldest_first() -> None:
    listed = [
        order(orderId="NEW", createdAt="2026-03-02T10:00:01+00:00"),
        order(orderId="OLD", createdAt="2026-03-02T10:00:00+00:00"),
        order(orderId="X1", orderExternalId=MINE + "0"),
        order(orderId="X2", orderExternalId=MINE.lower()),
        order(orderId="X3", orderExternalId=None),
    ]
    script = Scripted((200, {"results": listed, "item_count": 5}))
    async with scripted(script) as kinguin:
        found = await kinguin.find(MINE)
    assert [each.supplier_order_id for each in found] == ["OLD", "NEW"]
    assert script.asked[0].query["orderExternalId"] == MINE


async def test_a_search_reads_all_pages() -> None:
    other = [order(orderId=f"X{n}", orderExternalId=f"other-{n}") for n in range(100)]
    script = Scripted(
        (200, {"results": other, "item_count": 101}),
        (200, {"results": [order()], "item_count": 101}),
    )
    async with scripted(script) as kinguin:
        assert [each.supplier_order_id for each in await kinguin.find(MINE)] == ["A1"]
    assert [asked.query["page"] for asked in script.asked] == ["1", "2"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"results": None, "item_count": 0},
        {"results": [], "item_count": 1},
        {"results": []},
        {"results": ["odd"], "item_count": 1},
        {"results": [order(orderId=None)], "item_count": 1},
        b"{",
    ],
)
async def test_an_incomplete_search_never_passes_for_finding_nothing(body: object) -> None:
    async with scripted(Scripted((200, body))) as kinguin:
        with pytest.raises(Unavailable):
            await kinguin.find(MINE)


async def test_orders_since_a_moment_are_all_or_an_absence() -> None:
    first = [order(orderId=f"X{n}", orderExternalId=f"other-{n}") for n in range(100)]
    script = Scripted(
        (200, {"results": first, "item_count": 103}),
        (200, {"results": [order()], "item_count": 103}),
    )
    async with scripted(script) as kinguin:
        pages = kinguin.orders_since(datetime(2026, 3, 2, tzinfo=UTC))
        assert [len(await anext(pages)), len(await anext(pages))] == [100, 1]
        with pytest.raises(Unavailable):
            await anext(pages)


@pytest.mark.parametrize("said", ["image/jpg", "IMAGE/JPEG", "image/pjpeg; name=key.jpg"])
async def test_a_picture_is_a_jpeg_under_each_of_its_names(said: str) -> None:
    serial = base64.b64encode(b"picture").decode()
    script = Scripted((200, [{"id": "k1", "serial": serial, "type": said}]))
    async with scripted(script) as kinguin:
        (key,) = await kinguin.keys("A1")
    assert (key.content_type, key.serial) == ("image/jpeg", b"picture")


async def test_keys_are_read_until_a_page_is_short_and_each_once() -> None:
    def key(n: int) -> dict[str, object]:
        return {"id": f"k{n}", "serial": f"AAAA-{n}", "type": "text/plain", "productId": PRODUCT}

    script = Scripted(
        (200, [key(n) for n in range(100)]),
        (200, [key(99), *(key(n) for n in range(100, 199))]),
        (200, []),
    )
    async with scripted(script) as kinguin:
        keys = await kinguin.keys("A1")
    assert [each.key_id for each in keys] == [f"k{n}" for n in range(199)]
    assert [asked.query for asked in script.asked] == [
        {"page": str(page), "limit": "100"} for page in (1, 2, 3)
    ]
    assert "AAAA" not in repr(keys)


async def test_keys_too_large_for_one_answer_are_asked_for_in_smaller_pages() -> None:
    large = {"id": "k1", "serial": "A" * 3000, "type": "text/plain"}
    script = Scripted((200, [large]), (200, [large | {"serial": "A" * 10}]))
    app: Callable[..., Awaitable[None]] = script
    small = Limits(http_answer_bytes=1000)
    async with client(lambda: httpx.ASGITransport(app), limits=small) as kinguin:
        assert len(await kinguin.keys("A1")) == 1
    assert [asked.query["limit"] for asked in script.asked] == ["100", "10"]


@pytest.mark.parametrize("body", [{}, {"results": []}, None, b"[", b'[{"serial": "\xff"}]'])
async def test_an_answer_that_is_no_array_of_keys_is_an_absence(body: object) -> None:
    async with scripted(Scripted((200, body))) as kinguin:
        with pytest.raises(Unavailable):
            await kinguin.keys("A1")


async def test_nothing_to_return_is_named() -> None:
    script = Scripted((400, error("NoKeysToReturn")), (200, []))
    async with scripted(script) as kinguin:
        with pytest.raises(Rejected) as refused:
            await kinguin.give_back("A1")
        assert refused.value.reason == "nothing_to_return"
        await kinguin.give_back("A1")
    assert [(asked.method, asked.path, asked.body) for asked in script.asked] == [
        ("POST", "/esa/api/v2/order/A1/keys/return", b"")
    ] * 2


@pytest.mark.parametrize("kind", ["Error", "HttpClient", "ResourceLock", "NobodyKnowsThis"])
@pytest.mark.parametrize("status", [409, 500, 503])
async def test_an_unclear_answer_to_a_return_is_an_unknown_outcome(kind: str, status: int) -> None:
    async with scripted(Scripted((status, error(kind)))) as kinguin:
        with pytest.raises(OutcomeUnknown) as unknown:
            await kinguin.give_back("A1")
    assert unknown.value.key == "A1"


async def test_a_return_that_came_too_soon_was_not_taken() -> None:
    async with scripted(Scripted((429, error("Error")))) as kinguin:
        with pytest.raises(Unavailable):
            await kinguin.give_back("A1")


@pytest.mark.parametrize(
    ("written", "balance"),
    [(b"12.5", "12.5"), (b'"12.50"', "12.5"), (b"0", "0"), (b"99999.99", "99999.99")],
)
async def test_a_balance_is_exact(written: bytes, balance: str) -> None:
    async with scripted(Scripted((200, b'{"balance":' + written + b"}"))) as kinguin:
        assert await kinguin.balance() == Decimal(balance)
