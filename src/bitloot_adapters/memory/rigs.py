"""The memory adapters as rigs of the contract suites; also what a rig of your own looks like."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bitloot.domain.decision import AuditEntry, Event
from bitloot.domain.limits import Limits
from bitloot.ports.jobs import JobRow
from bitloot.testing.seeded import SeededIds
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.memory.jobs import MemoryJobs
from bitloot_adapters.memory.unit_of_work import MemoryStore, MemoryUnitOfWork


class MemoryStoreRig:
    """A fresh store on a virtual clock."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.new_id = SeededIds(self.clock.now, seed=7)
        self.store = MemoryStore(clock=self.clock.now, new_id=self.new_id, limits=Limits())
        self.uow = MemoryUnitOfWork(self.store)
        self.jobs = MemoryJobs(self.store.jobs, self.clock.boot)

    def now(self) -> datetime:
        """The store's time."""
        return self.clock.now()

    async def pass_time(self, span: timedelta) -> None:
        """Time passes."""
        self.clock.advance(span)

    async def events(self, order_id: str) -> Sequence[Event]:
        """The stored events of an order."""
        return self.store.timeline(order_id)

    async def all_jobs(self) -> Sequence[JobRow]:
        """Every job."""
        return [self.store.jobs.as_row(job) for job in self.store.jobs.all()]

    async def audit(self) -> Sequence[AuditEntry]:
        """Every audit entry."""
        return [line.entry for line in self.store.audit.lines]

    async def audit_is_whole(self) -> bool:
        """Whether the chain verifies."""
        return self.store.audit.is_whole()
