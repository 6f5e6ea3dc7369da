"""What every bare route asks: a plain pool of connections."""

from typing import Final, TypeAlias

import psycopg
from litestar import Request
from litestar.datastructures import State
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

Pool: TypeAlias = AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]]
Bare: TypeAlias = Request[None, None, State]

POOL_SIZE: Final = 8


def open_pool(database_url: str) -> Pool:
    """Not open yet."""
    return Pool(
        database_url,
        min_size=POOL_SIZE,
        max_size=POOL_SIZE,
        kwargs={"autocommit": True, "cursor_factory": psycopg.AsyncRawCursor},
        open=False,
    )


def pool_of(request: Bare) -> Pool:
    """The pool of the application."""
    pool: Pool = request.app.state.pool
    return pool
