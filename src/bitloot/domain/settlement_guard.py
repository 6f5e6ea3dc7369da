"""The settlement guard: what must hold before money turns an order into a paid one.

The gateway's own guide asks for these comparisons (NOWPayments integration scenarios: act on
`finished` only, compare what was received with what was expected, never deliver by itself on a
repeated deposit). A payment is never matched by its amount.
"""

from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Final, Literal, TypeAlias

from bitloot.domain.goods import Today, can_be_had
from bitloot.domain.hold import HoldReason
from bitloot.domain.money import (
    ZERO,
    CryptoAmount,
    cost_floor,
    is_underpaid,
    money_context,
    plain,
)
from bitloot.domain.order import Order, OrderFile
from bitloot.domain.payment import Payment, PaymentReport

# The fewest places that a net amount is written with.
EUR_PLACES: Final = 2
CRYPTO_PLACES: Final = 6

GuardFault: TypeAlias = Literal["order", "price", "child", "asset", "amount", "outcome"]


def guard_faults(
    order: Order,
    payment: Payment,
    report: PaymentReport,
    *,
    tolerance: Decimal,
    zero_paid_is_fine: bool,
) -> tuple[GuardFault, ...]:
    """What keeps this report from paying for this order; empty when the guard holds.

    `report` is a fresh read of the gateway. `zero_paid_is_fine` names the gateway's own sandbox,
    whose finished payments say that nothing was paid; it is a setting, never taken from a report.
    """
    found: list[GuardFault] = []
    if report.order_number != order.number or payment.order_id != order.id:
        found.append("order")
    currency = (report.price_currency or "").lower()
    if report.price_amount != order.total or currency != payment.price_currency:
        found.append("price")
    if payment.is_child or report.parent_payment_id is not None:
        found.append("child")
    if (report.pay_currency or "").lower() != payment.pay_currency:
        found.append("asset")
    if zero_paid_is_fine and not report.actually_paid:
        return tuple(found)
    if not _enough(payment, report, tolerance):
        found.append("amount")
    if not _outcome_enough(order, payment, report, tolerance):
        found.append("outcome")
    return tuple(found)


def hold_reason(faults: tuple[GuardFault, ...]) -> HoldReason:
    """Why the order waits for a person."""
    return "wrong_asset" if "asset" in faults else "amount_mismatch"


def is_within_tolerance(payment: Payment, report: PaymentReport, tolerance: Decimal) -> bool:
    """Whether a partial payment counts as a whole one: only with a tolerance above zero."""
    return tolerance > 0 and _enough(payment, report, tolerance)


def is_whole(payment: Payment, tolerance: Decimal) -> bool:
    """Whether all that was asked came: finished, or partly paid with what counts as the whole."""
    if payment.status != "underpaid":
        return payment.status == "finished"
    asked, paid = payment.pay_amount, payment.actually_paid
    if tolerance <= 0 or not asked or paid is None:
        return False
    return not is_underpaid(paid, asked, tolerance)


def _enough(payment: Payment, report: PaymentReport, tolerance: Decimal) -> bool:
    if payment.pay_amount is None or payment.pay_amount <= 0 or report.actually_paid is None:
        return False
    return not is_underpaid(report.actually_paid, payment.pay_amount, tolerance)


def _outcome_enough(
    order: Order, payment: Payment, report: PaymentReport, tolerance: Decimal
) -> bool:
    """The second bound: what reached the shop, net of fees, where it is in a currency of ours.

    The gateway's net has no more places than the amounts that it writes: what a fee that does not
    come out even takes of the last of them is no shortage.
    """
    asked = {payment.price_currency: order.total, payment.pay_currency: payment.pay_amount}
    currency, outcome = (report.outcome_currency or "").lower(), report.outcome_amount
    bound = asked.get(currency)
    if bound is None or outcome is None:
        return True
    fewest = EUR_PLACES if currency == payment.price_currency else CRYPTO_PLACES
    with localcontext(money_context()):
        least = bound * (1 - order.gateway_fee) * (1 - tolerance)
        step = Decimal(1).scaleb(-max(fewest, _places(bound), _places(outcome)))
        return outcome >= least or outcome >= least.quantize(step, rounding=ROUND_FLOOR)


def _places(amount: Decimal) -> int:
    """The places that carry value."""
    return len(plain(amount).partition(".")[2])


def late_guard_holds(file: OrderFile, today: Today) -> bool:
    """Whether a late payment still pays: worth today at least today's cost floor, goods there."""
    return covers_cost(file, today) and can_be_had(file, today)


def covers_cost(file: OrderFile, today: Today) -> bool:
    """Whether what the money is worth today carries today's cost of every unit."""
    floor = ZERO
    for item in file.items:
        sellable = today.sellable(item)
        if sellable is None or sellable.unit_cost is None:
            return False
        floor += cost_floor(sellable.unit_cost, file.order.gateway_fee) * item.quantity
    return today.worth >= floor


def amount_to_value(payment: Payment, report: PaymentReport, *, zero: bool) -> CryptoAmount | None:
    """The amount whose worth today a late payment is judged by; None when nothing is known.

    With `zero` (the gateway's own sandbox) the amount asked stands in for the nothing reported.
    """
    amount = report.actually_paid
    if not amount and zero:
        amount = payment.pay_amount
    if not amount:
        return None
    return CryptoAmount(amount, payment.pay_currency)
