"""The NOWPayments client keeps the contract of gateways, spoken to its stand-in in one process."""

import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.domain.money import plain
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.testing.payment_gateway import PaymentGatewayContract
from bitloot.testing.provider_rigs import Delivery
from bitloot_adapters.http import HttpClient
from bitloot_adapters.nowpayments.client import NowPayments
from bitloot_adapters.sandbox.nowpayments.app import build_app
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig

START = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
KEY = "nowpayments-key-of-the-rig"
SECRET = "nowpayments-secret-of-the-rig"
ACCOUNT = ("merchant@shop.example", "Password-of-the-rig-1")
LIMITS = Limits(nowpayments_create_per_second=1000, nowpayments_estimate_per_second=1000)


class Listed(msgspec.Struct):
    payments: list[dict[str, object]]


class Counts(msgspec.Struct):
    invoices: int


class Made(msgspec.Struct):
    payment_id: str | int


class NowPaymentsRig:
    """The stand-in at a standing clock, its control door, and the callbacks that it sent."""

    asset = "ltc"
    memo_asset = "xrp"

    def __init__(self) -> None:
        config = NowPaymentsSandboxConfig(
            api_keys=(KEY,),
            ipn_secret=SECRET,
            account_email=ACCOUNT[0],
            account_password=ACCOUNT[1],
        )
        self.app: Callable[..., Awaitable[None]] = build_app(
            config, clock=lambda: START, deliver=self._take
        )
        self._control = httpx.AsyncClient(
            transport=self._transport(), base_url="http://nowpayments", headers={"x-api-key": KEY}
        )
        self._sent: list[Delivery] = []
        self._clients: list[HttpClient] = []
        self.gateway: PaymentGateway = self._opened(KEY)

    def _transport(self) -> httpx.AsyncBaseTransport:
        return httpx.ASGITransport(app=self.app)

    def _opened(self, key: str) -> PaymentGateway:
        client = HttpClient(
            "http://nowpayments/v1",
            limits=LIMITS,
            in_transaction=lambda: False,
            headers={"x-api-key": key},
            transport=self._transport,
        )
        self._clients.append(client)
        return NowPayments(
            client,
            ipn_secret=SECRET,
            callback_url="https://shop.example/v1/webhooks/nowpayments",
            limits=LIMITS,
            email=ACCOUNT[0],
            password=ACCOUNT[1],
        )

    async def _take(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        assert url.endswith("/nowpayments")
        lower = {name.lower(): value for name, value in headers.items()}
        self._sent.append(Delivery({"x-nowpayments-sig": lower["x-nowpayments-sig"]}, body))
        return 200, b""

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        await self._control.aclose()

    async def control(self, path: str, **body: object) -> httpx.Response:
        answer = await self._control.post(f"/_control/{path}", json=body)
        return answer.raise_for_status()

    async def go_down(self) -> None:
        await self.control("faults", op="*", fault="500_before", times=900)

    async def come_back(self) -> None:
        (await self._control.delete("/_control/faults")).raise_for_status()

    async def spoil_credentials(self) -> None:
        self.gateway = self._opened("another-key")

    async def pay(self, gateway_payment_id: str, fraction: Decimal) -> None:
        await self.control(f"payments/{gateway_payment_id}/pay", fraction=plain(fraction))

    async def pay_invoice(self, gateway_invoice_id: str, asset: str) -> None:
        body = {"iid": gateway_invoice_id, "pay_currency": asset}
        answer = await self._control.post("/v1/invoice-payment", json=body)
        made = msgspec.json.decode(answer.raise_for_status().content, type=Made)
        await self.pay(str(made.payment_id), Decimal(1))

    async def redeposit(self, gateway_payment_id: str, fraction: Decimal) -> None:
        await self.control(f"payments/{gateway_payment_id}/redeposit", fraction=plain(fraction))

    async def set_status(self, gateway_payment_id: str, status: str) -> None:
        await self.control(f"payments/{gateway_payment_id}/status", status=status)

    async def pass_time(self, span: timedelta) -> None:
        await self.control("advance", seconds=span.total_seconds())

    async def lose_next_reply(self) -> None:
        await self.control("faults", op="*", fault="drop_after", times=1)

    async def opened(self, order_number: str) -> int:
        paid = await self._control.get("/_control/payments", params={"order_id": order_number})
        state = await self._control.get("/_control/state")
        payments = msgspec.json.decode(paid.content, type=Listed).payments
        return len(payments) + msgspec.json.decode(state.content, type=Counts).invoices

    async def webhook(self, gateway_payment_id: str) -> Delivery:
        status = (await self.gateway.payment(gateway_payment_id)).status
        sent = len(self._sent)
        await self.control(f"payments/{gateway_payment_id}/status", status=status, ipn=True)
        if len(self._sent) == sent:
            await self.control(f"payments/{gateway_payment_id}/resend-ipn")
        return self._sent[-1]

    async def webhook_paid(self, gateway_payment_id: str, paid: str) -> Delivery:
        known = (await self.webhook(gateway_payment_id)).body
        body, changed = re.subn(
            rb'"actually_paid":[^,}]+', f'"actually_paid":{paid}'.encode(), known
        )
        assert changed == 1
        return await self.sign(body)

    async def sign(self, body: bytes) -> Delivery:
        digest = hmac.new(SECRET.encode(), body, hashlib.sha512).hexdigest()
        return Delivery({"x-nowpayments-sig": digest}, body)


class TestNowPayments(PaymentGatewayContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[NowPaymentsRig]:
        rig = NowPaymentsRig()
        yield rig
        await rig.close()
