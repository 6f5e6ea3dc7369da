"""What a failed statement means to the core. No message carries a value that was written."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from bitloot.ports.errors import (
    Conflict,
    Duplicate,
    LeaseLost,
    NoStockLeft,
    StoreUnavailable,
)

# Raised by the functions and triggers of the schema.
VERSION_MOVED: Final = "BL001"
NO_STOCK: Final = "BL002"
LEASE_GONE: Final = "BL003"

# Two writers of one order's timeline: whoever comes second decided on an old order.
_CONFLICTING_RULES: Final = frozenset({"events_pkey"})
_SYNTAX_CLASS: Final = "42"
# PostgreSQL manual, appendix A: admin_shutdown, crash_shutdown, cannot_connect_now.
_SHUTTING_DOWN: Final = frozenset({"57P01", "57P02", "57P03"})
_BY_STATE: Final[Mapping[str, type[Exception]]] = {
    VERSION_MOVED: Conflict,
    NO_STOCK: NoStockLeft,
    LEASE_GONE: LeaseLost,
    "40001": Conflict,  # serialization_failure
    "40P01": Conflict,  # deadlock_detected
}


class StoreFault(Exception):
    """A statement failed in a way that nobody can act on: a bug. Names the rule, never a value."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of psycopg inside the block into the bad news that the ports bring."""
    try:
        yield
    except (PoolTimeout, PoolClosed, TooManyRequests):
        raise StoreUnavailable("pool") from None
    except psycopg.Error as fault:
        # The server's DETAIL quotes the row: it must not travel along as a cause.
        raise meaning(fault) from None


def meaning(fault: psycopg.Error) -> Exception:
    """The port's error for one of psycopg's."""
    state = fault.sqlstate or ""
    rule = fault.diag.constraint_name or ""
    if state in _BY_STATE:
        return _BY_STATE[state]()
    if isinstance(fault, errors.UniqueViolation):
        return Conflict() if rule in _CONFLICTING_RULES else Duplicate(rule)
    if isinstance(fault, psycopg.OperationalError | errors.IdleInTransactionSessionTimeout):
        return StoreUnavailable(state or "connection")
    shown = fault.diag.message_primary if state.startswith(_SYNTAX_CLASS) else ""
    return StoreFault(type(fault).__name__, state, fault.diag.table_name, rule, shown)


def was_lost(fault: psycopg.OperationalError, *, closed: bool) -> bool:
    """Whether the connection itself is gone, so that the same may be tried on another."""
    return closed or fault.sqlstate in _SHUTTING_DOWN
