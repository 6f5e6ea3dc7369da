"""Sweeps: what was lost on the way is found by comparing what stands with what should stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bitloot.domain import resolution
from bitloot.domain.decision import NOTHING, Decision, JobRequest
from bitloot.domain.draft import Draft
from bitloot.domain.fulfilment import SupplierAttempt
from bitloot.domain.limits import Limits
from bitloot.domain.money import ZERO
from bitloot.domain.order import OrderFile
from bitloot.domain.own_stock import expired
from bitloot.domain.purchase import live_attempt
from bitloot.domain.supply import SupplierOrder
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.jobs import Again, Dead, Done, Jobs, Lease
from bitloot.ports.supplier import Supplier
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.ports.upkeep import Upkeep

ROWS_IN_ONE_SWEEP: Final = 200
QUIET: Final = timedelta(minutes=1)
_RECONCILE: Final = "reconcile-"


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """`suppliers` by the plugin's name."""

    uow: UnitOfWork
    jobs: Jobs
    upkeep: Upkeep
    suppliers: Mapping[str, Supplier]
    clock: Clock
    new_id: NewId
    limits: Limits

    async def sweep(self, lease: Lease) -> None:
        """Job `sweep`, ref `<name>/<time>`: `redrive`, `housekeeping` or `reconcile-<supplier>`.

        Raises Unavailable when a supplier cannot be read: the job is tried again.
        """
        name = lease.ref.partition("/")[0]
        if name == "redrive":
            await self._redrive(lease)
        elif name == "housekeeping":
            await self._keep_house(lease)
        elif name.startswith(_RECONCILE):
            await self._reconcile(lease, name.removeprefix(_RECONCILE))
        else:
            await self.jobs.finish(lease, Dead("unknown sweep"))

    async def _redrive(self, lease: Lease) -> None:
        """Give a job to each fulfilment that should have one and has none."""
        before = self.clock() - QUIET
        stuck = await self.upkeep.fulfilments_without_job(before=before, limit=ROWS_IN_ONE_SWEEP)
        jobs = tuple(JobRequest(kind="fulfil", ref=each) for each in stuck)

        async def attempt(tx: Transaction) -> None:
            is_full = len(stuck) == ROWS_IN_ONE_SWEEP
            outcome = Again(after=timedelta()) if is_full else Done()
            await tx.record(Decision(jobs=jobs), lease=lease, outcome=outcome)

        await decide(self.uow, attempt)

    async def _keep_house(self, lease: Lease) -> None:
        """Forget idempotency records whose time is over, and take ended keys off the shelf."""
        at = self.clock()
        gone = await self.upkeep.expire_idempotency(
            before=at - self.limits.idempotency_life, limit=ROWS_IN_ONE_SWEEP
        )

        async def attempt(tx: Transaction) -> None:
            keys = await tx.keys.past_expiry(at=at, limit=ROWS_IN_ONE_SWEEP)
            is_full = ROWS_IN_ONE_SWEEP in {len(keys), gone}
            outcome = Again(after=timedelta()) if is_full else Done()
            await tx.record(expired(keys, at=at), lease=lease, outcome=outcome)

        await decide(self.uow, attempt)

    async def _reconcile(self, lease: Lease, name: str) -> None:
        """Compare the supplier's orders of the last 48 h with our attempts."""
        supplier = self.suppliers.get(name)
        if supplier is None:
            await self.jobs.finish(lease, Dead("no such supplier"))
            return
        since = self.clock() - self.limits.reconcile_window
        async for page in supplier.orders_since(since):
            for order in page:
                await self._compare(name, order)
        await self.jobs.finish(lease, Done())

    async def _compare(self, supplier: str, order: SupplierOrder) -> None:
        """An order that no attempt knows is adopted, or its keys are returned."""

        async def attempt(tx: Transaction) -> None:
            found = await tx.orders.order_of_supplier_order(
                supplier, order.supplier_order_id, order.external_id
            )
            file = await tx.orders.file(found[0]) if found else None
            if found is None or file is None:
                return
            known = {a.supplier_order_id for a in file.attempts}
            if order.supplier_order_id in known:
                return
            decision = self._settle(file, found[1], order)
            if decision is not NOTHING:
                await tx.record(decision)

        await decide(self.uow, attempt)

    def _settle(self, file: OrderFile, fulfilment_id: str, order: SupplierOrder) -> Decision:
        fulfilment = file.fulfilment(fulfilment_id)
        live = live_attempt(file, fulfilment)
        at, new_id = self.clock(), self.new_id
        if live is not None and live.state in {"intent", "unknown"}:
            return resolution.searched(
                file,
                fulfilment,
                live,
                [order],
                balance=None,
                spent=ZERO,
                at=at,
                new_id=new_id,
                limits=self.limits,
            )
        like = _latest(file, fulfilment_id, order.external_id)
        if like is None:
            return NOTHING
        draft = Draft(file, at=at, new_id=new_id)
        row = draft.set(fulfilment, gen=fulfilment.gen + 1)
        resolution.surplus_order(draft, row, like, order, row.gen)
        draft.event("attempt_resolved", row.id, facts={"to": "surplus", "gen": row.gen})
        return draft.decision("surplus")


def _latest(file: OrderFile, fulfilment_id: str, external_id: str | None) -> SupplierAttempt | None:
    same = [
        a
        for a in file.attempts
        if a.fulfilment_id == fulfilment_id and a.external_id == external_id
    ]
    return max(same, key=lambda a: a.gen, default=None)
