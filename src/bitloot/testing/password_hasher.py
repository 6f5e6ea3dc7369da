"""The suite of password hashers."""

import asyncio
from typing import Final, Protocol

import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.errors import Busy
from bitloot.ports.password_hasher import PasswordHasher
from bitloot.testing.contract import Contract

RIGHT: Final = "correct horse battery"
WRONG: Final = "correct horse batterz"
# The same word, as one keyboard and another write it; and with wide letters.
FORMS: Final = ("Ünïcode パスワード ﬁ", "U\u0308ni\u0308code ハ\u309aスワート\u3099 fi")


class PasswordHasherRig(Protocol):
    """A hasher with these limits, and others with other limits over nothing shared."""

    @property
    def hasher(self) -> PasswordHasher: ...
    @property
    def limits(self) -> Limits: ...

    async def another(self, limits: Limits) -> PasswordHasher:
        """A hasher with other limits, open until the rig is closed."""
        ...


class PasswordHasherContract(Contract):
    """Fixture `rig`: a `PasswordHasherRig` that can hash two at least at a time."""

    async def test_the_right_password_is_right_and_others_are_wrong(
        self, rig: PasswordHasherRig
    ) -> None:
        hashed = await rig.hasher.hash(RIGHT)
        assert await rig.hasher.verify(RIGHT, hashed)
        for other in (WRONG, RIGHT.upper(), RIGHT + " ", RIGHT[:-1], "", hashed):
            assert not await rig.hasher.verify(other, hashed)

    @pytest.mark.parametrize("password", ["", " ", "x" * 1000, "\x00", "a\x00b", "🗝" * 40])
    async def test_every_text_is_a_password_from_the_first_to_the_last_character(
        self, rig: PasswordHasherRig, password: str
    ) -> None:
        hashed = await rig.hasher.hash(password)
        assert await rig.hasher.verify(password, hashed)
        assert not await rig.hasher.verify(password + "x", hashed)
        assert not await rig.hasher.verify(password[:-1] + "y", hashed)

    async def test_the_same_characters_of_another_keyboard_are_the_same_password(
        self, rig: PasswordHasherRig
    ) -> None:
        for one, other in (FORMS, FORMS[::-1]):
            assert one != other
            assert await rig.hasher.verify(other, await rig.hasher.hash(one))

    async def test_two_hashes_of_one_password_differ_and_both_open(
        self, rig: PasswordHasherRig
    ) -> None:
        one, other = [await rig.hasher.hash(RIGHT) for _ in range(2)]
        assert one != other
        assert await rig.hasher.verify(RIGHT, one)
        assert await rig.hasher.verify(RIGHT, other)

    async def test_a_hash_is_outdated_once_the_parameters_are_others_and_opens_still(
        self, rig: PasswordHasherRig
    ) -> None:
        passes = rig.limits.password_hash_passes + 1
        later = await rig.another(msgspec.structs.replace(rig.limits, password_hash_passes=passes))
        old, new = await rig.hasher.hash(RIGHT), await later.hash(RIGHT)
        assert (rig.hasher.is_outdated(old), later.is_outdated(old)) == (False, True)
        assert (rig.hasher.is_outdated(new), later.is_outdated(new)) == (True, False)
        assert await later.verify(RIGHT, old)
        assert not await later.verify(WRONG, old)

    @pytest.mark.parametrize(
        "stored",
        [
            "",
            "$",
            "x",
            "secret",
            "$argon2id$",
            "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA",
            "é",
            "$" * 9,
        ],
    )
    async def test_what_is_no_hash_opens_for_nobody_and_is_outdated(
        self, rig: PasswordHasherRig, stored: str
    ) -> None:
        for password in (RIGHT, stored, ""):
            assert not await rig.hasher.verify(password, stored)
        assert rig.hasher.is_outdated(stored)

    async def test_a_hash_cut_short_or_changed_opens_for_nobody(
        self, rig: PasswordHasherRig
    ) -> None:
        hashed = await rig.hasher.hash(RIGHT)
        changed = "A" if hashed[-2] != "A" else "B"
        for stored in (hashed[:-1], hashed[:-2] + changed + hashed[-1], hashed + "A", hashed[1:]):
            assert not await rig.hasher.verify(RIGHT, stored)

    async def test_nobody_has_a_password(self, rig: PasswordHasherRig) -> None:
        for password in (RIGHT, ""):
            assert not await rig.hasher.verify(password, None)

    async def test_other_tasks_go_on_while_a_password_is_hashed(
        self, rig: PasswordHasherRig
    ) -> None:
        hashing = asyncio.create_task(rig.hasher.hash(RIGHT))
        ticks = 0
        while not hashing.done():
            await asyncio.sleep(0)
            ticks += 1
        assert ticks > 1
        assert await rig.hasher.verify(RIGHT, await hashing)

    async def test_so_many_are_taken_in_and_the_next_are_sent_away_with_a_time(
        self, rig: PasswordHasherRig
    ) -> None:
        room = rig.limits.password_hashing_at_once + rig.limits.password_hashing_waiting
        hashed = await rig.hasher.hash(RIGHT)
        # For nobody the same work is done: it takes the same places.
        calls = [rig.hasher.verify(RIGHT, hashed if n % 2 else None) for n in range(room + 3)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert ended[:room] == [bool(n % 2) for n in range(room)]
        for sent_away in ended[room:]:
            assert isinstance(sent_away, Busy)
            assert sent_away.retry_after > 0
            assert RIGHT not in repr(sent_away)
        assert await rig.hasher.verify(RIGHT, hashed)

    async def test_who_gives_up_leaves_the_waiting_room(self, rig: PasswordHasherRig) -> None:
        room = rig.limits.password_hashing_at_once + rig.limits.password_hashing_waiting
        for _ in range(2):
            waiting = [asyncio.create_task(rig.hasher.hash(RIGHT)) for _ in range(room)]
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            # On a busy machine the first may be done by then.
            assert {type(end) for end in ended} <= {asyncio.CancelledError, str}
            assert isinstance(ended[-1], asyncio.CancelledError)
            await self._until_there_is_room(rig, room)

    async def _until_there_is_room(self, rig: PasswordHasherRig, room: int) -> None:
        """For all of them: what was begun goes on after whoever asked for it has left."""
        async with asyncio.timeout(10):
            while True:
                calls = [rig.hasher.hash(RIGHT) for _ in range(room)]
                ended = await asyncio.gather(*calls, return_exceptions=True)
                if not any(isinstance(end, Busy) for end in ended):
                    return

    async def test_nothing_that_is_told_or_shown_holds_a_password(
        self, rig: PasswordHasherRig
    ) -> None:
        hashed = await rig.hasher.hash(RIGHT)
        assert RIGHT not in hashed
        assert RIGHT not in repr(rig.hasher) + str(vars(rig.hasher))
        # Half a surrogate pair has no UTF-8: the error of a strict encoder would quote the text.
        odd = f"{RIGHT}\ud800"
        assert await rig.hasher.verify(odd, await rig.hasher.hash(odd))
        assert not await rig.hasher.verify(odd, hashed)
