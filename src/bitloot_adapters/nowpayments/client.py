"""The payment gateway port spoken to NOWPayments."""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur, plain
from bitloot.domain.payment import PaymentReport
from bitloot.ports.clock import BootClock
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
from bitloot_adapters.http import Ambiguous, Answer, HttpClient, NotSent, Pace
from bitloot_adapters.nowpayments import wire
from bitloot_adapters.nowpayments.signature import Unreadable, is_signed, parse_as_javascript

NAME: Final = "nowpayments"
SIGNATURE_HEADER: Final = "x-nowpayments-sig"
LIST_PAGE: Final = 500
# What a page holds where the gateway does not follow what is asked for.
SHORT_PAGE: Final = 10
DEFAULT_PRECISION: Final = 8
MAX_PRECISION: Final = 18
_PAYMENT: Final = wire.reader(wire.WirePayment)
TOKEN_LIFE: Final = 300.0
TOKEN_SLACK: Final = 30.0

# `GET /payment/` asks for a bearer token beside the API key (NOWPayments reference, "Auth").
LISTING_NEEDS: Final = "set BITLOOT_NOWPAYMENTS_EMAIL and BITLOOT_NOWPAYMENTS_PASSWORD"

# What the documented error codes mean to the port; the HTTP status alone is never enough.
_REJECTIONS: Final = {
    "AMOUNT_MINIMAL_ERROR": "below_minimum",
    "CURRENCY_UNAVAILABLE": "asset_unavailable",
    "BAD_CREATE_PAYMENT_REQUEST": "invalid",
    "INVALID_REQUEST_PARAMS": "invalid",
    "INVALID_API_KEY": "credentials",
}
# However paying ends on a hosted page, its payer comes back to the order.
_WAYS_BACK: Final = ("success_url", "cancel_url", "partially_paid_url")
# Some replies lack the code; of an amount below the minimum the message varies.
_WEB_ADDRESS: Final = re.compile(r"https?://[^/]", re.IGNORECASE)
_TOO_SMALL: Final = re.compile(r"less than minimal|too small", re.IGNORECASE)

T = TypeVar("T")


