"""The suite of stores of one-time codes."""

import asyncio
from datetime import timedelta
from typing import Final

import pytest

from bitloot.ports.errors import StoreUnavailable
from bitloot.testing.contract import Contract, needs
from bitloot.testing.local_rigs import OtpStoreRig

LONG: Final = timedelta(minutes=5)
WHO: Final = "reentry/01890000-0000-7000-8000-000000000001"
RIGHT: Final = "ab" * 32
WRONG: Final = "cd" * 32


class OtpStoreContract(Contract):
    """Fixture `rig`: an `OtpStoreRig`. A lever that may be missing: `lose_store`."""

    async def test_the_right_code_works_once(self, rig: OtpStoreRig) -> None:
        await rig.codes.open(WHO, RIGHT, life=LONG, tries=5)
        assert await rig.codes.verify(WHO, RIGHT) == "right"
        assert await rig.codes.verify(WHO, RIGHT) == "gone"

    async def test_of_many_who_have_the_right_code_at_once_one_gets_in(
        self, rig: OtpStoreRig
    ) -> None:
        await rig.codes.open(WHO, RIGHT, life=LONG, tries=5)
        answers = await asyncio.gather(*(rig.codes.verify(WHO, RIGHT) for _ in range(20)))
        assert sorted(answers) == ["gone"] * 19 + ["right"]

    async def test_a_wrong_code_leaves_the_right_one(self, rig: OtpStoreRig) -> None:
        await rig.codes.open(WHO, RIGHT, life=LONG, tries=5)
        assert await rig.codes.verify(WHO, WRONG) == "wrong"
        assert await rig.codes.verify(WHO, RIGHT) == "right"

    async def test_the_last_wrong_try_burns_the_code(self, rig: OtpStoreRig) -> None:
        await rig.codes.open(WHO, RIGHT, life=LONG, tries=3)
        answers = [await rig.codes.verify(WHO, WRONG) for _ in range(4)]
        assert answers == ["wrong", "wrong", "wrong", "gone"]
        assert await rig.codes.verify(WHO, RIGHT) == "gone"

    async def test_many_wrong_tries_at_once_are_all_counted(self, rig: OtpStoreRig) -> None:
        await rig.codes.open(WHO, RIGHT, life=LONG, tries=5)
        answers = await asyncio.gather(*(rig.codes.verify(WHO, WRONG) for _ in range(20)))
        assert sorted(answers) == ["gone"] * 15 + ["wrong"] * 5
        assert await rig.codes.verify(WHO, RIGHT) == "gone"

    async def test_a_code_ends(self, rig: OtpStoreRig) -> None:
        await rig.codes.open(WHO, RIGHT, life=rig.tick * 2, tries=5)
        await rig.pass_time(rig.tick * 3)
        assert await rig.codes.verify(WHO, RIGHT) == "gone"

    async def test_a_wrong_try_does_not_prolong_a_code(self, rig: OtpStoreRig) -> None:
        await rig.codes.open(WHO, RIGHT, life=rig.tick * 4, tries=5)
        await rig.pass_time(rig.tick * 2)
        assert await rig.codes.verify(WHO, WRONG) == "wrong"
        await rig.pass_time(rig.tick * 3)
        assert await rig.codes.verify(WHO, RIGHT) == "gone"

    async def test_a_new_code_replaces_the_old_one_and_its_tries(self, rig: OtpStoreRig) -> None:
        await rig.codes.open(WHO, WRONG, life=LONG, tries=2)
        await rig.codes.verify(WHO, RIGHT)
        await rig.codes.open(WHO, RIGHT, life=LONG, tries=2)
        assert await rig.codes.verify(WHO, WRONG) == "wrong"
        assert await rig.codes.verify(WHO, RIGHT) == "right"

    async def test_challenges_are_apart(self, rig: OtpStoreRig) -> None:
        await rig.codes.open(WHO, RIGHT, life=LONG, tries=5)
        assert await rig.codes.verify(f"{WHO}0", RIGHT) == "gone"
        assert await rig.codes.verify("", RIGHT) == "gone"
        assert await rig.codes.verify(WHO, RIGHT) == "right"

    @needs("lose_store")
    async def test_nothing_fails_open(self, rig: OtpStoreRig) -> None:
        await rig.codes.open(WHO, RIGHT, life=LONG, tries=5)
        await rig.lose_store()
        with pytest.raises(StoreUnavailable):
            await rig.codes.verify(WHO, RIGHT)
        with pytest.raises(StoreUnavailable):
            await rig.codes.open(WHO, RIGHT, life=LONG, tries=5)
