"""The NOWPayments client keeps the contract of payment gateways, over HTTP against the stand-in."""

import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.testing.payment_gateway import PaymentGatewayContract
from bitloot.testing.provider_rigs import Delivery
from bitloot_adapters.http import open_client
from bitloot_adapters.nowpayments.client import SIGNATURE_HEADER, NowPayments
from bitloot_adapters.nowpayments.signature import Unreadable, parse_as_javascript, stringify
from bitloot_adapters.sandbox.nowpayments.bench import CALLBACK, Bench, bench
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig

SECRET = "the-ipn-secret-of-this-test"


class NowPaymentsRig:
    """The client beside the control door of the stand-in."""

    asset = "ltc"
    memo_asset = "xrp"

    def __init__(self, opened: Bench, gateway: PaymentGateway) -> None:
        self.stand_in = opened
        self.gateway = gateway

    async def go_down(self) -> None:
        await self.stand_in.control("faults", op="*", fault="500_before", times=1000)

    async def come_back(self) -> None:
        (await self.stand_in.client.delete("/_control/faults")).raise_for_status()

    async def spoil_credentials(self) -> None:
        await self.stand_in.control("config", api_keys=["ANOTHER-KEY-000000000000"])

    async def pay(self, gateway_payment_id: str, fraction: Decimal) -> None:
        await self.stand_in.control(f"payments/{gateway_payment_id}/pay", fraction=str(fraction))

    async def pay_invoice(self, gateway_invoice_id: str, asset: str) -> None:
        chosen = {"iid": gateway_invoice_id, "pay_currency": asset}
        answer = await self.stand_in.client.post("/v1/invoice-payment", json=chosen)
        answer.raise_for_status()
        await self.pay(str(answer.json()["payment_id"]), Decimal(1))

    async def redeposit(self, gateway_payment_id: str, fraction: Decimal) -> None:
        path = f"payments/{gateway_payment_id}/redeposit"
        await self.stand_in.control(path, fraction=str(fraction))

    async def set_status(self, gateway_payment_id: str, status: str) -> None:
        await self.stand_in.control(f"payments/{gateway_payment_id}/status", status=status)

    async def pass_time(self, span: timedelta) -> None:
        await self.stand_in.control("advance", seconds=span.total_seconds())

    async def lose_next_reply(self) -> None:
        await self.stand_in.control("faults", op="*", fault="drop_after", times=1)

    async def opened(self, order_number: str) -> int:
        query = {"order_id": order_number}
        payments = await self.stand_in.client.get("/_control/payments", params=query)
        state = await self.stand_in.client.get("/_control/state")
        # A test opens payments and invoices of one order only.
        return len(payments.json()["payments"]) + int(state.json()["invoices"])

    async def webhook(self, gateway_payment_id: str) -> Delivery:
        answer = await self.stand_in.client.get(f"/v1/payment/{gateway_payment_id}")
        return await self.sign(answer.content)

    async def webhook_paid(self, gateway_payment_id: str, paid: str) -> Delivery:
        answer = await self.stand_in.client.get(f"/v1/payment/{gateway_payment_id}")
        text = re.sub(r'(?<="actually_paid":)[^,}]*', lambda _: paid, answer.text)
        assert f'"actually_paid":{paid}' in text
        return await self.sign(text.encode())

    async def sign(self, body: bytes) -> Delivery:
        try:
            signed = stringify(parse_as_javascript(body)).encode()
        except Unreadable:
            signed = body
        code = hmac.new(SECRET.encode(), signed, hashlib.sha512).hexdigest()
        return Delivery({SIGNATURE_HEADER: code}, body)


def outside_of_transactions() -> bool:
    return False


class TestNowPayments(PaymentGatewayContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[NowPaymentsRig]:
        config = NowPaymentsSandboxConfig(ipn_secret=SECRET)
        async with (
            bench(config) as opened,
            open_client(
                "http://nowpayments.example/v1",
                limits=Limits(),
                in_transaction=outside_of_transactions,
                headers={"x-api-key": config.api_keys[0], "accept": "application/json"},
                transport=lambda: httpx.ASGITransport(app=opened.app),
            ) as http,
        ):
            gateway = NowPayments(
                http,
                ipn_secret=SECRET,
                callback_url=CALLBACK,
                limits=Limits(),
                email=config.account_email,
                password=config.account_password,
            )
            yield NowPaymentsRig(opened, gateway)
