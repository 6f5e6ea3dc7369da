"""A stand-in on the bench: called in-process, and time stands until it is pushed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import msgspec

from bitloot_adapters.sandbox.turnstile.app import build_app
from bitloot_adapters.sandbox.turnstile.config import TurnstileSandboxConfig
from bitloot_adapters.sandbox.turnstile.siteverify import PATH

BENCH_START = datetime(2026, 1, 15, 8, 30, 0, 123456, tzinfo=UTC)


class Bench:
    """One stand-in and a client of it."""

    def __init__(self, config: TurnstileSandboxConfig) -> None:
        self.app = build_app(config, clock=lambda: BENCH_START)
        application: Callable[..., Awaitable[None]] = self.app
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=application), base_url="http://turnstile.test"
        )

    async def control(self, call: str, **order: object) -> dict[str, object]:
        """``POST /_control/<call>``; refusals raise `httpx.HTTPStatusError`."""
        answer = await self.client.post(f"/_control/{call}", json=order)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=dict[str, object])

    async def token(self, **order: object) -> str:
        """What a widget would put into the form."""
        return str((await self.control("tokens", **order))["token"])

    async def verify(self, **fields: str) -> dict[str, object]:
        """The answer to a form."""
        answer = await self.client.post(PATH, data=fields)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=dict[str, object])


@asynccontextmanager
async def bench(config: TurnstileSandboxConfig | None = None) -> AsyncIterator[Bench]:
    """A bench with the default site, unless ``config`` says otherwise."""
    opened = Bench(config or TurnstileSandboxConfig())
    try:
        yield opened
    finally:
        await opened.client.aclose()
