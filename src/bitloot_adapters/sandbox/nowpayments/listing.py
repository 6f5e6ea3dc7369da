"""`GET /payment/`: pages of one key's payments."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from bitloot_adapters.sandbox.nowpayments.errors import ApiError, invalid_params
from bitloot_adapters.sandbox.nowpayments.js_json import Json
from bitloot_adapters.sandbox.nowpayments.records import Payment
from bitloot_adapters.sandbox.nowpayments.wire import read_payment
from bitloot_adapters.sandbox.nowpayments.world import World

_SortKey = tuple[Decimal, str]
_NOTHING: Final = Decimal(0)


def _number(read: Callable[[Payment], Decimal | int | None]) -> Callable[[Payment], _SortKey]:
    return lambda payment: (Decimal(read(payment) or 0), "")


def _text(read: Callable[[Payment], str | None]) -> Callable[[Payment], _SortKey]:
    return lambda payment: (_NOTHING, read(payment) or "")


_SORTS: Final[Mapping[str, Callable[[Payment], _SortKey]]] = {
    "created_at": _text(lambda payment: payment.created_at.isoformat()),
    "payment_id": _number(lambda payment: payment.id),
    "payment_status": _text(lambda payment: payment.status),
    "pay_address": _text(lambda payment: payment.pay_address),
    "price_amount": _number(lambda payment: payment.price_amount),
    "price_currency": _text(lambda payment: payment.price_currency),
    "pay_amount": _number(lambda payment: payment.pay_amount),
    "actually_paid": _number(lambda payment: payment.actually_paid),
    "pay_currency": _text(lambda payment: payment.pay_currency),
    "order_id": _text(lambda payment: payment.order_id),
    "order_description": _text(lambda payment: payment.order_description),
    "purchase_id": _number(lambda payment: payment.purchase_id),
    "outcome_amount": _number(lambda payment: payment.outcome_amount),
    "outcome_currency": _text(lambda payment: payment.outcome_currency),
}


def list_payments(world: World, owner: str, query: Mapping[str, str]) -> dict[str, Json]:
    """One page. `page` counts from 0; a bare date is its midnight in UTC.

    Raises:
        ApiError: 400 for a value out of range; 500 when `orderBy` is no direction, as the
            vendor's server does.

    """
    limit = _whole(query, "limit", 10, least=1, most=500)
    page = _whole(query, "page", 0, least=0, most=1_000_000)
    sort = _SORTS.get(query.get("sortBy") or "created_at")
    if sort is None:
        raise invalid_params("sortBy is not a field that can be sorted by")
    direction = (query.get("orderBy") or "asc").lower()
    if direction not in {"asc", "desc"}:
        raise ApiError(500, "INTERNAL_ERROR", "Internal server error")
    start, end = _instant(query, "dateFrom"), _instant(query, "dateTo")
    invoice = query.get("invoiceId") or None
    found = [
        payment
        for payment in world.store.payments.values()
        if payment.owner == owner
        and (start is None or payment.created_at >= start)
        and (end is None or payment.created_at <= end)
        and (invoice is None or str(payment.invoice_id) == invoice)
    ]
    found.sort(key=lambda payment: (sort(payment), payment.id), reverse=direction == "desc")
    zero = world.config.actually_paid_zero
    shown = found[page * limit : (page + 1) * limit]
    return {
        "data": [read_payment(payment, zero_when_finished=zero) for payment in shown],
        "limit": limit,
        "page": page,
        "pagesCount": -(-len(found) // limit),
        "total": len(found),
    }


def _whole(query: Mapping[str, str], name: str, default: int, *, least: int, most: int) -> int:
    text = query.get(name)
    if not text:
        return default
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not least <= value <= most:
        raise invalid_params(f"{name} must be a number from {least} to {most}")
    return value


def _instant(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise invalid_params(f"{name} must be a date or an ISO date-time") from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
