"""The vendor's JSON shapes, with its own inconsistencies of type.

Ids are strings where something is created and numbers elsewhere; `purchase_id` is a string
in callbacks and a number on GET; `burning_percent` is the text `"null"` on GET; an invoice's
price is a string (NOWPayments API documentation, "Payments", "Invoices", "IPN").
"""

from decimal import Decimal

from bitloot_adapters.sandbox.nowpayments.clock import epoch_milliseconds, iso
from bitloot_adapters.sandbox.nowpayments.currencies import Coin
from bitloot_adapters.sandbox.nowpayments.js_json import Json, js_number
from bitloot_adapters.sandbox.nowpayments.records import Invoice, Payment

# The network's own charges: small enough to be written in exponent form by a double.
_DEPOSIT_FEE = Decimal("0.000083")
_WITHDRAWAL_FEE = Decimal("0.0000005")


def shown_paid(payment: Payment, *, zero_when_finished: bool) -> Decimal:
    """`actually_paid`; the vendor's sandbox shows 0 on what is finished."""
    hidden = zero_when_finished and payment.status == "finished"
    return Decimal(0) if hidden else payment.actually_paid


def created_payment(payment: Payment, coin: Coin, received: Decimal) -> dict[str, Json]:
    """The 201 reply of `POST /payment` and `POST /invoice-payment`."""
    return {
        "payment_id": str(payment.id),
        "payment_status": payment.status,
        "pay_address": payment.pay_address,
        "price_amount": payment.price_amount,
        "price_currency": payment.price_currency,
        "pay_amount": payment.pay_amount,
        "amount_received": received,
        "pay_currency": payment.pay_currency,
        "order_id": payment.order_id,
        "order_description": payment.order_description,
        "payin_extra_id": payment.payin_extra_id,
        "ipn_callback_url": payment.ipn_callback_url,
        "customer_email": payment.customer_email,
        "created_at": iso(payment.created_at),
        "updated_at": iso(payment.updated_at),
        "purchase_id": str(payment.purchase_id),
        "smart_contract": coin.smart_contract,
        "network": coin.network,
        "network_precision": coin.wire_precision,
        "time_limit": None,
        "burning_percent": None,
        "expiration_estimate_date": iso(payment.quote_until),
        "is_fixed_rate": payment.is_fixed_rate,
        "is_fee_paid_by_user": payment.is_fee_paid_by_user,
        "valid_until": iso(payment.valid_until),
        "type": "crypto2crypto",
        "product": "api",
        "origin_ip": "",
    }


def read_payment(payment: Payment, *, zero_when_finished: bool) -> dict[str, Json]:
    """The reply of `GET /payment/{id}`, and one element of the list."""
    shape: dict[str, Json] = {
        "payment_id": payment.id,
        "invoice_id": payment.invoice_id,
        "payment_status": payment.status,
        "pay_address": payment.pay_address,
        "payin_extra_id": payment.payin_extra_id,
        "price_amount": payment.price_amount,
        "price_currency": payment.price_currency,
        "pay_amount": payment.pay_amount,
        "actually_paid": shown_paid(payment, zero_when_finished=zero_when_finished),
        "pay_currency": payment.pay_currency,
        "order_id": payment.order_id,
        "order_description": payment.order_description,
        "purchase_id": payment.purchase_id,
        "outcome_amount": payment.outcome_amount,
        "outcome_currency": payment.outcome_currency,
        "payout_hash": payment.payout_hash,
        "payin_hash": payment.payin_hash,
        "created_at": iso(payment.created_at),
        "updated_at": iso(payment.updated_at),
        "burning_percent": "null",
        "type": "crypto2crypto",
        "payment_extra_ids": list(payment.children) or None,
    }
    if payment.parent_id is not None:
        shape |= {"parent_payment_id": payment.parent_id, "origin_type": payment.origin_type}
    return shape


