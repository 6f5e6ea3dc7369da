"""Buying the units of a fulfilment: which offer, at what price, and what came of the attempt.

Every attempt is written down before the supplier is called and carries our own id, the same for
every attempt of a round: so an order whose answer was lost is found again instead of bought again.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final, Literal, TypeAlias

from bitloot.domain.balance_guard import BalanceReading
from bitloot.domain.decision import NOTHING, Change, Decision, update
from bitloot.domain.draft import Draft, standing
from bitloot.domain.fulfilment import (
    LIVE_ATTEMPT,
    BlockedReason,
    Fulfilment,
    FulfilmentState,
    SupplierAttempt,
)
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.limits import Limits
from bitloot.domain.order import PAID, OrderFile
from bitloot.domain.product import Offer
from bitloot.domain.routing import MENDED_BY_PEOPLE, Found, turn_to_own_stock, turn_to_supplier
from bitloot.domain.supplier_refund import book_cost
from bitloot.domain.supply import SupplierOrder, offer_name

# Looked at again after a while, for a bounded time; the other reasons last until they are cleared.
PATIENT_REASONS: Final = frozenset[BlockedReason]({"price", "stock"})
# A definite no to this one offer: another may still do.
_NEXT_OFFER: Final = frozenset({"unavailable", "not_found"})
_BUYING: Final = frozenset[FulfilmentState](
    {"pending", "reserving", "blocked", "supplier_refunded"}
)

Standing: TypeAlias = Literal["go", "wait", "stop", "cancel"]


def order_standing(file: OrderFile) -> Standing:
    """Whether goods may be bought and delivered for this order now.

    `wait`: an open hold stops it until somebody decides. `cancel`: it was refunded. `stop`: it is
    not a paid order; a retry takes it up again.
    """
    if file.order.status == "refunded":
        return "cancel"
    if file.open_order_hold() is not None:
        return "wait"
    return "go" if file.order.status in PAID else "stop"


def is_to_be_bought(fulfilment: Fulfilment) -> bool:
    """Whether the next thing to do is to place a supplier order (or to bind own keys)."""
    return standing(fulfilment) in _BUYING


def live_attempt(file: OrderFile, fulfilment: Fulfilment) -> SupplierAttempt | None:
    """The attempt that is not at an end, at most one."""
    return next(
        (a for a in file.attempts_of(fulfilment.id) if a.state in LIVE_ATTEMPT),
        None,
    )


def doubtful_attempt(file: OrderFile, fulfilment: Fulfilment) -> SupplierAttempt | None:
    """The attempt of which nobody knows whether its order was placed, at most one."""
    attempt = live_attempt(file, fulfilment)
    return attempt if attempt is not None and attempt.state in {"intent", "unknown"} else None


def called_attempt(file: OrderFile, fulfilment: Fulfilment) -> SupplierAttempt | None:
    """The attempt whose call is under way; None when it was taken up meanwhile by somebody else.

    A supplier's notice of the order may be read before the answer to the call that placed it.
    """
    attempt = live_attempt(file, fulfilment)
    return attempt if attempt is not None and attempt.state == "intent" else None


def placed_attempt(file: OrderFile, fulfilment: Fulfilment) -> SupplierAttempt | None:
    """The latest attempt whose supplier order serves the fulfilment, or served it last."""
    serving = [a for a in file.attempts_of(fulfilment.id) if a.state in {"created", "completed"}]
    return max(serving, key=lambda a: a.gen, default=None)


def intend(
    file: OrderFile,
    fulfilment: Fulfilment,
    found: Found,
    *,
    balance: BalanceReading | None,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
    kept: Sequence[InventoryKey] = (),
) -> Decision:
    """Write down the attempt that is about to be made. `balance`: what was left before it.

    Nothing while another attempt is open: a unit is owned by one purchase at a time. `kept` are own
    keys that were kept for it and are not needed where a supplier takes over.
    """
    if live_attempt(file, fulfilment) is not None:
        return Decision(reason="an attempt is open already")
    draft = Draft(file, at=at, new_id=new_id)
    row = turn_to_supplier(draft, _begin(draft, fulfilment), found, kept, limits)
    row = draft.set(row, gen=row.gen + 1, updated_at=at)
    offer = found.offer
    attempt = draft.put(
        SupplierAttempt(
            id=new_id(),
            fulfilment_id=row.id,
            order_id=row.order_id,
            gen=row.gen,
            supplier=row.supplier,
            external_id=external_id(file, row),
            supplier_product_id=offer.supplier_product_id,
            offer_id=offer.offer_id or None,
            quantity=row.quantity,
            max_price=row.max_unit_price,
            balance_before=balance.amount if balance else None,
            balance_at=balance.at if balance else None,
            intent_at=at,
        )
    )
    draft.event("attempt_intended", attempt.id, facts={"gen": attempt.gen, "part": row.part})
    return draft.decision()


def external_id(file: OrderFile, fulfilment: Fulfilment) -> str:
    """Our own id at the supplier: the same for every attempt of a round."""
    f = fulfilment
    return f"{file.order.number}-{f.item_no}-{f.part}-{f.round}"


def placed(
    file: OrderFile,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    order: SupplierOrder,
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """The supplier took the order: its id is known and its cost is booked."""
    draft = Draft(file, at=at, new_id=new_id)
    draft.move_attempt(attempt, "placed")
    take_up(draft, fulfilment, attempt, order)
    return draft.decision()


def take_up(
    draft: Draft, fulfilment: Fulfilment, attempt: SupplierAttempt, order: SupplierOrder
) -> None:
    """Note the supplier order on attempt and fulfilment, and book what it cost."""
    draft.set(
        attempt,
        supplier_order_id=order.supplier_order_id,
        created_at=draft.at,
        next_check_at=None,
    )
    if order.total is not None:
        book_cost(draft, attempt, order.total)
    row = draft.resume(fulfilment)
    if row.state != "reserving":
        row = draft.move(row, "begin")
    # The offers tried stay known: should this order be cancelled, the next one is another's.
    draft.move(row, "reserved", blocked_since=None, blocked_reason=None)


def refused(
    file: OrderFile,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    reason: str,
    *,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
    is_elsewhere: bool = False,
) -> Decision:
    """A definite no. `reason` is one of the stable words of the supplier port.

    `is_elsewhere`: another source has the units, so nobody waits for a person at this one.
    """
    draft = Draft(file, at=at, new_id=new_id)
    _close_refused(draft, attempt, reason)
    blocking = MENDED_BY_PEOPLE.get(reason)
    if blocking is not None and not is_elsewhere:
        _block(draft, fulfilment, blocking, limits)
    elif blocking is not None or reason in _NEXT_OFFER:
        row = draft.resume(fulfilment)
        name = offer_name(attempt.supplier, attempt.offer_id)
        draft.set(row, tried_offers=(*row.tried_offers, name), updated_at=at)
    else:
        fail(draft, fulfilment, reason)
    return draft.decision(reason)


def unsent(
    file: OrderFile,
    fulfilment: Fulfilment,
    attempt: SupplierAttempt,
    reason: str,
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """The call was certainly not carried out: wait, then a new attempt under the same id."""
    draft = Draft(file, at=at, new_id=new_id)
    _close_refused(draft, attempt, reason)
    row = draft.resume(fulfilment)
    draft.move(row, "wait", waits_in=row.state, last_error=reason)
    return draft.decision(reason)


def _close_refused(draft: Draft, attempt: SupplierAttempt, reason: str) -> None:
    draft.move_attempt(attempt, "refused", refusal=reason, next_check_at=None)


def doubted(
    file: OrderFile,
    attempt: SupplierAttempt,
    *,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """Nobody can say whether the order was placed: it will be searched for, never placed again."""
    draft = Draft(file, at=at, new_id=new_id)
    draft.move_attempt(attempt, "doubt", next_check_at=at + limits.search_delays[0])
    return draft.decision("unknown")


def unread(
    file: OrderFile,
    fulfilment: Fulfilment,
    reason: str,
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """The supplier refuses to tell its offers, for a cause that is our mistake: nothing was bought
    and nothing will be until a person looks.
    """
    draft = Draft(file, at=at, new_id=new_id)
    fail(draft, _begin(draft, fulfilment), reason)
    return draft.decision(reason)


def blocked(
    file: OrderFile,
    fulfilment: Fulfilment,
    reason: BlockedReason,
    *,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """Nothing can be bought now; NOTHING when it is blocked for that reason already.

    The breaker is open because of wrong credentials: what waits for them goes on saying so.
    """
    over = _patience_over(fulfilment, reason, at, limits)
    known = {reason, "credentials"} if reason == "breaker" else {reason}
    if fulfilment.state == "blocked" and fulfilment.blocked_reason in known and not over:
        return NOTHING
    draft = Draft(file, at=at, new_id=new_id)
    _block(draft, fulfilment, reason, limits)
    return draft.decision(reason)


def sold_out(
    offers: Sequence[Offer], asked: AbstractSet[str], *, at: datetime
) -> tuple[Change, ...]:
    """The suppliers that were asked have none left: nobody else buys it until the catalogue says
    otherwise.
    """
    told = (each for each in offers if each.supplier in asked and each.stock > 0)
    return tuple(update(offer, stock=0, updated_at=at) for offer in told)


def turned_to_own_stock(
    file: OrderFile, fulfilment: Fulfilment, *, at: datetime, new_id: Callable[[], str]
) -> Decision:
    """Own keys do it now. Nothing while an attempt at a supplier is open."""
    if live_attempt(file, fulfilment) is not None:
        return Decision(reason="an attempt is open already")
    draft = Draft(file, at=at, new_id=new_id)
    turn_to_own_stock(draft, fulfilment)
    return draft.decision()


def wait(
    file: OrderFile,
    fulfilment: Fulfilment,
    reason: str,
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """A provider cannot be reached: wait in the present state; NOTHING where it waits already."""
    row = fulfilment
    if row.state not in {"reserving", "reserved", "keys_ready", "sealed", "vaulted"}:
        return NOTHING
    draft = Draft(file, at=at, new_id=new_id)
    draft.move(row, "wait", waits_in=row.state, last_error=reason)
    return draft.decision(reason)


def fail(draft: Draft, fulfilment: Fulfilment, error: str) -> None:
    """O13: machines give up on this fulfilment; its item waits for a person, the buyer is told."""
    row = draft.now(fulfilment)
    if row.state == "pending":
        row = draft.move(row, "begin")
    row = draft.move(row, "fail", last_error=error, waits_in=None, blocked_reason=None)
    draft.event("item_failed", row.id, facts={"item": row.item_no, "error": error})
    draft.hold("item", row.order_item_id, "fulfilment")


def cancelled(
    file: OrderFile, fulfilment: Fulfilment, *, at: datetime, new_id: Callable[[], str]
) -> Decision:
    """The order was refunded before anything was bought for this fulfilment."""
    draft = Draft(file, at=at, new_id=new_id)
    cancel(draft, fulfilment)
    return draft.decision("refunded")


def cancel(draft: Draft, fulfilment: Fulfilment) -> None:
    """End a fulfilment for which nothing is bought and nothing may be any more."""
    row = draft.now(fulfilment)
    if row.state in {"reserving", "retry_wait", "supplier_refunded"}:
        row = draft.move(row, "fail", waits_in=None)
    draft.move(row, "cancel", blocked_reason=None, blocked_since=None)


def _begin(draft: Draft, fulfilment: Fulfilment) -> Fulfilment:
    row = draft.resume(fulfilment)
    if row.state == "reserving":
        return row
    # Only after a cancelled or refunded supplier order does a new id protect better than the old.
    following = row.round + 1 if row.state == "supplier_refunded" else row.round
    return draft.move(row, "begin", round=following, blocked_reason=None, waits_in=None)


def _block(draft: Draft, fulfilment: Fulfilment, reason: BlockedReason, limits: Limits) -> None:
    is_lost = reason in PATIENT_REASONS and _was_given_back(draft.file, fulfilment)
    if is_lost or _patience_over(fulfilment, reason, draft.at, limits):
        fail(draft, _begin(draft, fulfilment), reason)
        return
    row = _begin(draft, fulfilment)
    since = row.blocked_since if reason in PATIENT_REASONS else None
    draft.move(
        row,
        "block",
        blocked_reason=reason,
        blocked_since=since or (draft.at if reason in PATIENT_REASONS else None),
        tried_offers=(),
        last_error=reason,
    )


def _was_given_back(file: OrderFile, fulfilment: Fulfilment) -> bool:
    """Whether the supplier gave our money back and nothing was tried since: no other offer being
    left, a person decides. What waited for a breaker in between is no other case.
    """
    if fulfilment.state != "blocked":
        return fulfilment.state == "supplier_refunded"
    if fulfilment.blocked_reason in PATIENT_REASONS or fulfilment.round == 1:
        return False
    name = external_id(file, fulfilment)
    return all(a.external_id != name for a in file.attempts_of(fulfilment.id))


def _patience_over(
    fulfilment: Fulfilment, reason: BlockedReason, at: datetime, limits: Limits
) -> bool:
    since = fulfilment.blocked_since
    return reason in PATIENT_REASONS and since is not None and at - since >= limits.blocked_patience
