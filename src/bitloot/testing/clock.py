"""The suite of the sources of time and ids."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from bitloot.testing.contract import Contract
from bitloot.testing.local_rigs import ClockRig

MANY: Final = 5000


class ClockContract(Contract):
    """Fixture `rig`: a `ClockRig`."""

    async def test_the_time_is_utc_and_goes_forward(self, rig: ClockRig) -> None:
        first, second = rig.clock(), rig.clock()
        assert first.utcoffset() == timedelta(0)
        assert rig.started() <= first <= second

    async def test_the_boot_clock_never_goes_back(self, rig: ClockRig) -> None:
        read = [rig.boot_clock() for _ in range(100)]
        assert read == sorted(read)

    async def test_ids_are_version_seven_and_in_canonical_form(self, rig: ClockRig) -> None:
        for new_id in (rig.new_id() for _ in range(100)):
            read = UUID(new_id)
            assert (read.version, str(read)) == (7, new_id)

    async def test_no_id_comes_twice_and_later_ones_sort_later(self, rig: ClockRig) -> None:
        ids = [rig.new_id() for _ in range(MANY)]
        assert len(set(ids)) == MANY
        assert ids == sorted(ids)

    async def test_an_id_begins_with_the_time(self, rig: ClockRig) -> None:
        milliseconds = UUID(rig.new_id()).int >> 80
        assert abs(milliseconds / 1000 - rig.clock().timestamp()) < 60
