"""The invariants over the memory tables: each gives the ids of what must not be."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from decimal import Decimal
from itertools import combinations
from typing import Final

from bitloot.domain.delivery import is_delivered
from bitloot.domain.draft import standing
from bitloot.domain.email import Email
from bitloot.domain.fulfilment import LIVE_ATTEMPT, Fulfilment, FulfilmentState, SupplierAttempt
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.money import ZERO
from bitloot.domain.observation import FUNDS_SEEN
from bitloot.domain.order import BEFORE_PAYMENT, PAID, Order, OrderItem
from bitloot.domain.payment import Payment
from bitloot.domain.reservation import Reservation
from bitloot.domain.reveal import Grant, shows_keys
from bitloot.ports.views.invariants import SEVERAL_MAILS, SOON
from bitloot_adapters.memory.job_table import Job
from bitloot_adapters.memory.views.snapshot import Snapshot

Query = Callable[[Snapshot], Iterator[str]]

_HANDED_OVER: Final = frozenset[FulfilmentState]({"delivered", "replaced"})
_HAS_GOODS: Final = frozenset[FulfilmentState](
    {"reserved", "awaiting_release", "keys_ready", "sealed", "vaulted", "delivered"}
)

# --- books ----------------------------------------------------------------------------------------


def _unbalanced(shop: Snapshot) -> Iterator[str]:
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in shop.all(LedgerLine):
        sums[line.order_id, line.entry] += line.amount
    return (order_id for (order_id, _), amount in sums.items() if amount)


def _sales_unpaid(shop: Snapshot) -> Iterator[str]:
    for line in shop.all(LedgerLine):
        is_own = line.entry == f"sale/{line.order_id}"
        if line.entry.startswith("sale/") and not (is_own and shop.order(line.order_id).paid_at):
            yield line.order_id


def _paid_unsold(shop: Snapshot) -> Iterator[str]:
    for order in shop.all(Order):
        lines = shop.of(LedgerLine, order.id)
        if order.paid_at and order.total and not any(x.entry == f"sale/{order.id}" for x in lines):
            yield order.id


def _refunded_above(shop: Snapshot) -> Iterator[str]:
    for order in shop.all(Order):
        lines = (x for x in shop.of(LedgerLine, order.id) if x.account == "refund")
        if sum((x.amount for x in lines), ZERO) > order.total + (order.paid_over or ZERO):
            yield order.id


def _above_ceiling(shop: Snapshot) -> Iterator[str]:
    for attempt in shop.all(SupplierAttempt):
        part = shop.store.tables.get(Fulfilment, attempt.fulfilment_id)
        if part and attempt.cost and attempt.cost > part.max_unit_price * attempt.quantity:
            yield attempt.id


# --- goods ----------------------------------------------------------------------------------------


def _items_of_fulfilled(shop: Snapshot) -> Iterator[OrderItem]:
    for order in shop.orders("fulfilled"):
        yield from shop.of(OrderItem, order.id)


def _without_keys(shop: Snapshot) -> Iterator[str]:
    for item in _items_of_fulfilled(shop):
        handed_over = {part.id for part in shop.parts(item) if part.state in _HANDED_OVER}
        slots = {
            key.slot
            for key in shop.all(SealedKey)
            if key.order_item_id == item.id
            and key.state in {"live", "replaced"}
            and key.fulfilment_id in handed_over
        }
        if len(slots) < item.quantity:
            yield item.id


def _two_supplier_orders(shop: Snapshot) -> Iterator[str]:
    placed = Counter(
        attempt.fulfilment_id
        for attempt in shop.all(SupplierAttempt)
        if attempt.state in {"created", "completed"}
    )
    return (fulfilment_id for fulfilment_id, count in placed.items() if count > 1)


def _supplier_order_unknown(shop: Snapshot) -> Iterator[str]:
    known = {a.fulfilment_id for a in shop.all(SupplierAttempt) if a.supplier_order_id is not None}
    for part in shop.all(Fulfilment):
        if not part.own_stock and standing(part) in _HAS_GOODS and part.id not in known:
            yield part.id


def _repeated(shop: Snapshot, key_of: Callable[[SealedKey], Hashable | None]) -> Iterator[str]:
    """The latest of those keys that share something that is one key's alone."""
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    for key in shop.all(SealedKey):
        shared = key_of(key)
        if shared is not None:
            groups[shared].append(key.id)
    return (max(ids) for ids in groups.values() if len(ids) > 1)


def _supplier_key_twice(shop: Snapshot) -> Iterator[str]:
    return _repeated(
        shop, lambda key: (key.supplier, key.supplier_key_id) if key.supplier_key_id else None
    )


def _fingerprint_twice(shop: Snapshot) -> Iterator[str]:
    return _repeated(shop, lambda key: key.fingerprint if key.state != "quarantined" else None)


def _two_attempts(shop: Snapshot) -> Iterator[str]:
    for item in shop.all(OrderItem):
        parts = {p.id: p for p in shop.parts(item) if p.state not in {"replaced", "returned"}}
        live = [
            parts[attempt.fulfilment_id]
            for attempt in shop.of(SupplierAttempt, item.order_id)
            if attempt.state in LIVE_ATTEMPT and attempt.fulfilment_id in parts
        ]
        if any(set(one.slots) & set(other.slots) for one, other in combinations(live, 2)):
            yield item.id


