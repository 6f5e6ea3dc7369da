"""What the people behind the counter see, from the memory tables."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

from bitloot.domain.audit_chain import AuditStretch
from bitloot.domain.decision import Event, Row
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.hold import Hold
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order, OrderFile, OrderItem
from bitloot.domain.payment import Payment
from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.domain.reservation import Reservation
from bitloot.domain.reveal import Grant
from bitloot.domain.webhook import Webhook
from bitloot.ports.views.desk import (
    AuditView,
    InvariantBreach,
    OrderLine,
    StuckWork,
    WebhookCount,
    WebhookView,
)
from bitloot.ports.views.paging import Page, id_after, number_after, page_of
from bitloot_adapters.memory.audit_chain import AuditLine
from bitloot_adapters.memory.questions import MemoryOrders
from bitloot_adapters.memory.tables import Tables, order_by_number
from bitloot_adapters.memory.unit_of_work import MemoryStore
from bitloot_adapters.memory.views.invariants import BREACHES
from bitloot_adapters.memory.views.snapshot import Snapshot
from bitloot_adapters.memory.views.stuck import STUCK

R = TypeVar("R", bound=Row)
T = TypeVar("T")

_AUDITED = (OrderItem, Payment, Fulfilment, SealedKey, Hold, Grant)


class MemoryDeskViews:
    """The port `DeskViews`."""

    def __init__(self, store: MemoryStore, *, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    @property
    def _tables(self) -> Tables:
        self._store.reach()
        return self._store.tables

    async def orders(
        self,
        *,
        status: str | None = None,
        email_key: str | None = None,
        limit: int,
        after: str | None,
    ) -> Page[OrderLine]:
        """Orders, newest first."""
        found = (
            order
            for order in self._tables.all(Order)
            if status in {None, order.status} and email_key in {None, order.email_key}
        )
        return _newest(found, limit, after, self._order_line)

    async def holds(
        self,
        *,
        state: str | None = None,
        order_id: str | None = None,
        limit: int,
        after: str | None,
    ) -> Page[Hold]:
        """Holds, newest first."""
        found = (
            hold
            for hold in self._tables.all(Hold)
            if state in {None, hold.state} and order_id in {None, hold.order_id}
        )
        return _newest(found, limit, after, lambda hold: hold)

    async def reservations(
        self,
        *,
        state: str | None = None,
        order_id: str | None = None,
        product_id: str | None = None,
        supplier: str | None = None,
        limit: int,
        after: str | None,
    ) -> Page[Reservation]:
        """Reservations, newest first."""
        found = (
            row
            for row in self._tables.all(Reservation)
            if state in {None, row.state}
            and order_id in {None, row.order_id}
            and product_id in {None, row.product_id}
            and supplier in {None, row.supplier}
        )
        return _newest(found, limit, after, lambda row: row)

    async def reservation(self, reservation_id: str) -> Reservation | None:
        """One reservation."""
        return self._tables.get(Reservation, reservation_id)

    async def webhooks(
        self,
        *,
        provider: str | None = None,
        classification: str | None = None,
        order_id: str | None = None,
        limit: int,
        after: str | None,
    ) -> Page[WebhookView]:
        """Stored webhooks, newest first, without bodies."""
        found = (
            hook
            for hook in self._tables.all(Webhook)
            if provider in {None, hook.provider}
            and classification in {None, hook.classification}
            and order_id in {None, hook.order_id}
        )
        return _newest(found, limit, after, lambda hook: _webhook(hook, None))

    async def webhook(self, webhook_id: str) -> WebhookView | None:
        """One stored webhook with its body."""
        found = self._tables.get(Webhook, webhook_id)
        return _webhook(found, found.body.decode("utf-8", errors="replace")) if found else None

    async def newer_webhook(
        self, webhook_id: str, *, provider: str | None = None, classification: str | None = None
    ) -> str | None:
        """The id of the next newer one."""
        newer = (
            hook.id
            for hook in self._tables.all(Webhook)
            if hook.id > webhook_id
            and provider in {None, hook.provider}
            and classification in {None, hook.classification}
        )
        return min(newer, default=None)

    async def webhook_counts(self, *, since: datetime, hourly: bool) -> tuple[WebhookCount, ...]:
        """Counts by hour, provider and class."""
        counts = Counter(
            (_hour(hook.received_at) if hourly else None, hook.provider, hook.classification)
            for hook in self._tables.all(Webhook)
            if hook.received_at >= since
        )
        return tuple(
            WebhookCount(at=at, provider=provider, classification=kind, count=count)
            for (at, provider, kind), count in sorted(counts.items(), key=lambda each: str(each[0]))
        )

    async def audit(
        self, *, order_id: str | None = None, limit: int, after: str | None
    ) -> Page[AuditView]:
        """Audit lines, newest first."""
        before = number_after(after)
        names = self._audited(order_id) if order_id is not None else None
        found = [
            _audit_view(line)
            for line in reversed(self._store.audit.lines)
            if (before is None or line.seq < before)
            and (names is None or line.entry.subject in names)
        ]
        return page_of(found[: limit + 1], limit, lambda line: str(line.seq))

    async def audit_chain(self, *, after: int, limit: int) -> AuditStretch:
        """Audit lines as they are chained."""
        self._store.reach()
        return self._store.audit.stretch(after=after, limit=limit)

    async def ledger(self, order_id: str) -> tuple[LedgerLine, ...]:
        """The ledger lines of an order."""
        return tuple(sorted(self._tables.of_order(LedgerLine, order_id), key=lambda row: row.id))

    async def file(self, order_id: str) -> OrderFile | None:
        """Everything about an order."""
        return await MemoryOrders(self._tables).file(order_id)

    async def events(self, order_id: str) -> tuple[Event, ...]:
        """All events of an order."""
        self._store.reach()
        return tuple(self._store.timeline(order_id))

    async def order_id_of_number(self, number: str) -> str | None:
        """The id behind an order number."""
        order = order_by_number(self._tables, number)
        return order.id if order else None

    async def stuck(self, *, limit: int) -> tuple[StuckWork, ...]:
        """Rows that wait for work and have no job."""
        shop = self._snapshot()
        found: list[StuckWork] = []
        for waiting in STUCK:
            without_job = [work for work in waiting(shop) if not _has_job(shop, work)]
            found += without_job[:limit]
        return tuple(found)

    async def breaches(self, *, limit: int) -> tuple[InvariantBreach, ...]:
        """What the invariants find."""
        shop = self._snapshot()
        return tuple(
            InvariantBreach(name=name, subject=subject)
            for name, query in BREACHES.items()
            for subject in sorted(set(query(shop)))[:limit]
        )

    async def open_breaks(
        self, *, limit: int, after: str | None = None
    ) -> tuple[ReconciliationBreak, ...]:
        """Differences that are not explained yet."""
        self._store.reach()
        start = id_after(after) or ""
        rows = self._store.rows(ReconciliationBreak)
        found = [row for row in rows if row.state == "open" and row.id > start]
        found.sort(key=lambda row: row.id)
        return tuple(found[:limit])

    def _snapshot(self) -> Snapshot:
        self._store.reach()
        return Snapshot(store=self._store, limits=self._limits)

    def _order_line(self, order: Order) -> OrderLine:
        holds = self._store.tables.of_order(Hold, order.id)
        return OrderLine(
            id=order.id,
            number=order.number,
            status=order.status,
            failure_reason=order.failure_reason,
            remarks=order.remarks,
            email=order.email,
            source=order.source,
            total=order.total,
            open_holds=sum(hold.is_open for hold in holds),
            created_at=order.created_at,
            paid_at=order.paid_at,
            version=order.version,
        )

    def _audited(self, order_id: str) -> frozenset[str]:
        rows = (row for kind in _AUDITED for row in self._tables.of_order(kind, order_id))
        return frozenset({order_id, *(row.id for row in rows)})


def _newest(rows: Iterable[R], limit: int, after: str | None, shape: Callable[[R], T]) -> Page[T]:
    before = id_after(after)
    found = sorted(
        (row for row in rows if before is None or row.id < before),
        key=lambda row: row.id,
        reverse=True,
    )
    page = page_of(found[: limit + 1], limit, lambda row: row.id)
    return Page(tuple(shape(row) for row in page.items), page.after)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _webhook(hook: Webhook, body: str | None) -> WebhookView:
    return WebhookView(
        id=hook.id,
        provider=hook.provider,
        classification=hook.classification,
        signature_ok=hook.signature_ok,
        subject=hook.subject,
        status=hook.status,
        order_number=hook.order_number,
        order_id=hook.order_id,
        attempts=hook.attempts,
        note=hook.note,
        received_at=hook.received_at,
        handled_at=hook.handled_at,
        body=body,
    )


def _audit_view(line: AuditLine) -> AuditView:
    entry = line.entry
    return AuditView(
        seq=line.seq,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        reason=entry.reason,
        facts=entry.facts,
        hash=line.digest,
    )


def _has_job(shop: Snapshot, work: StuckWork) -> bool:
    kinds = {work.job} if work.job else {"apply_payment", "supplier_hint", "mail_event"}
    return any(
        job.ref == work.ref and job.kind in kinds and job.state in {"pending", "dead"}
        for job in shop.store.jobs.all()
    )
