"""Time, ids and randomness, passed in."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

# The UTC time now, with its zone.
Clock: TypeAlias = Callable[[], datetime]
# A fresh UUIDv7 as text.
NewId: TypeAlias = Callable[[], str]
# `n` unpredictable bytes.
RandomBytes: TypeAlias = Callable[[int], bytes]
# A boot clock in seconds that also runs in suspend: for deadlines, never for dates.
BootClock: TypeAlias = Callable[[], float]
# Called at each named boundary; does nothing unless a test armed it.
FailPoint: TypeAlias = Callable[[str], None]
