"""Connections from hand to hand.

The pool keeps count of connections, opens them and lets them grow old; asking it for one and giving
that one back costs as much as a small statement. So what one user gives back the next one gets at
once, and within a second it goes home to the pool, which then replaces or closes it as it sees fit.
"""

import asyncio
import select
from collections import deque
from typing import Final, TypeAlias

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

Connection: TypeAlias = psycopg.AsyncConnection[TupleRow]

HOME_AFTER_SECONDS: Final = 1.0
# Whoever comes when so many wait is told at once that there is no room.
MOST_WAITING: Final = 10_000


class Lending:
    """Lends what a pool has, to as many users at once as it may have connections."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool
        self._room = pool.max_size
        self._queue: deque[asyncio.Future[None]] = deque(maxlen=MOST_WAITING)
        self._idle: list[Connection] = []
        # In which second each connection came from the pool.
        self._came: dict[Connection, int] = {}
        self._second = 0
        self._timer: asyncio.TimerHandle | None = None
        self._going: asyncio.Task[None] | None = None

    async def take(self) -> Connection | None:
        """A connection that is not known to be dead, None where each of them was.

        An idle connection has nothing to tell us: if its socket can be read, the server closed it,
        and it is replaced before anything is sent on it. Raises PoolTimeout.
        """
        await self._enter()
        try:
            found = await self._living()
        except BaseException:
            self._leave()
            raise
        if found is None:
            self._leave()
        return found

    async def give(self, connection: Connection, *, is_sound: bool) -> None:
        """Take it back. `is_sound`: open, and outside of any transaction."""
        try:
            if is_sound and self._came.get(connection) == self._second:
                self._idle.append(connection)
                self._look_later()
            else:
                await self._return(connection)
        finally:
            self._leave()

    async def close(self) -> None:
        """Every connection that nobody uses goes home, and each other one when it is given back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._second += 1
        if self._going is not None:
            await self._going
        await self._return_all()

    async def _enter(self) -> None:
        """Wait for room, first come, first served. Raises PoolTimeout."""
        if self._room and not self._queue:
            self._room -= 1
            return
        if len(self._queue) >= MOST_WAITING:
            raise PoolTimeout
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._queue.append(turn)
        giving_up = loop.call_later(self._pool.timeout, _give_up, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self._leave()  # its turn came in the moment in which it was called off
            raise
        finally:
            giving_up.cancel()

    def _leave(self) -> None:
        """Hand the room on to the first who still waits."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._room += 1

    async def _living(self) -> Connection | None:
        while self._idle:
            kept = self._idle.pop()
            if not _is_stale(kept):
                return kept
            await kept.close()
            await self._return(kept)
        for _ in range(self._pool.max_size + 1):
            fresh = await self._pool.getconn()
            if not _is_stale(fresh):
                self._came[fresh] = self._second
                return fresh
            await fresh.close()
            await self._pool.putconn(fresh)
        return None

    async def _return(self, connection: Connection) -> None:
        self._came.pop(connection, None)
        await self._pool.putconn(connection)

    def _look_later(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(HOME_AFTER_SECONDS, self._send_home)

    def _send_home(self) -> None:
        self._timer = None
        self._second += 1
        if self._idle:
            self._going = asyncio.create_task(self._return_all())

    async def _return_all(self) -> None:
        while self._idle:
            await self._return(self._idle.pop())


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(PoolTimeout())


def _is_stale(connection: Connection) -> bool:
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
