"""What every leg of a fulfilment works with: the ports, a reading of the order, and the commit.

A leg reads the order, calls outside, and commits what came of it. A commit reads the order again
under its lock and decides from that, so a decision never rests on what was true before a call.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

import msgspec

from bitloot.domain.backoff import fraction, outage_pause, pause
from bitloot.domain.decision import NOTHING, Decision
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.purchase import wait
from bitloot.ports.breaker import Breakers
from bitloot.ports.clock import BootClock, Clock, FailPoint, NewId, RandomBytes
from bitloot.ports.errors import Conflict, Duplicate, Unavailable
from bitloot.ports.jobs import Again, Dead, Jobs, Lease, Outcome
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.supplier import Supplier
from bitloot.ports.unit_of_work import Transaction, UnitOfWork

DECIDE_AGAIN: Final = 3
NOW: Final = timedelta()
# A fulfilment that is found so has been waiting for its provider since it was written last.
_WAITING: Final = frozenset({"pending", "retry_wait", "supplier_refunded"})


class Case(msgspec.Struct, frozen=True):
    """A fulfilment with everything about its order, as it was read."""

    file: OrderFile
    fulfilment: Fulfilment


# What a commit decides from the order under its lock, and how the job ends with it (None: it goes
# on).
Decided: TypeAlias = tuple[Decision, Outcome | None]
_LOST: Final[Decided] = (NOTHING, Dead("no such fulfilment"))
Decide: TypeAlias = Callable[[Transaction, Case], Awaitable[Decided]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """The ports of the job `fulfil`; `suppliers` by the plugin's name."""

    uow: UnitOfWork
    jobs: Jobs
    suppliers: Mapping[str, Supplier]
    vault: KeyVault
    breakers: Breakers
    clock: Clock
    boot_clock: BootClock
    new_id: NewId
    random_bytes: RandomBytes
    limits: Limits
    failpoint: FailPoint

    async def read(self, fulfilment_id: str) -> Case | None:
        """The fulfilment with its order, None when there is none of that id."""
        async with self.uow.begin() as tx:
            return await _case(tx, fulfilment_id)

    async def commit(self, lease: Lease, decide: Decide) -> Decision:
        """Decide under the order's lock and record it under the lease.

        A row that moved on, or a key that somebody else sealed meanwhile, is decided about anew.
        Raises Conflict or Duplicate after three tries, LeaseLost, and what the store raises.
        """
        for _ in range(DECIDE_AGAIN - 1):
            try:
                return await self._decide_once(lease, decide)
            except (Conflict, Duplicate):
                continue
        return await self._decide_once(lease, decide)

    async def _decide_once(self, lease: Lease, decide: Decide) -> Decision:
        async with self.uow.begin() as tx:
            case = await _case(tx, lease.ref)
            decision, outcome = _LOST if case is None else await decide(tx, case)
            await tx.record(decision, lease=lease, outcome=outcome)
            return decision

    def half_spent(self, lease: Lease, *, calls: int = 0) -> bool:
        """Whether half of the lease is gone, or would be after so many slow calls: time to leave
        the rest to the next.
        """
        ahead = calls * self.limits.http_total.total_seconds()
        return lease.is_half_spent(self.boot_clock() + ahead)

    def back_off(self, lease: Lease, error: Unavailable, lasted: timedelta = NOW) -> Again:
        """Wait longer with each failure; a provider's outage alone never ends a job.

        The last try before the attempts are spent starts the count over. An outage that has
        `lasted` for so long goes on being waited out as long, whatever the count.
        """
        jitter = fraction(self.random_bytes(4))
        after = max(
            pause(lease.attempts, jitter, self.limits), outage_pause(lasted, jitter, self.limits)
        )
        if error.retry_after is not None:
            after = max(after, timedelta(seconds=error.retry_after))
        is_last = lease.attempts >= lease.max_attempts - 1
        return Again(after=after, progressed=is_last, error=error.reason)

    async def refused(self, supplier: str, reason: str) -> None:
        """A supplier said no. Wrong credentials are wrong for every call: only probes go on."""
        if reason == "credentials":
            await self.breakers.trip(supplier)

    async def unavailable(self, lease: Lease, error: Unavailable) -> None:
        """A provider cannot be reached: count it, and wait in the present state."""
        await self.breakers.failed(error.provider)
        await self.wait(lease, error)

    async def wait(self, lease: Lease, error: Unavailable) -> None:
        """Wait in the present state for a provider that is away."""

        async def decide(tx: Transaction, case: Case) -> Decided:
            del tx
            at, row = self.clock(), case.fulfilment
            decision = wait(case.file, row, error.reason, at=at, new_id=self.new_id)
            lasted = at - row.updated_at if row.state in _WAITING else NOW
            return decision, self.back_off(lease, error, lasted)

        await self.commit(lease, decide)


async def _case(tx: Transaction, fulfilment_id: str) -> Case | None:
    order_id = await tx.orders.order_of("fulfilment", fulfilment_id)
    file = await tx.orders.file(order_id) if order_id is not None else None
    if file is None:
        return None
    return Case(file, file.fulfilment(fulfilment_id))


def after(decision: Decision, fulfilment: Fulfilment) -> Fulfilment:
    """The fulfilment as the decision leaves it."""
    saved = (change.after for change in decision.save)
    return next(
        (row for row in saved if isinstance(row, Fulfilment) and row.id == fulfilment.id),
        fulfilment,
    )


def written_attempt(decision: Decision) -> SupplierAttempt | None:
    """The attempt that the decision writes, if it writes one."""
    saved = (change.after for change in decision.save)
    return next((row for row in saved if isinstance(row, SupplierAttempt)), None)
