"""A stand-in on the bench: called in-process, time stands until it is pushed, webhooks are kept.

For tests: no socket is opened and nothing happens by itself.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import msgspec

from bitloot_adapters.sandbox.resend.app import build_app
from bitloot_adapters.sandbox.resend.config import (
    DEFAULT_API_KEY,
    ResendSandboxConfig,
    WebhookEndpoint,
)
from bitloot_adapters.sandbox.resend.stand_in import StandIn

BENCH_START = datetime(2026, 1, 15, 8, 30, 0, 123456, tzinfo=UTC)
BENCH_WEBHOOK_URL = "https://shop.example/webhooks/resend"


class Delivered(msgspec.Struct, frozen=True):
    """One webhook as the receiver saw it."""

    url: str
    headers: dict[str, str]
    body: bytes


class Bench:
    """The receiver's answers are ``statuses`` in order, then 200; what came is in ``received``."""

    def __init__(self, config: ResendSandboxConfig) -> None:
        self.received: list[Delivered] = []
        self.statuses: list[int] = []
        self.app = build_app(config, clock=lambda: BENCH_START, deliver=self._deliver)
        application: Callable[..., Awaitable[None]] = self.app
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=application),
            base_url="http://resend.test",
            headers={"authorization": f"Bearer {DEFAULT_API_KEY}", "user-agent": "shop/1"},
        )

    async def _deliver(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        self.received.append(Delivered(url, dict(headers), body))
        return (self.statuses.pop(0) if self.statuses else 200), b""

    async def control(self, call: str, **order: object) -> dict[str, object]:
        """``POST /_control/<call>``; refusals raise `httpx.HTTPStatusError`."""
        answer = await self.client.post(f"/_control/{call}", json=order)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=dict[str, object])

    async def close(self) -> None:
        stand_in: StandIn = self.app.state.stand_in
        stand_in.state.close()
        await self.client.aclose()

    async def advance(self, seconds: float) -> None:
        await self.control("advance", seconds=seconds)


@asynccontextmanager
async def bench(config: ResendSandboxConfig | None = None) -> AsyncIterator[Bench]:
    """A bench with one receiver and a high rate limit, unless ``config`` says otherwise."""
    chosen = config or ResendSandboxConfig(
        rate_limit=1000, webhooks=(WebhookEndpoint(url=BENCH_WEBHOOK_URL),)
    )
    opened = Bench(chosen)
    try:
        yield opened
    finally:
        await opened.close()
