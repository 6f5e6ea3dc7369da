"""An order becomes paid: goods, ledger, fulfilments and what follows, in one decision."""

from collections.abc import Callable, Mapping
from decimal import localcontext

import msgspec

from bitloot.domain.delivery import is_delivered
from bitloot.domain.draft import Draft
from bitloot.domain.fulfilment_plan import plan, purchase_ceiling
from bitloot.domain.goods import Today, take
from bitloot.domain.ledger import Account
from bitloot.domain.limits import Limits
from bitloot.domain.money import CENT, ZERO, Eur, money_context, shortage, surplus
from bitloot.domain.order import Order, Remark
from bitloot.domain.payment import Payment


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the shop is set up with, and fresh ids.

    `wholesale_limits` gives the most units of a wholesale order by supplier; `zero_paid_is_fine`
    names the gateway's own sandbox.
    """

    limits: Limits
    new_id: Callable[[], str]
    wholesale_limits: Mapping[str, int] = {}
    zero_paid_is_fine: bool = False


def with_remark(order: Order, *remarks: Remark) -> tuple[Remark, ...]:
    """The remarks of an order and these, each once, in the order of their coming."""
    return (*order.remarks, *(r for r in dict.fromkeys(remarks) if r not in order.remarks))


def become_paid(
    draft: Draft,
    payment: Payment,
    *,
    signal: str,
    terms: Terms,
    today: Today | None = None,
    at_todays_cost: bool = False,
    remarks: tuple[Remark, ...] = (),
) -> None:
    """Everything that a paid order brings; what it has already is not brought twice.

    With `today` the goods of ended reservations are taken anew. `at_todays_cost`: the ceilings of
    the purchases follow today's cost, which the guard (or a signed loss) has let through.
    """
    order, paid = draft.order, draft.now(payment)
    over = _paid_over(order, paid)
    if over:
        remarks = (*remarks, "paid_over")
    draft.move_order(
        signal,
        failure_reason=None,
        paid_at=order.paid_at or draft.at,
        settled_by=_paid_first(draft) or paid.id,
        paid_over=over or order.paid_over,
        remarks=with_remark(order, *remarks),
    )
    draft.event("order_paid", order.id, facts={"payment": paid.id, "from": order.status})
    if over:
        draft.event("order_overpaid", order.id, facts={"surplus": str(over)})
    take(draft, today)
    if order.paid_at is None:
        draft.book(f"sale/{order.id}", {"gateway": order.total, "sale": -order.total})
    if order.settled_by != paid.id:
        short = _paid_short(order, paid, terms)
        due = order.total if order.paid_at is None else ZERO
        draft.book(f"payment/{paid.id}", _received(order, paid, due=due, over=over, short=short))
    _plan_fulfilments(draft, terms, today if at_todays_cost else None)
    # An order that had been given up on: what was open of it goes on, what was delivered stays so.
    for fulfilment in draft.file.fulfilments:
        if not fulfilment.is_over:
            draft.event("fulfilment_resumed", fulfilment.id)
    if any(is_delivered(item, draft.fulfilments()) for item in draft.file.items):
        draft.move_order("item_delivered")


def _paid_first(draft: Draft) -> str | None:
    """The payment that paid for the order before it was given up on, while its money is here.

    It stays the one: what another payment brings is surplus, and no money is lost sight of.
    """
    first = draft.order.settled_by
    paid = [payment for payment in draft.file.payments if payment.id == first]
    return first if any(payment.status == "finished" for payment in paid) else None


def _paid_over(order: Order, payment: Payment) -> Eur:
    if payment.actually_paid is None or payment.pay_amount is None or payment.is_child:
        return ZERO
    over = surplus(order.total, payment.actually_paid, payment.pay_amount)
    return over if over >= CENT else ZERO


def _paid_short(order: Order, payment: Payment, terms: Terms) -> Eur:
    """What is missing to the price: within the tolerance, or let through by a person.

    Nothing is known of it for a child deposit, whose amount asked is what came; nor where the
    gateway's own sandbox says that nothing was paid.
    """
    paid, asked = payment.actually_paid, payment.pay_amount
    if paid is None or asked is None or payment.is_child:
        return ZERO
    if not paid and terms.zero_paid_is_fine:
        return ZERO
    return shortage(order.total, paid, asked)


def _received(
    order: Order, payment: Payment, *, due: Eur, over: Eur, short: Eur
) -> dict[Account, Eur]:
    """What differs from `due`, the price where `sale/<order>` books it: surplus and the fee.

    Nothing is due any more where other money had paid for the order before. The fee is what the
    gateway kept of the money that came, as far as it tells in EUR, else as the fee is set.
    Together the entries leave on `gateway` what the shop has there.
    """
    outcome = payment.outcome_amount
    with localcontext(money_context()):
        gross = order.total + over - short
        fee = gross * order.gateway_fee
        if outcome is not None and payment.outcome_currency == payment.price_currency:
            fee = max(ZERO, gross - outcome)
        return {"gateway": gross - due - fee, "fee": fee, "surplus": due - gross}


def _plan_fulfilments(draft: Draft, terms: Terms, today: Today | None) -> None:
    file = draft.file
    wholesale = {
        item.offer_id: terms.wholesale_limits.get(item.supplier, 0)
        for item in file.items
        if item.is_wholesale and item.offer_id is not None
    }
    planned = plan(
        file,
        at=draft.at,
        new_id=draft.new_id,
        limits=terms.limits,
        wholesale_units=wholesale,
        signed_ceilings=_ceilings(draft, today) if today else {},
    )
    for fulfilment in planned:
        row = draft.put(fulfilment)
        draft.event("fulfilment_planned", row.id, facts={"item": row.item_no, "part": row.part})


def _ceilings(draft: Draft, today: Today) -> dict[str, Eur]:
    ceilings = {}
    for item in draft.file.items:
        own = purchase_ceiling(item, draft.order.gateway_fee)
        sellable = today.sellable(item)
        cost = sellable.unit_cost if sellable else None
        ceilings[item.id] = max(own, cost or ZERO)
    return ceilings
