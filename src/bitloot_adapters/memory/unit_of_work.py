"""One transaction at a time over the memory tables: locked reads, one recorded decision."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Final, TypeVar

from bitloot.domain.decision import Decision, Event, Row, update
from bitloot.domain.limits import Limits
from bitloot.domain.reactions import all_jobs
from bitloot.domain.timeline import seal_events
from bitloot.domain.webhook import Webhook
from bitloot.ports.assortment import Assortment
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.jobs import Lease, Outcome
from bitloot.ports.people import People
from bitloot.ports.unit_of_work import Checkout, Grants, Inbox, Keys, Orders, Transaction
from bitloot_adapters.memory.assortment import MemoryAssortment
from bitloot_adapters.memory.audit_chain import AuditChain
from bitloot_adapters.memory.job_table import JobTable
from bitloot_adapters.memory.people import MemoryPeople
from bitloot_adapters.memory.questions import (
    MemoryCheckout,
    MemoryGrants,
    MemoryInbox,
    MemoryKeys,
    MemoryOrders,
)
from bitloot_adapters.memory.tables import Tables

R = TypeVar("R", bound=Row)


class MemoryStore:
    """What outlives a process: rows, events, jobs, audit lines. `is_down` plays an outage."""

    def __init__(self, *, clock: Clock, new_id: NewId, limits: Limits) -> None:
        self.clock: Final = clock
        self.new_id: Final = new_id
        self.tables: Final = Tables()
        self.jobs: Final = JobTable(clock=clock, new_id=new_id, limits=limits)
        self.audit: Final = AuditChain()
        self.events: Final[dict[str, list[Event]]] = defaultdict(list)
        self.is_down = False

    def rows(self, row: type[R]) -> list[R]:
        """Every row of a table, for a look from outside."""
        return list(self.tables.all(row))

    def timeline(self, order_id: str) -> Sequence[Event]:
        """The events of an order by `seq`."""
        return tuple(self.events.get(order_id, ()))

    def begin_like(self, other: "MemoryStore") -> None:
        """Hold what another store holds by now: rows and audit lines are shared, never changed."""
        self.tables.begin_with(other.tables.held())
        self.audit.begin_with(other.audit.lines)

    def reach(self) -> None:
        """Raise StoreUnavailable during an outage."""
        if self.is_down:
            raise StoreUnavailable


class MemoryTransaction:
    """The questions, and `record`, once."""

    def __init__(self, store: MemoryStore, release: Callable[[], None]) -> None:
        self._store = store
        self._release = release
        self._is_open = True

    @property
    def orders(self) -> Orders:
        """Whole orders."""
        return MemoryOrders(self._reach().tables)

    @property
    def checkout(self) -> Checkout:
        """What placing reads."""
        store = self._reach()
        return MemoryCheckout(store.tables, store.jobs, store.clock)

    @property
    def keys(self) -> Keys:
        """Sealed keys and own stock."""
        return MemoryKeys(self._reach().tables)

    @property
    def grants(self) -> Grants:
        """Permissions to download."""
        return MemoryGrants(self._reach().tables)

    @property
    def inbox(self) -> Inbox:
        """Webhooks and mails."""
        store = self._reach()
        return MemoryInbox(store.tables, store.timeline)

    @property
    def assortment(self) -> Assortment:
        """What stands around the products."""
        return MemoryAssortment(self._reach().tables)

    @property
    def people(self) -> People:
        """Accounts and what belongs to them."""
        return MemoryPeople(self._reach().tables)

    async def record(
        self, decision: Decision, *, lease: Lease | None = None, outcome: Outcome | None = None
    ) -> None:
        """Write the decision and commit: everything that can refuse is asked before the writing."""
        store = self._reach()
        sealed = seal_events(decision)
        jobs = all_jobs(decision)
        if lease is not None:
            store.jobs.held(lease)
        elif outcome is not None:
            raise ValueError("an outcome without the lease that it ends")
        store.tables.write(sealed.save, decision.remove)
        if decision.order_id is not None:
            store.events[decision.order_id].extend(sealed.events)
        for entry in decision.audit:
            store.audit.append(entry)
        # The outcome first: what the decision asks for is work of its own, also of the same kind.
        if lease is not None and outcome is not None:
            store.jobs.settle(lease, outcome)
        for job in jobs:
            store.jobs.wish(job)
        self.close()

    async def count_repeat(self, provider: str, dedupe_key: str) -> bool:
        """Count one more delivery of a webhook."""
        tables = self._reach().tables
        known = tables.by_key(Webhook, "webhook_logs_dedupe_key", provider, dedupe_key)
        if known is not None:
            tables.write((update(known, attempts=known.attempts + 1),), ())
        self.close()
        return known is not None

    def close(self) -> None:
        """End the transaction; its locks are free."""
        if self._is_open:
            self._is_open = False
            self._release()

    def _reach(self) -> MemoryStore:
        if not self._is_open:
            raise RuntimeError("the transaction has ended: one decision is recorded in each")
        self._store.reach()
        return self._store


class _Span:
    """Whether the transaction that a task began is still open."""

    is_open = True


class MemoryUnitOfWork:
    """Transactions one after the other, so that whoever reads also holds the lock."""

    def __init__(self, store: MemoryStore) -> None:
        self.store: Final = store
        self._turn: Final = asyncio.Lock()
        self._span: Final[ContextVar[_Span | None]] = ContextVar("memory_transaction", default=None)

    def in_transaction(self) -> bool:
        """Whether the calling task has a transaction open: nothing external may be called then."""
        span = self._span.get()
        return span is not None and span.is_open

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction; rolled back unless recorded."""
        return _Begin(self)

    async def enter(self) -> MemoryTransaction:
        """Wait for the turn of a transaction and open it."""
        if self.in_transaction():
            raise RuntimeError("a transaction inside a transaction")
        self.store.reach()
        await self._turn.acquire()
        span = _Span()
        self._span.set(span)

        def release() -> None:
            span.is_open = False
            self._turn.release()

        return MemoryTransaction(self.store, release)


class _Begin(AbstractAsyncContextManager[Transaction]):
    """One transaction from its turn to its end."""

    def __init__(self, uow: MemoryUnitOfWork) -> None:
        self._uow = uow
        self._open: MemoryTransaction | None = None

    async def __aenter__(self) -> Transaction:
        self._open = await self._uow.enter()
        return self._open

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._open is not None:
            self._open.close()