class NowPayments:
    """`PaymentGateway` over the REST API. Opened by the plugin; holds no state but a list token."""

    def __init__(
        self,
        http: HttpClient,
        *,
        ipn_secret: str,
        callback_url: str,
        limits: Limits,
        boot_clock: BootClock = time.monotonic,
        is_fixed_rate: bool = False,
        is_fee_paid_by_user: bool = False,
        outcome_currency: str = "",
        previous_api_keys: Sequence[str] = (),
        is_vendor_sandbox: bool = False,
        email: str = "",
        password: str = "",
    ) -> None:
        self._http = http
        self._ipn_secret = ipn_secret
        self._callback_url = callback_url
        self._boot_clock = boot_clock
        self._flags = {
            "is_fixed_rate": is_fixed_rate or is_fee_paid_by_user,
            "is_fee_paid_by_user": is_fee_paid_by_user,
        }
        self._outcome_currency = outcome_currency.strip().lower()
        self._previous_api_keys = tuple(previous_api_keys)
        self._login = {"email": email, "password": password} if email and password else None
        self._token: tuple[str, float] | None = None
        self._most_listed = limits.payments_per_invoice
        self._list_pages = limits.payments_per_invoice // SHORT_PAGE + 1
        patience = limits.http_read.total_seconds()
        self._create_pace = Pace(limits.nowpayments_create_per_second, patience=patience)
        self._estimate_pace = Pace(limits.nowpayments_estimate_per_second, patience=patience)
        self._capabilities = GatewayCapabilities(
            hosted_page=True,
            lists_by_invoice=self._login is not None,
            reports_zero_paid=is_vendor_sandbox,
            listing_needs="" if self._login else LISTING_NEEDS,
        )

    @property
    def name(self) -> str:
        """`nowpayments`."""
        return NAME

    @property
    def capabilities(self) -> GatewayCapabilities:
        """Hosted pages always; listing by invoice with the e-mail and password settings."""
        return self._capabilities

    async def create_payment(self, request: NewPayment) -> OpenedPayment:
        """`POST /payment`. There is no idempotency key: a repeat would make a second address."""
        body = {
            "price_amount": msgspec.Raw(plain(request.price).encode()),
            "price_currency": "eur",
            "pay_currency": request.asset,
            "order_id": request.order_number,
            "order_description": request.description or request.order_number,
            "ipn_callback_url": self._callback_url,
            **self._flags,
        }
        answer = await self._create("/payment", body, key=request.order_number)
        read = _read(answer, wire.WirePayment)
        if read is None or (opened := _opened(read)) is None:
            raise OutcomeUnknown(NAME, request.order_number, "unreadable_answer")
        return opened

    async def create_invoice(self, request: NewInvoice) -> OpenedInvoice:
        """`POST /invoice`: a hosted page that never expires and can carry many payments."""
        body = {
            "price_amount": msgspec.Raw(plain(request.price).encode()),
            "price_currency": "eur",
            "order_id": request.order_number,
            "order_description": request.description or request.order_number,
            "ipn_callback_url": self._callback_url,
            **({"pay_currency": request.asset} if request.asset else {}),
            **(dict.fromkeys(_WAYS_BACK, request.return_url) if request.return_url else {}),
            **self._flags,
        }
        answer = await self._create("/invoice", body, key=request.order_number)
        read = _read(answer, wire.WireInvoice)
        invoice_id, url = (
            (wire.text(read.id), wire.text(read.invoice_url)) if read else (None, None)
        )
        if invoice_id is None or url is None or not _WEB_ADDRESS.match(url):
            raise OutcomeUnknown(NAME, request.order_number, "unreadable_answer")
        return OpenedInvoice(gateway_invoice_id=invoice_id, url=url)

    async def _create(self, path: str, body: Mapping[str, object], *, key: str) -> Answer:
        """A creating call: anything but a 2xx or a documented refusal leaves it unknown."""
        try:
            await self._create_pace.turn()
            answer = await self._http.send("POST", path, body=msgspec.json.encode(body))
        except NotSent as error:
            raise Unavailable(NAME, error.reason) from None
        except Ambiguous as error:
            raise OutcomeUnknown(NAME, key, error.reason) from None
        if answer.status in {200, 201}:
            return answer
        refused = _refusal(answer)
        if isinstance(refused, Rejected) or answer.status in {403, 429}:
            raise refused
        raise OutcomeUnknown(NAME, key, f"http_{answer.status}")

    async def payment(self, gateway_payment_id: str) -> PaymentReport:
        """`GET /payment/{id}`. A payment made with another key answers 404."""
        answer = await self._of_payment("GET", gateway_payment_id)
        read = _must_read(answer, wire.WirePayment)
        report = wire.report(NAME, read)
        if report is None or report.gateway_payment_id != gateway_payment_id:
            raise Unavailable(NAME, "unreadable_answer")
        return report

    async def payments_of_invoice(self, gateway_invoice_id: str) -> Sequence[PaymentReport]:
        """`GET /payment/?invoiceId=`, page by page (they count from 0, 500 payments each).

        It wants a short-lived token besides the key.
        """
        if self._login is None:
            return ()
        wanted = {"invoiceId": _digits(gateway_invoice_id), "limit": str(LIST_PAGE)}
        wanted |= {"sortBy": "created_at", "orderBy": "asc"}
        found: list[wire.WirePayment] = []
        for page in range(self._list_pages):
            read = await self._list_page({**wanted, "page": str(page)})
            found += read.payments()
            is_last = not read.data or page + 1 >= read.pages(LIST_PAGE)
            if is_last or len(found) > self._most_listed:
                break
        else:
            # It never ends, nor does it come to anything.
            raise Unavailable(NAME, "unreadable_answer")
        reports = (wire.report(NAME, item) for item in found)
        # The filter is not trusted: a payment that names another page is none of this one.
        ours = {None, gateway_invoice_id}
        return tuple(each for each in reports if each and each.gateway_invoice_id in ours)

    async def _list_page(self, query: Mapping[str, str]) -> wire.WireList:
        answer = await self._list(query)
        if answer.status == 401:
            self._token = None
            answer = await self._list(query)
        if answer.status != 200:
            raise _refusal(answer)
        return _must_read(answer, wire.WireList)

    async def _list(self, query: Mapping[str, str]) -> Answer:
        headers = {"authorization": f"Bearer {await self._list_token()}"}
        return await self._send("GET", "/payment/", query=query, headers=headers)

    async def _list_token(self) -> str:
        if self._token is None or self._boot_clock() >= self._token[1]:
            answer = await self._send("POST", "/auth", body=msgspec.json.encode(self._login))
            if answer.status not in {200, 201}:
                raise _refusal(answer)
            token = _must_read(answer, wire.WireToken).bearer()
            if token is None:
                raise Unavailable(NAME, "unreadable_answer")
            self._token = (token, self._boot_clock() + TOKEN_LIFE - TOKEN_SLACK)
        return self._token[0]

    async def refresh_quote(self, gateway_payment_id: str) -> RefreshedQuote:
        """`POST /payment/{id}/update-merchant-estimate`; harmless to repeat."""
        then = "/update-merchant-estimate"
        answer = await self._of_payment("POST", gateway_payment_id, then, body=b"{}")
        read = _must_read(answer, wire.WireRequote)
        amount = wire.amount(read.pay_amount)
        if not amount:
            raise Unavailable(NAME, "unreadable_answer")
        return RefreshedQuote(
            pay_amount=amount, quote_ends_at=wire.moment(read.expiration_estimate_date)
        )

    async def assets(self) -> Sequence[Asset]:
        """What the merchant ticked in the dashboard, with the metadata of `/full-currencies`."""
        coins = _must_read(await self._get("/full-currencies"), wire.WireCoins).coins()
        selection = _must_read(await self._get("/merchant/coins"), wire.WireSelection)
        chosen = selection.tickers()
        found = (
            Asset(
                ticker=ticker,
                name=wire.text(coin.name) or ticker.upper(),
                network=wire.ticker(coin.network),
                needs_memo=wire.flag(coin.extra_id_exists, unsaid=False),
                precision=_precision(coin),
            )
            for coin in coins
            if (ticker := wire.ticker(coin.code)) in chosen
            and ticker is not None
            and wire.flag(coin.enable, unsaid=True)
            and wire.flag(coin.available_for_payment, unsaid=True)
        )
        return tuple({each.ticker: each for each in found}.values())

    async def asset_quote(self, amount: Eur, asset: str) -> AssetQuote:
        """`GET /estimate` and `GET /min-amount`, asked with the flags that the payment will use.

        The minimum depends on what the shop is paid out in. Without `currency_to` the gateway
        takes the merchant's outcome wallet; of several wallets the settings name the one.
        """
        estimate = await self._estimate(plain(amount), "eur", asset)
        query = {"currency_from": asset, **{name: str(on) for name, on in self._flags.items()}}
        if self._outcome_currency:
            query["currency_to"] = self._outcome_currency
        answer = await self._get("/min-amount", query)
        minimum = wire.about(_must_read(answer, wire.WireMinimum).min_amount)
        if minimum is None:
            raise Unavailable(NAME, "unreadable_answer")
        return AssetQuote(asset=asset, amount=estimate, minimum=minimum)

    async def worth(self, amount: Decimal, asset: str) -> Eur:
        """`GET /estimate` the other way round: what a crypto amount comes to in EUR now."""
        return await self._estimate(plain(amount), asset, "eur")

    async def _estimate(self, amount: str, source: str, target: str) -> Decimal:
        try:
            await self._estimate_pace.turn()
        except NotSent as error:
            raise Unavailable(NAME, error.reason) from None
        query = {"amount": amount, "currency_from": source, "currency_to": target}
        read = _must_read(await self._get("/estimate", query), wire.WireEstimate)
        estimated = wire.about(read.estimated_amount)
        if estimated is None:
            raise Unavailable(NAME, "unreadable_answer")
        return estimated

    async def check(self) -> None:
        """`GET /status`, then a read that needs the key."""
        answer = await self._send("GET", "/status")
        if answer.status != 200:
            raise _refusal(answer)
        await self._get("/merchant/coins")

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookReading:
        """The signature first, over the raw bytes; then the report, read leniently."""
        if not is_signed(body, headers.get(SIGNATURE_HEADER, ""), self._ipn_secret):
            return Forged("signature")
        try:
            parse_as_javascript(body)
            read = wire.decode(body, _PAYMENT)
        except (Unreadable, msgspec.DecodeError, RecursionError):
            return Malformed("body")
        report = wire.report(NAME, read)
        if report is None:
            return Malformed("payment_id or payment_status is missing")
        return VerifiedPayment(hashlib.sha256(body).hexdigest(), report)

    async def _of_payment(
        self, method: str, gateway_payment_id: str, then: str = "", *, body: bytes | None = None
    ) -> Answer:
        """About one payment, which may have been made with a key of before."""
        path = f"/payment/{_digits(gateway_payment_id)}{then}"
        answer = await self._send(method, path, body=body)
        for key in self._previous_api_keys:
            if answer.status != 404:
                break
            told = await self._send(method, path, body=body, headers={"x-api-key": key})
            if told.status in {200, 201}:
                answer = told
            elif isinstance(absent := _refusal(told), Unavailable):
                # The payment may be this key's: that nobody knows it has not been said.
                raise absent
            # A key that is refused by now says nothing of the payment.
        if answer.status not in {200, 201}:
            raise _refusal(answer)
        return answer

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        answer = await self._send("GET", path, query=query)
        if answer.status != 200:
            raise _refusal(answer)
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A call that is safe to repeat: whatever goes wrong on the way is a time of absence."""
        try:
            return await self._http.send(method, path, query=query, body=body, headers=headers)
        except (NotSent, Ambiguous) as error:
            raise Unavailable(NAME, error.reason) from None


def _opened(read: wire.WirePayment) -> OpenedPayment | None:
    payment_id, address = wire.text(read.payment_id), wire.text(read.pay_address)
    amount, currency = wire.amount(read.pay_amount), wire.ticker(read.pay_currency)
    if payment_id is None or address is None or not amount or currency is None:
        return None
    return OpenedPayment(
        gateway_payment_id=payment_id,
        status=(wire.text(read.payment_status) or "waiting").lower(),
        pay_address=address,
        pay_amount=amount,
        pay_currency=currency,
        payin_extra_id=wire.text(read.payin_extra_id),
        network=wire.ticker(read.network),
        purchase_id=wire.text(read.purchase_id),
        is_fixed_rate=wire.flag(read.is_fixed_rate, unsaid=False),
        quote_ends_at=wire.moment(read.expiration_estimate_date),
        valid_until=wire.moment(read.valid_until),
    )


def _precision(coin: wire.WireCoin) -> int:
    """`network_precision` is a number, a text of one, or nothing."""
    read = wire.text(coin.network_precision)
    if read is None or not (read.isascii() and read.isdigit()) or int(read) > MAX_PRECISION:
        return DEFAULT_PRECISION
    return int(read)


def _digits(identifier: str) -> str:
    """An id that goes into a path: digits only, as all of the gateway's are."""
    if not (identifier.isascii() and identifier.isdigit()):
        raise Rejected(NAME, "not_found", "not an id of this gateway")
    return identifier


