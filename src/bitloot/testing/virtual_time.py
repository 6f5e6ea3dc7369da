"""A clock that stands still until it is told to go on."""

from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)


class VirtualClock:
    """`now` is a `Clock`, `boot` a `BootClock`; both go on together and never by themselves."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._boot = 1000.0

    def now(self) -> datetime:
        """The UTC time."""
        return self._now

    def boot(self) -> float:
        """Seconds since the machine was started."""
        return self._boot

    def advance(self, span: timedelta) -> None:
        """Time passes. Raises ValueError for a step back."""
        if span < timedelta(0):
            raise ValueError("time does not run backwards here; use set_back")
        self._now += span
        self._boot += span.total_seconds()

    def set_back(self, span: timedelta) -> None:
        """The wall clock is corrected by `span`; the boot clock is not."""
        self._now -= span
