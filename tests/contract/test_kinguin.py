"""The Kinguin client keeps the contract of suppliers, spoken to its stand-in in one process."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur, plain
from bitloot.domain.supply import SupplierOrderState
from bitloot.ports.supplier import Supplier
from bitloot.testing.provider_rigs import Delivery
from bitloot.testing.supplier import SupplierContract
from bitloot_adapters.http import HttpClient
from bitloot_adapters.kinguin.client import Kinguin
from bitloot_adapters.sandbox.kinguin import KinguinSandboxConfig, build_app

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
KEY = "kinguin-key-of-the-rig"
SECRET = "kinguin-secret-of-the-rig"
FIRST_PRODUCT = 20_000


class KinguinRig:
    """The stand-in at a standing clock, its control door, and what it sent."""

    def __init__(self) -> None:
        config = KinguinSandboxConfig(
            api_keys=(KEY,),
            products=120,
            webhook_url="http://shop.example/v1/webhooks/kinguin",
            webhook_secret=SECRET,
        )
        self.app: Callable[..., Awaitable[None]] = build_app(
            config, clock=lambda: START, deliver=self._take
        )
        self._control = httpx.AsyncClient(transport=self._transport(), base_url="http://kinguin")
        self._sent: list[Delivery] = []
        self._products = FIRST_PRODUCT
        self._clients: list[HttpClient] = []
        self.supplier: Supplier = self._opened(KEY)

    def _transport(self) -> httpx.AsyncBaseTransport:
        return httpx.ASGITransport(app=self.app)

    def _opened(self, key: str) -> Supplier:
        client = HttpClient(
            "http://kinguin/esa/api",
            limits=Limits(),
            in_transaction=lambda: False,
            headers={"x-api-key": key},
            transport=self._transport,
        )
        self._clients.append(client)
        return Kinguin(client, webhook_secret=SECRET, limits=Limits(), key_type="any")

    async def _take(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        assert url.endswith("/kinguin")
        lower = {name.lower(): value for name, value in headers.items()}
        proofs = {name: lower[name] for name in ("x-event-secret", "x-event-name")}
        self._sent.append(Delivery(proofs, body))
        return 204, b""

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        await self._control.aclose()

    async def control(self, path: str, **body: object) -> httpx.Response:
        answer = await self._control.post(f"/_control/{path}", json=body)
        return answer.raise_for_status()

    async def go_down(self) -> None:
        await self.control("faults", op="*", fault="503_before", times=1000)

    async def come_back(self) -> None:
        (await self._control.delete("/_control/faults")).raise_for_status()

    async def spoil_credentials(self) -> None:
        self.supplier = self._opened("another-key")

    async def sell(self, price: Eur, stock: int) -> str:
        self._products += 1
        path = f"products/{self._products}"
        await self.control(path, stock=stock, is_preorder=False, wholesale=[])
        changed = await self.control(path, price=plain(price))
        return str(changed.json()["product_id"])

    async def set_balance(self, balance: Eur) -> None:
        await self.control("balance", balance=plain(balance))

    async def next_order(
        self, *, units: int | None = None, content_type: str = "text/plain"
    ) -> None:
        if units is None:
            await self.control("next-order", delivery="immediate", key_media=content_type)
        else:
            await self.control("next-order", delivery="partial", first=units, rest=False)

    async def deliver(self, supplier_order_id: str) -> None:
        await self.control(f"orders/{supplier_order_id}/deliver")

    async def end(self, supplier_order_id: str, state: SupplierOrderState) -> None:
        await self.control(f"orders/{supplier_order_id}/status", status=state)

    async def lose_next_reply(self) -> None:
        await self.control("faults", op="order.create", fault="drop_after")

    async def limit_next(self) -> None:
        await self.control("faults", op="*", fault="429")

    async def pass_time(self, span: timedelta) -> None:
        await self.control("advance", seconds=span.total_seconds())

    async def orders_with(self, external_id: str) -> int:
        answer = await self._control.get("/_control/orders", params={"external_id": external_id})
        return len(msgspec.json.decode(answer.content, type=list[dict[str, object]]))

    async def webhook(self, supplier_order_id: str) -> Delivery:
        await self.control("webhooks/send", order_id=supplier_order_id)
        return self._sent[-1]

    async def sign(self, body: bytes) -> Delivery:
        return Delivery({"x-event-secret": SECRET, "x-event-name": "order.status"}, body)


class TestKinguin(SupplierContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[KinguinRig]:
        rig = KinguinRig()
        yield rig
        await rig.close()
