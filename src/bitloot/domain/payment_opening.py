"""Opening a payment or a hosted page at the gateway: the row before the call (T2), its answer (T3).

The gateway knows no idempotency key on creation, so the row is written first. If the answer is
lost the row stays as it is and a second row and call are made: an address that nobody was shown
cannot be paid.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.order import ORDER, OrderFile
from bitloot.domain.payment import ALIVE, GATEWAY_STATUS, Invoice, Payment
from bitloot.domain.settlement import extend_window

PAYABLE: Final = frozenset({"created", "waiting"})


class PayTo(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's answer: where to pay, and how much. Amounts as the gateway wrote them."""

    gateway_payment_id: str
    status: str
    pay_address: str
    pay_amount: Decimal
    pay_currency: str
    payin_extra_id: str | None = None
    network: str | None = None
    purchase_id: str | None = None
    is_fixed_rate: bool = False
    quote_ends_at: datetime | None = None
    valid_until: datetime | None = None


def open_payment(
    file: OrderFile,
    *,
    gateway: str,
    asset: str,
    payment_id: str,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """T2: a `created` row before the call. Raises Refused when the order cannot be paid now."""
    draft = _payable(file, at=at, new_id=new_id, limits=limits)
    row = Payment(
        id=payment_id,
        order_id=file.order.id,
        gateway=gateway,
        price_amount=file.order.total,
        pay_currency=asset.lower(),
        created_at=at,
        updated_at=at,
    )
    draft.put(row)
    draft.event("payment_requested", row.id, facts={"asset": row.pay_currency})
    return draft.decision()


def open_invoice(
    file: OrderFile,
    *,
    gateway: str,
    invoice_id: str,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """T2 for a hosted page: an invoice row before the call."""
    draft = _payable(file, at=at, new_id=new_id, limits=limits)
    row = Invoice(
        id=invoice_id,
        order_id=file.order.id,
        gateway=gateway,
        price_amount=file.order.total,
        created_at=at,
    )
    draft.put(row)
    draft.event("invoice_requested", row.id)
    return draft.decision()


def _payable(file: OrderFile, *, at: datetime, new_id: Callable[[], str], limits: Limits) -> Draft:
    over = at >= file.order.window_ends_at
    if file.order.status not in PAYABLE or file.open_order_hold() is not None or over:
        raise Refused("order-not-payable")
    opened = [p for p in file.payments if p.status != "rejected" and not p.is_child]
    pages = [i for i in file.invoices if i.status != "rejected"]
    if len(opened) + len(pages) >= limits.payments_per_order:
        raise Refused("too-many-payments")
    return Draft(file, at=at, new_id=new_id)


def answer_payment(
    file: OrderFile,
    payment_id: str,
    answer: PayTo,
    *,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """T3 (O2): address and amount are stored, the order waits, its buyer is written to.

    An order that ended meanwhile only gets the payment watched.
    """
    draft = Draft(file, at=at, new_id=new_id)
    status, rank = GATEWAY_STATUS.get(answer.status, ("waiting", 10))
    if status not in ALIVE:
        status, rank = GATEWAY_STATUS["waiting"]
    row = draft.set(
        file.payment(payment_id),
        gateway_payment_id=answer.gateway_payment_id,
        status=status,
        rank=rank,
        call_answered=True,
        pay_address=answer.pay_address,
        pay_amount=answer.pay_amount,
        pay_currency=answer.pay_currency.lower(),
        payin_extra_id=answer.payin_extra_id,
        network=answer.network,
        purchase_id=answer.purchase_id,
        is_fixed_rate=answer.is_fixed_rate,
        quote_ends_at=answer.quote_ends_at,
        valid_until=answer.valid_until or at + limits.payment_watch,
        updated_at=at,
    )
    first_poll = at + limits.payment_first_poll
    if file.order.status not in PAYABLE:
        draft.event("payment_watched", row.id, due=first_poll)
        return draft.decision()
    if ORDER.step(file.order.status, "payment_opened"):
        draft.move_order("payment_opened")
    draft.event("payment_opened", row.id, due=first_poll, facts={"asset": row.pay_currency})
    if row.quote_ends_at is not None:
        extend_window(draft, row.quote_ends_at + limits.payment_window_slack)
    return draft.decision()


def answer_invoice(
    file: OrderFile,
    invoice_id: str,
    gateway_invoice_id: str,
    url: str,
    *,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """T3 for a hosted page: its payments are adopted as they are seen.

    An order that ended meanwhile only gets the page watched.
    """
    draft = Draft(file, at=at, new_id=new_id)
    row = draft.set(
        next(i for i in file.invoices if i.id == invoice_id),
        gateway_invoice_id=gateway_invoice_id,
        url=url,
        status="open",
    )
    if ORDER.step(file.order.status, "payment_opened"):
        draft.move_order("payment_opened")
    kind = "invoice_opened" if file.order.status in PAYABLE else "invoice_watched"
    draft.event(kind, row.id, due=at + limits.payment_first_poll)
    return draft.decision()


def reject_payment(
    file: OrderFile,
    payment_id: str,
    reason: str,
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """T3 when the gateway did nothing: the buyer may choose another asset."""
    draft = Draft(file, at=at, new_id=new_id)
    row = draft.set(
        file.payment(payment_id),
        status="rejected",
        rejection=reason,
        call_answered=True,
        updated_at=at,
    )
    draft.event("payment_rejected", row.id, facts={"reason": reason})
    return draft.decision()


def reject_invoice(
    file: OrderFile,
    invoice_id: str,
    reason: str,
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """T3 for a hosted page that the gateway refused to open."""
    draft = Draft(file, at=at, new_id=new_id)
    row = next(i for i in file.invoices if i.id == invoice_id)
    draft.set(row, status="rejected", rejection=reason)
    draft.event("invoice_rejected", row.id, facts={"reason": reason})
    return draft.decision()


def needs_requote(payment: Payment, *, at: datetime) -> bool:
    """Whether the amount that the buyer sees is no longer quoted by the gateway."""
    ended = payment.quote_ends_at is not None and payment.quote_ends_at <= at
    valid = payment.valid_until is None or payment.valid_until > at
    return payment.status == "waiting" and ended and valid and not payment.is_fixed_rate


def requote(
    file: OrderFile,
    payment_id: str,
    pay_amount: Decimal,
    quote_ends_at: datetime | None,
    *,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """The stored amount follows the gateway's new quote, before it is shown."""
    draft = Draft(file, at=at, new_id=new_id)
    row = draft.now(file.payment(payment_id))
    if row.status != "waiting":
        return draft.decision(reason="money is on its way")
    row = draft.set(
        row, pay_amount=pay_amount, quote_ends_at=quote_ends_at or row.quote_ends_at, updated_at=at
    )
    draft.event("payment_requoted", row.id)
    if row.quote_ends_at is not None and file.order.status in PAYABLE:
        extend_window(draft, row.quote_ends_at + limits.payment_window_slack)
    return draft.decision()
