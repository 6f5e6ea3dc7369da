"""The unit of work on PostgreSQL: reads under locks, then one decision, written and committed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bitloot.domain.decision import Decision
from bitloot.ports.clock import NewId
from bitloot.ports.jobs import Lease, Outcome
from bitloot.ports.unit_of_work import Transaction
from bitloot_adapters.postgres.assortment_reads import AssortmentReads
from bitloot_adapters.postgres.checkout_reads import CheckoutReads
from bitloot_adapters.postgres.group_commit import GroupCommit, delivery
from bitloot_adapters.postgres.inbox_reads import COUNT_REPEAT, GrantReads, InboxReads
from bitloot_adapters.postgres.key_reads import KeyReads
from bitloot_adapters.postgres.order_reads import OrderReads
from bitloot_adapters.postgres.people_reads import PeopleReads
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.record import recording
from bitloot_adapters.postgres.session import CURRENT, Session, in_transaction
from bitloot_adapters.postgres.statements import ask


class PostgresTransaction:
    """The port `Transaction`."""

    def __init__(
        self, session: Session, together: GroupCommit, new_id: NewId, max_attempts: int
    ) -> None:
        self._session = session
        self._together = together
        self._new_id = new_id
        self._max_attempts = max_attempts
        self.orders = OrderReads(session)
        self.checkout = CheckoutReads(session)
        self.keys = KeyReads(session)
        self.grants = GrantReads(session)
        self.inbox = InboxReads(session)
        self.assortment = AssortmentReads(session)
        self.people = PeopleReads(session)

    async def record(
        self, decision: Decision, *, lease: Lease | None = None, outcome: Outcome | None = None
    ) -> None:
        alone = delivery(decision) if self._session.is_untouched and lease is None else None
        if alone is not None:
            await self._session.leave()
            await self._together.write(alone)
            return
        question = recording(
            decision,
            lease=lease,
            outcome=outcome,
            new_id=self._new_id,
            max_attempts=self._max_attempts,
        )
        await self._session.write(question)

    async def count_repeat(self, provider: str, dedupe_key: str) -> bool:
        counting = ask(COUNT_REPEAT, of_provider=provider, of_key=dedupe_key)
        return bool(await self._session.write(counting))


class PostgresUnitOfWork:
    """The port `UnitOfWork`. `max_attempts` is what a new job may fail before it is given up."""

    def __init__(self, database: Database, *, new_id: NewId, max_attempts: int) -> None:
        self._database = database
        self._new_id = new_id
        self._max_attempts = max_attempts
        self._together = GroupCommit(database, new_id=new_id, max_attempts=max_attempts)

    def in_transaction(self) -> bool:
        """Whether the calling task is inside a transaction that is not yet written."""
        return in_transaction()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A transaction; nothing is sent before its first question."""
        session = Session(self._database)
        token = CURRENT.set(session)
        try:
            yield PostgresTransaction(session, self._together, self._new_id, self._max_attempts)
        finally:
            CURRENT.reset(token)
            await session.leave()