def _read(answer: Answer, shape: type[T]) -> T | None:
    try:
        return wire.decode(answer.body, wire.reader(shape))
    except (msgspec.DecodeError, RecursionError):
        return None


def _must_read(answer: Answer, shape: type[T]) -> T:
    read = _read(answer, shape)
    if read is None:
        raise Unavailable(NAME, "unreadable_answer")
    return read


def _refusal(answer: Answer) -> Rejected | Unavailable:
    """A documented no, or a time of absence. HTML comes from a proxy in front of the gateway.

    What an answer is, its body says: the media type of a proxy's page may be that of the gateway.
    """
    told = _read(answer, wire.WireError)
    error = told or wire.WireError()
    code, said = wire.text(error.code) or "", wire.text(error.message) or ""
    if answer.status == 429 or answer.status >= 500:
        return Unavailable(NAME, f"http_{answer.status}", retry_after=answer.retry_after())
    if not code and answer.status == 400 and _TOO_SMALL.search(said):
        code = "AMOUNT_MINIMAL_ERROR"
    if reason := _REJECTIONS.get(code.upper()):
        return Rejected(NAME, reason, said)
    if answer.status == 404 and (told is not None or not answer.body.strip()):
        return Rejected(NAME, "not_found", said)
    # An invalid key is a 403; one in HTML comes from the edge in front, in bursts.
    if answer.status == 401 or (answer.status == 403 and told is not None):
        return Rejected(NAME, "credentials", said)
    if answer.status == 400 and told is not None:
        return Rejected(NAME, "invalid", said)
    return Unavailable(NAME, f"http_{answer.status}")