def _two_keys(shop: Snapshot) -> Iterator[str]:
    units = Counter(
        (key.order_item_id, key.slot)
        for key in shop.all(SealedKey)
        if key.state in {"live", "shredded"}
    )
    return (item_id for (item_id, _), count in units.items() if item_id and count > 1)


def _reservation_left(shop: Snapshot) -> Iterator[str]:
    for row in shop.all(Reservation):
        if row.state == "held" and shop.order(row.order_id).status not in BEFORE_PAYMENT:
            yield row.id


# --- order and payment ----------------------------------------------------------------------------


def _undelivered(shop: Snapshot) -> Iterator[str]:
    items = _items_of_fulfilled(shop)
    return (item.id for item in items if not is_delivered(item, shop.parts(item)))


def _unfulfilled(shop: Snapshot) -> Iterator[str]:
    for order in shop.orders("paid", "partially_fulfilled"):
        items = shop.of(OrderItem, order.id)
        if all(is_delivered(item, shop.parts(item)) for item in items):
            yield order.id


def _without_payment(shop: Snapshot) -> Iterator[str]:
    for order in shop.orders(*PAID):
        payments = shop.of(Payment, order.id)
        is_paid = any(
            p.status == "finished"
            or (p.id == order.settled_by and p.status in {"underpaid", "refunded"})
            for p in payments
        )
        if not is_paid and "manual" not in order.remarks:
            yield order.id


def _part_of_unpaid(shop: Snapshot) -> Iterator[str]:
    return (f.id for f in shop.all(Fulfilment) if shop.order(f.order_id).paid_at is None)


def _unnoticed(shop: Snapshot) -> Iterator[str]:
    for order in shop.orders(*BEFORE_PAYMENT):
        if not shop.open_holds(order.id):
            yield from (p.id for p in shop.of(Payment, order.id) if p.status == "finished")


def _expired_too_early(shop: Snapshot) -> Iterator[str]:
    for order in shop.orders("expired"):
        moving = {p.id for p in shop.of(Payment, order.id) if p.status in FUNDS_SEEN}
        seen = False
        for event in shop.store.timeline(order.id):
            if event.kind == "payment_moved" and event.subject in moving:
                seen = seen or event.facts.get("to") in FUNDS_SEEN
            if event.kind == "order_expired" and event.facts.get("by") == "timer" and seen:
                yield order.id


def _usable_grant(shop: Snapshot) -> Iterator[str]:
    for grant in shop.all(Grant):
        is_over = grant.revoked_at is not None or grant.expires_at <= shop.now
        if is_over or grant.downloads >= shop.limits.downloads_per_link:
            continue
        if not shows_keys(shop.order(grant.order_id)) or shop.has_order_hold(grant.order_id):
            yield grant.id


# --- work -----------------------------------------------------------------------------------------


def _idle(shop: Snapshot) -> Iterator[str]:
    def counts(job: Job) -> bool:
        soon = job.state == "pending" and job.available_at <= shop.now + SOON
        return job.kind == "fulfil" and (soon or job.state == "dead")

    watched = {job.ref for job in shop.store.jobs.all() if counts(job)}
    for order in shop.orders("paid", "partially_fulfilled"):
        parts = shop.of(Fulfilment, order.id)
        stopped = any(hold.subject != "payment" for hold in shop.open_holds(order.id))
        if not stopped and not any(part.id in watched for part in parts):
            yield order.id


def _mail_twice(shop: Snapshot) -> Iterator[str]:
    written = Counter(
        (mail.order_id, mail.kind)
        for mail in shop.all(Email)
        if mail.order_id is not None and mail.kind not in SEVERAL_MAILS
    )
    for (order_id, kind), count in written.items():
        if order_id is not None and count > 1:
            told = Counter(event.kind for event in shop.store.timeline(order_id))
            most = {
                "order-ready": 1 + told["keys_resent"],
                "order-failed": told["order_failed"] + told["given_up"],
            }
            if count > most.get(kind, 1):
                yield order_id


def _lease_forgotten(shop: Snapshot) -> Iterator[str]:
    since = shop.now - shop.limits.job_lease
    for job in shop.store.jobs.pending():
        if job.lease_until is not None and job.lease_until < since:
            yield job.id


def _none(shop: Snapshot) -> Iterator[str]:
    """A memory transaction does not outlive the step that it is part of."""
    del shop
    return iter(())


BREACHES: Final[Mapping[str, Query]] = {
    "ledger_unbalanced": _unbalanced,
    "sale_of_unpaid_order": _sales_unpaid,
    "paid_without_sale": _paid_unsold,
    "refund_above_price": _refunded_above,
    "cost_above_ceiling": _above_ceiling,
    "fulfilled_without_keys": _without_keys,
    "two_supplier_orders": _two_supplier_orders,
    "supplier_order_unknown": _supplier_order_unknown,
    "supplier_key_twice": _supplier_key_twice,
    "fingerprint_twice": _fingerprint_twice,
    "unit_with_two_attempts": _two_attempts,
    "unit_with_two_keys": _two_keys,
    "reservation_left": _reservation_left,
    "fulfilled_undelivered": _undelivered,
    "delivered_unfulfilled": _unfulfilled,
    "paid_without_payment": _without_payment,
    "fulfilment_of_unpaid_order": _part_of_unpaid,
    "finished_payment_unnoticed": _unnoticed,
    "expired_with_money_on_its_way": _expired_too_early,
    "usable_grant": _usable_grant,
    "paid_but_idle": _idle,
    "mail_twice": _mail_twice,
    "lease_forgotten": _lease_forgotten,
    "transaction_too_old": _none,
}
