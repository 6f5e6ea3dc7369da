"""The Kinguin stand-in: webhooks (line 11), and the server as a process of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import uvicorn

from bitloot_adapters.sandbox.kinguin.app import build_app
from bitloot_adapters.sandbox.kinguin.bench import HOOK_URL, Bench, Caught, JsonObject, bench
from bitloot_adapters.sandbox.kinguin.config import KinguinSandboxConfig

GAME = 20000
SECRET = KinguinSandboxConfig().webhook_secret
LINE: JsonObject = {"kinguinId": GAME, "qty": 1, "price": 99.99}


async def buy(opened: Bench, **extra: object) -> str:
    answer = await opened.order(LINE, **extra)
    assert answer.status_code == 201, answer.text
    order_id: str = answer.json()["orderId"]
    return order_id


def orders(opened: Bench) -> list[Caught]:
    return [hook for hook in opened.caught if hook.headers["X-Event-Name"] == "order.status"]


def body(hook: Caught) -> JsonObject:
    return msgspec.json.decode(hook.body, type=JsonObject)


@pytest.mark.emulator("kinguin", 11)
async def test_an_order_status_webhook_carries_the_plain_secret() -> None:
    """Line 11: plain secret; milliseconds in `updatedAt`."""
    async with bench() as opened:
        order_id = await buy(opened, orderExternalId="shop-1")
        await opened.advance(0)
        (hook,) = orders(opened)
        assert hook.url == HOOK_URL
        assert hook.headers["X-Event-Secret"] == SECRET
        assert hook.headers["Content-Type"] == "aplication/json"
        assert body(hook) == {
            "orderId": order_id,
            "orderExternalId": "shop-1",
            "status": "completed",
            "updatedAt": "2026-03-02T10:00:00.000+00:00",
        }


@pytest.mark.emulator("kinguin", 11)
async def test_a_product_update_webhook_follows_every_change_of_stock_or_price() -> None:
    """Line 11: `product.update`, without the price unless so configured."""
    async with bench(KinguinSandboxConfig(webhook_url=HOOK_URL)) as opened:
        await opened.control(f"products/{GAME}", stock=3)
        await buy(opened)
        await opened.advance(0)
        updates = [body(h) for h in opened.caught if h.headers["X-Event-Name"] == "product.update"]
        assert [update["qty"] for update in updates] == [3, 2]
        fields = {"kinguinId", "productId", "qty", "textQty", "cheapestOfferId", "updatedAt"}
        assert set(updates[0]) == fields
    priced = KinguinSandboxConfig(webhook_url=HOOK_URL, product_webhook_price=True)
    async with bench(priced) as opened:
        await opened.control(f"products/{GAME}", price=4.45)
        await opened.advance(0)
        assert body(opened.caught[0])["price"] == 4.45


@pytest.mark.emulator("kinguin", 11)
@pytest.mark.parametrize(
    ("mode", "secrets"),
    [
        ("wrong_secret", ["not-the-secret"]),
        ("no_secret", [None]),
        ("duplicate", [SECRET, SECRET]),
        ("drop", []),
    ],
)
async def test_the_next_webhook_can_be_forged_doubled_or_lost(
    mode: str, secrets: list[str | None]
) -> None:
    """Line 11: wrong secret, duplicate, missing."""
    async with bench() as opened:
        await opened.control("webhooks/plan", mode=mode, event="order.status")
        await buy(opened)
        await opened.advance(0)
        assert [hook.headers.get("X-Event-Secret") for hook in orders(opened)] == secrets
        assert len({hook.body for hook in orders(opened)}) == len(set(secrets))
        await buy(opened)
        await opened.advance(0)
        assert len(orders(opened)) == len(secrets) + 1, "the plan was for one"


@pytest.mark.emulator("kinguin", 11)
async def test_webhooks_can_be_held_and_let_go_in_the_wrong_order() -> None:
    """Line 11: reordered; only `updatedAt` tells which is newer."""
    async with bench() as opened:
        await opened.control("webhooks/plan", mode="hold", event="order.status", times=2)
        order_id = await buy(opened)
        await opened.advance(10)
        await opened.control(f"orders/{order_id}/status", status="refunded")
        await opened.advance(0)
        assert orders(opened) == []
        await opened.control("webhooks/release", backwards=True)
        assert [body(hook)["status"] for hook in orders(opened)] == ["refunded", "completed"]
        moments = [str(body(hook)["updatedAt"]) for hook in orders(opened)]
        assert moments[0] > moments[1]


@pytest.mark.emulator("kinguin", 11)
async def test_a_bad_status_or_a_body_is_retried_and_then_dropped() -> None:
    """Line 11: retried on non-2xx **or non-empty body**."""
    config = KinguinSandboxConfig(
        webhook_url=HOOK_URL, webhook_retry_seconds=(5, 30), webhook_disable_after=1
    )
    async with bench(config) as opened:
        await opened.control("webhooks/plan", mode="drop", event="product.update", times=99)
        opened.answers = [(500, b""), (200, b'{"ok":true}'), (200, b"")]
        await buy(opened)
        for seconds, sent in ((0, 1), (4, 1), (1, 2), (29, 2), (1, 3), (1000, 3)):
            await opened.advance(seconds)
            assert len(orders(opened)) == sent
        assert len({hook.body for hook in orders(opened)}) == 1
        (hook,) = (await opened.client.get("/_control/webhooks")).json()
        assert (hook["state"], hook["statuses"]) == ("delivered", [500, 200, 200])
        opened.answers = [(302, b"")] * 3
        await buy(opened)
        await opened.advance(100)
        assert len(orders(opened)) == 6
        dropped = (await opened.client.get("/_control/webhooks")).json()[-1]
        assert (dropped["state"], dropped["statuses"]) == ("dropped", [302, 302, 302])
        await buy(opened)
        await opened.advance(100)
        assert len(orders(opened)) == 6, "the endpoint was disabled"
        await opened.control("settings", webhooks_disabled=False)
        await buy(opened)
        await opened.advance(0)
        assert len(orders(opened)) == 7


@pytest.mark.emulator("kinguin", 11)
async def test_any_webhook_can_be_sent_by_hand() -> None:
    """Line 11: valid, wrong secret, duplicate, stale, unknown, and the test button."""
    async with bench() as opened:
        order_id = await buy(opened)
        await opened.advance(0)
        opened.caught.clear()
        await opened.control("webhooks/send", order_id=order_id)
        await opened.control(
            "webhooks/send",
            order_id=order_id,
            status="canceled",
            updated_at="2020-10-16T11:24:08.025+00:00",
            mode="wrong_secret",
        )
        await opened.control("webhooks/send", kinguin_id=GAME, mode="duplicate")
        await opened.control("webhooks/send", event="order.complete", payload={"orderId": "X"})
        sent = await opened.control("webhooks/test")
        assert [hook.headers["X-Event-Name"] for hook in opened.caught] == [
            "order.status",
            "order.status",
            "product.update",
            "product.update",
            "order.complete",
            "test",
        ]
        assert body(opened.caught[1])["status"] == "canceled"
        assert opened.caught[1].headers["X-Event-Secret"] != SECRET
        assert sent.json()[0]["statuses"] == [204]


# --- a server of its own -----------------------------------------------------------------------


class AnnouncedServer(uvicorn.Server):
    """A uvicorn server that says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def served(config: KinguinSandboxConfig) -> AsyncIterator[str]:
    """The stand-in behind uvicorn on a free port of the loopback."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = AnnouncedServer(
            uvicorn.Config(build_app(config), log_config=None, access_log=False, lifespan="on")
        )
        running = asyncio.create_task(server.serve(sockets=[listening]))
        await asyncio.wait_for(server.ready.wait(), 10)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


def client(base: str) -> httpx.AsyncClient:
    key = KinguinSandboxConfig().api_keys[0]
    return httpx.AsyncClient(base_url=base, headers={"X-Api-Key": key}, trust_env=False)


@pytest.mark.emulator("kinguin", 10)
@pytest.mark.parametrize(("fault", "orders_left"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_call_closes_the_socket_without_an_answer(
    fault: str, orders_left: int
) -> None:
    """Line 10: over a real socket the caller gets nothing; the order may exist."""
    async with served(KinguinSandboxConfig()) as base, client(base) as shop:
        await shop.post("/_control/faults", json={"op": "order.create", "fault": fault})
        with pytest.raises(httpx.TransportError):
            await shop.post(
                "/esa/api/v1/order", json={"products": [LINE], "orderExternalId": "lost"}
            )
        found = await shop.get("/esa/api/v1/order", params={"orderExternalId": "lost"})
        assert found.json()["item_count"] == orders_left


async def test_a_served_stand_in_delivers_and_calls_back_by_itself() -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await arrived.put(head + await reader.readexactly(size))
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    receiver = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/hook"
    async with receiver, served(KinguinSandboxConfig(webhook_url=url)) as base, client(base) as c:
        await c.post("/_control/next-order", json={"delivery": "delayed", "seconds": 0.2})
        order = (await c.post("/esa/api/v1/order", json={"products": [LINE]})).json()
        first, second = [await asyncio.wait_for(arrived.get(), 5) for _ in range(2)]
        assert b"product.update" in first
        assert b'"status":"completed"' in second
        read = (await c.get(f"/esa/api/v1/order/{order['orderId']}")).json()
        assert read["status"] == "completed"


async def test_a_restarted_stand_in_knows_its_orders_and_goes_on_with_them(tmp_path: Path) -> None:
    config = KinguinSandboxConfig(state_dir=str(tmp_path), webhook_url=HOOK_URL)
    async with bench(config) as opened:
        await opened.control("next-order", delivery="delayed", seconds=60)
        order_id = await buy(opened, orderExternalId="shop-1")
        spent = (await opened.get("/v1/balance")).json()
        stock = (await opened.get(f"/v1/products/{GAME}")).json()
    async with bench(config) as again:
        assert (await again.get("/v1/balance")).json() == spent
        assert (await again.get(f"/v1/products/{GAME}")).json() == stock
        found = (await again.get("/v1/order", orderExternalId="shop-1")).json()
        assert [order["orderId"] for order in found["results"]] == [order_id]
        assert (await again.order(LINE, orderExternalId="shop-1")).status_code == 400
        await again.advance(60)
        assert (await again.get(f"/v1/order/{order_id}")).json()["status"] == "completed"
        assert len(orders(again)) == 1
        await again.control("reset")
    async with bench(config) as empty:
        assert (await empty.get("/v1/order")).json()["item_count"] == 0
