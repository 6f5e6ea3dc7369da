"""The Kinguin client keeps the contract of suppliers, over HTTP against the stand-in."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur
from bitloot.domain.supply import SupplierOrderState
from bitloot.ports.supplier import Supplier
from bitloot.testing.provider_rigs import Delivery
from bitloot.testing.supplier import SupplierContract
from bitloot_adapters.http import open_client
from bitloot_adapters.kinguin.client import AUTHENTICITY_HEADER, EVENT_HEADER, Kinguin
from bitloot_adapters.sandbox.kinguin.bench import Bench, bench
from bitloot_adapters.sandbox.kinguin.config import KinguinSandboxConfig

SECRET = "the-webhook-secret-of-this-test"
FIRST_PRODUCT = 20000
DOWN = 100


class KinguinRig:
    """The client beside the control door of the stand-in."""

    def __init__(self, opened: Bench) -> None:
        self.stand_in = opened
        self.supplier: Supplier
        self.knows_key = True
        self._sold = 0

    async def go_down(self) -> None:
        await self.stand_in.control("faults", op="*", fault="500_before", times=DOWN)

    async def come_back(self) -> None:
        (await self.stand_in.client.delete("/_control/faults")).raise_for_status()

    async def spoil_credentials(self) -> None:
        self.knows_key = False

    async def sell(self, price: Eur, stock: int) -> str:
        path = f"products/{FIRST_PRODUCT + self._sold}"
        self._sold += 1
        await self.stand_in.control(path, price=str(price), stock=stock)
        answer = await self.stand_in.client.get(f"/_control/{path}")
        answer.raise_for_status()
        return str(answer.json()["product_id"])

    async def set_balance(self, balance: Eur) -> None:
        await self.stand_in.control("balance", balance=str(balance))

    async def next_order(
        self, *, units: int | None = None, content_type: str = "text/plain"
    ) -> None:
        media = {} if content_type == "text/plain" else {"key_media": content_type}
        part: dict[str, object] = {}
        if units is not None:
            part = {"delivery": "partial", "first": units, "rest": False}
        await self.stand_in.control("next-order", **part, **media)

    async def deliver(self, supplier_order_id: str) -> None:
        await self.stand_in.control(f"orders/{supplier_order_id}/deliver")

    async def end(self, supplier_order_id: str, state: SupplierOrderState) -> None:
        await self.stand_in.control(f"orders/{supplier_order_id}/status", status=state)

    async def lose_next_reply(self) -> None:
        await self.stand_in.control("faults", op="order.create", fault="drop_after", times=1)

    async def limit_next(self) -> None:
        await self.stand_in.control("faults", op="*", fault="429", times=1)

    async def pass_time(self, span: timedelta) -> None:
        await self.stand_in.control("advance", seconds=span.total_seconds())

    async def orders_with(self, external_id: str) -> int:
        query = {"external_id": external_id}
        answer = await self.stand_in.client.get("/_control/orders", params=query)
        return len(answer.json())

    async def webhook(self, supplier_order_id: str) -> Delivery:
        await self.stand_in.control("webhooks/send", order_id=supplier_order_id)
        return await self.sign(self.stand_in.caught[-1].body)

    async def sign(self, body: bytes) -> Delivery:
        return Delivery({AUTHENTICITY_HEADER: SECRET, EVENT_HEADER: "order.status"}, body)


class ThroughTheBench(httpx.AsyncBaseTransport):
    """Hands requests to the stand-in, with a key that it does not know once that is asked for."""

    def __init__(self, rig: KinguinRig) -> None:
        self._rig = rig

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._rig.knows_key:
            request.headers["x-api-key"] = "another-key"
        answer = await self._rig.stand_in.client.send(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def outside_of_transactions() -> bool:
    return False


class TestKinguin(SupplierContract):
    """All of the suite, with offers of keys in any form."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[KinguinRig]:
        config = KinguinSandboxConfig(
            webhook_url="https://shop.example/hook", webhook_secret=SECRET, products=30
        )
        async with bench(config) as opened:
            rig = KinguinRig(opened)
            async with open_client(
                "http://kinguin.example/esa/api",
                limits=Limits(),
                in_transaction=outside_of_transactions,
                headers={"x-api-key": config.api_keys[0], "accept": "application/json"},
                transport=lambda: ThroughTheBench(rig),
            ) as http:
                rig.supplier = Kinguin(http, webhook_secret=SECRET, limits=Limits(), key_type="any")
                yield rig
