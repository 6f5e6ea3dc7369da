"""How every client of Redis is made.

No socket time-out: with one, redis-py on Python 3.11 swallows cancellations. No silent retries: a
counter or a stream entry would be written twice. Deadlines are set around calls instead.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypedDict
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bitloot.ports.errors import StoreUnavailable

CONNECT_SECONDS: Final = 2.0
CALL_SECONDS: Final = 2.0
# For what goes on without an answer: nobody is kept waiting by a cache that hangs.
HINT_SECONDS: Final = 0.5
POOL: Final = 20

# What a lost, restarting or full server raises, besides the deadline itself.
LOST: Final = (RedisError, OSError, TimeoutError)


class ConnectionOptions(TypedDict, total=False):
    """What connection pools are told."""

    socket_timeout: None
    retry: Retry
    socket_connect_timeout: float
    socket_keepalive: bool
    socket_keepalive_options: dict[int, int]


def connection_options(url: str) -> ConnectionOptions:
    """Options for a connection pool to this address."""
    options = ConnectionOptions(socket_timeout=None, retry=Retry(NoBackoff(), 0))
    if urlsplit(url).scheme != "unix":
        # A local socket neither needs nor takes TCP's own settings.
        options["socket_connect_timeout"] = CONNECT_SECONDS
        options["socket_keepalive"] = True
        options["socket_keepalive_options"] = _keepalive()
    return options


def _keepalive() -> dict[int, int]:
    """A peer that vanished is noticed within a minute, not after the two hours of the system."""
    wanted = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


def open_redis(url: str) -> Redis:
    """A client with a bounded pool of its own; bytes in, bytes out. Close it with `aclose`."""
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        url, max_connections=POOL, timeout=CALL_SECONDS, **connection_options(url)
    )
    return Redis.from_pool(pool)


@asynccontextmanager
async def reached(seconds: float = CALL_SECONDS) -> AsyncIterator[None]:
    """A deadline around calls. Raises StoreUnavailable when the server is lost, full or too slow.

    A call that ran into the deadline may have been carried out.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except LOST as error:
        raise StoreUnavailable(type(error).__name__) from None
