"""One pool of autocommit connections, and the only place where statements are sent.

A statement sent alone is one round trip; several are sent in one pipeline and are one round trip
too. Every wait has a limit: for a connection, for a lock, for a statement, for a transaction that
nobody goes on with, and for a server that says nothing at all.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool

from bitloot.domain.limits import Limits
from bitloot.ports.errors import StoreUnavailable
from bitloot_adapters.postgres.faults import translated, was_lost
from bitloot_adapters.postgres.lending import Connection, Lending
from bitloot_adapters.postgres.statements import Question, Rows

CONNECT_SECONDS: Final = 3
LIFETIME_SECONDS: Final = 1800
# Given up soon, so that whoever asks next has a new one opened at once: left alone the pool waits
# twice as long after each failure, and would stay away for minutes after a long outage has ended.
RECONNECT_SECONDS: Final = 1.0
KEPT_OPEN: Final = 2
PREPARE_AFTER: Final = 5
# What is asked often lies in memory, where a page out of order costs hardly more than the next one;
# no statement of ours runs so long that compiling it would pay; and none wants another plan for
# other values: making one takes longer than carrying it out.
PLANNER: Final = {
    "random_page_cost": "1.1",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}
KEEPALIVE: Final = {"keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 3}


def adapters() -> AdaptersMap:
    """Ids are read as text, and JSON as the text that its own decoder reads."""
    own = AdaptersMap(psycopg.adapters)
    own.register_loader("uuid", TextLoader)
    for name in ("json", "jsonb"):
        own.register_loader(name, TextLoader)
    return own


class Database:
    """Connections on loan. `round_trips` counts the waits for an answer of the server, each of
    which ends after `patience` seconds at the latest, with a connection that is lost.
    """

    def __init__(self, lending: Lending, *, patience: float) -> None:
        self._lending = lending
        self._patience = patience
        self.round_trips = 0

    async def take(self) -> Connection:
        """A connection that is not known to be dead. Raises StoreUnavailable."""
        with translated():
            connection = await self._lending.take()
        if connection is None:
            raise StoreUnavailable("every connection was closed by the server")
        return connection

    async def give(self, connection: Connection) -> None:
        """Return a connection; a transaction left open is rolled back."""
        is_sound = False
        try:
            if not connection.closed:
                is_sound = await self._ended(connection)
        except psycopg.Error:
            await connection.close()
        finally:
            await self._lending.give(connection, is_sound=is_sound)

    async def _ended(self, connection: Connection) -> bool:
        """Whether it may be used again."""
        status = connection.info.transaction_status
        if status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
            self.round_trips += 1
            await connection.rollback()
        elif status != TransactionStatus.IDLE:
            await connection.close()
        return not connection.closed

    async def send(
        self,
        connection: Connection,
        questions: Sequence[Question],
        *,
        patience: float | None = None,
    ) -> list[Rows]:
        """Run statements in one round trip; the rows of each. Raises errors of psycopg.

        `patience` in seconds is for work that may take longer than a request.
        """
        self.round_trips += 1
        # Where the network or the server stands still, no time-out of the server's own counts.
        giving_up = asyncio.get_running_loop().call_later(
            self._patience if patience is None else patience, _hang_up, connection
        )
        try:
            if len(questions) == 1:
                only = questions[0]
                cursor = await connection.execute(only.statement.sql, only.parameters)
                return [await _rows(cursor)]
            async with connection.pipeline():
                cursors = [
                    await connection.execute(question.statement.sql, question.parameters)
                    for question in questions
                ]
            return [await _rows(cursor) for cursor in cursors]
        finally:
            giving_up.cancel()

    async def read(self, *questions: Question) -> list[Rows]:
        """Statements that change nothing, each seeing what is committed. Asked again once if the
        connection breaks. Raises StoreUnavailable.
        """
        with translated():
            connection = await self.take()
            try:
                return await self.send(connection, questions)
            except psycopg.OperationalError as fault:
                if not was_lost(fault, closed=connection.closed):
                    raise
            finally:
                await self.give(connection)
            connection = await self.take()
            try:
                return await self.send(connection, questions)
            finally:
                await self.give(connection)

    async def write(self, question: Question) -> Rows:
        """One statement in a transaction of its own. Raises what `faults.meaning` says."""
        with translated():
            connection = await self.take()
            try:
                return (await self.send(connection, (question,)))[0]
            finally:
                await self.give(connection)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Connection]:
        """A connection for work that is no single statement, such as COPY."""
        with translated():
            connection = await self.take()
            try:
                yield connection
            finally:
                await self.give(connection)


async def _rows(cursor: psycopg.AsyncCursor[TupleRow]) -> Rows:
    # Asking for the description would build an object for each column of each answer.
    if cursor.pgresult is None or not cursor.pgresult.nfields:
        return []
    return list(await cursor.fetchall())


def _hang_up(connection: Connection) -> None:
    """End a connection under whoever waits for it: the wait ends as if the server had hung up."""
    with contextlib.suppress(OSError, psycopg.Error):
        line = socket.socket(fileno=os.dup(connection.fileno()))
        with line:
            line.shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def open_database(
    url: str, limits: Limits, *, prepared_statements: bool = True
) -> AsyncIterator[Database]:
    """The pool, until the block is left. It opens even while the server is away.

    `prepared_statements` off is for a pooler that lends connections by transaction.
    """
    options = {
        "timezone": "UTC",
        "statement_timeout": _milliseconds(limits.database_statement.total_seconds()),
        "lock_timeout": _milliseconds(limits.database_lock.total_seconds()),
        "idle_in_transaction_session_timeout": _milliseconds(
            limits.database_idle_in_transaction.total_seconds()
        ),
        **PLANNER,
    }
    pool = AsyncConnectionPool[Connection](
        url,
        kwargs={
            "autocommit": True,
            "prepare_threshold": PREPARE_AFTER if prepared_statements else None,
            "context": adapters(),
            "cursor_factory": psycopg.AsyncRawCursor,
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "bitloot",
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
            **KEEPALIVE,
        },
        min_size=min(KEPT_OPEN, limits.database_pool),
        max_size=limits.database_pool,
        timeout=limits.database_wait.total_seconds(),
        max_lifetime=LIFETIME_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS,
        open=False,
    )
    async with pool:
        patience = limits.database_statement + limits.database_silence
        lending = Lending(pool)
        try:
            yield Database(lending, patience=patience.total_seconds())
        finally:
            await lending.close()


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
