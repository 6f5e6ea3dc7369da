"""The one home of real time, fresh ids and randomness."""

import secrets
import time
from datetime import UTC, datetime

import uuid_utils


def utc_now() -> datetime:
    """The system's time, UTC."""
    return datetime.now(UTC)


def boot_seconds() -> float:
    """Seconds since boot, suspended time included where the system can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def new_id() -> str:
    """A UUIDv7 as text: sorted by the time of making, unguessable enough for no secret."""
    return str(uuid_utils.uuid7())


def random_bytes(count: int) -> bytes:
    """Unpredictable bytes from the system."""
    return secrets.token_bytes(count)


def jitter() -> float:
    """From 0 up to but not including 1."""
    return secrets.randbelow(2**53) / 2**53
