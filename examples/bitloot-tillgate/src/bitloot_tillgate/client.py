"""The payment gateway port spoken to Tillgate's REST API, version 2."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from bitloot.domain.money import Eur, crypto_number, eur_number, plain
from bitloot.domain.payment import PaymentReport
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.payment_gateway import (
    Asset,
    AssetQuote,
    Forged,
    GatewayCapabilities,
    Malformed,
    NewInvoice,
    NewPayment,
    OpenedInvoice,
    OpenedPayment,
    RefreshedQuote,
    VerifiedPayment,
    WebhookReading,
)
from bitloot_tillgate.door import Answer, Door, Unreached
from bitloot_tillgate.wire import (
    MAX_TEXT,
    NAME,
    Fields,
    Unreadable,
    amount,
    read_object,
    report,
    text,
    ticker,
)

SEAL_HEADER: Final = "tillgate-seal"
MAX_PRECISION: Final = 18
_ID: Final = re.compile(r"[A-Z0-9]{1,32}")

# Tillgate's documented faults in the words of the port.
_REJECTIONS: Final = {
    "too_small": "below_minimum",
    "no_such_coin": "asset_unavailable",
    "bad_field": "invalid",
    "no_such_till": "not_found",
    "no_such_page": "not_found",
    "bad_key": "credentials",
}


class Tillgate:
    """`PaymentGateway`. Holds no state: what is true is asked for."""

    def __init__(self, door: Door, *, seal_secret: str, callback_url: str) -> None:
        self._door = door
        self._seal_secret = seal_secret.encode()
        self._callback_url = callback_url

    @property
    def name(self) -> str:
        """`tillgate`."""
        return NAME

    @property
    def capabilities(self) -> GatewayCapabilities:
        """Hosted pages, and the tills that were opened on one."""
        return GatewayCapabilities(hosted_page=True, lists_by_invoice=True)

    # --- creating: what got lost on the way may have been done ---------------------------

    async def create_payment(self, request: NewPayment) -> OpenedPayment:
        """`POST /tills`. Tillgate knows no idempotency key: a repeat would open a second till."""
        fields = {"coin": request.asset.upper(), **self._about(request)}
        opened = await self._create("/tills", fields, key=request.order_number)
        try:
            till = report(opened)
        except Unreadable:
            raise OutcomeUnknown(NAME, request.order_number, "unreadable") from None
        if not (till.pay_address and till.pay_amount and till.pay_currency):
            raise OutcomeUnknown(NAME, request.order_number, "unreadable")
        return OpenedPayment(
            gateway_payment_id=till.gateway_payment_id,
            status=till.status,
            pay_address=till.pay_address,
            pay_amount=till.pay_amount,
            pay_currency=till.pay_currency,
            payin_extra_id=till.payin_extra_id,
            network=None,
            purchase_id=None,
            is_fixed_rate=False,
            quote_ends_at=till.quote_ends_at,
            valid_until=till.valid_until,
        )

    async def create_invoice(self, request: NewInvoice) -> OpenedInvoice:
        """`POST /pages`."""
        coin = request.asset.upper() if request.asset else None
        fields = {"coin": coin, "back": request.return_url, **self._about(request)}
        opened = await self._create("/pages", fields, key=request.order_number)
        page, link = text(opened.get("page")), text(opened.get("link"))
        if page is None or link is None or not link.startswith("https://"):
            raise OutcomeUnknown(NAME, request.order_number, "unreadable")
        return OpenedInvoice(gateway_invoice_id=page, url=link)

    def _about(self, request: NewPayment | NewInvoice) -> Fields:
        return {
            "reference": request.order_number,
            "price": {"eur": plain(request.price)},
            "about": request.description or request.order_number,
            "notify": self._callback_url,
        }

    async def _create(self, path: str, fields: Fields, *, key: str) -> Fields:
        try:
            answer = await self._door.send("POST", path, fields=fields)
        except Unreached as failure:
            if failure.is_sent:
                raise OutcomeUnknown(NAME, key, failure.reason) from None
            raise Unavailable(NAME, failure.reason) from None
        if answer.status >= 500 and answer.status != 503:
            raise OutcomeUnknown(NAME, key, f"http_{answer.status}")
        if answer.status != 201:
            raise _refusal(answer)
        try:
            return read_object(answer.body)
        except Unreadable:
            raise OutcomeUnknown(NAME, key, "unreadable") from None

    # --- reading: what got lost on the way can be asked again ----------------------------

    async def payment(self, gateway_payment_id: str) -> PaymentReport:
        """`GET /tills/{till}`."""
        return _report(await self._ask(f"/tills/{_id(gateway_payment_id)}"))

    async def payments_of_invoice(self, gateway_invoice_id: str) -> Sequence[PaymentReport]:
        """`GET /pages/{page}/tills`, which gives all of them."""
        listed = (await self._ask(f"/pages/{_id(gateway_invoice_id)}/tills")).get("tills")
        return [_report(till) for till in _objects(listed)]

    async def refresh_quote(self, gateway_payment_id: str) -> RefreshedQuote:
        """`POST /tills/{till}/rate`: a new rate where the old one has ended; may be repeated."""
        till = _report(await self._ask(f"/tills/{_id(gateway_payment_id)}/rate", method="POST"))
        if till.pay_amount is None:
            raise Unavailable(NAME, "unreadable")
        return RefreshedQuote(pay_amount=till.pay_amount, quote_ends_at=till.quote_ends_at)

    async def assets(self) -> Sequence[Asset]:
        """`GET /coins`."""
        found: list[Asset] = []
        for coin in _objects((await self._ask("/coins")).get("coins")):
            code, digits = ticker(coin.get("coin")), coin.get("digits")
            if code and isinstance(digits, int) and 0 <= digits <= MAX_PRECISION:
                name, needs_tag = text(coin.get("name")) or code, coin.get("tag") is True
                found.append(
                    Asset(
                        ticker=code,
                        name=name,
                        network=None,
                        needs_memo=needs_tag,
                        precision=digits,
                    )
                )
        return found

    async def asset_quote(self, amount: Eur, asset: str) -> AssetQuote:
        """`GET /rate?eur=&coin=`."""
        rate = await self._ask("/rate", {"eur": plain(amount), "coin": asset.upper()})
        return AssetQuote(asset=asset, amount=_money(rate, "due"), minimum=_money(rate, "least"))

    async def worth(self, amount: Decimal, asset: str) -> Eur:
        """`GET /worth?amount=&coin=`."""
        worth = await self._ask("/worth", {"amount": plain(amount), "coin": asset.upper()})
        return _money(worth, "eur", eur_number)

    async def check(self) -> None:
        """`GET /me`, which needs the key."""
        await self._ask("/me")

    async def _ask(
        self, path: str, query: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> Fields:
        try:
            answer = await self._door.send(method, path, query=query)
        except Unreached as failure:
            raise Unavailable(NAME, failure.reason) from None
        if answer.status != 200:
            raise _refusal(answer)
        try:
            return read_object(answer.body)
        except Unreadable:
            raise Unavailable(NAME, "unreadable") from None

    # --- callbacks -----------------------------------------------------------------------

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookReading:
        """The seal over the raw bytes first, in constant time; only then is anything read.

        The seal is the base64 of HMAC-SHA-256 under the seal secret. Tillgate repeats a callback
        byte for byte, so the bytes are the key.
        """
        seal = base64.b64encode(hmac.digest(self._seal_secret, body, "sha256"))
        given = headers.get(SEAL_HEADER, "").strip().encode("utf-8", "replace")
        if not hmac.compare_digest(seal, given):
            return Forged("seal")
        try:
            return VerifiedPayment(hashlib.sha256(body).hexdigest(), report(read_object(body)))
        except Unreadable as error:
            return Malformed(str(error))


def _id(identifier: str) -> str:
    """An id that goes into a path. Raises Rejected for what cannot be one of Tillgate's."""
    if not _ID.fullmatch(identifier):
        raise Rejected(NAME, "not_found", "not an id of Tillgate")
    return identifier


def _report(till: Fields) -> PaymentReport:
    try:
        return report(till)
    except Unreadable:
        raise Unavailable(NAME, "unreadable") from None


def _objects(value: object) -> Sequence[Fields]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Unavailable(NAME, "unreadable")
    return value


def _money(
    fields: Fields, name: str, check: Callable[[Decimal], Decimal] = crypto_number
) -> Decimal:
    read = amount(fields.get(name), check)
    if read is None:
        raise Unavailable(NAME, "unreadable")
    return read


def _refusal(answer: Answer) -> Rejected | Unavailable:
    """A documented no, or else a time of absence: a guess would be worse than asking again."""
    try:
        fault = read_object(answer.body)
    except Unreadable:
        fault = {}
    reason = _REJECTIONS.get(text(fault.get("fault")) or "")
    if reason is None or answer.status == 429 or answer.status >= 500:
        return Unavailable(NAME, f"http_{answer.status}", retry_after=answer.retry_after)
    return Rejected(NAME, reason, (text(fault.get("says")) or "")[:MAX_TEXT])
