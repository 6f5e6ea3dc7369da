"""One stand-in opened in the caller's process, with a still clock and a captured receiver."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import httpx
import msgspec

from bitloot_adapters.sandbox.nowpayments.app import build_app
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig
from bitloot_adapters.sandbox.nowpayments.js_json import Json
from bitloot_adapters.sandbox.nowpayments.world import World

NOON: Final = datetime(2026, 1, 15, 12, 0, 0, 456000, tzinfo=UTC)
CALLBACK: Final = "https://shop.example/webhooks/nowpayments"


class Callback(msgspec.Struct, frozen=True):
    """One callback as the receiver got it."""

    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def status(self) -> str:
        """The payment status that it reports."""
        return msgspec.json.decode(self.body, type=_Reported).payment_status


class _Reported(msgspec.Struct):
    payment_status: str


@dataclass(slots=True)
class Receiver:
    """Answers 200, or the next of `answers` (a status, or an exception to raise).

    Before that it waits for the next of `pauses`, in real seconds.
    """

    got: list[Callback] = field(default_factory=list)
    answers: list[int | Exception] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        self.got.append(Callback(url, dict(headers), body))
        self.arrived.set()
        if self.pauses:
            await asyncio.sleep(self.pauses.pop(0))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer, b""


@dataclass(slots=True)
class Bench:
    """The client holds the first API key; `receiver` collects the callbacks."""

    client: httpx.AsyncClient
    receiver: Receiver
    config: NowPaymentsSandboxConfig
    app: Callable[..., Awaitable[None]]
    """The ASGI application, to mount another client on."""

    async def create(self, **fields: Json) -> str:
        """A payment of 17.5 EUR in Litecoin unless `fields` says otherwise; its id."""
        order: dict[str, Json] = {
            "price_amount": 17.5,
            "price_currency": "eur",
            "pay_currency": "ltc",
            "order_id": "order-1",
            "ipn_callback_url": CALLBACK,
        }
        answer = await self.client.post("/v1/payment", json=order | fields)
        answer.raise_for_status()
        return str(answer.json()["payment_id"])

    async def read(self, payment_id: str | int) -> dict[str, Json]:
        answer = await self.client.get(f"/v1/payment/{payment_id}")
        answer.raise_for_status()
        shape: dict[str, Json] = answer.json()
        return shape

    async def control(self, path: str, **fields: Json) -> dict[str, Json]:
        """One call of the control door; a refusal raises `httpx.HTTPStatusError`."""
        answer = await self.client.post(f"/_control/{path}", json=fields)
        answer.raise_for_status()
        shape: dict[str, Json] = answer.json()
        return shape


@asynccontextmanager
async def bench(config: NowPaymentsSandboxConfig | None = None) -> AsyncIterator[Bench]:
    """Open a stand-in on a clock that stands still at `NOON` unless it is advanced."""
    config = config or NowPaymentsSandboxConfig()
    receiver = Receiver()
    server = build_app(config, clock=lambda: NOON, deliver=receiver)
    app: Callable[..., Awaitable[None]] = server
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://nowpayments.example",
        headers={"x-api-key": config.api_keys[0]},
    ) as client:
        yield Bench(client=client, receiver=receiver, config=config, app=app)
    world: World = server.state.world
    world.store.close()
