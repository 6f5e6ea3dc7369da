"""What payers and the merchant can do to a payment: the scenarios of the control door."""

from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from bitloot_adapters.sandbox.nowpayments.config import IpnMode, IpnOrder
from bitloot_adapters.sandbox.nowpayments.errors import ApiError, invalid_params, not_found
from bitloot_adapters.sandbox.nowpayments.payments import requoted
from bitloot_adapters.sandbox.nowpayments.records import Delivery, Payment
from bitloot_adapters.sandbox.nowpayments.request_fields import Fields
from bitloot_adapters.sandbox.nowpayments.transitions import (
    IpnPlan,
    default_plan,
    schedule_chain,
)
from bitloot_adapters.sandbox.nowpayments.world import World

_IPN_ORDERS: Final = ("normal", "duplicate", "burst", "reversed", "shuffled", "lost", "delayed")
_IPN_MODES: Final = ("modern", "legacy")
_UNPAID: Final = frozenset({"waiting", "expired"})
_ON_THE_WAY: Final = ("confirming", "confirmed", "sending")


def find(world: World, number: int) -> Payment:
    payment = world.store.payments.get(number)
    if payment is None:
        raise not_found("Payment")
    return payment


def pay(world: World, payment: Payment, fields: Fields) -> Payment:
    """The first deposit: `fraction` of what is asked, or exactly `amount`.

    Late deposits, on an expired payment, are accepted at the current rate and cause no
    callback. Without `steps` the outcome follows from the amount.
    """
    if payment.status not in _UNPAID:
        message = f"payment is {payment.status}: a further deposit is a redeposit"
        raise ApiError(409, "ALREADY_PAID", message)
    amount = _amount(world, fields, payment.pay_amount, payment.pay_currency)
    payment = requoted(world, payment)
    world.store.put(payment)
    ending = _ending(world, payment, amount)
    default = ("confirming", "failed") if ending == "failed" else (*_ON_THE_WAY, ending)
    return _run(world, payment, fields, fields.texts("steps", default), paid=amount)


def force_status(world: World, payment: Payment, fields: Fields) -> Payment:
    """Set any status, known or not, with a callback unless `ipn` is false."""
    status = fields.required_text("status")
    was_silent = payment.silent
    told = fields.values.get("ipn") is not False
    world.store.put(replace(payment, silent=not told))
    paid = fields.exact("actually_paid")
    _run(world, payment, fields, (status,), paid=paid)
    moved = replace(find(world, payment.id), silent=was_silent or status == "expired")
    world.store.put(moved)
    return moved


def expire(world: World, payment: Payment, fields: Fields) -> Payment:
    """End the window now; the `expired` callback is sent as configured or as `ipn` says."""
    if payment.status != "waiting":
        raise ApiError(409, "NOT_WAITING", f"payment is {payment.status}")
    ipn = fields.flag("ipn", default=world.config.emit_expired_ipn)
    now = world.clock.now()
    ended = replace(payment, valid_until=min(now, payment.valid_until))
    world.store.put(ended)
    values = {**fields.values, "status": "expired", "ipn": ipn}
    return force_status(world, ended, Fields(values))


def refund(world: World, payment: Payment, fields: Fields) -> Payment:
    """The merchant returns the deposit."""
    return _run(world, payment, fields, ("refunded",), paid=None)


def redeposit(world: World, parent: Payment, fields: Fields) -> Payment:
    """A further deposit to the same address: a child whose price is whatever arrived."""
    result = fields.choice("result", ("finished", "partially_paid"), world.config.redeposit_result)
    amount = _amount(world, fields, parent.pay_amount, parent.pay_currency)
    child = _child(world, parent, fields, (amount, parent.pay_currency), "REPEATED")
    steps = fields.texts("steps", (*_ON_THE_WAY, result))
    return _run(world, child, fields, steps, paid=amount)