def callback(
    payment: Payment, *, legacy: bool, zero_when_finished: bool, child_ids: bool
) -> dict[str, Json]:
    """The body of a callback in the order in which the vendor's server builds it."""
    shape: dict[str, Json] = {
        "payment_id": payment.id,
        "parent_payment_id": payment.parent_id,
        "invoice_id": payment.invoice_id,
        "payment_status": payment.status,
        "pay_address": payment.pay_address,
        "payin_extra_id": payment.payin_extra_id,
        "price_amount": payment.price_amount,
        "price_currency": payment.price_currency,
        "pay_amount": payment.pay_amount,
        "actually_paid": shown_paid(payment, zero_when_finished=zero_when_finished),
        "actually_paid_at_fiat": 0,
        "pay_currency": payment.pay_currency,
        "order_id": payment.order_id,
        "order_description": payment.order_description,
        "purchase_id": str(payment.purchase_id),
        "outcome_amount": payment.outcome_amount,
        "outcome_currency": payment.outcome_currency,
        "payment_extra_ids": (list(payment.children) or None) if child_ids else None,
    }
    if legacy:
        created, updated = iso(payment.created_at), iso(payment.updated_at)
        return shape | {"created_at": created, "updated_at": updated}
    # The vendor multiplies doubles, which is where its 17-digit fees come from.
    service_fee = float(payment.actually_paid) * 0.005
    fee: dict[str, Json] = {
        "currency": payment.outcome_currency,
        "depositFee": _DEPOSIT_FEE,
        "withdrawalFee": _WITHDRAWAL_FEE,
        "serviceFee": service_fee,
    }
    return shape | {"fee": fee, "updated_at": epoch_milliseconds(payment.updated_at)}


def created_invoice(invoice: Invoice, page: str, payout_currency: str | None) -> dict[str, Json]:
    """The 201 reply of `POST /invoice`; there is no status field."""
    return {
        "id": str(invoice.id),
        "token_id": str(invoice.token_id),
        "order_id": invoice.order_id,
        "order_description": invoice.order_description,
        "price_amount": js_number(float(invoice.price_amount)),
        "price_currency": invoice.price_currency,
        "pay_currency": invoice.pay_currency,
        "ipn_callback_url": invoice.ipn_callback_url,
        "invoice_url": page,
        "success_url": invoice.success_url,
        "cancel_url": invoice.cancel_url,
        "customer_email": None,
        "partially_paid_url": invoice.partially_paid_url,
        "payout_currency": payout_currency,
        "created_at": iso(invoice.created_at),
        "updated_at": iso(invoice.created_at),
        "is_fixed_rate": invoice.is_fixed_rate,
        "is_fee_paid_by_user": invoice.is_fee_paid_by_user,
    }


def coin_details(coin: Coin, *, enabled: bool) -> dict[str, Json]:
    """One element of `GET /full-currencies`; `code` is upper-case."""
    memo = coin.has_memo
    return {
        "id": coin.number,
        "code": coin.ticker.upper(),
        "name": coin.name,
        "enable": enabled,
        "wallet_regex": coin.wallet_regex,
        "priority": coin.number,
        "extra_id_exists": memo,
        "extra_id_regex": "^[0-9]{1,10}$" if memo else None,
        "logo_url": f"/images/coins/{coin.ticker}.svg",
        "track": True,
        "cg_id": coin.name.split(" (")[0].lower().replace(" ", "-"),
        "is_maxlimit": coin.is_capped,
        "network": coin.network,
        "smart_contract": coin.smart_contract,
        "network_precision": coin.wire_precision,
        "explorer_link_hash": None,
        "precision": coin.precision,
        "ticker": coin.ticker,
        "is_defi": False,
        "is_popular": coin.ticker in {"btc", "eth", "ltc", "usdttrc20"},
        "is_stable": "s" in coin.flags,
        "available_for_payment": enabled,
        "available_for_payout": enabled,
        "available_for_to_conversion": coin.fixed_rate,
        "extra_id_optional": False,
        "created_at": "2024-01-15T08:30:00.456Z",
        "updated_at": "2026-01-15T08:30:00.456Z",
    }
