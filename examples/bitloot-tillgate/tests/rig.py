"""The rig: the client under test, and the levers of the world that it talks to."""

import json
from datetime import timedelta
from decimal import Decimal

import httpx

from bitloot.domain.limits import Limits
from bitloot.testing import Delivery, VirtualClock
from bitloot_tillgate.client import SEAL_HEADER, Tillgate
from bitloot_tillgate.door import Door
from bitloot_tillgate.wire import STATES
from tillgate_api import TillgateApi

KEY = "tillgate-key-of-the-rig"
SEAL_SECRET = "tillgate-seal-secret-of-the-rig"
BASE_PATH = "/v2"
THEIR_WORDS = {ours: theirs for theirs, ours in STATES.items()}


class Line(httpx.AsyncBaseTransport):
    """The wire to the stand-in, which can be cut before a request and after it."""

    def __init__(self, api: TillgateApi) -> None:
        self._api = api
        self.is_down = False
        self.loses_next_reply = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Everything that httpx would send."""
        body = await request.aread()
        if self.is_down:
            raise httpx.ConnectError("nobody listens", request=request)
        status, fields = self._api.answer(
            request.method,
            request.url.path.removeprefix(BASE_PATH),
            dict(request.url.params),
            {name.lower(): value for name, value in request.headers.items()},
            body,
        )
        if self.loses_next_reply:
            self.loses_next_reply = False
            raise httpx.ReadError("the line was cut", request=request)
        headers = {"content-type": "application/json"}
        return httpx.Response(status, headers=headers, content=json.dumps(fields).encode())


class TillgateRig:
    """A `GatewayRig`. `client` is the class under test, so that broken ones can be put in."""

    asset = "ltc"
    memo_asset = "xrp"

    def __init__(self, client: type[Tillgate] = Tillgate) -> None:
        self._clock = VirtualClock()
        self.api = TillgateApi(api_key=KEY, seal_secret=SEAL_SECRET, clock=self._clock.now)
        self._line = Line(self.api)
        self.door = Door(
            f"https://tillgate.example{BASE_PATH}",
            KEY,
            limits=Limits(),
            in_transaction=lambda: False,
            transport=self._line,
        )
        self.gateway = client(
            self.door,
            seal_secret=SEAL_SECRET,
            callback_url="https://shop.example/v1/webhooks/tillgate",
        )

    async def close(self) -> None:
        await self.door.close()

    # --- the weather ---------------------------------------------------------------------

    async def go_down(self) -> None:
        self._line.is_down = True

    async def come_back(self) -> None:
        self._line.is_down = False

    async def spoil_credentials(self) -> None:
        self.api.api_key = "a-key-that-the-shop-does-not-have"

    async def lose_next_reply(self) -> None:
        self._line.loses_next_reply = True

    async def pass_time(self, span: timedelta) -> None:
        self._clock.advance(span)

    # --- payers and merchant -------------------------------------------------------------

    async def pay(self, gateway_payment_id: str, fraction: Decimal) -> None:
        self.api.pay(gateway_payment_id, fraction)

    async def pay_invoice(self, gateway_invoice_id: str, asset: str) -> None:
        self.api.pay_page(gateway_invoice_id, asset.upper())

    async def redeposit(self, gateway_payment_id: str, fraction: Decimal) -> None:
        self.api.pay_again(gateway_payment_id, fraction)

    async def set_status(self, gateway_payment_id: str, status: str) -> None:
        self.api.tills[gateway_payment_id].state = THEIR_WORDS.get(status, status)

    async def opened(self, order_number: str) -> int:
        return self.api.opened(order_number)

    # --- callbacks -----------------------------------------------------------------------

    async def webhook(self, gateway_payment_id: str) -> Delivery:
        return await self.sign(self.api.callback(gateway_payment_id))

    async def webhook_paid(self, gateway_payment_id: str, paid: str) -> Delivery:
        return await self.sign(self.api.callback(gateway_payment_id, paid))

    async def sign(self, body: bytes) -> Delivery:
        return Delivery({SEAL_HEADER: self.api.seal(body)}, body)
