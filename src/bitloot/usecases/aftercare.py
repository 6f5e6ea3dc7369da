"""What people do about a paid order: retry, give up, refund, replace a key, tell of it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bitloot.domain import delivery, replace_key, retry
from bitloot.domain.backoff import fraction, outage_pause
from bitloot.domain.decision import NOTHING, Decision
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment import ReturnState
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.own_stock import stock_bound, unit_of
from bitloot.domain.refund import Goods, RefundRecord, record_refund
from bitloot.domain.resend_keys import resend_keys
from bitloot.domain.supplier_return import return_noted, return_unclear
from bitloot.ports.breaker import Breakers
from bitloot.ports.clock import Clock, NewId, RandomBytes
from bitloot.ports.deciding import decide
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.jobs import Again, Dead, Done, Jobs, Lease, Outcome
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.supplier import Supplier
from bitloot.ports.unit_of_work import Transaction, UnitOfWork


@dataclass(frozen=True, kw_only=True)
class Aftercare:
    """`suppliers` by the plugin's name. `actor` is always who acts, for the audit log."""

    uow: UnitOfWork
    jobs: Jobs
    suppliers: Mapping[str, Supplier]
    breakers: Breakers
    vault: KeyVault
    clock: Clock
    new_id: NewId
    random_bytes: RandomBytes
    limits: Limits

    async def retry(
        self, order_id: str, *, actor: str, reason: str, just_paid: bool = False
    ) -> Decision:
        """Take up every open fulfilment again. Raises Refused as `domain.retry` says.

        `just_paid`: asking the gateway for this retry had the order settled.
        """

        async def attempt(tx: Transaction) -> Decision:
            file = await _file(tx, order_id)
            accepted = await tx.inbox.last_facts(order_id, "retry_accepted") or {}
            last = accepted.get(retry.ACCEPTED_AT)
            decision = retry.retry(
                file,
                actor=actor,
                reason=reason,
                at=self.clock(),
                new_id=self.new_id,
                limits=self.limits,
                last=datetime.fromisoformat(str(last)) if last else None,
                just_paid=just_paid,
            )
            await tx.record(decision)
            return decision

        return await decide(self.uow, attempt)

    async def give_up(self, order_id: str, *, actor: str, reason: str) -> Decision:
        """O14: the order failed; what was delivered stays. Raises Refused."""

        async def attempt(tx: Transaction) -> Decision:
            file = await _file(tx, order_id)
            decision = delivery.given_up(
                file, actor=actor, reason=reason, at=self.clock(), new_id=self.new_id
            )
            if not decision.events:
                raise Refused("retry-not-allowed", "Nothing is owed on this order.")
            await tx.record(decision)
            return decision

        return await decide(self.uow, attempt)

    async def refund(
        self, order_id: str, record: RefundRecord, *, actor: str, confirmed: bool
    ) -> Decision:
        """O21: record money sent back, and bring the goods back. Raises Refused."""

        async def attempt(tx: Transaction) -> Decision:
            file = await _file(tx, order_id)
            at = self.clock()
            decision = record_refund(
                file,
                await self._goods(tx, file),
                await tx.grants.usable(order_id, at=at),
                record,
                actor=actor,
                confirmed=confirmed,
                at=at,
                new_id=self.new_id,
                limits=self.limits,
            )
            await tx.record(decision)
            return decision

        return await decide(self.uow, attempt)

    async def replace_key(
        self, order_id: str, order_item_id: str, slot: int, *, actor: str, reason: str
    ) -> Decision:
        """Get another key for a unit; the old one stays in the history. Raises Refused."""

        async def attempt(tx: Transaction) -> Decision:
            file = await _file(tx, order_id)
            if all(item.id != order_item_id for item in file.items):
                raise Refused("not-found")
            keys = await tx.keys.sealed_of_item(order_item_id)
            key = next(
                (
                    key
                    for state in ("live", "quarantined")
                    for key in keys
                    if key.slot == slot and key.state == state
                ),
                None,
            )
            if key is None:
                raise Refused("key-not-replaceable")
            rows = await tx.keys.inventory([key.id])
            decision = replace_key.replace_key(
                file,
                key,
                {row.id: row for row in rows},
                actor=actor,
                reason=reason,
                at=self.clock(),
                new_id=self.new_id,
            )
            await tx.record(decision)
            return decision

        return await decide(self.uow, attempt)

    async def resend_keys(self, order_id: str, *, actor: str, reason: str) -> Decision:
        """Mail the buyer once more that the keys are ready. Raises Refused."""

        async def attempt(tx: Transaction) -> Decision:
            decision = resend_keys(
                await _file(tx, order_id),
                actor=actor,
                reason=reason,
                at=self.clock(),
                new_id=self.new_id,
            )
            await tx.record(decision)
            return decision

        return await decide(self.uow, attempt)

    async def return_keys(self, lease: Lease) -> None:
        """Job `return_keys`: ask once for the return of a supplier order's keys.

        The request is noted before it is sent. One whose outcome is unclear, or that is found
        half-way after a crash, is never sent again: a break says that somebody has to look.
        """
        async with self.uow.begin() as tx:
            file = await self._of_attempt(tx, lease.ref)
        found = file.attempts if file else ()
        row = next((a for a in found if a.id == lease.ref), None)
        supplier = self.suppliers.get(row.supplier) if row else None
        if row is None or supplier is None or row.supplier_order_id is None:
            await self.jobs.finish(lease, Dead("no such supplier order"))
        elif row.returning == "sending":
            await self._unclear(lease)
        elif row.returning != "wanted":
            await self.jobs.finish(lease, Done())
        elif not supplier.capabilities.returns_keys:
            await self._note(lease, "refused", Done(), only_from="wanted")
        elif not await self.breakers.allows(row.supplier):
            probe = self.limits.breaker_probe
            await self.jobs.finish(lease, Again(after=probe, error="breaker"))
        elif await self._note(lease, "sending", None, only_from="wanted"):
            await self._send_back(lease, supplier, row.supplier_order_id)
        else:
            await self.jobs.finish(lease, Again(after=timedelta()))

    async def _send_back(self, lease: Lease, supplier: Supplier, supplier_order_id: str) -> None:
        try:
            await supplier.give_back(supplier_order_id)
        except OutcomeUnknown:
            await self.breakers.failed(supplier.name)
            await self._unclear(lease)
        except Unavailable as error:
            await self.breakers.failed(supplier.name)
            await self._note(lease, "wanted", self._later(lease, error))
        except Rejected as error:
            if error.reason == "credentials":
                await self.breakers.trip(supplier.name)
                # Nothing was asked of the order yet; it is when our credentials are right again.
                await self._note(lease, "wanted", self._later(lease, error))
            else:
                await self._note(lease, "refused", Done())
        else:
            await self.breakers.succeeded(supplier.name)
            await self._note(lease, "asked", Done())

    async def delete_object(self, lease: Lease) -> None:
        """Job `delete_object`: remove the stored bytes of a key that nobody may have any more.

        While the store is away the job waits: an outage never leaves an object behind.
        """
        async with self.uow.begin() as tx:
            keys = await tx.keys.sealed([lease.ref])
        gone = [key for key in keys if key.state not in {"live", "quarantined"}]
        try:
            for key in gone:
                await self.vault.delete(key.object_name)
        except (Unavailable, Rejected) as error:
            await self.jobs.finish(lease, self._later(lease, error))
        else:
            await self.jobs.finish(lease, Done())

    async def _note(
        self,
        lease: Lease,
        state: ReturnState,
        outcome: Outcome | None,
        *,
        only_from: ReturnState = "sending",
    ) -> bool:
        """Note where the request stands; False, with nothing written, if it stands elsewhere."""

        async def attempt(tx: Transaction) -> bool:
            file = await self._of_attempt(tx, lease.ref)
            row = next((a for a in file.attempts if a.id == lease.ref), None) if file else None
            if file is None or row is None or row.returning != only_from:
                return False
            decision = return_noted(
                file, row, state, at=self.clock(), new_id=self.new_id, limits=self.limits
            )
            await tx.record(decision, lease=lease, outcome=outcome)
            return True

        return await decide(self.uow, attempt)

    async def _unclear(self, lease: Lease) -> None:
        async def attempt(tx: Transaction) -> None:
            file = await self._of_attempt(tx, lease.ref)
            row = next((a for a in file.attempts if a.id == lease.ref), None) if file else None
            if file is None or row is None or row.returning != "sending":
                await tx.record(NOTHING, lease=lease, outcome=Done())
                return
            decision = return_unclear(
                file, row, at=self.clock(), new_id=self.new_id, limits=self.limits
            )
            await tx.record(decision, lease=lease, outcome=Done())

        await decide(self.uow, attempt)

    def _later(self, lease: Lease, error: Unavailable | Rejected) -> Again:
        """The longer the trouble lasts the longer the wait, also when the count starts over."""
        lasted = self.clock() - lease.asked_at
        after = outage_pause(lasted, fraction(self.random_bytes(4)), self.limits)
        is_last = lease.attempts >= lease.max_attempts - 1
        return Again(after=after, progressed=is_last, error=error.reason)

    async def _of_attempt(self, tx: Transaction, attempt_id: str) -> OrderFile | None:
        order_id = await tx.orders.order_of("attempt", attempt_id)
        return await tx.orders.file(order_id) if order_id else None

    async def _goods(self, tx: Transaction, file: OrderFile) -> Goods:
        """The keys of an order, and own ones that nobody saw bound to the shelf again."""
        keys: list[SealedKey] = []
        for item in file.items:
            keys += await tx.keys.sealed_of_item(item.id)
        own = {f.id for f in file.fulfilments if f.own_stock}
        ours = [k for k in keys if k.fulfilment_id in own and k.state in {"live", "quarantined"}]
        rows: dict[str, InventoryKey] = {
            row.id: row for row in await tx.keys.inventory([key.id for key in ours])
        }
        return Goods(
            keys=tuple(keys),
            inventory=rows,
            wrapped={
                key.id: self.vault.rewrap(
                    key.wrapped_dek, key.kek_id, unit_of(key), stock_bound(key)
                )
                for key in ours
                if key.first_download_at is None
            },
        )


async def _file(tx: Transaction, order_id: str) -> OrderFile:
    file = await tx.orders.file(order_id)
    if file is None:
        raise Refused("not-found")
    return file
