"""A request that may be sent twice and acts once, whatever it does.

Announced before, answered after: whoever comes meanwhile is told to wait. If the process dies in
between, the same key may be used again after `limits.idempotency_running`.

An act of one transaction is done over `answering`: its answer is committed with it, so that after a
death it either happened and is answered, or did not. What takes more than one transaction is
answered by `keep`, and must be safe to repeat.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from bitloot.domain.decision import Decision, also
from bitloot.domain.idempotency import Once, keep_answer, keep_running, let_go, recall
from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.jobs import Lease, Outcome
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.ports.wrapped import WrappedTransaction


class AnsweredMeanwhile(Exception):
    """The request was answered by another process; nothing was done here."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer


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

    def answering(
        self, once: Once, answer_of: Callable[[Decision], bytes]
    ) -> "AnsweringUnitOfWork":
        """A unit of work for the act: what `answer_of` makes of its decision goes with it."""
        return AnsweringUnitOfWork(self, once, answer_of)

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


class AnsweringUnitOfWork:
    """Commits the answer of a request in the transaction that acts. `given` is the answer then."""

    def __init__(
        self, repeats: Repeats, once: Once, answer_of: Callable[[Decision], bytes]
    ) -> None:
        self._repeats = repeats
        self._once = once
        self._answer_of = answer_of
        self.given: bytes | None = None

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction of the store behind."""
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[Transaction]:
        async with self._repeats.uow.begin() as transaction:
            yield _AnsweringTransaction(transaction, self)

    async def record(
        self, tx: Transaction, decision: Decision, lease: Lease | None, outcome: Outcome | None
    ) -> None:
        """The decision and its answer. Raises AnsweredMeanwhile."""
        record = await tx.checkout.once(self._once)
        if record is not None and record.state == "done" and record.answer is not None:
            raise AnsweredMeanwhile(record.answer)
        answer, at = self._answer_of(decision), self._repeats.clock()
        kept = keep_answer(record, self._once, answer, at=at, record_id=self._repeats.new_id())
        await tx.record(also(decision, kept), lease=lease, outcome=outcome)
        self.given = answer


class _AnsweringTransaction(WrappedTransaction):
    def __init__(self, transaction: Transaction, uow: AnsweringUnitOfWork) -> None:
        super().__init__(transaction)
        self._uow = uow

    async def record(
        self, decision: Decision, *, lease: Lease | None = None, outcome: Outcome | None = None
    ) -> None:
        await self._uow.record(self.inner, decision, lease, outcome)
