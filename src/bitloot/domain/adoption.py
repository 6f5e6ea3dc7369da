"""Payments that we did not open: made on our hosted page, or only naming what is ours.

A payment under our invoice is adopted: its row is made from a fresh read of the gateway, never
from a callback. Any other payment that names our order or a payment of ours is linked: a row of
its own whose money waits for a person.
"""

from datetime import datetime, timedelta
from typing import Final

from bitloot.domain.draft import Draft
from bitloot.domain.limits import Limits
from bitloot.domain.observation import FUNDS_SEEN
from bitloot.domain.order import OrderFile
from bitloot.domain.payment import WRONG_ASSET, Invoice, Payment, PaymentReport
from bitloot.domain.payment_opening import PAYABLE
from bitloot.domain.settlement import extend_window

_HAS_MONEY: Final = FUNDS_SEEN | {"partially_paid", "finished", WRONG_ASSET}


def adopt(
    draft: Draft, invoice: Invoice, report: PaymentReport, *, payment_id: str, limits: Limits
) -> Payment:
    """The row of a payment made on our hosted page, still to be moved to the reported status."""
    row = draft.put(
        _row(draft, report, payment_id=payment_id, limits=limits, invoice_id=invoice.id)
    )
    draft.event(
        "payment_adopted",
        row.id,
        due=draft.at + limits.payment_first_poll,
        facts={"asset": row.pay_currency},
    )
    if row.quote_ends_at is not None and draft.order.status in PAYABLE:
        extend_window(draft, row.quote_ends_at + limits.payment_window_slack)
    return row


def link(draft: Draft, report: PaymentReport, *, payment_id: str, limits: Limits) -> Payment:
    """The row of a deposit that is ours but was not asked for, with a hold where it has money.

    It is looked at like any payment, for its callbacks may be lost too.
    """
    row = draft.put(_row(draft, report, payment_id=payment_id, limits=limits, is_linked=True))
    draft.event(
        "payment_linked",
        row.id,
        due=draft.at + limits.payment_first_poll,
        facts={"parent": row.parent_payment_id},
    )
    if row.parent_payment_id is not None or report.status in _HAS_MONEY:
        is_wrong = report.status == WRONG_ASSET
        draft.hold("payment", row.id, "wrong_asset" if is_wrong else "redeposit")
    return row


def _row(
    draft: Draft,
    report: PaymentReport,
    *,
    payment_id: str,
    limits: Limits,
    invoice_id: str | None = None,
    is_linked: bool = False,
) -> Payment:
    return Payment(
        id=payment_id,
        order_id=draft.order.id,
        gateway=report.gateway,
        gateway_payment_id=report.gateway_payment_id,
        invoice_id=invoice_id,
        parent_payment_id=report.parent_payment_id,
        is_linked=is_linked,
        price_amount=draft.order.total,
        pay_currency=(report.pay_currency or "").lower(),
        pay_amount=report.pay_amount,
        pay_address=report.pay_address,
        call_answered=True,
        quote_ends_at=report.quote_ends_at,
        valid_until=report.valid_until or draft.at + limits.payment_watch,
        created_at=draft.at,
        updated_at=draft.at,
    )


def is_call_unanswered(file: OrderFile) -> bool:
    """Whether a create call of this order has no stored answer: its payment may be one of ours."""
    payments = any(p.status == "created" and not p.call_answered for p in file.payments)
    return payments or any(i.status == "created" for i in file.invoices)


def next_look(payment: Payment, *, at: datetime, limits: Limits) -> timedelta | None:
    """When a payment that is not final is asked about again; None when it no longer is.

    Each five minutes while money may come by itself, hourly after that, until the end that the
    gateway itself gives.
    """
    if payment.gateway_payment_id is None or payment.status in {"rejected", "finished", "refunded"}:
        return None
    until = payment.valid_until or payment.created_at + limits.payment_watch
    if at >= until and payment.status not in FUNDS_SEEN:
        return None
    if payment.is_alive:
        return limits.payment_poll
    return limits.payment_poll_after_expiry
