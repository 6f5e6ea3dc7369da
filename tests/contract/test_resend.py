"""The Resend client keeps the contract of mailers, spoken to its stand-in in one process."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import httpx
import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.mailer import Mailer
from bitloot.testing.mailer import MailerContract
from bitloot.testing.provider_rigs import Delivery
from bitloot_adapters.http import HttpClient
from bitloot_adapters.resend.client import Resend
from bitloot_adapters.sandbox.resend.app import build_app
from bitloot_adapters.sandbox.resend.config import ApiKey, ResendSandboxConfig, WebhookEndpoint
from bitloot_adapters.sandbox.resend.signature import signed_headers

START = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
KEY = "re_key_of_the_rig"
SECRET = "whsec_c2VjcmV0IG9mIHRoZSByaWc="
PROOFS = ("svix-id", "svix-timestamp", "svix-signature")


class Mail(msgspec.Struct):
    to: list[str]
    subject: str


class Mailbox(msgspec.Struct):
    mails: list[Mail]


class Told(msgspec.Struct):
    email_id: str = ""


class Event(msgspec.Struct):
    type: str
    data: Told


class ResendRig:
    """The stand-in at a clock that moves when it is pushed, and what it sent."""

    address = "buyer@mail.example"

    def __init__(self) -> None:
        config = ResendSandboxConfig(
            api_keys=(ApiKey(token=KEY),),
            rate_limit=1000,
            webhooks=(WebhookEndpoint(url="http://shop.example/resend", secrets=(SECRET,)),),
        )
        self._now = START
        self._sandbox = build_app(config, clock=lambda: START, deliver=self._take)
        self.app: Callable[..., Awaitable[None]] = self._sandbox
        self._control = httpx.AsyncClient(transport=self._transport(), base_url="http://resend")
        self._sent: list[Delivery] = []
        self._clients: list[HttpClient] = []
        self.mailer: Mailer = self._opened(KEY)

    def _transport(self) -> httpx.AsyncBaseTransport:
        return httpx.ASGITransport(app=self.app)

    def _opened(self, key: str) -> Mailer:
        client = HttpClient(
            "http://resend",
            limits=Limits(),
            in_transaction=lambda: False,
            headers={"authorization": f"Bearer {key}", "user-agent": "bitloot-rig"},
            transport=self._transport,
        )
        self._clients.append(client)
        return Resend(
            client,
            webhook_secret=SECRET,
            from_address="Shop <orders@shop.example>",
            limits=Limits(),
            per_second=100,
        )

    async def _take(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        assert url.endswith("/resend")
        lower = {name.lower(): value for name, value in headers.items()}
        self._sent.append(Delivery({name: lower[name] for name in PROOFS}, body))
        return 200, b""

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        await self._control.aclose()
        self._sandbox.state.stand_in.state.close()

    async def control(self, path: str, **body: object) -> None:
        (await self._control.post(f"/_control/{path}", json=body)).raise_for_status()

    def now(self) -> float:
        return self._now.timestamp()

    async def mails(self) -> Sequence[tuple[str, str]]:
        answer = await self._control.get("/_control/mailbox")
        listed = msgspec.json.decode(answer.content, type=Mailbox).mails
        return [(mail.to[0], mail.subject) for mail in listed]

    async def go_down(self) -> None:
        await self.control("faults", op="*", fault="503_before", times=1000)

    async def come_back(self) -> None:
        (await self._control.delete("/_control/faults")).raise_for_status()

    async def spoil_credentials(self) -> None:
        self.mailer = self._opened("re_another_key")

    async def lose_next_reply(self) -> None:
        await self.control("faults", op="emails.send", fault="drop_after")

    async def use_up_quota(self) -> None:
        await self.control(
            "faults", op="emails.send", fault="error", name="daily_quota_exceeded", times=1000
        )

    async def webhook(
        self, provider_id: str, event: Literal["delivered", "bounced", "complained"]
    ) -> Delivery:
        await self.control("events", email_id=provider_id, type=f"email.{event}")
        await self.control("advance", seconds=1)
        self._now += timedelta(seconds=1)
        return next(
            sent
            for sent in reversed(self._sent)
            if msgspec.json.decode(sent.body, type=Event)
            == Event(type=f"email.{event}", data=Told(email_id=provider_id))
        )

    async def sign(self, body: bytes) -> Delivery:
        headers = signed_headers(
            [SECRET], message_id="msg_of_the_rig", timestamp=int(self.now()), body=body
        )
        return Delivery(headers, body)


class TestResend(MailerContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[ResendRig]:
        rig = ResendRig()
        yield rig
        await rig.close()
