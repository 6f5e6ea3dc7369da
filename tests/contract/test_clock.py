"""The real clock and ids keep their contract."""

from datetime import datetime

import pytest

from bitloot.testing.clock import ClockContract
from bitloot_adapters.clock import boot_seconds, new_id, utc_now


class RealClockRig:
    """The system's own."""

    def __init__(self) -> None:
        self.clock = utc_now
        self.boot_clock = boot_seconds
        self.new_id = new_id
        self._started = utc_now()

    def started(self) -> datetime:
        return self._started


class TestRealClock(ClockContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> RealClockRig:
        return RealClockRig()
