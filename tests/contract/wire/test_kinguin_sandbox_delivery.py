"""The Kinguin stand-in: delivery, serials, returns and pre-orders (lines 8, 9, 13 and 14)."""

import base64
import struct
import zlib

import httpx
import msgspec
import pytest

from bitloot_adapters.sandbox.kinguin.bench import HOOK_URL, Bench, JsonObject, bench
from bitloot_adapters.sandbox.kinguin.config import Delivery, KinguinSandboxConfig

GAME = 20000
DAY = 86_400


def refused(answer: httpx.Response, status: int, kind: str) -> bool:
    return (answer.status_code, answer.json()["kind"]) == (status, kind)


async def buy(opened: Bench, qty: int = 1, **changes: object) -> str:
    """Buy units of one game, of which there is text in plenty, and give the order's id."""
    await opened.control(f"products/{GAME}", stock=500)
    line: JsonObject = {"kinguinId": GAME, "qty": qty, "price": 99.99, **changes}
    answer = await opened.order(line)
    assert answer.status_code == 201, answer.text
    order_id: str = answer.json()["orderId"]
    return order_id


async def read(opened: Bench, order_id: str) -> tuple[str, list[str]]:
    """The status of an order and those of its keys."""
    order = (await opened.get(f"/v1/order/{order_id}")).json()
    return order["status"], [k["status"] for line in order["products"] for k in line["keys"]]


async def keys(opened: Bench, order_id: str, **query: int) -> list[dict[str, str]]:
    answer = await opened.get(f"/v2/order/{order_id}/keys", **query)
    assert answer.status_code == 200
    found: list[dict[str, str]] = answer.json()
    assert isinstance(found, list)
    return found


async def give_back(opened: Bench, order_id: str) -> httpx.Response:
    return await opened.client.post(f"/esa/api/v2/order/{order_id}/keys/return")


@pytest.mark.emulator("kinguin", 8)
async def test_immediate_delivery_completes_the_order_with_the_same_keys_each_time() -> None:
    """Line 8: immediate; deterministic ids."""
    seen = []
    for _ in range(2):
        async with bench() as opened:
            order_id = await buy(opened, 3)
            assert await read(opened, order_id) == ("completed", ["DELIVERED"] * 3)
            first = await keys(opened, order_id)
            assert await keys(opened, order_id) == first
            order = (await opened.get(f"/v1/order/{order_id}")).json()
            assert [k["id"] for k in order["products"][0]["keys"]] == [k["id"] for k in first]
            seen.append((order_id, first))
    assert seen[0] == seen[1]
    assert len({key["serial"] for key in seen[0][1]}) == 3


@pytest.mark.emulator("kinguin", 8)
async def test_delayed_delivery_comes_when_its_time_comes() -> None:
    """Line 8: delayed; the keys endpoint is usable before, and empty."""
    async with bench() as opened:
        await opened.control("next-order", delivery="delayed", seconds=5)
        order_id = await buy(opened, 2)
        assert await read(opened, order_id) == ("processing", ["PROCESSING"] * 2)
        assert await keys(opened, order_id) == []
        await opened.advance(4.9)
        assert (await read(opened, order_id))[0] == "processing"
        await opened.advance(0.1)
        assert await read(opened, order_id) == ("completed", ["DELIVERED"] * 2)
        assert (await read(opened, await buy(opened)))[0] == "completed", "one order only"


@pytest.mark.emulator("kinguin", 8)
async def test_partial_delivery_gives_some_keys_now_and_the_rest_later_or_never() -> None:
    """Line 8: partial, some keys `DELIVERED`, others `PENDING`."""
    async with bench() as opened:
        await opened.control("next-order", delivery="partial", first=2, seconds=60)
        await opened.control("next-order", delivery="partial", rest=False)
        order_id, other_id = await buy(opened, 3), await buy(opened, 2)
        assert await read(opened, order_id) == ("processing", ["DELIVERED"] * 2 + ["PENDING"])
        assert len(await keys(opened, order_id)) == 2
        await opened.advance(60)
        assert (await read(opened, order_id))[0] == "completed"
        await opened.advance(DAY)
        assert await read(opened, other_id) == ("processing", ["DELIVERED", "PENDING"])
        await opened.control(f"orders/{other_id}/deliver", count=1)
        assert (await read(opened, other_id))[0] == "completed"


