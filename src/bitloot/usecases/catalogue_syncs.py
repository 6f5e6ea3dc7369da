"""Synchronisations with suppliers, and new prices, as jobs: of a supplier one run at a time.

A run is a row; its job reads pages for half a lease and then asks for itself again. What a killed
worker leaves is gone on with by whoever takes the job next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from bitloot.domain.catalogue_sync import CatalogueSync, SyncKind, begun, failed
from bitloot.domain.decision import Decision, JobRequest, insert
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.price_contexts import PricingTerms
from bitloot.domain.rule_change import reprice
from bitloot.ports.catalogue_reading import CatalogueReading
from bitloot.ports.catalogue_writer import CatalogueBatch, CatalogueWriter
from bitloot.ports.clock import BootClock, Clock, NewId
from bitloot.ports.errors import Conflict, Duplicate, Rejected
from bitloot.ports.jobs import Again, Dead, Done, Jobs, Lease
from bitloot.ports.supplier import Supplier
from bitloot.ports.unit_of_work import UnitOfWork

SYNC_SWEEP: Final = "catalogue-"
NEWS_SWEEP: Final = "news-"
EVERYTHING: Final = "all"
RUNNING_RULE: Final = "catalogue_syncs_one_running"


@dataclass(frozen=True, kw_only=True)
class CatalogueSyncs:
    """`margin` is the fraction on top of the cost where no rule says more."""

    uow: UnitOfWork
    jobs: Jobs
    catalogue_writer: CatalogueWriter
    suppliers: Mapping[str, Supplier]
    margin: Decimal
    limits: Limits
    clock: Clock
    boot_clock: BootClock
    new_id: NewId

    async def start(
        self,
        supplier: str,
        kind: SyncKind,
        *,
        asked_by: str | None = None,
        confirmed_by: str | None = None,
    ) -> CatalogueSync:
        """Begin a run, or give the one that is under way. `asked_by` is the person who asks, for
        the audit log.

        An incremental one begins a little before the last run began; without one it is full. A
        person who confirms that goods vanished begins a full one that takes them away. Raises
        Refused `not-found`, StoreUnavailable.
        """
        if supplier not in self.suppliers:
            raise Refused("not-found", "There is no such supplier.", field="supplier")
        running = await self.catalogue_writer.running(supplier)
        if running is None:
            try:
                running = await self._begin(supplier, kind, asked_by, confirmed_by)
            except Duplicate as taken:
                if taken.rule != RUNNING_RULE:
                    raise
                running = await self.catalogue_writer.running(supplier)
        if running is None:
            raise Conflict
        return running

    async def _begin(
        self, supplier: str, kind: SyncKind, asked_by: str | None, confirmed_by: str | None
    ) -> CatalogueSync:
        at = self.clock()
        if confirmed_by is not None:
            kind = "full"
        last = await self.catalogue_writer.last_done(supplier)
        since = None if last is None else last.started_at - self.limits.catalogue_overlap
        row = CatalogueSync(
            id=self.new_id(),
            supplier=supplier,
            kind=kind if since else "full",
            updated_since=since if kind == "incremental" else None,
            started_at=at,
            confirmed_by=confirmed_by,
        )
        change = insert(row)
        job = JobRequest(kind="sync_catalogue", ref=row.id)
        async with self.uow.begin() as tx:
            audit = begun(row, asked_by=asked_by)
            await tx.record(Decision(save=(change,), jobs=(job,), audit=audit))
        assert isinstance(change.after, CatalogueSync)
        return change.after

    async def tick(self, lease: Lease) -> None:
        """Job `sweep`, ref `catalogue-<supplier>/<time>` (all of it) or `news-<supplier>/<time>`.

        A run that is under way is woken, so that what nobody works on any more goes on. A catalogue
        that no person ever asked for is left alone, and one that was read since that time is not
        read again.
        """
        name, _, due = lease.ref.partition("/")
        is_full = name.startswith(SYNC_SWEEP)
        supplier = name.removeprefix(SYNC_SWEEP if is_full else NEWS_SWEEP)
        if supplier not in self.suppliers:
            await self.jobs.finish(lease, Dead("no such supplier"))
            return
        kind: SyncKind = "full" if is_full else "incremental"
        if not await self._is_wanted(supplier, kind, due):
            await self.jobs.finish(lease, Done())
            return
        row = await self.start(supplier, kind)
        job = JobRequest(kind="sync_catalogue", ref=row.id)
        async with self.uow.begin() as tx:
            await tx.record(Decision(jobs=(job,)), lease=lease, outcome=Done())

    async def _is_wanted(self, supplier: str, kind: SyncKind, due: str) -> bool:
        if await self.catalogue_writer.running(supplier) is not None:
            return True
        last = await self.catalogue_writer.last_done(
            supplier, kind=None if kind == "incremental" else "full"
        )
        return last is not None and last.started_at < datetime.fromisoformat(due)

    async def run(self, lease: Lease) -> None:
        """Job `sync_catalogue`, ref the run's id: pages for half a lease, then the job again.

        A page that cannot be read is tried again, with the back-off of its job; one whose tries
        are spent ends the run. Raises Unavailable, Rejected, StoreUnavailable.
        """
        row = await self.catalogue_writer.sync(lease.ref)
        if row is None or row.state != "running":
            await self.jobs.finish(lease, Done())
            return
        supplier = self.suppliers.get(row.supplier)
        if supplier is None:
            await self._give_up(lease, row, "no such supplier")
            return
        try:
            after = await self._reading().go_on(
                row,
                supplier,
                told=_nobody,
                is_time_up=lambda: lease.is_half_spent(self.boot_clock()),
            )
        except Rejected as refused:
            if lease.attempts < lease.max_attempts:
                raise
            await self._give_up(lease, row, refused.reason)
            return
        except Conflict:
            # Somebody else goes on with it, such as a person at a terminal.
            await self.jobs.finish(lease, Again(after=self.limits.job_lease))
            return
        if after.state == "failed":
            # Nothing that a machine tries again changes it: a person looks at it.
            await self.jobs.finish(lease, Dead(after.last_error or "failed"))
            return
        again = Again(after=timedelta(0)) if after.state == "running" else Done()
        await self.jobs.finish(lease, again)

    async def _give_up(self, lease: Lease, row: CatalogueSync, reason: str) -> None:
        await self.catalogue_writer.give_up(failed(row, at=self.clock(), error=reason))
        await self.jobs.finish(lease, Dead(reason))

    async def reprice(self, lease: Lease) -> None:
        """Job `reprice`, ref a product's id or `all`: its price as the rules say now."""
        ids = None if lease.ref == EVERYTHING else (lease.ref,)
        await self.catalogue_writer.reprice(
            ids, reason="rule", terms=self._terms(), at=self.clock()
        )
        await self.jobs.finish(lease, Done())

    async def shelve(self, lease: Lease) -> None:
        """Job `shelve_products`: products stand where their words belong now, and those that moved
        are priced by the rules of their new category.
        """
        moved = await self.catalogue_writer.shelve(at=self.clock())
        jobs = (reprice(None),) if moved else ()
        async with self.uow.begin() as tx:
            await tx.record(Decision(jobs=jobs), lease=lease, outcome=Done())

    async def read_product(self, lease: Lease) -> None:
        """Job `read_product`, ref `<supplier>/<its product id>`: one product as it is there now.

        One that is sold out, gone or hidden has no stock left. Raises Unavailable, Rejected.
        """
        supplier, _, supplier_product_id = lease.ref.partition("/")
        if supplier not in self.suppliers:
            await self.jobs.finish(lease, Dead("no such supplier"))
            return
        found = await self.suppliers[supplier].product(supplier_product_id)
        batch = (
            CatalogueBatch(left_out=(supplier_product_id,))
            if found is None
            else CatalogueBatch(products=(found,))
        )
        await self.catalogue_writer.merge(
            supplier, batch, terms=self._terms(), new_id=self.new_id, at=self.clock()
        )
        await self.jobs.finish(lease, Done())

    def _terms(self) -> PricingTerms:
        return PricingTerms(margin=self.margin, gateway_fee=self.limits.gateway_fee)

    def _reading(self) -> CatalogueReading:
        return CatalogueReading(
            writer=self.catalogue_writer,
            terms=self._terms(),
            limits=self.limits,
            clock=self.clock,
            new_id=self.new_id,
        )


def _nobody(sync: CatalogueSync) -> None:
    """A job tells nobody how far it is: the row of the run does."""
    del sync
