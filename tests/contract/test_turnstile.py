"""The Turnstile client keeps the contract of captchas, spoken to its stand-in in one process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.captcha import Captcha
from bitloot.testing.captcha import CaptchaContract
from bitloot.testing.seeded import SeededIds
from bitloot_adapters.http import HttpClient
from bitloot_adapters.sandbox.turnstile.app import build_app
from bitloot_adapters.sandbox.turnstile.config import Site, TurnstileSandboxConfig
from bitloot_adapters.turnstile.client import Turnstile

START = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
SITE = Site(site_key="0xsite", secrets=("0xsecret",), hostnames=("shop.example",))


class TurnstileRig:
    """The stand-in at a clock that moves when it is pushed."""

    def __init__(self) -> None:
        config = TurnstileSandboxConfig(sites=(SITE,))
        self.app: Callable[..., Awaitable[None]]
        self.app = build_app(config, clock=lambda: START)
        self._control = httpx.AsyncClient(transport=self._transport(), base_url="http://turnstile")
        self._clients: list[HttpClient] = []
        self.captcha: Captcha = self._opened(SITE.secrets[0])

    def _transport(self) -> httpx.AsyncBaseTransport:
        return httpx.ASGITransport(app=self.app)

    def _opened(self, secret: str) -> Captcha:
        client = HttpClient(
            "http://turnstile",
            limits=Limits(),
            in_transaction=lambda: False,
            headers={},
            transport=self._transport,
        )
        self._clients.append(client)
        return Turnstile(
            client,
            secret=secret,
            site_key=SITE.site_key,
            hostnames=frozenset(SITE.hostnames),
            limits=Limits(),
            new_id=SeededIds(lambda: START, 7),
        )

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        await self._control.aclose()

    async def control(self, path: str, **body: object) -> httpx.Response:
        return (await self._control.post(f"/_control/{path}", json=body)).raise_for_status()

    async def solve(self, action: str) -> str:
        return str((await self.control("tokens", action=action)).json()["token"])

    async def pass_time(self, span: timedelta) -> None:
        await self.control("advance", seconds=span.total_seconds())

    async def go_down(self) -> None:
        await self.control("faults", fault="503", times=1000)

    async def come_back(self) -> None:
        (await self._control.delete("/_control/faults")).raise_for_status()

    async def spoil_credentials(self) -> None:
        self.captcha = self._opened("0xanother")


class TestTurnstile(CaptchaContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[TurnstileRig]:
        rig = TurnstileRig()
        yield rig
        await rig.close()