@pytest.mark.emulator("kinguin", 8)
@pytest.mark.parametrize(
    ("mode", "status", "left", "lost"),
    [("canceled", "canceled", "DELIVERED", 2), ("refunded", "refunded", "REFUNDED", 3)],
)
async def test_an_order_canceled_or_refunded_after_a_delay_gives_the_money_back(
    mode: str, status: str, left: str, lost: int
) -> None:
    """Line 8: canceled after delay; refunded."""
    async with bench() as opened:
        await opened.control(f"products/{GAME}", price="10.00")
        await opened.control("next-order", delivery=mode, seconds=30, first=1)
        order_id = await buy(opened, 3)
        assert (await read(opened, order_id))[0] == "processing"
        await opened.advance(30)
        ended, units = await read(opened, order_id)
        assert (ended, units[0]) == (status, left)
        assert units[1:] == [mode.upper()] * 2
        balance = (await opened.get("/v1/balance")).json()["balance"]
        assert balance == 10_000 - 30 + 10 * lost


@pytest.mark.emulator("kinguin", 8)
async def test_modes_come_from_the_settings_the_product_or_the_next_order() -> None:
    """Line 8: the delivery engine's modes, and orders that stay `processing`."""
    stuck = KinguinSandboxConfig(delivery=Delivery(delivery="stuck"))
    async with bench(stuck) as opened:
        order_id = await buy(opened)
        await opened.advance(30 * DAY)
        assert await read(opened, order_id) == ("processing", ["PENDING"])
        await opened.control(f"products/{GAME}", delivery={"delivery": "immediate"})
        assert (await read(opened, await buy(opened)))[0] == "completed"
        await opened.control("next-order", delivery="delayed", seconds=9, times=2)
        assert (await read(opened, await buy(opened)))[0] == "processing"
        assert (await read(opened, await buy(opened)))[0] == "processing"
        assert (await read(opened, await buy(opened)))[0] == "completed"


@pytest.mark.emulator("kinguin", 8)
async def test_keys_page_by_25_and_by_100_as_a_bare_array() -> None:
    """Line 8: the keys endpoint pages 25/100 as a bare array."""
    async with bench() as opened:
        await opened.control(f"products/{GAME}", stock=500, wholesale=["9.0", "8.0", "7.0", "6.0"])
        offer = (await opened.client.get(f"/_control/products/{GAME}")).json()["offers"][0]
        order_id = await buy(opened, 130, offerId=offer["offer_id"])
        sizes = [len(await keys(opened, order_id, page=n)) for n in range(1, 8)]
        assert sizes == [25, 25, 25, 25, 25, 5, 0]
        assert [len(await keys(opened, order_id, page=n, limit=100)) for n in (1, 2)] == [100, 30]
        answer = await opened.get(f"/v2/order/{order_id}/keys", limit=101)
        assert refused(answer, 400, "ConstraintViolation")
        assert refused(await opened.get("/v2/order/NOSUCH/keys"), 404, "OrderNotFound")


@pytest.mark.emulator("kinguin", 8)
async def test_units_beyond_the_available_stock_arrive_late() -> None:
    """Line 8: partial, because `qty` is declared and `availableQty` is what is there."""
    async with bench() as opened:
        await opened.control(f"products/{GAME}", stock=5, available=1)
        answer = await opened.order({"kinguinId": GAME, "qty": 3, "price": 99.99})
        order_id = answer.json()["orderId"]
        assert await read(opened, order_id) == ("processing", ["DELIVERED", "PENDING", "PENDING"])
        await opened.advance(30)
        assert (await read(opened, order_id))[0] == "completed"


@pytest.mark.emulator("kinguin", 9)
@pytest.mark.parametrize("style", ["dashes", "uuid", "licence", "url"])
async def test_text_serials_come_in_several_shapes(style: str) -> None:
    """Line 9: keys with dashes, long licence texts with line breaks, URLs."""
    async with bench() as opened:
        await opened.control("next-order", serial_style=style)
        key = (await keys(opened, await buy(opened)))[0]
        assert key["type"] == "text/plain"
        serial = key["serial"]
        match style:
            case "licence":
                assert len(serial) > 500
                assert "\r\n" in serial
                assert "ü" in serial
            case "url":
                assert serial.startswith("https://")
            case _:
                assert serial.count("-") == {"dashes": 2, "uuid": 4}[style]


@pytest.mark.emulator("kinguin", 9)
async def test_image_serials_are_real_pictures_in_base64() -> None:
    """Line 9: PNG, JPEG and GIF images as base64."""
    async with bench() as opened:
        pictures = {}
        for media in ("image/png", "image/jpeg", "image/gif"):
            await opened.control("next-order", key_media=media)
            found = await keys(opened, await buy(opened, 2))
            assert {key["type"] for key in found} == {media}
            assert found[0]["serial"] != found[1]["serial"]
            pictures[media] = base64.b64decode(found[0]["serial"], validate=True)
        png = pictures["image/png"]
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        start = png.index(b"IDAT")
        (length,) = struct.unpack(">I", png[start - 4 : start])
        assert len(zlib.decompress(png[start + 4 : start + 4 + length])) == 8 * 25
        jpeg = pictures["image/jpeg"]
        assert (jpeg[:4], jpeg[-2:]) == (b"\xff\xd8\xff\xe0", b"\xff\xd9")
        assert pictures["image/gif"][:6] == b"GIF89a"


