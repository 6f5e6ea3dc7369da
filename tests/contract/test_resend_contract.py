"""The Resend client keeps the contract of mailers, over HTTP against the stand-in."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal

import httpx
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.mailer import Mailer
from bitloot.testing.mailer import MailerContract
from bitloot.testing.provider_rigs import Delivery
from bitloot_adapters.http import open_client
from bitloot_adapters.resend.client import Resend
from bitloot_adapters.sandbox.resend.bench import (
    BENCH_START,
    BENCH_WEBHOOK_URL,
    Bench,
    bench,
)
from bitloot_adapters.sandbox.resend.config import (
    DEFAULT_API_KEY,
    ResendSandboxConfig,
    WebhookEndpoint,
)
from bitloot_adapters.sandbox.resend.signature import signed_headers

DOWN = 100
PROOF = ("svix-id", "svix-timestamp", "svix-signature")


class ResendRig:
    """The client beside the control door of the stand-in."""

    address = "buyer@mail.example"

    def __init__(self, opened: Bench, endpoint: WebhookEndpoint) -> None:
        self.stand_in = opened
        self.endpoint = endpoint
        self.mailer: Mailer
        self.knows_key = True

    def now(self) -> float:
        return BENCH_START.timestamp()

    async def go_down(self) -> None:
        await self.stand_in.control("faults", op="*", fault="500_before", times=DOWN)

    async def come_back(self) -> None:
        (await self.stand_in.client.delete("/_control/faults")).raise_for_status()

    async def spoil_credentials(self) -> None:
        self.knows_key = False

    async def mails(self) -> Sequence[tuple[str, str]]:
        answer = await self.stand_in.client.get("/_control/mailbox")
        return [(mail["to"][0], mail["subject"]) for mail in answer.json()["mails"]]

    async def lose_next_reply(self) -> None:
        await self.stand_in.control("faults", op="emails.send", fault="drop_after", times=1)

    async def use_up_quota(self) -> None:
        await self.stand_in.control(
            "faults", op="emails.send", fault="error", name="daily_quota_exceeded", times=DOWN
        )

    async def webhook(
        self, provider_id: str, event: Literal["delivered", "bounced", "complained"]
    ) -> Delivery:
        await self.stand_in.control("events", email_id=provider_id, type=f"email.{event}")
        await self.stand_in.control("run")
        sent = self.stand_in.received[-1]
        names = {name.lower(): value for name, value in sent.headers.items()}
        return Delivery({name: names[name] for name in PROOF}, sent.body)

    async def sign(self, body: bytes) -> Delivery:
        headers = signed_headers(
            self.endpoint.secrets, message_id="msg_1", timestamp=int(self.now()), body=body
        )
        names = {name.lower(): value for name, value in headers.items()}
        return Delivery({name: names[name] for name in PROOF}, body)


class ThroughTheBench(httpx.AsyncBaseTransport):
    """Hands requests to the stand-in, with a key that it does not know once that is asked for."""

    def __init__(self, rig: ResendRig) -> None:
        self._rig = rig

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._rig.knows_key:
            request.headers["authorization"] = "Bearer re_another_key"
        answer = await self._rig.stand_in.client.send(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def outside_of_transactions() -> bool:
    return False


class TestResend(MailerContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[ResendRig]:
        endpoint = WebhookEndpoint(url=BENCH_WEBHOOK_URL)
        async with bench(ResendSandboxConfig(rate_limit=1000, webhooks=(endpoint,))) as opened:
            rig = ResendRig(opened, endpoint)
            async with open_client(
                "http://resend.test",
                limits=Limits(),
                in_transaction=outside_of_transactions,
                headers={
                    "authorization": f"Bearer {DEFAULT_API_KEY}",
                    "user-agent": "bitloot-tests",
                    "accept": "application/json",
                },
                transport=lambda: ThroughTheBench(rig),
            ) as http:
                rig.mailer = Resend(
                    http,
                    webhook_secret=endpoint.secrets[0],
                    from_address="Shop <orders@shop.example>",
                    limits=Limits(),
                    per_second=100,
                )
                yield rig