def wrong_asset(world: World, parent: Payment, fields: Fields) -> Payment:
    """Another coin arrives: handled by hand (default) or converted automatically."""
    result = fields.choice(
        "result",
        ("wrong_asset_confirmed", "partially_paid", "finished"),
        world.config.wrong_asset_result,
    )
    currency = (fields.text("currency") or "usdterc20").lower()
    if currency not in world.rates.coins:
        raise invalid_params("currency must be a known ticker")
    due = world.rates.convert(parent.pay_amount, parent.pay_currency, currency)
    amount = _amount(world, fields, due, currency)
    manual = result == "wrong_asset_confirmed"
    steps = fields.texts("steps", ("confirming", result) if manual else (*_ON_THE_WAY, result))
    if fields.choice("on", ("child", "parent"), "child") == "parent":
        return _run(world, parent, fields, steps, paid=None)
    child = _child(world, parent, fields, (amount, currency), "WRONG_ASSET")
    return _run(world, child, fields, steps, paid=amount)


def resend_callback(world: World, payment: Payment) -> Delivery:
    """The dashboard's resend button: the last callback once more, byte for byte."""
    earlier = [sent for sent in world.store.deliveries.values() if sent.payment_id == payment.id]
    if not earlier or payment.silent:
        raise ApiError(409, "NOTHING_TO_RESEND", "no callback of this payment can be sent")
    last = max(earlier, key=lambda sent: sent.id)
    again = replace(
        last,
        id=world.new_record_id(),
        state="pending",
        reason=None,
        attempts=(),
        due_at=world.clock.now(),
    )
    world.store.put(again)
    world.wake.set()
    return again


def _child(
    world: World, parent: Payment, fields: Fields, arrived: tuple[Decimal, str], origin: str
) -> Payment:
    amount, currency = arrived
    now = world.clock.now()
    keep_order = fields.flag("order_id", default=world.config.propagate_order_id_to_child)
    child = replace(
        parent,
        id=world.new_id(),
        token_id=world.new_id(),
        status="waiting",
        parent_id=parent.id,
        origin_type=origin,
        children=(),
        price_amount=world.rates.convert(amount, currency, parent.price_currency),
        pay_amount=amount,
        pay_currency=currency,
        actually_paid=Decimal(0),
        outcome_amount=None,
        payin_hash=None,
        payout_hash=None,
        order_id=parent.order_id if keep_order else None,
        created_at=now,
        updated_at=now,
    )
    world.store.put(child)
    world.store.put(replace(parent, children=(*parent.children, child.id), updated_at=now))
    return child


def _run(
    world: World, payment: Payment, fields: Fields, steps: tuple[str, ...], *, paid: Decimal | None
) -> Payment:
    standing = default_plan(world)
    plan = IpnPlan(
        order=_order(fields, standing.order),
        mode=msgspec.convert(fields.choice("mode", _IPN_MODES, standing.mode), IpnMode),
        copies=fields.count("copies", standing.copies, most=200),
        delay_seconds=fields.seconds("delay_seconds", standing.delay_seconds),
    )
    pause = fields.seconds("pause", world.config.step_seconds)
    schedule_chain(world, payment, steps, paid=paid, plan=plan, pause=pause)
    return find(world, payment.id)


def _order(fields: Fields, standing: IpnOrder) -> IpnOrder:
    """`ipn`: the name of an order; `true` means the standing one, `false` none at all."""
    said = fields.values.get("ipn")
    if isinstance(said, bool):
        return standing if said else "lost"
    order: IpnOrder = msgspec.convert(fields.choice("ipn", _IPN_ORDERS, standing), IpnOrder)
    return order


def _amount(world: World, fields: Fields, asked: Decimal, currency: str) -> Decimal:
    exact = fields.exact("amount")
    if exact is not None:
        return exact
    fraction = fields.exact("fraction")
    share = asked * (Decimal(1) if fraction is None else fraction)
    return world.rates.rounded(share, currency)


def _ending(world: World, payment: Payment, amount: Decimal) -> str:
    covered = payment.pay_amount * world.config.covering_percent / Decimal(100)
    if amount >= covered:
        return "finished"
    least = world.rates.minimum(
        payment.pay_currency,
        payment.outcome_currency,
        fixed_rate=payment.is_fixed_rate,
        fee_by_payer=payment.is_fee_paid_by_user,
    )
    return "failed" if world.config.fail_below_minimum and amount < least else "partially_paid"
