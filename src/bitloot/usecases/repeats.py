"""A request that may be sent twice and acts once, where acting takes more than one transaction.

Announced before, answered after. If the process dies in between, the same key may be used again
after `limits.idempotency_running`; what is done then must be safe to repeat.
"""

from dataclasses import dataclass

from bitloot.domain.decision import Decision
from bitloot.domain.idempotency import Once, keep_answer, keep_running, let_go, recall
from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.unit_of_work import Transaction, UnitOfWork


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Keeps the answers of requests."""

    uow: UnitOfWork
    clock: Clock
    new_id: NewId
    limits: Limits

    async def begin(self, once: Once) -> bytes | None:
        """The stored answer; None: nobody acted yet, and nobody else will for now.

        Raises Refused `idempotency-key-reused` or `idempotency-in-progress`.
        """

        async def attempt(tx: Transaction) -> bytes | None:
            at = self.clock()
            record = await tx.checkout.once(once)
            stored = recall(record, once, at=at, limits=self.limits)
            if stored is None:
                running = keep_running(record, once, at=at, record_id=self.new_id())
                await tx.record(Decision(save=(running,)))
            return stored

        return await decide(self.uow, attempt)

    async def keep(self, once: Once, answer: bytes) -> None:
        """Every repetition gets this answer. It holds no token."""

        async def attempt(tx: Transaction) -> None:
            record = await tx.checkout.once(once)
            kept = keep_answer(record, once, answer, at=self.clock(), record_id=self.new_id())
            await tx.record(Decision(save=(kept,)))

        await decide(self.uow, attempt)

    async def forget(self, once: Once) -> None:
        """It came to nothing: the same key may try again at once."""

        async def attempt(tx: Transaction) -> None:
            record = await tx.checkout.once(once)
            if record is not None and record.state == "running":
                await tx.record(Decision(save=(let_go(record, limits=self.limits),)))

        await decide(self.uow, attempt)
