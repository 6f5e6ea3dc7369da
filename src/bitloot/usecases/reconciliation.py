"""Comparing our books with what providers have: a supplier's orders, and the stored objects."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from bitloot.domain import supplier_progress
from bitloot.domain.backoff import fraction, outage_pause
from bitloot.domain.decision import AuditEntry, Decision, JobRequest, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment import SupplierAttempt
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.reconciliation import (
    OF_SUPPLIER,
    SUPPLIER_SWEEP,
    BreakKind,
    ReconciliationBreak,
    is_explained,
    named_at,
    our_id,
    supplier_subject,
)
from bitloot.domain.supplier_refund import ENDED, has_news_of_money
from bitloot.domain.supply import SupplierOrder
from bitloot.domain.unknown_order import unknown_order
from bitloot.ports.clock import BootClock, Clock, NewId, RandomBytes
from bitloot.ports.deciding import decide
from bitloot.ports.errors import Conflict, Duplicate, Rejected, Unavailable
from bitloot.ports.jobs import Again, Dead, Done, Jobs, Lease
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.supplier import Supplier
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.ports.upkeep import Upkeep, UploadedKey
from bitloot.ports.views.desk import DeskViews

# What became of a supplier order: known before, taken into our books now, or none of ours.
Compared: TypeAlias = Literal["known", "taken", "foreign"]

OBJECT_SWEEP: Final = "objects"
_STORED: Final = "stored"
_OPEN: Final = "open"
_FOLDER: Final = "keys/"


@dataclass(frozen=True, kw_only=True)
class _Place:
    """How far the sweep over a supplier's orders has come; `since` stays what it was at first."""

    tick: str
    since: datetime
    part: str = "page"
    at: str = "1"

    @classmethod
    def of(cls, ref: str, *, since: datetime) -> "_Place":
        """Where the job is to go on: `<sweep>/<time>` from the start, else with its place."""
        name, time, *rest = ref.split("/")
        tick = f"{name}/{time}"
        if not rest:
            return cls(tick=tick, since=since.replace(microsecond=0))
        begun, part, at = rest
        return cls(tick=tick, since=datetime.fromtimestamp(int(begun), UTC), part=part, at=at)

    def ref(self) -> str:
        """The job that goes on from here."""
        return f"{self.tick}/{int(self.since.timestamp())}/{self.part}/{self.at}"


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """`suppliers` by the plugin's name."""

    uow: UnitOfWork
    jobs: Jobs
    desk: DeskViews
    upkeep: Upkeep
    suppliers: Mapping[str, Supplier]
    vault: KeyVault
    clock: Clock
    boot_clock: BootClock
    new_id: NewId
    random_bytes: RandomBytes
    limits: Limits

    async def compare_orders(self, lease: Lease) -> None:
        """Job `sweep`, ref `reconcile-<supplier>/<time>`: the supplier's orders of the last 48 h.

        So many pages as fit well into the lease, and the next ones as a job of their own; the open
        breaks about orders come last, as many at once. While the supplier cannot be read, or
        refuses our credentials, the job waits for it and goes on from its page.
        """
        name = lease.ref.partition("/")[0].removeprefix(SUPPLIER_SWEEP)
        supplier = self.suppliers.get(name)
        if supplier is None:
            await self.jobs.finish(lease, Dead("no such supplier"))
            return
        # What was placed before the sweep was asked for is looked at, however long it had to wait.
        here = _Place.of(lease.ref, since=lease.asked_at - self.limits.reconcile_window)
        read = self._settle_orders if here.part == "breaks" else self._compare_pages
        try:
            following = await read(lease, supplier, here)
        except (Unavailable, Rejected) as error:
            await self.jobs.finish(lease, self._later(lease, error))
        else:
            await self._go_on(lease, following.ref() if following else None)

    async def _compare_pages(self, lease: Lease, supplier: Supplier, here: "_Place") -> "_Place":
        page_no, read = int(here.at), 0
        async for page in supplier.orders_since(here.since, first_page=page_no):
            for order in page:
                if await self._compare(supplier.name, order) != "foreign":
                    continue
                if order.state not in ENDED:
                    await self._foreign(supplier.name, order)
            page_no, read = page_no + 1, read + 1
            if read == self.limits.reconcile_pages or lease.is_half_spent(self.boot_clock()):
                return replace(here, at=str(page_no))
        return replace(here, part="breaks", at="")

    def _later(self, lease: Lease, error: Unavailable | Rejected) -> Again:
        """The longer the trouble lasts the longer the wait; it alone never ends a sweep."""
        lasted = self.clock() - lease.asked_at
        after = outage_pause(lasted, fraction(self.random_bytes(4)), self.limits)
        is_last = lease.attempts >= lease.max_attempts - 1
        return Again(after=after, progressed=is_last, error=error.reason)

    async def _go_on(self, lease: Lease, ref: str | None) -> None:
        """End the job; the rest of the sweep is the next one."""
        jobs = (JobRequest(kind="sweep", ref=ref),) if ref else ()
        async with self.uow.begin() as tx:
            await tx.record(Decision(jobs=jobs), lease=lease, outcome=Done())

    async def compare_objects(self, lease: Lease) -> None:
        """Job `sweep`, ref `objects/<time>`: the open breaks about objects, then one batch of the
        keys uploaded in the last 48 h, as many of either as fit well into the lease. What is left,
        ref `objects/<time>/open/<last break>` or `objects/<time>/<last key>`, and the next batch
        are jobs of their own. Then all stored objects, ref `objects/<time>/stored/<last id>`: those
        that no key knows.

        While the store of objects cannot be reached, or refuses our credentials, the job waits.
        """
        try:
            await self._compare_objects(lease)
        except (Unavailable, Rejected) as error:
            await self.jobs.finish(lease, self._later(lease, error))

    async def _compare_objects(self, lease: Lease) -> None:
        _, time, *place = lease.ref.split("/")
        if place[:1] == [_STORED]:
            await self._find_orphans(lease, time, place[1])
            return
        after = None
        if not place or place[0] == _OPEN:
            left = await self._settle_objects(lease, place[1] if place else None)
            if left is not None:
                await self._go_on(lease, f"{OBJECT_SWEEP}/{time}/{_OPEN}/{left}")
                return
        else:
            after = place[0]
        most = self.limits.reconcile_objects
        since = self.clock() - self.limits.reconcile_window
        keys = await self.upkeep.uploaded_keys(since=since, after=after, limit=most)
        for key in keys:
            found = await self._difference(key)
            if found is not None and not await self._is_open(key.id):
                await self._open(found, key.id, ours=key.sha256, theirs="")
            after = key.id
            if lease.is_half_spent(self.boot_clock()):
                break
        is_over = len(keys) < most and (not keys or after == keys[-1].id)
        following = f"{_STORED}/" if is_over else after
        await self._go_on(lease, f"{OBJECT_SWEEP}/{time}/{following}")

    async def explain(self, break_id: str, *, actor: str, reason: str) -> ReconciliationBreak:
        """A person knows what an open difference is. Raises Refused `not-found`."""
        rows = await self.desk.open_breaks(limit=self.limits.count_exact)
        row = next((row for row in rows if row.id == break_id), None)
        if row is None:
            raise Refused("not-found")
        at = self.clock()
        settled = update(row, state="settled", note=reason, settled_at=at)
        audit = AuditEntry(
            at=at,
            actor=actor,
            action="reconciliation.explain",
            subject=row.subject,
            reason=reason,
            facts={"kind": row.kind},
        )
        async with self.uow.begin() as tx:
            await tx.record(Decision(save=(settled,), audit=(audit,)))
        assert isinstance(settled.after, ReconciliationBreak)
        return settled.after

    # --- orders at a supplier ------------------------------------------------------------

    async def _compare(self, supplier: str, order: SupplierOrder) -> Compared:
        """An order that no attempt knows is adopted, or its keys are returned."""

        async def attempt(tx: Transaction) -> Compared:
            found = await tx.orders.order_of_supplier_order(
                supplier, order.supplier_order_id, order.external_id
            )
            named = our_id(order.external_id)
            if found is not None:
                file = await tx.orders.file(found[0])
            else:
                file = await tx.orders.file_by_number(named.number) if named else None
            if file is None:
                return "foreign"
            known = file.attempt_of(supplier, order.supplier_order_id)
            if known is not None:
                await self._take_note(tx, file, known, order)
                return "known"
            if found is not None:
                fulfilment = file.fulfilment(found[1])
            elif named is None or (of := named.fulfilment(file, supplier)) is None:
                return "foreign"
            else:
                fulfilment = of
            decision = unknown_order(
                file,
                fulfilment,
                order,
                supplier=supplier,
                at=self.clock(),
                new_id=self.new_id,
                limits=self.limits,
            )
            await tx.record(decision)
            return "taken"

        return await decide(self.uow, attempt)

    async def _take_note(
        self, tx: Transaction, file: OrderFile, attempt: SupplierAttempt, order: SupplierOrder
    ) -> None:
        """Of an order that nobody watches any more, money may have come back unheard of."""
        if attempt.state == "created" or not has_news_of_money(attempt, order):
            return
        keys = await tx.keys.sealed_of_fulfilment(attempt.fulfilment_id)
        await tx.record(
            supplier_progress.observe(
                file,
                file.fulfilment(attempt.fulfilment_id),
                attempt,
                order,
                keys,
                at=self.clock(),
                new_id=self.new_id,
            )
        )

    async def _foreign(self, supplier: str, order: SupplierOrder) -> None:
        """Told once for ever: what a person has settled is not opened again."""
        subject = supplier_subject(supplier, order.supplier_order_id)
        if not await self.upkeep.breaks_of(subject):
            theirs = f"{order.state}, {order.quantity} units"
            await self._open("supplier_order_foreign", subject, ours="", theirs=theirs)

    async def _settle_orders(
        self, lease: Lease, supplier: Supplier, here: "_Place"
    ) -> "_Place | None":
        """The open breaks about orders, from one on; gives where to go on, None at the end."""
        most = self.limits.page_max
        rows = await self.desk.open_breaks(limit=most, after=here.at or None)
        for row in rows:
            of, _, order_id = row.subject.partition("/")
            if row.kind in OF_SUPPLIER and of == supplier.name:
                await self._settle_order(row, supplier, order_id)
            if lease.is_half_spent(self.boot_clock()):
                return replace(here, at=row.id)
        return replace(here, at=rows[-1].id) if len(rows) == most else None

    async def _settle_order(
        self, row: ReconciliationBreak, supplier: Supplier, order_id: str
    ) -> None:
        try:
            order = await supplier.order(order_id)
        except Rejected:
            # Gone at the supplier: that explains nothing.
            return
        async with self.uow.begin() as tx:
            ours = await tx.orders.order_of_supplier_order(supplier.name, order_id, None)
        if is_explained(row, order, is_known=ours is not None):
            await self._close(row, f"the supplier says {order.state}")

    # --- stored objects ------------------------------------------------------------------

    async def _difference(self, key: UploadedKey) -> BreakKind | None:
        stored = await self.vault.stat(key.object_name)
        if stored is None:
            return "key_object_missing"
        return None if stored.sha256 == key.sha256 else "key_object_differs"

    async def _is_open(self, subject: str) -> bool:
        return any(row.state == "open" for row in await self.upkeep.breaks_of(subject))

    async def _find_orphans(self, lease: Lease, time: str, after: str) -> None:
        """One page of the stored objects; a young one may still be about to get its row."""
        most, until = self.limits.reconcile_objects, self.clock() - self.limits.orphan_object_age
        names = await self.vault.names(after=f"{_FOLDER}{after}" if after else None, limit=most)
        ids = [name.removeprefix(_FOLDER) for name in names]
        known = await self.upkeep.known_keys(ids)
        for name, key_id in zip(names, ids, strict=True):
            made_at = named_at(name)
            is_young = made_at is not None and made_at > until
            if key_id in known or is_young or await self.upkeep.breaks_of(name):
                continue
            await self._open("key_object_orphan", name, ours="", theirs="stored")
        more = len(names) == most
        await self._go_on(lease, f"{OBJECT_SWEEP}/{time}/{_STORED}/{ids[-1]}" if more else None)

    async def _settle_objects(self, lease: Lease, after: str | None) -> str | None:
        """The open breaks about objects, from one on; gives where to go on, None at the end."""
        most = self.limits.page_max
        while rows := await self.desk.open_breaks(limit=most, after=after):
            for row in rows:
                after = row.id
                if row.kind not in OF_SUPPLIER:
                    await self._settle_object(row)
                if lease.is_half_spent(self.boot_clock()):
                    return after
        return None

    async def _settle_object(self, row: ReconciliationBreak) -> None:
        if row.kind == "key_object_orphan":
            if await self.vault.stat(row.subject) is None:
                await self._close(row, "the object is gone")
            return
        key = await self.upkeep.uploaded_key(row.subject)
        now = await self._difference(key) if key is not None else None
        if now != row.kind:
            await self._close(row, "no key needs it" if key is None else now or "as sealed")

    # --- breaks --------------------------------------------------------------------------

    async def _open(self, kind: BreakKind, subject: str, *, ours: str, theirs: str) -> None:
        row = ReconciliationBreak(
            id=self.new_id(),
            kind=kind,
            subject=subject,
            ours=ours,
            theirs=theirs,
            found_at=self.clock(),
        )
        try:
            async with self.uow.begin() as tx:
                await tx.record(Decision(save=(insert(row),)))
        except Duplicate:
            return

    async def _close(self, row: ReconciliationBreak, note: str) -> None:
        settled = update(row, state="settled", note=note, settled_at=self.clock())
        try:
            async with self.uow.begin() as tx:
                await tx.record(Decision(save=(settled,)))
        except Conflict:
            return
