"""Time that can be pushed forward, and the ids of new rows: the only impure sources here."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4


def real_utc() -> datetime:
    return datetime.now(UTC)


class VirtualClock:
    """A running clock plus the seconds that the control door added to it."""

    def __init__(self, source: Callable[[], datetime] | None = None) -> None:
        self._source = real_utc if source is None else source
        self._ahead = timedelta()

    def now(self) -> datetime:
        return self._source() + self._ahead

    def advance(self, step: timedelta) -> None:
        self._ahead += step

    def advance_to(self, moment: datetime) -> None:
        """Go to ``moment``, never back."""
        step = moment - self.now()
        if step > timedelta():
            self._ahead += step


def fresh_uuid() -> str:
    return str(uuid4())


def fresh_token(prefix: str) -> str:
    return prefix + uuid4().hex
