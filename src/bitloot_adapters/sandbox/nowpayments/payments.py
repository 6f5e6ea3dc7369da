"""Creating payments and invoices, and quoting them anew."""

from datetime import timedelta
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from bitloot_adapters.sandbox.nowpayments.currencies import Coin
from bitloot_adapters.sandbox.nowpayments.errors import (
    bad_create,
    below_minimum,
    currency_off,
    not_found,
)
from bitloot_adapters.sandbox.nowpayments.rates import CAP_USD
from bitloot_adapters.sandbox.nowpayments.records import Invoice, Payment
from bitloot_adapters.sandbox.nowpayments.request_fields import Fields
from bitloot_adapters.sandbox.nowpayments.transitions import schedule_chain, schedule_expiry
from bitloot_adapters.sandbox.nowpayments.world import World

CASES: Final = ("success", "common", "partially_paid", "failed")
_HALF: Final = Decimal("0.5")


def create_payment(world: World, fields: Fields, owner: str) -> Payment:
    """`POST /payment`: every call makes another payment with another address.

    Raises:
        ApiError: 400 with the vendor's code for what is wrong.

    """
    case = fields.choice("case", CASES, "")
    if fields.has("payout_address") and not fields.has("payout_currency"):
        raise bad_create("payout_currency is required when payout_address is given")
    payment = _new_payment(
        world,
        fields,
        owner,
        price=(fields.required_amount("price_amount"), fields.currency("price_currency")),
        fixed_rate=fields.flag("is_fixed_rate"),
        fee_by_payer=fields.flag("is_fee_paid_by_user"),
    )
    payment = replace(
        payment,
        order_id=fields.text("order_id"),
        order_description=fields.text("order_description"),
        ipn_callback_url=callback_url(world, fields),
    )
    _register(world, payment)
    _play(world, payment, case)
    return world.store.payments[payment.id]


def create_invoice(world: World, fields: Fields, owner: str) -> Invoice:
    """`POST /invoice`: the payer may choose the coin later, so nothing is quoted yet."""
    currency = fields.required_text("price_currency")
    if not world.rates.knows(currency.lower()):
        raise bad_create(f"Currency {currency} is not supported")
    pay_currency = fields.text("pay_currency")
    if pay_currency is not None:
        payable_coin(world, pay_currency.lower())
    fee_by_payer = fields.flag("is_fee_paid_by_user")
    invoice = Invoice(
        id=world.new_id(),
        token_id=world.new_id(),
        owner=owner,
        price_amount=fields.required_amount("price_amount"),
        price_currency=currency,
        pay_currency=pay_currency,
        order_id=fields.text("order_id"),
        order_description=fields.text("order_description"),
        ipn_callback_url=callback_url(world, fields),
        success_url=fields.url("success_url"),
        cancel_url=fields.url("cancel_url"),
        partially_paid_url=fields.url("partially_paid_url"),
        is_fixed_rate=fields.flag("is_fixed_rate") or fee_by_payer,
        is_fee_paid_by_user=fee_by_payer,
        created_at=world.clock.now(),
    )
    world.store.put(invoice)
    return invoice


def create_invoice_payment(
    world: World, fields: Fields, owner: str, *, may_play: bool = True
) -> Payment:
    """`POST /invoice-payment`: one more payment under an invoice.

    `may_play=False` leaves the payment to the person at the hosted page.
    """
    invoice = world.store.invoices.get(fields.number_id("iid"))
    if invoice is None or invoice.owner != owner:
        raise not_found("Invoice")
    case = fields.choice("case", CASES, "")
    payment = _new_payment(
        world,
        fields,
        owner,
        price=(invoice.price_amount, invoice.price_currency.lower()),
        fixed_rate=invoice.is_fixed_rate,
        fee_by_payer=invoice.is_fee_paid_by_user,
    )
    payment = replace(
        payment,
        invoice_id=invoice.id,
        order_id=invoice.order_id,
        order_description=fields.text("order_description") or invoice.order_description,
        ipn_callback_url=invoice.ipn_callback_url,
        customer_email=fields.text("customer_email"),
    )
    _register(world, payment)
    if may_play:
        _play(world, payment, case)
    return world.store.payments[payment.id]


def callback_url(world: World, fields: Fields) -> str | None:
    """`ipn_callback_url`: with a scheme, and not localhost."""
    url = fields.url("ipn_callback_url")
    if url is None:
        return world.config.ipn_url
    if urlsplit(url).hostname == "localhost" and not world.config.allow_localhost_callbacks:
        raise bad_create("ipn_callback_url must not be localhost")
    return url


