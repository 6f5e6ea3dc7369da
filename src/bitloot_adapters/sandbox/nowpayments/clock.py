"""Time that can be moved: a base clock plus an offset that only grows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def system_time() -> datetime:
    return datetime.now(UTC)


class VirtualClock:
    """Real time by default; `POST /_control/advance` pushes it forward."""

    def __init__(self, base: Callable[[], datetime], offset: timedelta = timedelta(0)) -> None:
        self._base = base
        self.offset = offset

    def now(self) -> datetime:
        """The present instant in UTC, cut to milliseconds as the vendor's clock is."""
        instant = self._base().astimezone(UTC) + self.offset
        return instant.replace(microsecond=instant.microsecond // 1000 * 1000)

    def reach(self, instant: datetime) -> None:
        """Jump forward to `instant`; an instant already past changes nothing."""
        gap = instant - (self._base().astimezone(UTC) + self.offset)
        if gap > timedelta(0):
            self.offset += gap


def iso(instant: datetime) -> str:
    """`2026-01-15T08:30:00.456Z`, the vendor's way to write an instant."""
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}Z"


def epoch_milliseconds(instant: datetime) -> int:
    return int((instant - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
