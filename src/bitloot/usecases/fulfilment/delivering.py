"""From sealed bytes to a key that can be revealed: upload, check, deliver; and our own stock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bitloot.domain import delivery, own_stock, purchase, refund
from bitloot.domain.decision import NOTHING
from bitloot.domain.failpoints import AFTER_DELIVER_COMMIT, UPLOADED_BEFORE_DELIVER
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.routing import sources
from bitloot.domain.sealed import Wrapped
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.jobs import Again, Done, Lease, Outcome
from bitloot.ports.unit_of_work import Transaction
from bitloot.usecases.fulfilment.desk import NOW, Case, Decided, Desk, after

Bound: TypeAlias = Literal["bound", "elsewhere", "blocked"]


@dataclass(frozen=True, slots=True)
class Delivering:
    """Each method does one leg; True means that the job goes on, False that it has its outcome."""

    desk: Desk

    async def bind(self, lease: Lease) -> Bound:
        """Own stock: give the units their keys, in one transaction.

        `elsewhere`: there are not enough, and a supplier may have them. `blocked`: nor is there
        one, and the job has its outcome.
        """
        desk = self.desk
        came_to: list[Bound] = []

        async def decide(tx: Transaction, case: Case) -> Decided:
            file, fulfilment, at = case.file, case.fulfilment, desk.clock()
            came_to.append("bound")
            if purchase.order_standing(file) != "go" or not purchase.is_to_be_bought(fulfilment):
                return NOTHING, None
            picked = await self._pick(tx, case)
            if len(picked) < fulfilment.quantity:
                shelf = await tx.checkout.shelf(file.item(fulfilment.order_item_id).product_id)
                if sources(file, fulfilment, shelf, desk.limits):
                    came_to[-1] = "elsewhere"
                    return NOTHING, None
                came_to[-1] = "blocked"
                decision = purchase.blocked(
                    file, fulfilment, "stock", at=at, new_id=desk.new_id, limits=desk.limits
                )
                gave_up = after(decision, fulfilment).state == "failed_terminal"
                pause = Again(after=desk.limits.blocked_recheck, error="stock")
                return decision, Done() if gave_up else pause
            sealed = {key.id: key for key in await tx.keys.sealed([key.id for key in picked])}
            wrapped: dict[str, Wrapped] = {}
            for slot, key in zip(fulfilment.slots, picked, strict=True):
                row = sealed[key.id]
                was = own_stock.stock_bound(row)
                now = own_stock.unit_bound(fulfilment, key.id, slot)
                wrapped[key.id] = desk.vault.rewrap(row.wrapped_dek, row.kek_id, was, now)
            return own_stock.bind(
                file, fulfilment, picked, sealed, wrapped, at=at, new_id=desk.new_id
            ), None

        await desk.commit(lease, decide)
        return came_to[-1]

    async def upload(self, lease: Lease, case: Case) -> bool:
        """Store the committed bytes, check them, and deliver."""
        desk = self.desk
        async with desk.uow.begin() as tx:
            keys = await tx.keys.sealed_of_fulfilment(case.fulfilment.id)
        stored: set[str] = set()
        try:
            for key in delivery.to_upload(keys):
                await self._store(key, is_repeat=lease.attempts > 1)
                stored.add(key.id)
                if desk.half_spent(lease):
                    break
        except Unavailable as error:
            await desk.unavailable(lease, error)
            return False
        except Rejected as error:
            # Our credentials are to be put right: until then the bytes wait in their rows.
            await desk.unavailable(lease, Unavailable(error.provider, error.reason))
            return False
        desk.failpoint(UPLOADED_BEFORE_DELIVER)
        await self._deliver(lease, stored)
        desk.failpoint(AFTER_DELIVER_COMMIT)
        return False

    async def take_back(self, lease: Lease) -> bool:
        """The order was refunded meanwhile: what was sealed goes back, never to the buyer."""
        desk = self.desk

        async def decide(tx: Transaction, case: Case) -> Decided:
            if purchase.order_standing(case.file) != "cancel":
                return NOTHING, None
            keys = tuple(await tx.keys.sealed_of_fulfilment(case.fulfilment.id))
            inventory: Sequence[InventoryKey] = ()
            if case.fulfilment.own_stock:
                inventory = await tx.keys.inventory([key.id for key in keys])
            goods = refund.Goods(
                keys=keys,
                inventory={row.id: row for row in inventory},
                wrapped={
                    key.id: desk.vault.rewrap(
                        key.wrapped_dek,
                        key.kek_id,
                        own_stock.unit_bound(case.fulfilment, key.id, key.slot or 0),
                        own_stock.stock_bound(key),
                    )
                    for key in keys
                    if case.fulfilment.own_stock
                },
            )
            return refund.returned(
                case.file,
                case.fulfilment,
                goods,
                at=desk.clock(),
                new_id=desk.new_id,
                limits=desk.limits,
            ), Done()

        await desk.commit(lease, decide)
        return False

    async def _pick(self, tx: Transaction, case: Case) -> list[InventoryKey]:
        file, fulfilment, at = case.file, case.fulfilment, self.desk.clock()
        kept = await tx.keys.inventory(own_stock.reserved_ids(file, fulfilment))
        picked = list(own_stock.usable(file, fulfilment, kept, at=at))
        missing = fulfilment.quantity - len(picked)
        if missing:
            product_id = file.item(fulfilment.order_item_id).product_id
            # Keys that nobody kept for it may have come in since, at any cost.
            free = await tx.keys.pick(product_id, missing, at=at)
            picked += [key for key in free if key.cost <= fulfilment.max_unit_price]
        return picked

    async def _store(self, key: SealedKey, *, is_repeat: bool) -> None:
        """Put exactly the committed bytes and believe only what the store says it holds."""
        assert key.ciphertext is not None
        vault = self.desk.vault
        try:
            is_there = is_repeat and await self._holds(key)
        except Rejected:
            # A store that may not be listed refuses to tell what is missing; storing will tell.
            is_there = False
        if is_there:
            return
        await vault.put(key.object_name, key.ciphertext, key.sha256)
        if not await self._holds(key):
            raise Unavailable(vault.name, "stored_object_differs")

    async def _holds(self, key: SealedKey) -> bool:
        stat = await self.desk.vault.stat(key.object_name)
        return stat is not None and (stat.size, stat.sha256) == (key.size, key.sha256)

    async def _deliver(self, lease: Lease, stored: set[str]) -> None:
        desk = self.desk

        async def decide(tx: Transaction, case: Case) -> Decided:
            keys = await tx.keys.sealed_of_fulfilment(case.fulfilment.id)
            decision = delivery.uploaded(
                case.file,
                case.fulfilment,
                keys,
                stored,
                at=desk.clock(),
                new_id=desk.new_id,
            )
            reached = after(decision, case.fulfilment).state
            outcome: Outcome = Again(after=desk.limits.blocked_recheck)
            if reached == "delivered":
                outcome = Done()
            elif reached != "vaulted":
                outcome = Again(after=NOW)
            elif purchase.order_standing(case.file) == "stop":
                outcome = Done()
            elif purchase.order_standing(case.file) == "cancel":
                outcome = Again(after=NOW)
            return decision, outcome

        await desk.commit(lease, decide)