@pytest.mark.emulator("kinguin", 9)
async def test_key_type_text_never_gives_an_image() -> None:
    """Line 9: not from mixed stock, not under an image plan, not from image-only products."""
    async with bench() as opened:
        for _ in range(20):
            await opened.control(f"products/{GAME}", price="1.50", stock=50, text_stock=10)
            wanted: JsonObject = {"kinguinId": GAME, "qty": 9, "price": 99, "keyType": "text"}
            order = (await opened.order(wanted)).json()
            assert order["products"][0]["keyType"] == "text"
            assert {k["type"] for k in await keys(opened, order["orderId"])} == {"text/plain"}
        await opened.control("next-order", key_media="image/gif")
        planned = await buy(opened, keyType="text")
        assert (await keys(opened, planned))[0]["type"] == "text/plain"
        await opened.control(f"products/{GAME}", stock=50, text_stock=0)
        none = await opened.order({"kinguinId": GAME, "qty": 1, "price": 99, "keyType": "text"})
        assert refused(none, 422, "ProductUnavailable")
        any_type = (await opened.order({"kinguinId": GAME, "qty": 3, "price": 99})).json()
        types = {key["type"] for key in await keys(opened, any_type["orderId"])}
        assert all(media.startswith("image/") for media in types)


@pytest.mark.emulator("kinguin", 9)
async def test_a_serial_can_be_sold_twice_and_a_wrong_product_delivered() -> None:
    """Line 9: what must never reach a buyer can be provoked."""
    async with bench() as opened:
        first = (await keys(opened, await buy(opened)))[0]
        await opened.control("next-order", duplicate_serial=True)
        second = (await keys(opened, await buy(opened)))[0]
        assert second["serial"] == first["serial"]
        assert second["id"] != first["id"]
        await opened.control("next-order", wrong_product=True)
        wrong = (await keys(opened, await buy(opened)))[0]
        assert int(wrong["kinguinId"]) != GAME


@pytest.mark.emulator("kinguin", 13)
async def test_a_return_is_asynchronous_and_ends_with_a_refund_and_a_webhook() -> None:
    """Line 13: asynchronous refund and `order.status: refunded`."""
    async with bench() as opened:
        order_id = await buy(opened, 2)
        paid = (await opened.get("/v1/balance")).json()["balance"]
        answer = await give_back(opened, order_id)
        assert answer.status_code == 200
        assert [key["status"] for key in answer.json()] == ["DELIVERED", "DELIVERED"]
        assert set(answer.json()[0]) == {"id", "status"}
        await opened.advance(5)
        assert await read(opened, order_id) == ("completed", ["RETURNED"] * 2)
        await opened.advance(5)
        assert await read(opened, order_id) == ("refunded", ["REFUNDED"] * 2)
        assert (await opened.get("/v1/balance")).json()["balance"] == 10_000.0 > paid
        bodies = [
            msgspec.json.decode(hook.body, type=dict[str, object])
            for hook in opened.caught
            if hook.headers["X-Event-Name"] == "order.status"
        ]
        assert [body["status"] for body in bodies] == ["completed", "refunded"]
        assert bodies[1]["updatedAt"] == "2026-03-02T10:00:10.000+00:00"


@pytest.mark.emulator("kinguin", 13)
async def test_a_return_is_taken_once_and_only_within_24_hours() -> None:
    """Line 13: the 24 h rule, one request per order."""
    async with bench() as opened:
        order_id = await buy(opened)
        await opened.advance(DAY + 1)
        assert refused(await give_back(opened, order_id), 400, "NoKeysToReturn")
        other = await buy(opened)
        await opened.advance(DAY)
        assert (await give_back(opened, other)).status_code == 200
        assert refused(await give_back(opened, other), 400, "NoKeysToReturn")
        assert refused(await give_back(opened, "NOSUCH"), 404, "OrderNotFound")