def payable_coin(world: World, ticker: str) -> Coin:
    coin = world.rates.coins.get(ticker)
    if coin is None:
        raise bad_create(f"Currency {ticker.upper()} was not found or is not supported")
    if not world.rates.enabled(coin):
        raise currency_off(ticker)
    return coin


def amount_received(world: World, payment: Payment, amount: Decimal) -> Decimal:
    """The merchant's net of `amount`, in the settlement currency."""
    return world.rates.after_fee(
        amount,
        payment.pay_currency,
        payment.outcome_currency,
        world.config.service_fee_percent,
    )


def requoted(world: World, payment: Payment) -> Payment:
    """The payment with a fresh quote if the old one has ended; otherwise unchanged."""
    now = world.clock.now()
    if now <= payment.quote_until or payment.status not in {"waiting", "expired"}:
        return payment
    amount = payment.pay_amount
    if not payment.pay_amount_forced:
        amount = world.rates.pay_amount(
            payment.price_amount,
            payment.price_currency,
            payment.pay_currency,
            fixed_rate=payment.is_fixed_rate,
            fee_by_payer=payment.is_fee_paid_by_user,
        )
    until = now + timedelta(seconds=world.config.quote_seconds)
    return replace(payment, pay_amount=amount, quote_until=until, updated_at=now)


def _new_payment(
    world: World,
    fields: Fields,
    owner: str,
    *,
    price: tuple[Decimal, str],
    fixed_rate: bool,
    fee_by_payer: bool,
) -> Payment:
    amount, currency = price
    if not world.rates.knows(currency):
        raise bad_create(f"Currency {currency.upper()} was not found or is not supported")
    coin = payable_coin(world, fields.currency("pay_currency"))
    fixed_rate = fixed_rate or fee_by_payer
    if fixed_rate and not coin.fixed_rate:
        raise bad_create(f"Fixed rate is not available for {coin.ticker.upper()}")
    outcome = (fields.text("payout_currency") or world.config.outcome_currency or "").lower()
    outcome = outcome or coin.ticker
    if not world.rates.knows(outcome):
        raise bad_create(f"Currency {outcome.upper()} was not found or is not supported")
    forced = fields.amount("pay_amount")
    pay_amount = forced or world.rates.pay_amount(
        amount, currency, coin.ticker, fixed_rate=fixed_rate, fee_by_payer=fee_by_payer
    )
    if pay_amount < world.rates.minimum(
        coin.ticker, outcome, fixed_rate=fixed_rate, fee_by_payer=fee_by_payer
    ):
        raise below_minimum()
    if coin.is_capped and amount * world.rates.usd(currency) > CAP_USD:
        raise bad_create(f"Amount is over the limit of {CAP_USD} usd for {coin.ticker.upper()}")
    number, now = world.new_id(), world.clock.now()
    purchase = fields.number_id("purchase_id") if fields.has("purchase_id") else world.new_id()
    return Payment(
        id=number,
        owner=owner,
        status="waiting",
        pay_address=coin.address(str(number)),
        payin_extra_id=coin.memo(str(number)),
        price_amount=amount,
        price_currency=currency,
        pay_amount=pay_amount,
        pay_amount_forced=forced is not None,
        pay_currency=coin.ticker,
        outcome_currency=outcome,
        purchase_id=purchase,
        token_id=world.new_id(),
        is_fixed_rate=fixed_rate,
        is_fee_paid_by_user=fee_by_payer,
        created_at=now,
        updated_at=now,
        quote_until=now + timedelta(seconds=world.config.quote_seconds),
        valid_until=now + timedelta(seconds=world.config.valid_seconds),
    )


def _register(world: World, payment: Payment) -> None:
    world.store.put(payment)
    ends_early = payment.is_fixed_rate and world.config.fixed_rate_ends_with_quote
    schedule_expiry(world, payment, payment.quote_until if ends_early else payment.valid_until)


def _play(world: World, payment: Payment, case: str) -> None:
    """Script the outcome that the sandbox `case` asks for, or the configured autopay."""
    delay = world.config.case_seconds if case else world.config.autopay_after
    if delay is None:
        return
    paid = payment.pay_amount * _HALF if case == "partially_paid" else payment.pay_amount
    last = case if case in {"partially_paid", "failed"} else "finished"
    steps = ("confirming", "failed") if last == "failed" else _chain(last)
    schedule_chain(
        world,
        payment,
        steps,
        paid=world.rates.rounded(paid, payment.pay_currency),
        start_after=delay,
        only_from="waiting",
    )


def _chain(last: str) -> tuple[str, ...]:
    return ("confirming", "confirmed", "sending", last)
