"""The Kinguin client on the wire: the catalogue, webhooks, and purchases of the stand-in."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.errors import OutcomeUnknown
from bitloot.ports.payment_gateway import Forged, Malformed
from bitloot.ports.supplier import SupplierHint, SupplierProduct, SupplierRequest
from bitloot_adapters.http import HttpClient
from bitloot_adapters.kinguin.catalogue import KeyType
from bitloot_adapters.kinguin.client import Kinguin
from bitloot_adapters.sandbox.kinguin import KinguinSandboxConfig, build_app
from bitloot_adapters.sandbox.loopback import served
from bitloot_adapters.sandbox.scripted import Scripted

SECRET = "kinguin-secret"
PRODUCT = "5c9b5f6b2539a4e8f1000001"
MINE = "BL7K2M9QXA-1-1-1"
GAME = 20_000


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


# --- the catalogue -----------------------------------------------------------------------------


def product(number: int, **changes: object) -> dict[str, object]:
    return {
        "kinguinId": number,
        "productId": f"{number:024x}",
        "name": f"Game {number}",
        "price": 5,
        "qty": 3,
        "isPreorder": False,
        "updatedAt": "2026-03-02T10:00:00+00:00",
    } | changes


async def all_products(kinguin: Kinguin, since: datetime | None = None) -> list[SupplierProduct]:
    pages = kinguin.catalogue(updated_since=since)
    return [each async for page in pages for each in page.products]


async def test_the_catalogue_asks_from_page_one_with_an_overlap_and_an_encoded_plus() -> None:
    script = Scripted(
        (200, {"results": [product(n) for n in range(1, 101)], "item_count": 101}),
        (200, {"results": [product(101)], "item_count": 101}),
    )
    since = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    async with scripted(script) as kinguin:
        assert len(await all_products(kinguin, since)) == 101
    first, second = (asked.query for asked in script.asked)
    assert (first["page"], second["page"], first["limit"]) == ("1", "2", "100")
    assert first["updatedSince"] == second["updatedSince"] == "2026-03-02T11:55:00+00:00"
    assert first["sortBy"] == "updatedAt"
    assert b"%2B00" in script.asked[0].raw_query


# --- webhooks ----------------------------------------------------------------------------------

ORDER_EVENT = (
    b'{"orderId":"A1","orderExternalId":"BL7K2M9QXA-1-1-1","status":"Completed",'
    b'"updatedAt":"2026-03-02T10:00:00.123+00:00"}'
)
PRODUCT_EVENT = (
    b'{"kinguinId":1,"productId":"5c9b","qty":0,"updatedAt":"2026-03-02T10:00:00+00:00"}'
)


async def read(event: str | None, body: bytes, secret: str = SECRET) -> object:
    headers = {"x-event-secret": secret} | ({} if event is None else {"x-event-name": event})
    async with scripted(Scripted()) as kinguin:
        return kinguin.read_webhook(headers, body)


async def test_order_and_product_events_are_hints_with_their_times() -> None:
    told = await read("order.status", ORDER_EVENT)
    assert isinstance(told, SupplierHint)
    assert (told.kind, told.supplier_order_id, told.external_id) == ("order", "A1", MINE)
    assert told.status == "completed"
    assert told.updated_at == datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=UTC)
    changed = await read("product.update", PRODUCT_EVENT)
    assert isinstance(changed, SupplierHint)
    assert (changed.kind, changed.supplier_product_id) == ("product", "5c9b")
    assert told.dedupe_key != changed.dedupe_key


@pytest.mark.parametrize(
    ("event", "body", "kind"),
    [
        ("order.complete", ORDER_EVENT, "order"),
        (None, ORDER_EVENT, "order"),
        (None, PRODUCT_EVENT, "product"),
        ("Order.Status ", ORDER_EVENT, "order"),
        ("test", b"", "other"),
        ("test", b"not json", "other"),
        ("something.new", b"{}", "other"),
        (None, b"{}", "other"),
        (None, b'{"test":true}', "other"),
        (None, b"", "other"),
        (None, b"[]", "other"),
        ("order.status", b"{}", "other"),
        ("order.status", b'{"status":"completed"}', "other"),
        ("order.status", b'{"orderId":"../x"}', "other"),
        ("product.update", b'{"test":true}', "other"),
        ("product.update", b'{"kinguinId":1}', "other"),
    ],
)
async def test_an_event_is_told_by_its_name_and_unknown_ones_are_taken(
    event: str | None, body: bytes, kind: str
) -> None:
    told = await read(event, body)
    assert isinstance(told, SupplierHint)
    assert told.kind == kind


@pytest.mark.parametrize("secret", ["", "kinguin-secre", "kinguin-secretx", "KINGUIN-SECRET", "é"])
async def test_another_secret_is_a_forgery_before_anything_is_read(secret: str) -> None:
    assert isinstance(await read("order.status", b"{", secret), Forged)


@pytest.mark.parametrize("event", ["order.status", "product.update"])
@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"orderId":'])
async def test_a_known_event_that_is_no_object_is_malformed(event: str, body: bytes) -> None:
    assert isinstance(await read(event, body), Malformed)


# --- against the stand-in ----------------------------------------------------------------------


def sandbox() -> Callable[..., Awaitable[None]]:
    app: Callable[..., Awaitable[None]] = build_app(KinguinSandboxConfig(products=120))
    return app


async def control(app: Callable[..., Awaitable[None]], path: str, **body: object) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://kinguin"
    ) as door:
        (await door.post(f"/_control/{path}", json=body)).raise_for_status()


async def test_the_whole_catalogue_of_the_stand_in_is_read_clean() -> None:
    app = sandbox()
    async with client(lambda: httpx.ASGITransport(app)) as kinguin:
        pages = [page async for page in kinguin.catalogue(updated_since=None)]
    found = [each for page in pages for each in page.products]
    assert not [each for page in pages for each in page.refused]
    assert len(found) > 80
    for each in found:
        texts = (each.title, each.description, each.instructions or "", each.region or "")
        assert all(text == text.strip() and "\r" not in text for text in texts)
        assert "<" not in each.description
        assert "alert(1)" not in each.description
        assert each.price > 0
        assert not each.is_preorder


async def test_text_buyers_never_get_an_image() -> None:
    app = sandbox()
    await control(app, f"products/{GAME}", stock=9, text_stock=4, is_preorder=False)
    async with client(lambda: httpx.ASGITransport(app)) as kinguin:
        (found,) = [each for each in await all_products(kinguin) if each.title and each.stock == 4][
            :1
        ]
        (offer,) = await kinguin.offers(found.supplier_product_id)
        assert offer.stock == 4
        wanted = msgspec.structs.replace(
            REQUEST,
            supplier_product_id=found.supplier_product_id,
            max_price=offer.price,
            quantity=4,
        )
        placed = await kinguin.place(wanted)
        keys = await kinguin.keys(placed.supplier_order_id)
    assert {each.content_type for each in keys} == {"text/plain"}
    assert len(keys) == 4


@pytest.mark.parametrize(
    "fault",
    ["drop_after", "500_after", "503_after", "garbage", "OrderFailed_after", "HttpClient_after"],
)
async def test_a_purchase_whose_answer_is_lost_is_found_again(fault: str) -> None:
    app = sandbox()
    async with client(lambda: httpx.ASGITransport(app)) as kinguin:
        found = next(each for each in await all_products(kinguin) if each.stock > 2)
        wanted = msgspec.structs.replace(
            REQUEST, supplier_product_id=found.supplier_product_id, max_price=found.price
        )
        await control(app, "faults", op="order.create", fault=fault)
        with pytest.raises(OutcomeUnknown):
            await kinguin.place(wanted)
        (order_found,) = await kinguin.find(MINE)
        with pytest.raises(OutcomeUnknown) as again:
            await kinguin.place(wanted)
        assert again.value.reason == "external_id_taken"
        assert [each.supplier_order_id for each in await kinguin.find(MINE)] == [
            order_found.supplier_order_id
        ]


async def test_orders_since_a_moment_come_page_by_page() -> None:
    app = sandbox()
    async with client(lambda: httpx.ASGITransport(app)) as kinguin:
        found = next(each for each in await all_products(kinguin) if each.stock > 2)
        await kinguin.place(
            msgspec.structs.replace(
                REQUEST, supplier_product_id=found.supplier_product_id, max_price=found.price
            )
        )
        since = datetime.now(UTC) - timedelta(hours=48)
        pages = [page async for page in kinguin.orders_since(since)]
    assert [[each.external_id for each in page] for page in pages] == [[MINE]]


async def test_over_a_real_socket_a_cut_answer_after_the_purchase_is_unknown_and_found() -> None:
    app = sandbox()
    async with served(app) as base, client(None, base_url=f"{base}/esa/api") as kinguin:
        found = next(each for each in await all_products(kinguin) if each.stock > 2)
        wanted = msgspec.structs.replace(
            REQUEST, supplier_product_id=found.supplier_product_id, max_price=found.price
        )
        await control(app, "faults", op="order.create", fault="drop_after")
        with pytest.raises(OutcomeUnknown):
            await kinguin.place(wanted)
        assert len(await kinguin.find(MINE)) == 1