@pytest.mark.emulator("kinguin", 13)
async def test_claimed_keys_do_not_come_back_and_late_keys_do_when_they_arrive() -> None:
    """Line 13: the return may fail for claimed keys."""
    async with bench() as opened:
        claimed = await buy(opened)
        await opened.control(f"orders/{claimed}/keys", claimed=True)
        assert refused(await give_back(opened, claimed), 400, "NoKeysToReturn")
        between = await buy(opened)
        assert (await give_back(opened, between)).status_code == 200
        await opened.control(f"orders/{between}/keys", claimed=True)
        await opened.advance(60)
        assert await read(opened, between) == ("completed", ["DELIVERED"])
        await opened.control("next-order", delivery="partial", first=1, seconds=60)
        late = await buy(opened, 2)
        assert [key["status"] for key in (await give_back(opened, late)).json()] == [
            "DELIVERED",
            "PENDING",
        ]
        await opened.advance(10)
        assert await read(opened, late) == ("processing", ["REFUNDED", "PENDING"])
        await opened.advance(60)
        assert await read(opened, late) == ("refunded", ["REFUNDED"] * 2)


@pytest.mark.emulator("kinguin", 14)
async def test_a_preorder_stays_processing_until_its_release() -> None:
    """Line 14: pre-orders that stay `processing`; they cannot be returned."""
    async with bench() as opened:
        found = (await opened.get("/v1/products", activePreorder="yes")).json()["results"][0]
        line: JsonObject = {"kinguinId": found["kinguinId"], "qty": 1, "price": 99.99}
        order = (await opened.order(line)).json()
        assert order["isPreorder"] is True
        assert order["preorderReleaseDate"] == found["releaseDate"]
        order_id = order["orderId"]
        await opened.advance(21 * DAY)
        assert await read(opened, order_id) == ("processing", ["PENDING"])
        assert await keys(opened, order_id) == []
        assert refused(await give_back(opened, order_id), 400, "NoKeysToReturn")
        await opened.advance(6 * 366 * DAY)
        assert (await read(opened, order_id))[0] == "completed"
        other = (await opened.order(line)).json()["orderId"]
        await opened.control(f"orders/{other}/deliver")
        assert (await read(opened, other))[0] == "completed"


@pytest.mark.emulator("kinguin", 14)
async def test_preorders_are_bought_alone_and_without_a_key_type() -> None:
    """Line 14: the rules that `Preorder` refuses by."""
    async with bench() as opened:
        found = (await opened.get("/v1/products", activePreorder="yes")).json()["results"]
        first, second = ({"kinguinId": p["kinguinId"], "qty": 1, "price": 99.99} for p in found[:2])
        game: JsonObject = {"kinguinId": GAME, "qty": 1, "price": 99.99}
        assert refused(await opened.order(first, game), 400, "Preorder")
        assert refused(await opened.order(first, second), 400, "Preorder")
        assert refused(await opened.order({**first, "keyType": "text"}), 400, "Preorder")


async def test_the_control_door_forces_key_and_order_statuses() -> None:
    async with bench() as opened:
        await opened.control("next-order", delivery="stuck")
        order_id = await buy(opened, 2)
        ids = [k["id"] for k in (await opened.client.get("/_control/orders")).json()[0]["keys"]]
        await opened.control(f"orders/{order_id}/keys", status="CANCELED", ids=ids[:1])
        assert await read(opened, order_id) == ("processing", ["CANCELED", "PENDING"])
        await opened.control(f"orders/{order_id}/status", status="completed")
        assert await read(opened, order_id) == ("completed", ["CANCELED", "DELIVERED"])
        for status in ("RETURNED", "REFUNDED"):
            await opened.control(f"orders/{order_id}/keys", status=status)
            assert (await read(opened, order_id))[1] == [status] * 2
        assert (await opened.get("/v1/balance")).json()["balance"] == 10_000.0
        unknown = await opened.client.post("/_control/orders/NOSUCH/deliver", json={})
        assert (unknown.status_code, unknown.json()) == (404, {"error": "no order NOSUCH"})
        assert (await opened.client.get("/_control/nothing")).status_code == 404
        mistyped = await opened.client.post("/_control/next-order", json={"delivery": "soon"})
        assert mistyped.status_code == 400


async def test_reset_forgets_orders_changes_and_faults() -> None:
    async with bench(KinguinSandboxConfig(webhook_url=HOOK_URL)) as opened:
        before = (await opened.get(f"/v1/products/{GAME}")).json()
        order_id = await buy(opened)
        await opened.control("faults", op="*", fault="429")
        await opened.control("reset")
        assert (await opened.get(f"/v1/products/{GAME}")).json() == before
        assert (await opened.get("/v1/order")).json()["item_count"] == 0
        state = (await opened.client.get("/_control/state")).json()
        assert (state["orders"], state["balance"], state["webhooks"]) == (0, "10000.00", 0)
        assert await buy(opened) != order_id
        assert (await opened.client.get("/_control/health")).json()["status"] == "ok"
