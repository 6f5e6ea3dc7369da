"""What the people behind the counter see."""

from datetime import datetime
from typing import Protocol

import msgspec

from bitloot.domain.decision import Event
from bitloot.domain.hold import Hold
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.order import OrderFile
from bitloot.ports.views.paging import Page


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


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the audit log with its place in the hash chain."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str
    hash: str


class InvariantBreach(msgspec.Struct, frozen=True):
    """Something that must never be. `name` is the invariant, `subject` an id."""

    name: str
    subject: str


class StuckWork(msgspec.Struct, frozen=True):
    """Work that lost its job: an order, payment or fulfilment that should have one."""

    kind: str
    ref: str


class DeskViews(Protocol):
    """Reads without side effects."""

    async def holds(self, *, state: str | None, limit: int, after: str | None) -> Page[Hold]:
        """Holds, newest first."""
        ...

    async def webhooks(
        self,
        *,
        provider: str | None,
        classification: str | None,
        limit: int,
        after: str | None,
    ) -> Page[WebhookView]:
        """Stored webhooks, newest first, without bodies."""
        ...

    async def webhook(self, webhook_id: str) -> WebhookView | None:
        """One stored webhook with its body."""
        ...

    async def audit(self, *, limit: int, after: str | None) -> Page[AuditView]:
        """Audit lines, newest first."""
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
        """Rows that wait for work without a pending job."""
        ...

    async def breaches(self, *, limit: int) -> tuple[InvariantBreach, ...]:
        """What the invariants find, at most `limit` of each."""
        ...
