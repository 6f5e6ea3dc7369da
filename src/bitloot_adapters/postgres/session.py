"""One transaction on one connection, in as few round trips as it can be done."""

from contextvars import ContextVar
from typing import Final

import psycopg

from bitloot_adapters.postgres.faults import translated, was_lost
from bitloot_adapters.postgres.lending import Connection
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.statements import BEGIN, COMMIT, Question, Rows


class Session:
    """Begins with its first question, in the same round trip; ends once, by `write` or `leave`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self.is_open = True

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was asked or written yet."""
        return self.is_open and self._connection is None

    async def ask(self, *questions: Question) -> list[Rows]:
        """Run statements inside the transaction; the rows of each. One round trip."""
        if not self.is_open:
            raise RuntimeError("the transaction is over")
        with translated():
            if self._connection is not None:
                return await self._database.send(self._connection, questions)
            return await self._begin(questions)

    async def write(self, question: Question | None) -> Rows:
        """Run the last statement and commit: one round trip, none where nothing was begun or is
        to be written; the rows of it. A connection lost here leaves the outcome unknown:
        StoreUnavailable.
        """
        if not self.is_open:
            raise RuntimeError("the transaction is over")
        self.is_open = False
        try:
            with translated():
                if self._connection is not None:
                    questions = (question, COMMIT) if question else (COMMIT,)
                    return (await self._database.send(self._connection, questions))[0]
                if question is not None:
                    self._connection = await self._database.take()
                    return (await self._database.send(self._connection, (question,)))[0]
                return []
        finally:
            await self._release()

    async def leave(self) -> None:
        """Roll back what was not written."""
        self.is_open = False
        await self._release()

    async def _begin(self, questions: tuple[Question, ...]) -> list[Rows]:
        self._connection = connection = await self._database.take()
        try:
            return (await self._database.send(connection, (BEGIN, *questions)))[1:]
        except psycopg.OperationalError as fault:
            if not was_lost(fault, closed=connection.closed):
                raise
        # Nothing was written yet: the same again on a fresh connection, once.
        await self._release()
        self._connection = connection = await self._database.take()
        return (await self._database.send(connection, (BEGIN, *questions)))[1:]

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._database.give(connection)


CURRENT: Final[ContextVar[Session | None]] = ContextVar("bitloot_transaction", default=None)


def in_transaction() -> bool:
    """Whether the calling task is inside a transaction that is not yet written."""
    session = CURRENT.get()
    return session is not None and session.is_open
