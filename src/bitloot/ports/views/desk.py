"""What the people behind the counter see."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from bitloot.domain.audit_chain import AuditStretch
from bitloot.domain.decision import Event
from bitloot.domain.hold import Hold
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.money import Eur
from bitloot.domain.order import OrderFile
from bitloot.domain.reactions import JobKind
from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.domain.reservation import Reservation
from bitloot.ports.views.paging import Page

# A mail that is being sent for longer than this has lost its sender.
SENDING_TOO_LONG: Final = timedelta(minutes=10)


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """An order in a list. `total` in EUR; `open_holds` wait for a person."""

    id: str
    number: str
    status: str
    failure_reason: str | None
    remarks: tuple[str, ...]
    email: str
    source: str
    total: Eur
    open_holds: int
    created_at: datetime
    paid_at: datetime | None
    version: int


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """A stored webhook; `body` as text is given only for a single one."""

    id: str
    provider: str
    classification: str
    signature_ok: bool
    subject: str | None
    status: str | None
    order_number: str | None
    order_id: str | None
    attempts: int
    note: str
    received_at: datetime
    handled_at: datetime | None
    body: str | None = None


class WebhookCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many webhooks of a provider ended in a class, in the hour from `at` on where told."""

    at: datetime | None
    provider: str
    classification: str
    count: int


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the audit log with its place in the hash chain."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str
    facts: Mapping[str, str | int | None]
    hash: str


class InvariantBreach(msgspec.Struct, frozen=True):
    """Something that must never be. `name` is one of `invariants.INVARIANTS`, `subject` an id."""

    name: str
    subject: str


StuckKind: TypeAlias = Literal["fulfilment", "payment", "order", "invoice", "email", "webhook"]


class StuckWork(msgspec.Struct, frozen=True):
    """Work that lost its job; `ref` is what the job is named by.

    `job` is its kind, None for a webhook, where it depends on what its `provider` is to the shop.
    """

    kind: StuckKind
    ref: str
    job: JobKind | None
    provider: str | None = None


class DeskViews(Protocol):
    """Reads without side effects, one round trip each. Raise StoreUnavailable.

    Lists are newest first; an `after` that is no key of theirs is Refused (`invalid-input`).
    """

    async def orders(
        self,
        *,
        status: str | None = None,
        email_key: str | None = None,
        limit: int,
        after: str | None,
    ) -> Page[OrderLine]:
        """Orders, all or in a status or of an address in its stored form."""
        ...

    async def holds(
        self,
        *,
        state: str | None = None,
        order_id: str | None = None,
        limit: int,
        after: str | None,
    ) -> Page[Hold]:
        """Holds, all or in a state or of an order."""
        ...

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
        """Goods kept for orders, all or in a state, of an order, a product or a supplier."""
        ...

    async def reservation(self, reservation_id: str) -> Reservation | None:
        """One reservation."""
        ...

    async def webhooks(
        self,
        *,
        provider: str | None = None,
        classification: str | None = None,
        order_id: str | None = None,
        limit: int,
        after: str | None,
    ) -> Page[WebhookView]:
        """Stored webhooks without bodies."""
        ...

    async def webhook(self, webhook_id: str) -> WebhookView | None:
        """One stored webhook with its body."""
        ...

    async def newer_webhook(
        self, webhook_id: str, *, provider: str | None = None, classification: str | None = None
    ) -> str | None:
        """The one that stands before it in the list, newest first; None where it is the first."""
        ...

    async def webhook_counts(self, *, since: datetime, hourly: bool) -> tuple[WebhookCount, ...]:
        """What was taken in since then, by provider and class, whole or hour by hour (UTC)."""
        ...

    async def audit(
        self, *, order_id: str | None = None, limit: int, after: str | None
    ) -> Page[AuditView]:
        """Audit lines, all or about an order and its lines, payments, holds, keys and grants."""
        ...

    async def audit_chain(self, *, after: int, limit: int) -> AuditStretch:
        """The audit lines behind number `after`, oldest first, as they are chained."""
        ...

    async def ledger(self, order_id: str) -> tuple[LedgerLine, ...]:
        """The ledger lines of an order."""
        ...

    async def file(self, order_id: str) -> OrderFile | None:
        """Everything about an order, read without a lock."""
        ...

    async def events(self, order_id: str) -> tuple[Event, ...]:
        """All events of an order with their changes, for rebuilding its rows."""
        ...

    async def order_id_of_number(self, number: str) -> str | None:
        """The id behind an order number."""
        ...

    async def stuck(self, *, limit: int) -> tuple[StuckWork, ...]:
        """Rows that wait for work and have no job, at most `limit` of each kind.

        A dead job waits for a person: what it was for is not stuck.
        """
        ...

    async def breaches(self, *, limit: int) -> tuple[InvariantBreach, ...]:
        """What the invariants find, at most `limit` of each."""
        ...

    async def open_breaks(
        self, *, limit: int, after: str | None = None
    ) -> tuple[ReconciliationBreak, ...]:
        """Differences to a provider that are not explained yet, oldest first; after that id."""
        ...
