"""A refund as it is recorded: the money went back by hand, now the goods come back.

Nothing is paid out here. What nobody saw is returned or put back on the shelf; what somebody
downloaded is burned.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.limits import Limits
from bitloot.domain.money import ZERO, Eur
from bitloot.domain.order import OrderFile
from bitloot.domain.purchase import cancel, placed_attempt
from bitloot.domain.reveal import Grant, revoke
from bitloot.domain.sealed import Wrapped
from bitloot.domain.supplier_return import ask_return

RefundBasis: TypeAlias = Literal["then", "now", "fiat", "overpaid", "custom"]
_REFUNDABLE: Final = frozenset({"paid", "partially_fulfilled", "fulfilled", "failed"})
# Nothing is bought yet, or ever will be: they end with the refund.
_NOT_BEGUN: Final = frozenset({"pending", "blocked", "failed_terminal"})
_OPEN: Final = frozenset(
    {
        "reserving",
        "reserved",
        "awaiting_release",
        "keys_ready",
        "sealed",
        "vaulted",
        "retry_wait",
        "supplier_refunded",
    }
)


class RefundRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent back, as the admin writes it down. `eur` is its worth on the stated basis."""

    amount: str
    asset: str
    address: str
    tx_id: str
    basis: RefundBasis
    eur: Eur
    reason: str


class Goods(msgspec.Struct, frozen=True, kw_only=True):
    """The keys behind an order: sealed ones of all its items, own-stock rows by key id.

    `wrapped` holds, by key id, data keys bound to the shelf again: for own keys nobody saw.
    """

    keys: tuple[SealedKey, ...] = ()
    inventory: Mapping[str, InventoryKey] = {}
    wrapped: Mapping[str, Wrapped] = {}

    def of(self, fulfilment: Fulfilment) -> tuple[SealedKey, ...]:
        """The keys of one fulfilment that count still."""
        return tuple(
            key
            for key in self.keys
            if key.fulfilment_id == fulfilment.id and key.state in {"live", "quarantined"}
        )


def record_refund(
    file: OrderFile,
    goods: Goods,
    grants: Sequence[Grant],
    record: RefundRecord,
    *,
    actor: str,
    confirmed: bool,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """Record a refund: the order ends, its grants end, its goods come back where they can.

    Raises Refused: `refund-not-allowed`, `underpaid-non-refundable`, `invalid-input`, or
    `refund-needs-confirmation` when a key was downloaded and the admin did not say so again.
    """
    order = file.order
    if order.status not in _REFUNDABLE:
        raise Refused("refund-not-allowed")
    if order.status == "failed" and order.failure_reason == "underpaid":
        raise Refused("underpaid-non-refundable")
    if not ZERO < record.eur <= order.total + (order.paid_over or ZERO):
        raise Refused("invalid-input", "a refund is above zero and at most what came", field="eur")
    if not confirmed and any(key.first_download_at for key in goods.keys):
        raise Refused("refund-needs-confirmation")
    draft = Draft(file, at=at, new_id=new_id)
    refund_id = new_id()
    draft.move_order("refund", failure_reason=None)
    draft.book(f"refund/{refund_id}", {"refund": record.eur, "gateway": -record.eur})
    facts = {
        "amount": record.amount,
        "asset": record.asset,
        "address": record.address,
        "tx_id": record.tx_id,
        "basis": record.basis,
        "eur": str(record.eur),
    }
    draft.audit(actor, "order.refund", order.id, reason=record.reason, facts=facts)
    draft.event("refund_recorded", order.id, facts={"refund": refund_id, **facts})
    draft.event("order_refunded", order.id)
    revoke(draft, grants, "refund")
    for fulfilment in file.fulfilments:
        if fulfilment.state in _NOT_BEGUN:
            cancel(draft, fulfilment)
        elif fulfilment.state == "delivered":
            give_back(draft, fulfilment, goods, limits)
        elif fulfilment.state in _OPEN:
            draft.event("fulfilment_resumed", fulfilment.id)
    return draft.decision()


def returned(
    file: OrderFile,
    fulfilment: Fulfilment,
    goods: Goods,
    *,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """Keys that arrived for an order refunded meanwhile: they go back, never to the buyer."""
    draft = Draft(file, at=at, new_id=new_id)
    draft.resume(fulfilment)
    give_back(draft, fulfilment, goods, limits)
    return draft.decision("refunded")


def give_back(draft: Draft, fulfilment: Fulfilment, goods: Goods, limits: Limits) -> None:
    """End a fulfilment whose keys are sealed: back to the supplier, to the shelf, or burned."""
    keys = goods.of(fulfilment)
    was_seen = any(key.first_download_at for key in keys)
    draft.move(fulfilment, "return", waits_in=None)
    for key in keys:
        if key.first_download_at is not None:
            _burn(draft, key, goods)
        elif key.id in goods.inventory:
            _restock(draft, key, goods)
        else:
            draft.set(key, state="returned", ciphertext=None)
            draft.event("key_shredded", key.id, facts={"slot": key.slot})
    attempt = placed_attempt(draft.file, fulfilment)
    if attempt is not None and not was_seen:
        ask_return(draft, fulfilment, attempt, limits)


def gateway_refunded(
    file: OrderFile,
    grants: Sequence[Grant],
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """The gateway sent the money of a paid order back: everything stops until somebody decides."""
    draft = Draft(file, at=at, new_id=new_id)
    stop_for_gateway_refund(draft, grants)
    return draft.decision()


def stop_for_gateway_refund(draft: Draft, grants: Sequence[Grant]) -> None:
    """Hold the order and end its grants; open fulfilments stop at the hold by themselves."""
    draft.hold("order", draft.order.id, "gateway_refund")
    revoke(draft, grants, "gateway_refund")


def _burn(draft: Draft, key: SealedKey, goods: Goods) -> None:
    stock = goods.inventory.get(key.id)
    if stock is not None:
        draft.set(stock, state="burned")


def _restock(draft: Draft, key: SealedKey, goods: Goods) -> None:
    """Nobody saw it: it is for sale again, bound to the shelf as before."""
    draft.set(goods.inventory[key.id], state="available", reservation_id=None, order_item_id=None)
    wrapped = goods.wrapped[key.id]
    draft.set(
        key,
        order_id=None,
        order_item_id=None,
        slot=None,
        fulfilment_id=None,
        wrapped_dek=wrapped.wrapped_dek,
        kek_id=wrapped.kek_id,
    )
    cost = goods.inventory[key.id].cost
    draft.book(f"refund/{draft.order.id}/{key.id}", {"inventory": cost, "cost": -cost})
