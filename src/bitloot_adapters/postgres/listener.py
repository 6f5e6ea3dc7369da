"""Being woken when something is told: a connection of its own that does nothing but listen.

A notification is a hint: none arrives while the connection is down, and several may be merged. So
whoever waits returns after its time in any case, and looks.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg
from psycopg.rows import TupleRow

from bitloot.ports.clock import BootClock
from bitloot_adapters.postgres.pool import CONNECT_SECONDS

JOBS: Final = b"LISTEN jobs"
# What lists and products show has changed.
CATALOGUE: Final = b"LISTEN catalogue"
RECONNECT_FIRST: Final = 0.2
RECONNECT_CAP: Final = 10.0


class Listener:
    """The port `WakeUp`. Never raises for a lost server: it connects again, with growing pauses."""

    def __init__(self, url: str, boot_clock: BootClock, channel: bytes = JOBS) -> None:
        self._url = url
        self._channel = channel
        self._boot_clock = boot_clock
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        self._pause = RECONNECT_FIRST
        self._not_before = 0.0

    async def wait(self, seconds: float) -> None:
        """Return when something was told, or after that many seconds.

        Returns at once after each connect: what was written before was told to nobody.
        """
        if self._connection is None:
            await self._connect(seconds)
            return
        try:
            async for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                pass
        except psycopg.Error:
            await self.close()

    async def close(self) -> None:
        """Hang up; the next `wait` connects again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connect(self, seconds: float) -> None:
        wait = self._not_before - self._boot_clock()
        if wait > 0:
            await asyncio.sleep(min(wait, seconds))
            return
        try:
            self._connection = await _listening(self._url, self._channel)
        except psycopg.Error:
            self._not_before = self._boot_clock() + self._pause
            self._pause = min(self._pause * 2, RECONNECT_CAP)
        else:
            self._pause = RECONNECT_FIRST


@asynccontextmanager
async def open_listener(
    url: str, boot_clock: BootClock, channel: bytes = JOBS
) -> AsyncIterator[Listener]:
    """A listener, until the block is left."""
    listener = Listener(url, boot_clock, channel)
    try:
        yield listener
    finally:
        await listener.close()


async def _listening(url: str, channel: bytes) -> psycopg.AsyncConnection[TupleRow]:
    connection = await psycopg.AsyncConnection.connect(
        url,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS,
        application_name="bitloot-listener",
        keepalives_idle=30,
        keepalives_interval=5,
        keepalives_count=3,
    )
    try:
        await connection.execute(channel)
    except BaseException:
        await connection.close()
        raise
    return connection
