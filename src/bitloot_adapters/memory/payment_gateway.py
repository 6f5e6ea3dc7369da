"""A crypto payment gateway in memory, with the levers of payers, merchant and weather."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Final

import msgspec

from bitloot.domain.money import (
    LEDGER_STEP,
    ZERO,
    BadMoney,
    Eur,
    crypto_number,
    eur_number,
    money_context,
    plain,
)
from bitloot.domain.payment import PaymentReport
from bitloot.ports.clock import Clock, RandomBytes
from bitloot.ports.errors import Rejected
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
from bitloot_adapters.memory.faults import Faults, never_in_transaction
from bitloot_adapters.memory.signed_json import (
    SIGNATURE_HEADER,
    Fields,
    Unreadable,
    digest,
    is_signed,
    number,
    read_object,
    signature,
    text,
)

FIRST_ID: Final = 5_000_000_001
QUOTE_LIFE: Final = timedelta(minutes=20)
PAYMENT_LIFE: Final = timedelta(days=7)
SECRET_BYTES: Final = 32


class Market(msgspec.Struct, frozen=True):
    """An asset, what one of it is worth in EUR, and the least that can be paid in it."""

    asset: Asset
    eur: Decimal
    minimum: Decimal


def _market(
    ticker: str, name: str, eur: str, minimum: str, precision: int, *, needs_memo: bool = False
) -> Market:
    asset = Asset(
        ticker=ticker, name=name, network=ticker, needs_memo=needs_memo, precision=precision
    )
    return Market(asset, Decimal(eur), Decimal(minimum))


MARKETS: Final = (
    _market("btc", "Bitcoin", "60000", "0.00002", 8),
    _market("eth", "Ethereum", "2500", "0.0005", 18),
    _market("ltc", "Litecoin", "80", "0.005", 8),
    _market("xrp", "XRP", "0.5", "1", 6, needs_memo=True),
    _market("usdttrc20", "Tether", "0.9", "2", 6),
)


class MemoryPaymentGateway:
    """Knows its payments; asks the passed clock what time it is. `faults` holds the weather."""

    def __init__(
        self,
        *,
        clock: Clock,
        random_bytes: RandomBytes,
        name: str = "memory",
        markets: Iterable[Market] = MARKETS,
        in_transaction: Callable[[], bool] = never_in_transaction,
    ) -> None:
        self._name: Final = name
        self._clock = clock
        self._random_bytes = random_bytes
        self._secret = random_bytes(SECRET_BYTES)
        self._markets = {market.asset.ticker: market for market in markets}
        self._payments: dict[str, PaymentReport] = {}
        self._invoices: dict[str, NewInvoice] = {}
        self._last_id = FIRST_ID - 1
        # Off: the settings that listing the payments of a page needs are not there.
        self.lists_by_invoice = True
        # Payments that are listed, but never shown.
        self.unreadable: set[str] = set()
        self.faults: Final = Faults(name, in_transaction=in_transaction)

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self._name

    @property
    def capabilities(self) -> GatewayCapabilities:
        """Everything that is switched on."""
        return GatewayCapabilities(hosted_page=True, lists_by_invoice=self.lists_by_invoice)

    # --- the port ------------------------------------------------------------------------

    async def create_payment(self, request: NewPayment) -> OpenedPayment:
        """Open a payment."""
        self.faults.arrive(key=request.order_number)
        report = self._open(request.order_number, request.price, request.asset)
        self.faults.leave(key=request.order_number)
        assert report.pay_address is not None
        assert report.pay_amount is not None
        assert report.pay_currency is not None
        return OpenedPayment(
            gateway_payment_id=report.gateway_payment_id,
            status=report.status,
            pay_address=report.pay_address,
            pay_amount=report.pay_amount,
            pay_currency=report.pay_currency,
            payin_extra_id=report.payin_extra_id,
            network=report.network,
            purchase_id=report.purchase_id,
            is_fixed_rate=False,
            quote_ends_at=report.quote_ends_at,
            valid_until=report.valid_until,
        )

    async def create_invoice(self, request: NewInvoice) -> OpenedInvoice:
        """Open a hosted page."""
        self.faults.arrive(key=request.order_number)
        if request.price <= ZERO:
            raise Rejected(self._name, "invalid", "price")
        if request.asset is not None:
            self._known(request.asset)
        invoice_id = self._next_id()
        self._invoices[invoice_id] = request
        self.faults.leave(key=request.order_number)
        url = f"https://pay.memory.example/i/{invoice_id}"
        return OpenedInvoice(gateway_invoice_id=invoice_id, url=url)

    async def payment(self, gateway_payment_id: str) -> PaymentReport:
        """A payment now."""
        self.faults.arrive()
        if gateway_payment_id in self.unreadable:
            raise Rejected(self._name, "invalid")
        return self._now(gateway_payment_id)

    async def payments_of_invoice(self, gateway_invoice_id: str) -> Sequence[PaymentReport]:
        """The payments of a hosted page."""
        self.faults.arrive()
        return [
            self._now(report.gateway_payment_id)
            for report in self._payments.values()
            if report.gateway_invoice_id == gateway_invoice_id
        ]

    async def refresh_quote(self, gateway_payment_id: str) -> RefreshedQuote:
        """A new amount once the quote ended."""
        self.faults.arrive()
        report = self._now(gateway_payment_id)
        now = self._clock()
        if report.status == "waiting" and report.quote_ends_at and report.quote_ends_at <= now:
            assert report.price_amount is not None
            assert report.pay_currency is not None
            report = self._put(
                report,
                pay_amount=self._converted(report.price_amount, report.pay_currency),
                quote_ends_at=now + QUOTE_LIFE,
            )
        assert report.pay_amount is not None
        return RefreshedQuote(pay_amount=report.pay_amount, quote_ends_at=report.quote_ends_at)

    async def assets(self) -> Sequence[Asset]:
        """What can be paid with."""
        self.faults.arrive()
        return [market.asset for market in self._markets.values()]

    async def asset_quote(self, amount: Eur, asset: str) -> AssetQuote:
        """Estimate and minimum."""
        self.faults.arrive()
        market = self._known(asset)
        estimate = self._converted(amount, asset)
        return AssetQuote(asset=asset, amount=estimate, minimum=market.minimum)

    async def worth(self, amount: Decimal, asset: str) -> Eur:
        """What a crypto amount is worth."""
        self.faults.arrive()
        with localcontext(money_context()):
            return (amount * self._known(asset).eur).quantize(LEDGER_STEP)

    async def check(self) -> None:
        """Reach the gateway."""
        self.faults.arrive()

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookReading:
        """The signature first, then the report."""
        if not is_signed(self._secret, headers, body):
            return Forged("signature")
        try:
            report = self._read(read_object(body))
        except Unreadable as error:
            return Malformed(str(error))
        return VerifiedPayment(digest(body), report)

    # --- the levers ----------------------------------------------------------------------

    def set_rate(self, ticker: str, eur: Decimal) -> None:
        """What one of an asset is worth from now on."""
        self._markets[ticker] = msgspec.structs.replace(self._markets[ticker], eur=eur)

    def of_order(self, order_number: str) -> Sequence[PaymentReport]:
        """All payments that were opened for an order."""
        return [p for p in self._payments.values() if p.order_number == order_number]

    def opened(self, order_number: str) -> int:
        """How many payments and invoices were opened for an order."""
        invoices = sum(i.order_number == order_number for i in self._invoices.values())
        return len(self.of_order(order_number)) + invoices

    def pay(
        self,
        gateway_payment_id: str,
        fraction: Decimal = Decimal(1),
        *,
        status: str | None = None,
    ) -> PaymentReport:
        """`fraction` of the amount arrives; `status` is where that leads, by default to the end."""
        report = self._now(gateway_payment_id)
        assert report.pay_amount is not None
        with localcontext(money_context()):
            paid = report.pay_amount * fraction
            total = (report.actually_paid or ZERO) + paid
        ending = "finished" if total >= report.pay_amount else "partially_paid"
        return self._put(
            report,
            status=status or ending,
            actually_paid=total,
            outcome_amount=total,
            outcome_currency=report.pay_currency,
            payin_hash=report.payin_hash or self._random_bytes(32).hex(),
        )

    def move(self, gateway_payment_id: str, status: str) -> PaymentReport:
        """Any status, without money moving."""
        return self._put(self._now(gateway_payment_id), status=status)

    def pay_invoice(
        self, gateway_invoice_id: str, asset: str, fraction: Decimal = Decimal(1)
    ) -> PaymentReport:
        """Somebody chooses an asset on the hosted page and pays."""
        invoice = self._invoices[gateway_invoice_id]
        report = self._open(invoice.order_number, invoice.price, asset)
        self._put(report, gateway_invoice_id=gateway_invoice_id)
        return self.pay(report.gateway_payment_id, fraction)

    def redeposit(
        self, gateway_payment_id: str, amount: Decimal, *, asset: str | None = None
    ) -> PaymentReport:
        """A further deposit to the same address: a child payment; another asset needs a person."""
        parent = self._now(gateway_payment_id)
        assert parent.pay_currency is not None
        is_other = asset is not None and asset != parent.pay_currency
        child_id = self._next_id()
        child = msgspec.structs.replace(
            parent,
            gateway_payment_id=child_id,
            parent_payment_id=gateway_payment_id,
            status="wrong_asset_confirmed" if is_other else "finished",
            pay_amount=amount,
            actually_paid=amount,
            pay_currency=asset or parent.pay_currency,
            child_payment_ids=(),
        )
        self._put(parent, child_payment_ids=(*parent.child_payment_ids, child_id))
        return self._put(child)

    def webhook(
        self, gateway_payment_id: str, **raw: str | None
    ) -> tuple[Mapping[str, str], bytes]:
        """The callback of a payment as it stands; `raw` are JSON texts put in place of fields."""
        report = self._now(gateway_payment_id)
        fields = {
            name: _json_text(getattr(report, name))
            for name in report.__struct_fields__
            if name != "gateway"
        }
        fields.update({name: value or "null" for name, value in raw.items()})
        body = "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"
        return self.sign(body.encode()), body.encode()

    def sign(self, body: bytes) -> Mapping[str, str]:
        """The headers of a callback with these bytes."""
        return {SIGNATURE_HEADER: signature(self._secret, body)}

    # --- inside --------------------------------------------------------------------------

    def _open(self, order_number: str, price: Eur, ticker: str) -> PaymentReport:
        market = self._known(ticker)
        if price <= ZERO or not order_number:
            raise Rejected(self._name, "invalid", "price")
        amount = self._converted(price, ticker)
        if amount < market.minimum:
            raise Rejected(self._name, "below_minimum")
        now = self._clock()
        return self._put(
            PaymentReport(
                gateway=self._name,
                gateway_payment_id=self._next_id(),
                status="waiting",
                order_number=order_number,
                price_amount=price,
                price_currency="eur",
                pay_amount=amount,
                pay_currency=ticker,
                pay_address=f"{ticker}1{self._random_bytes(16).hex()}",
                payin_extra_id=str(self._last_id) if market.asset.needs_memo else None,
                network=market.asset.network,
                purchase_id=self._next_id(),
                quote_ends_at=now + QUOTE_LIFE,
                valid_until=now + PAYMENT_LIFE,
            )
        )

    def _next_id(self) -> str:
        self._last_id += 1
        return str(self._last_id)

    def _known(self, ticker: str) -> Market:
        market = self._markets.get(ticker)
        if market is None:
            raise Rejected(self._name, "asset_unavailable")
        return market

    def _converted(self, amount: Eur, ticker: str) -> Decimal:
        market = self._known(ticker)
        with localcontext(money_context()):
            step = Decimal(1).scaleb(-market.asset.precision)
            return (amount / market.eur).quantize(step, rounding=ROUND_CEILING)

    def _now(self, gateway_payment_id: str) -> PaymentReport:
        report = self._payments.get(gateway_payment_id)
        if report is None:
            raise Rejected(self._name, "not_found")
        if (
            report.status == "waiting"
            and report.valid_until
            and report.valid_until <= self._clock()
        ):
            report = self._put(report, status="expired")
        return report

    def _put(self, report: PaymentReport, **fields: object) -> PaymentReport:
        stored = msgspec.structs.replace(report, **fields)
        self._payments[stored.gateway_payment_id] = stored
        return stored

    def _read(self, fields: Fields) -> PaymentReport:
        payment_id, status = text(fields.get("gateway_payment_id")), text(fields.get("status"))
        if payment_id is None or status is None:
            raise Unreadable("no payment or no status")
        children = fields.get("child_payment_ids")
        listed = children if isinstance(children, list) else []
        return PaymentReport(
            gateway=self._name,
            gateway_payment_id=payment_id,
            status=status.lower(),
            order_number=text(fields.get("order_number")),
            gateway_invoice_id=text(fields.get("gateway_invoice_id")),
            parent_payment_id=text(fields.get("parent_payment_id")),
            price_amount=_amount(fields.get("price_amount"), eur_number),
            price_currency=_lower(fields.get("price_currency")),
            pay_amount=_amount(fields.get("pay_amount"), crypto_number),
            pay_currency=_lower(fields.get("pay_currency")),
            pay_address=text(fields.get("pay_address")),
            payin_extra_id=text(fields.get("payin_extra_id")),
            network=_lower(fields.get("network")),
            purchase_id=text(fields.get("purchase_id")),
            actually_paid=_amount(fields.get("actually_paid"), crypto_number),
            outcome_amount=_amount(fields.get("outcome_amount"), crypto_number),
            outcome_currency=_lower(fields.get("outcome_currency")),
            payin_hash=text(fields.get("payin_hash")),
            child_payment_ids=tuple(found for child in listed if (found := text(child))),
            quote_ends_at=_moment(fields.get("quote_ends_at")),
            valid_until=_moment(fields.get("valid_until")),
        )


def _json_text(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    return msgspec.json.encode(value).decode()


def _amount(value: object, check: Callable[[Decimal], Decimal]) -> Decimal | None:
    """An amount that no money can be counts as absent: it must never equal what was asked for."""
    read = number(value)
    try:
        return None if read is None else check(read)
    except BadMoney:
        return None


def _lower(value: object) -> str | None:
    read = text(value)
    return read.lower() if read else None


def _moment(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
