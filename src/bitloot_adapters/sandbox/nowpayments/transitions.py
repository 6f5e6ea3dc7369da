"""Status changes: planned, applied when due, and turned into callbacks."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from bitloot_adapters.sandbox.nowpayments.config import IpnMode, IpnOrder
from bitloot_adapters.sandbox.nowpayments.ipn import sign
from bitloot_adapters.sandbox.nowpayments.js_json import canonical, stringify
from bitloot_adapters.sandbox.nowpayments.records import Delivery, DeliveryState, Move, Payment
from bitloot_adapters.sandbox.nowpayments.wire import callback
from bitloot_adapters.sandbox.nowpayments.world import World

# In a due instant, moves that keep their order are released in it; the rest come after.
_REORDERED_AFTER: Final = 1_000
SETTLED: Final = frozenset({"finished", "partially_paid"})


class IpnPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How the callbacks of one chain travel."""

    order: IpnOrder = "normal"
    mode: IpnMode = "modern"
    copies: int = 2
    """How many of each for `duplicate` and `burst`."""
    delay_seconds: float = 0.0


def default_plan(world: World) -> IpnPlan:
    return IpnPlan(
        order=world.config.ipn_order,
        mode=world.config.ipn_mode,
        delay_seconds=world.config.ipn_delay_seconds,
    )


def schedule_chain(
    world: World,
    payment: Payment,
    steps: tuple[str, ...],
    *,
    paid: Decimal | None,
    plan: IpnPlan | None = None,
    pause: float | None = None,
    start_after: float = 0.0,
    only_from: str | None = None,
) -> None:
    """Plan one move for each step; those due already are applied at once.

    `only_from` cancels the whole chain unless its first move finds that status.
    """
    plan = default_plan(world) if plan is None else plan
    pause = world.config.step_seconds if pause is None else pause
    start = world.clock.now() + timedelta(seconds=start_after)
    end = start + timedelta(seconds=pause * (len(steps) - 1))
    ranks = _ranks(plan.order, len(steps), payment.id)
    lanes = _lanes(plan, payment.id)
    expected = only_from
    for index, status in enumerate(steps):
        due = start + timedelta(seconds=pause * index)
        release: datetime | None = None
        if plan.order == "delayed":
            release = due + timedelta(seconds=plan.delay_seconds)
        elif plan.order in {"reversed", "shuffled"}:
            release = end
        world.store.put(
            Move(
                id=world.new_record_id(),
                due_at=due,
                payment_id=payment.id,
                status=status,
                only_from=expected,
                paid=paid,
                ipn_mode=plan.mode,
                ipn_lost=plan.order == "lost",
                lanes=lanes,
                release_at=release,
                release_order=ranks[index],
            )
        )
        expected = status if only_from is not None else None
    apply_due(world)


def schedule_expiry(world: World, payment: Payment, at: datetime) -> None:
    """`expired` when nothing has come by then."""
    world.store.put(
        Move(
            id=world.new_record_id(),
            due_at=at,
            payment_id=payment.id,
            status="expired",
            only_from="waiting",
            ipn=world.config.emit_expired_ipn,
            ipn_mode=world.config.ipn_mode,
            lanes=(str(payment.id),),
        )
    )


def apply_due(world: World) -> None:
    """Apply every move whose time has come, in order of time, and queue its callbacks."""
    now = world.clock.now()
    due = [move for move in world.store.moves.values() if move.due_at <= now]
    for move in sorted(due, key=lambda move: (move.due_at, move.id)):
        world.store.drop_move(move)
        payment = world.store.payments.get(move.payment_id)
        if payment is None or move.only_from not in {None, payment.status}:
            continue
        _apply(world, payment, move)
    if due:
        world.wake.set()


def _apply(world: World, payment: Payment, move: Move) -> None:
    at = max(move.due_at, payment.updated_at)
    if move.due_at <= payment.updated_at:
        # Two changes of one payment never share an `updated_at`.
        at = payment.updated_at + timedelta(milliseconds=1)
    moved = replace(payment, status=move.status, updated_at=at)
    if move.paid is not None:
        moved = replace(moved, actually_paid=move.paid, payin_hash=_hash("payin", payment))
    if move.status in SETTLED:
        net = world.rates.after_fee(
            moved.actually_paid,
            moved.pay_currency,
            moved.outcome_currency,
            world.config.service_fee_percent,
        )
        moved = replace(moved, outcome_amount=net, payout_hash=_hash("payout", payment))
    if move.status == "expired":
        moved = replace(moved, silent=True)
    world.store.put(moved)
    if move.ipn and not payment.silent:
        queue_callback(world, moved, move)


def queue_callback(world: World, payment: Payment, move: Move) -> None:
    """Write the callback of the present state, sign it, and queue it (or log why not)."""
    config = world.config
    if payment.ipn_callback_url is None:
        return
    legacy = move.ipn_mode == "legacy"
    shape = callback(
        payment,
        legacy=legacy,
        zero_when_finished=config.actually_paid_zero,
        child_ids=config.ipn_child_ids,
    )
    body = stringify(shape, style="loose") if legacy else stringify(shape, sort=True)
    secret = config.ipn_secret
    state: DeliveryState = "pending"
    reason: str | None = None
    if secret is None:
        state, reason = "suppressed", "no IPN secret was generated for the account"
    elif move.ipn_lost or config.drop_ipns:
        state, reason = "lost", "lost on the way"
    signature = ""
    if secret is not None:
        signature = sign(canonical(body, arrays=config.ipn_array_form), secret)
    for lane in move.lanes:
        world.store.put(
            Delivery(
                id=world.new_record_id(),
                payment_id=payment.id,
                payment_status=payment.status,
                url=payment.ipn_callback_url,
                body=body,
                signature=signature,
                mode=move.ipn_mode,
                lane=lane,
                due_at=move.due_at if move.release_at is None else move.release_at,
                order=move.release_order,
                state=state,
                reason=reason,
            )
        )


def next_due(world: World) -> datetime | None:
    """When the next move or callback is due."""
    moves = [move.due_at for move in world.store.moves.values()]
    sends = [sent.due_at for sent in world.store.pending.values()]
    return min(moves + sends, default=None)


def _ranks(order: IpnOrder, steps: int, seed: int) -> list[int]:
    """The place of each step's callback among those released at the same instant."""
    if order == "reversed":
        return [_REORDERED_AFTER + steps - index for index in range(steps)]
    if order == "shuffled":
        # Repeatable on purpose: the same payment is shuffled in the same way.
        ranks = sorted(range(steps), key=lambda step: sign(f"{seed}:{step}", "order"))
        if steps > 1 and ranks == sorted(ranks):
            ranks.reverse()
        return [_REORDERED_AFTER + rank for rank in ranks]
    return list(range(steps))


def _lanes(plan: IpnPlan, payment_id: int) -> tuple[str, ...]:
    if plan.order == "duplicate":
        return (str(payment_id),) * plan.copies
    if plan.order == "burst":
        return tuple(f"{payment_id}/{copy}" for copy in range(plan.copies))
    return (str(payment_id),)


def _hash(kind: str, payment: Payment) -> str:
    return sign(f"{kind}:{payment.id}", "transaction")[:64]
