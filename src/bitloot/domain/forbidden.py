"""Pairs of states that must never stand together, whatever happened before.

The exhaustive walk looks for them after every step, and so may a checker over stored orders.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from bitloot.domain.delivery import is_delivered
from bitloot.domain.fulfilment import LIVE_ATTEMPT
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.order import PAID, OrderFile
from bitloot.domain.order_end import ON_ITS_WAY
from bitloot.domain.reveal import Grant, allows_reveal

_UNPAID: Final = frozenset({"created", "waiting", "confirming"})


def fulfilled_but_owed(file: OrderFile) -> bool:
    """1: `fulfilled` with an item not delivered, or everything delivered and still `paid`."""
    done = [is_delivered(item, file.fulfilments) for item in file.items]
    if file.order.status == "fulfilled":
        return not all(done)
    return file.order.status == "paid" and all(done)


def paid_without_money(file: OrderFile) -> bool:
    """2: paid, or further, without a settled payment of that order, unless set by hand.

    Money that the gateway sent back later was there: that order has been held for it.
    """
    if file.order.status not in PAID or "manual" in file.order.remarks:
        return False
    sent_back = any(h.reason == "gateway_refund" for h in file.holds)
    settled = {"finished", "underpaid"} | ({"refunded"} if sent_back else set())
    return not any(p.status in settled and p.id == file.order.settled_by for p in file.payments)


def fulfilment_of_unpaid(file: OrderFile) -> bool:
    """3: a fulfilment of an order that never was `paid`."""
    return bool(file.fulfilments) and file.order.paid_at is None


def money_unnoticed(file: OrderFile) -> bool:
    """4: not paid yet, with a finished payment and no open hold."""
    finished = any(p.status == "finished" for p in file.payments)
    return file.order.status in _UNPAID and finished and not any(h.is_open for h in file.holds)


def grant_beyond_right(file: OrderFile, grants: Iterable[Grant], at: datetime) -> bool:
    """5: a usable grant of an order that may not be revealed now."""
    usable = any(g.revoked_at is None and g.expires_at > at for g in grants)
    return usable and not allows_reveal(file)


def unit_twice(file: OrderFile, keys: Sequence[SealedKey]) -> bool:
    """6: a unit with two live attempts or two live sealed keys."""
    live = [a.fulfilment_id for a in file.attempts if a.state in LIVE_ATTEMPT]
    units = [(k.order_item_id, k.slot) for k in keys if k.state == "live"]
    return len(set(live)) < len(live) or len(set(units)) < len(units)


def goods_kept_too_long(file: OrderFile) -> bool:
    """7, first half: a `held` reservation of an order that is past `confirming`."""
    return file.order.status not in _UNPAID and any(r.state == "held" for r in file.reservations)


def expired_under_way(before: OrderFile, after: OrderFile) -> bool:
    """7, second half: a step of the timer that expired an order with money on its way."""
    expired = before.order.status != "expired" and after.order.status == "expired"
    return expired and any(p.status in ON_ITS_WAY for p in before.payments)


OF_THE_ORDER: Final[dict[str, Callable[[OrderFile], bool]]] = {
    "1 fulfilled but owed": fulfilled_but_owed,
    "2 paid without money": paid_without_money,
    "3 fulfilment of an unpaid order": fulfilment_of_unpaid,
    "4 money unnoticed": money_unnoticed,
    "7 goods kept too long": goods_kept_too_long,
}


def forbidden_pairs(
    file: OrderFile,
    *,
    at: datetime,
    grants: Iterable[Grant] = (),
    keys: Sequence[SealedKey] = (),
) -> list[str]:
    """The names of the forbidden pairs that an order stands in; empty when all is well."""
    found = [name for name, is_so in OF_THE_ORDER.items() if is_so(file)]
    if grant_beyond_right(file, grants, at):
        found.append("5 grant beyond its right")
    if unit_twice(file, keys):
        found.append("6 a unit twice")
    return found
