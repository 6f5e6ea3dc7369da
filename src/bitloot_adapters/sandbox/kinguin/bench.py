"""A stand-in on a bench: in one process, at a standing clock, its webhooks caught."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import httpx
import msgspec

from bitloot_adapters.sandbox.kinguin.app import build_app
from bitloot_adapters.sandbox.kinguin.config import KinguinSandboxConfig

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
HOOK_URL = "http://shop.example/webhooks/kinguin"

JsonObject = dict[str, object]


class Caught(msgspec.Struct, frozen=True):
    """One webhook as the shop's end saw it."""

    url: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Bench:
    """`client` asks the stand-in with a good key; `caught` are the webhooks that it sent.

    `answers` are given to the next webhooks, one each; without one the answer is an empty 204.
    """

    client: httpx.AsyncClient
    caught: list[Caught] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)

    async def take(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        self.caught.append(Caught(url, dict(headers), body))
        return self.answers.pop(0) if self.answers else (204, b"")

    async def control(self, path: str, **body: object) -> httpx.Response:
        """Ask the control door; a refusal of it is an error here."""
        answer = await self.client.post(f"/_control/{path}", json=body)
        return answer.raise_for_status()

    async def get(self, path: str, **query: str | int) -> httpx.Response:
        return await self.client.get(f"/esa/api{path}", params=query)

    async def order(self, *products: JsonObject, **extra: object) -> httpx.Response:
        body = {"products": list(products), **extra}
        return await self.client.post("/esa/api/v1/order", json=body)

    async def advance(self, seconds: float) -> None:
        await self.control("advance", seconds=seconds)


@asynccontextmanager
async def bench(config: KinguinSandboxConfig | None = None) -> AsyncIterator[Bench]:
    """A fresh stand-in whose time stands at `START` until it is advanced."""
    chosen = config or KinguinSandboxConfig(webhook_url=HOOK_URL)
    caught: list[Bench] = []

    async def deliver(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        return await caught[0].take(url, headers, body)

    app = build_app(chosen, clock=lambda: START, deliver=deliver)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=cast("Callable[..., Awaitable[None]]", app)),
        base_url="http://kinguin.example",
        headers={"X-Api-Key": chosen.api_keys[0]},
    ) as client:
        opened = Bench(client)
        caught.append(opened)
        yield opened
