"""Finding out what became of an attempt whose answer was lost.

The supplier is searched for our own id, again and again, because its search may lag behind. Only
when the settle window has passed and every search came back empty is the attempt `absent`; then
it is bought anew once, under the same id, so that a late order still shows up beside it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bitloot.domain.balance_guard import BalanceReading, Purchases, is_money_missing
from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft
from bitloot.domain.fulfilment import FULFILMENT, Fulfilment, SupplierAttempt
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.purchase import cancel, fail, take_up
from bitloot.domain.reconciliation import ReconciliationBreak, supplier_subject
from bitloot.domain.supplier_refund import ENDED, book_cost
from bitloot.domain.supply import SupplierOrder


def search_due(attempt: SupplierAttempt, limits: Limits) -> datetime:
    """When to search next."""
    return attempt.next_check_at or attempt.intent_at + limits.search_delays[0]


def search_pause(checks: int, limits: Limits) -> timedelta:
    """How long after the search number `checks` the next one follows.

    The first ones fall 2, 5, 15, 30 and 60 s after the doubt, the others two minutes apart.
    """
    delays = limits.search_delays
    if 0 < checks < len(delays):
        return delays[checks] - delays[checks - 1]
    return limits.search_interval if checks else delays[0]


def searched(
    file: OrderFile,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    found: Sequence[SupplierOrder],
    *,
    balance: BalanceReading | None,
    purchases: Purchases | None = None,
    is_hinted: bool = False,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """What a well-formed answer to a search means.

    `found` are the orders that carry exactly our id. `balance` is the supplier's balance, read
    after the search, `purchases` what the shop bought there besides. `is_hinted`: a webhook of the
    supplier named our id, so there is an order whatever the search says.
    """
    draft = Draft(file, at=at, new_id=new_id)
    row = attempt
    if row.state == "intent":
        row = draft.move_attempt(row, "doubt")
    known = {a.supplier_order_id for a in file.attempts if a.supplier == attempt.supplier}
    fresh = [order for order in found if order.supplier_order_id not in known]
    if fresh:
        _adopt(draft, fulfilment, row, fresh, limits)
        return draft.decision("adopted")
    row = draft.set(
        row, checks=row.checks + 1, next_check_at=at + search_pause(row.checks + 1, limits)
    )
    draft.event("attempt_checked", row.id, facts={"checks": row.checks})
    if is_hinted or not is_absent(row, balance=balance, purchases=purchases, at=at, limits=limits):
        if at - row.intent_at >= limits.blocked_patience and fulfilment.state != "failed_terminal":
            _give_up(draft, fulfilment, "unresolved")
        return draft.decision("not found yet")
    draft.move_attempt(row, "not_found", next_check_at=None)
    if fulfilment.rebuys >= limits.automatic_rebuys:
        _give_up(draft, fulfilment, "absent")
    else:
        again = draft.resume(fulfilment)
        draft.set(again, rebuys=again.rebuys + 1, updated_at=at)
    return draft.decision("absent")


def _give_up(draft: Draft, fulfilment: Fulfilment, error: str) -> None:
    """A person has to look; of a refunded order nobody waits for anything any more."""
    if draft.order.status == "refunded":
        cancel(draft, fulfilment)
    else:
        fail(draft, fulfilment, error)


def is_settled(attempt: SupplierAttempt, *, checks: int, at: datetime, limits: Limits) -> bool:
    """Whether the window is over and so many empty searches are enough: the balance decides."""
    return at - attempt.intent_at >= limits.settle_window and checks >= limits.settle_searches


def is_absent(
    attempt: SupplierAttempt,
    *,
    balance: BalanceReading | None,
    purchases: Purchases | None,
    at: datetime,
    limits: Limits,
) -> bool:
    """Whether it is certain enough that the order was never placed, after this empty search."""
    settled = is_settled(attempt, checks=attempt.checks, at=at, limits=limits)
    told = purchases is not None and not is_money_missing(attempt, balance, purchases)
    return settled and told


def _adopt(
    draft: Draft,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    found: Sequence[SupplierOrder],
    limits: Limits,
) -> None:
    """Take the oldest live order as ours; the keys of any other are given back."""
    ordered = sorted(
        found, key=lambda o: (o.state in ENDED, o.created_at is None, o.created_at or draft.at)
    )
    draft.move_attempt(attempt, "found")
    state = draft.now(fulfilment).state
    if state in FULFILMENT.terminal:
        _give_back(draft, attempt, ordered[0], limits)
    else:
        take_up(draft, fulfilment, attempt, ordered[0])
        if state == "failed_terminal":
            # Its job had ended: the keys are fetched while a person decides what held the item.
            draft.event("fulfilment_resumed", fulfilment.id)
    gen = draft.now(fulfilment).gen
    for extra in ordered[1:]:
        gen += 1
        surplus_order(draft, fulfilment, attempt, extra, gen, limits=limits)
    draft.set(fulfilment, gen=gen)


def _give_back(
    draft: Draft, attempt: SupplierAttempt, order: SupplierOrder, limits: Limits
) -> None:
    """It is found after all, but nobody waits for it any more: its keys are given back."""
    is_over = order.state in ENDED
    draft.set(
        attempt,
        supplier_order_id=order.supplier_order_id,
        created_at=order.created_at or draft.at,
        next_check_at=None,
        refusal="surplus",
        returning="wanted" if _is_returnable(draft, order, limits) else "none",
        cost=order.total,
        # What came back before we knew of it was never booked, and is not now.
        units_back=attempt.quantity if is_over else 0,
    )
    row = draft.move_attempt(attempt, "refund" if order.state == "refunded" else "cancel")
    _tell_of_surplus(draft, row, order)


def surplus_order(
    draft: Draft,
    fulfilment: Fulfilment,
    like: SupplierAttempt,
    order: SupplierOrder,
    gen: int,
    *,
    limits: Limits,
) -> None:
    """Write down a supplier order that nobody needs, and ask for the return of its keys."""
    row = draft.put(
        SupplierAttempt(
            id=draft.new_id(),
            fulfilment_id=fulfilment.id,
            order_id=fulfilment.order_id,
            gen=gen,
            supplier=like.supplier,
            external_id=like.external_id,
            supplier_product_id=like.supplier_product_id,
            offer_id=like.offer_id,
            quantity=order.quantity,
            max_price=like.max_price,
            state="refunded" if order.state == "refunded" else "canceled",
            supplier_order_id=order.supplier_order_id,
            refusal="surplus",
            intent_at=draft.at,
            created_at=order.created_at or draft.at,
            cost=order.total,
            returning="wanted" if _is_returnable(draft, order, limits) else "none",
            units_back=order.quantity if order.state in ENDED else 0,
        )
    )
    _tell_of_surplus(draft, row, order)


def _is_returnable(draft: Draft, order: SupplierOrder, limits: Limits) -> bool:
    """Whether there is something to give back that the supplier still takes."""
    made_at = order.created_at or draft.at
    return order.state not in ENDED and draft.at - made_at < limits.key_return_window


def _tell_of_surplus(draft: Draft, attempt: SupplierAttempt, order: SupplierOrder) -> None:
    """What it cost is booked; a break stands until the supplier has it back, asked for or not."""
    if order.state in ENDED:
        return
    if order.total is not None:
        book_cost(draft, attempt, order.total)
    is_asked = attempt.returning == "wanted"
    if is_asked:
        draft.event("return_requested", attempt.id, facts={"cause": "surplus"})
    draft.put(
        ReconciliationBreak(
            id=draft.new_id(),
            kind="surplus_order" if is_asked else "surplus_too_late",
            subject=supplier_subject(attempt.supplier, order.supplier_order_id),
            ours=attempt.id,
            theirs=order.state,
            found_at=draft.at,
        )
    )
