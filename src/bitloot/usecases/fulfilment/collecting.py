"""Watching a supplier order and sealing its keys as soon as each can be read."""

from collections.abc import Sequence
from dataclasses import dataclass

from bitloot.domain import sealing, shortage, supplier_progress
from bitloot.domain.decision import NOTHING, Decision
from bitloot.domain.failpoints import AFTER_SEAL, KEYS_READ_BEFORE_SEAL
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.purchase import placed_attempt
from bitloot.domain.sealing import NewKey, usable
from bitloot.domain.supply import SuppliedKey, SupplierOrder
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.jobs import Again, Dead, Lease
from bitloot.ports.supplier import Supplier
from bitloot.ports.unit_of_work import Transaction
from bitloot.usecases.fulfilment.desk import NOW, Case, Decided, Desk, after


@dataclass(frozen=True, slots=True)
class Collecting:
    """Each method does one leg; True means that the job goes on, False that it has its outcome."""

    desk: Desk

    async def collect(self, lease: Lease, case: Case) -> bool:
        """Read the supplier order once, and the keys that it has for us."""
        desk = self.desk
        serving = await self._serving(lease, case)
        if serving is None:
            return False
        supplier, attempt = serving
        try:
            report = await _read(supplier, attempt)
            await desk.breakers.succeeded(attempt.supplier)
            sealed = await self._observe(lease, attempt, report)
            if sealed is None:
                return True
            if not supplier_progress.has_new_keys(report, sealed):
                return await self._nothing_new(lease, case, attempt, report)
            supplied = usable(report, await supplier.keys(report.supplier_order_id))
        except Unavailable as error:
            await desk.unavailable(lease, error)
            return False
        except Rejected as error:
            await desk.refused(attempt.supplier, error.reason)
            pause = desk.limits.blocked_recheck
            await desk.jobs.finish(lease, Again(after=pause, error=error.reason))
            return False
        return await self._seal(lease, attempt, report, supplied)

    async def _serving(self, lease: Lease, case: Case) -> tuple[Supplier, SupplierAttempt] | None:
        """Who serves the fulfilment under which attempt; None when nobody can be asked now."""
        desk = self.desk
        attempt = placed_attempt(case.file, case.fulfilment)
        if attempt is None or attempt.supplier_order_id is None:
            await desk.jobs.finish(lease, Dead("no supplier order is known"))
            return None
        supplier = desk.suppliers.get(attempt.supplier)
        if supplier is None or not await desk.breakers.allows(attempt.supplier):
            await desk.jobs.finish(lease, Again(after=desk.limits.breaker_probe))
            return None
        return supplier, attempt

    async def _nothing_new(
        self, lease: Lease, case: Case, attempt: SupplierAttempt, report: SupplierOrder
    ) -> bool:
        """Every key that is called delivered is sealed: look for the rest later."""
        if report.state == "completed" or attempt.short_since is not None:
            return await self._look_again(lease, attempt, report)
        at, limits = self.desk.clock(), self.desk.limits
        pause = shortage.look_again_after(case.file, case.fulfilment, attempt, at=at, limits=limits)
        await self.desk.jobs.finish(lease, Again(after=pause))
        return False

    async def _look_again(
        self, lease: Lease, attempt: SupplierAttempt, report: SupplierOrder
    ) -> bool:
        """Note what is missing and wait; True when nothing is waited for any more."""
        desk = self.desk
        ended: list[bool] = []

        async def decide(tx: Transaction, case: Case) -> Decided:
            serving = placed_attempt(case.file, case.fulfilment)
            at, limits = desk.clock(), desk.limits
            if serving is None or serving.id != attempt.id:
                ended.append(True)
                return NOTHING, None
            decision = shortage.noted(
                case.file,
                case.fulfilment,
                serving,
                report,
                tuple(await tx.keys.sealed_of_fulfilment(case.fulfilment.id)),
                at=at,
                new_id=desk.new_id,
                limits=limits,
            )
            ended.append(after(decision, case.fulfilment).state == "cancelled")
            if ended[-1]:
                return decision, None
            pause = shortage.look_again_after(
                case.file, case.fulfilment, serving, at=at, limits=limits
            )
            return decision, Again(after=pause)

        await desk.commit(lease, decide)
        return ended[-1]

    async def _observe(
        self, lease: Lease, attempt: SupplierAttempt, report: SupplierOrder
    ) -> tuple[SealedKey, ...] | None:
        """The keys that are sealed already; None when the order does not serve us any more."""
        desk = self.desk
        seen: list[tuple[SealedKey, ...] | None] = []

        async def decide(tx: Transaction, case: Case) -> Decided:
            keys = tuple(await tx.keys.sealed_of_fulfilment(case.fulfilment.id))
            serving = placed_attempt(case.file, case.fulfilment)
            if serving is None or serving.id != attempt.id:
                seen.append(None)
                return NOTHING, None
            decision = supplier_progress.observe(
                case.file,
                case.fulfilment,
                serving,
                report,
                keys,
                at=desk.clock(),
                new_id=desk.new_id,
            )
            lost = after(decision, case.fulfilment).state == "supplier_refunded"
            seen.append(None if lost else _now(decision, keys))
            return decision, None

        await desk.commit(lease, decide)
        return seen[-1]

    async def _seal(
        self,
        lease: Lease,
        attempt: SupplierAttempt,
        report: SupplierOrder,
        supplied: Sequence[SuppliedKey],
    ) -> bool:
        desk = self.desk
        fresh = await desk.read(lease.ref)
        if fresh is None:
            return True
        async with desk.uow.begin() as tx:
            stored = await tx.keys.sealed_of_fulfilment(lease.ref)
            ids = {key.key_id for key in supplied} - {key.supplier_key_id for key in stored}
            foreign = await tx.keys.known_supplier_keys(attempt.supplier, sorted(ids))
        placed = sealing.place_keys(
            fresh.fulfilment, stored, supplied, foreign=foreign, new_id=desk.new_id
        )
        new = [
            sealing.sealed_form(
                each, desk.vault.seal(each.key.serial, each.bound(fresh.fulfilment))
            )
            for each in placed
        ]
        desk.failpoint(KEYS_READ_BEFORE_SEAL)
        complete = await self._store(lease, new)
        desk.failpoint(AFTER_SEAL)
        return complete or await self._look_again(lease, attempt, report)

    async def _store(self, lease: Lease, new: Sequence[NewKey]) -> bool:
        """Commit the sealed keys; whether the job can go on at once."""
        desk = self.desk
        reached: list[Fulfilment] = []

        async def decide(tx: Transaction, case: Case) -> Decided:
            fulfilment = case.fulfilment
            keys = await tx.keys.sealed_of_fulfilment(fulfilment.id)
            attempt = placed_attempt(case.file, fulfilment)
            free = set(sealing.free_slots(fulfilment, keys))
            if attempt is None or not {key.slot for key in new} <= free:
                reached.append(fulfilment)
                return NOTHING, Again(after=NOW)
            ids = [key.supplier_key_id for key in new]
            decision = sealing.seal(
                case.file,
                fulfilment,
                attempt,
                new,
                keys,
                known_fingerprints=await tx.keys.known([key.sealed.fingerprint for key in new]),
                known_key_ids=await tx.keys.known_supplier_keys(attempt.supplier, ids),
                at=desk.clock(),
                new_id=desk.new_id,
            )
            reached.append(after(decision, fulfilment))
            return decision, None

        await desk.commit(lease, decide)
        return reached[-1].state == "sealed"


async def _read(supplier: Supplier, attempt: SupplierAttempt) -> SupplierOrder:
    """The order by its id, or where the supplier does not know that, by ours."""
    assert attempt.supplier_order_id is not None
    try:
        return await supplier.order(attempt.supplier_order_id)
    except Rejected as error:
        if error.reason != "not_found":
            raise
        found = await supplier.find(attempt.external_id)
        same = [o for o in found if o.supplier_order_id == attempt.supplier_order_id]
        if not same:
            raise Unavailable(attempt.supplier, "order_not_found") from error
        return same[0]


def _now(decision: Decision, keys: Sequence[SealedKey]) -> tuple[SealedKey, ...]:
    saved = {row.id: row for c in decision.save if isinstance(row := c.after, SealedKey)}
    return tuple(saved.get(key.id, key) for key in keys)
