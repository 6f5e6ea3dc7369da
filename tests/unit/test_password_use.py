"""Setting a password, signing in with it, forgetting it."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.unit.people_shop import BUYER, CLIENT, OWNER, codes, mails, signed_in

from bitloot.domain.account import User
from bitloot.domain.decision import Decision, update
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.session import Session
from bitloot.ports.errors import Busy, StoreUnavailable
from bitloot.usecases.people.identity import SignedIn
from bitloot_adapters.memory.password_hasher import MemoryPasswordHasher
from bitloot_web.testing import TestShop, shop

LIMITS = Limits()
MINUTE = timedelta(minutes=1)
GOOD = "a lantern in the rain"
BETTER = "two lanterns in the rain"


def user_of(it: TestShop, email: str = BUYER) -> User:
    return next(row for row in it.around.store.rows(User) if row.email_key == email)


def ends(it: TestShop) -> dict[str, str | None]:
    return {row.id: row.revoked_reason for row in it.around.store.rows(Session)}


def hashed(it: TestShop) -> int:
    hasher = it.around.near.password_hasher
    assert isinstance(hasher, MemoryPasswordHasher)
    return hasher.hashed


async def with_password(it: TestShop, email: str = BUYER) -> SignedIn:
    who = await signed_in(it, email)
    await it.shop.passwords.set(who.user.id, who.session.id, GOOD)
    await it.run_due()
    return who


async def reset(it: TestShop, email: str, password: str) -> None:
    challenge = await it.shop.passwords.forgot(email)
    await it.run_due()
    await it.shop.passwords.reset(email, challenge.challenge_id, codes(it, email)[-1], password)
    await it.run_due()


async def refusal_of(it: TestShop, email: str, password: str) -> str:
    with pytest.raises(Refused) as no:
        await it.shop.passwords.prove(email, password)
    return no.value.code


async def test_whoever_signed_in_lately_sets_a_password_and_signs_in_with_it() -> None:
    async with shop(seed=1) as it:
        who = await with_password(it)
        proven = await it.shop.passwords.prove("BUYER@shop.example", GOOD)
        assert proven.user_id == who.user.id
        again = await it.shop.identity.sign_in(
            proven.user_id, CLIENT, password_hash=proven.password_hash
        )
        assert again.session.user_id == who.user.id
        assert proven.password_hash not in repr(proven)
        assert "was changed" in mails(it, BUYER)[-1] or "new password" in mails(it, BUYER)[-1]


async def test_a_change_ends_all_other_sessions_at_once() -> None:
    async with shop(seed=2) as it:
        first, second = await with_password(it), await signed_in(it)
        await it.shop.passwords.set(second.user.id, second.session.id, BETTER)
        assert ends(it) == {first.session.id: "password", second.session.id: None}
        assert await refusal_of(it, BUYER, GOOD) == "credentials-wrong"
        assert await it.shop.passwords.prove(BUYER, BETTER)


async def test_after_a_while_a_change_needs_the_password_until_now() -> None:
    async with shop(seed=3) as it:
        who = await with_password(it)
        await it.advance(LIMITS.fresh_sign_in)
        ids = who.user.id, who.session.id
        with pytest.raises(Refused, match="sign-in-too-old"):
            await it.shop.passwords.set(*ids, BETTER)
        with pytest.raises(Refused, match="credentials-wrong"):
            await it.shop.passwords.set(*ids, BETTER, current=BETTER)
        await it.shop.passwords.set(*ids, BETTER, current=GOOD)
        assert await it.shop.passwords.prove(BUYER, BETTER)


async def test_an_old_sign_in_sets_no_first_password() -> None:
    async with shop(seed=3) as it:
        who = await signed_in(it)
        await it.advance(LIMITS.fresh_sign_in)
        with pytest.raises(Refused, match="sign-in-too-old"):
            await it.shop.passwords.set(who.user.id, who.session.id, GOOD)
        with pytest.raises(Refused, match="credentials-wrong"):
            await it.shop.passwords.set(who.user.id, who.session.id, GOOD, current="")


async def test_who_forgot_resets_it_by_a_code_and_every_session_ends() -> None:
    async with shop(seed=4) as it:
        who = await with_password(it)
        await reset(it, BUYER, BETTER)
        assert ends(it) == {who.session.id: "password"}
        assert await refusal_of(it, BUYER, GOOD) == "credentials-wrong"
        assert await it.shop.passwords.prove(BUYER, BETTER)


async def test_a_code_for_signing_in_resets_nothing_and_the_other_way_round() -> None:
    async with shop(seed=5) as it:
        to_sign_in = (await it.shop.identity.request(BUYER)).challenge_id
        to_reset = (await it.shop.passwords.forgot(BUYER)).challenge_id
        code_of = it.shop.codes.code_of
        with pytest.raises(Refused, match="code-wrong"):
            await it.shop.passwords.reset(BUYER, to_sign_in, code_of(to_sign_in), GOOD)
        with pytest.raises(Refused, match="code-wrong"):
            await it.shop.identity.verify(BUYER, to_reset, code_of(to_reset), CLIENT)


async def test_the_right_code_makes_the_account_of_who_has_none() -> None:
    async with shop(seed=6) as it:
        await reset(it, "New@shop.example", GOOD)
        assert user_of(it, "new@shop.example").email == "New@shop.example"
        assert await it.shop.passwords.prove("new@shop.example", GOOD)


async def test_a_password_that_cannot_be_set_uses_no_code_up() -> None:
    async with shop(seed=7) as it:
        challenge = (await it.shop.passwords.forgot(BUYER)).challenge_id
        await it.run_due()
        (code,) = codes(it, BUYER)
        for spoilt, why in (("short", "invalid-input"), ("password", "password-too-common")):
            with pytest.raises(Refused, match=why):
                await it.shop.passwords.reset(BUYER, challenge, code, spoilt)
        await it.shop.passwords.reset(BUYER, challenge, code, GOOD)


async def test_the_same_work_is_done_for_every_address_and_every_length() -> None:
    """S12: nothing tells an account apart, neither the answer nor the work behind it."""
    async with shop(seed=8) as it:
        await with_password(it)
        await signed_in(it, "without@shop.example")
        bad = await with_password(it, "bad@shop.example")
        await it.shop.user_desk.suspend(bad.user.id, "fraud", actor=OWNER)
        gone = await with_password(it, "gone@shop.example")
        await it.shop.user_desk.delete(gone.user.id, actor=OWNER)
        names = ("buyer", "without", "bad", "gone", "nobody")
        for password in ("not this one", "x" * 5000, ""):
            for name in names:
                before = hashed(it)
                assert await refusal_of(it, f"{name}@shop.example", password) == "credentials-wrong"
                assert hashed(it) == before + 1
        assert await refusal_of(it, "bad@shop.example", GOOD) == "account-suspended"
        assert await refusal_of(it, "gone@shop.example", GOOD) == "account-deleted"


async def test_a_password_that_begins_with_the_right_one_is_not_the_right_one() -> None:
    async with shop(seed=8) as it:
        who = await signed_in(it)
        longest = "ab" * 64
        await it.shop.passwords.set(who.user.id, who.session.id, longest)
        assert await it.shop.passwords.prove(BUYER, longest)
        assert await refusal_of(it, BUYER, f"{longest}c") == "credentials-wrong"


async def test_a_hash_of_other_parameters_is_made_anew_at_the_next_sign_in() -> None:
    async with shop(seed=9) as it:
        await with_password(it)
        old = MemoryPasswordHasher(
            limits=Limits(password_hash_passes=7), random_bytes=it.around.random_bytes
        )
        user = user_of(it)
        change = update(user, password_hash=await old.hash(GOOD))
        async with it.around.near.uow.begin() as tx:
            await tx.record(Decision(save=(change,)))
        proven = await it.shop.passwords.prove(BUYER, GOOD)
        assert not it.around.near.password_hasher.is_outdated(proven.password_hash)
        assert user_of(it).password_hash == proven.password_hash
        assert user_of(it).password_set_at == user.password_set_at


async def test_a_password_changed_between_proof_and_session_opens_none() -> None:
    async with shop(seed=10) as it:
        who = await with_password(it)
        proven = await it.shop.passwords.prove(BUYER, GOOD)
        await it.shop.passwords.set(who.user.id, who.session.id, BETTER)
        with pytest.raises(Refused, match="credentials-wrong"):
            await it.shop.identity.sign_in(who.user.id, CLIENT, password_hash=proven.password_hash)
        assert len(ends(it)) == 1


async def test_who_is_turned_away_because_too_many_wait_keeps_the_code() -> None:
    limits = Limits(password_hashing_at_once=1, password_hashing_waiting=1)
    async with shop(seed=11, limits=limits) as it:
        challenge = (await it.shop.passwords.forgot(BUYER)).challenge_id
        await it.run_due()
        hasher = it.around.near.password_hasher
        full = asyncio.gather(hasher.hash(GOOD), hasher.hash(GOOD))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await it.shop.passwords.reset(BUYER, challenge, codes(it, BUYER)[0], GOOD)
        await full
        await it.shop.passwords.reset(BUYER, challenge, codes(it, BUYER)[0], GOOD)


async def test_without_the_store_of_codes_nothing_is_reset() -> None:
    async with shop(seed=12) as it:
        challenge = (await it.shop.passwords.forgot(BUYER)).challenge_id
        await it.run_due()
        it.around.otp.is_down = True
        with pytest.raises(StoreUnavailable):
            await it.shop.passwords.reset(BUYER, challenge, codes(it, BUYER)[0], GOOD)
        with pytest.raises(StoreUnavailable):
            await it.shop.passwords.forgot(BUYER)


async def test_nobody_suspended_gets_a_password_by_a_code() -> None:
    async with shop(seed=13) as it:
        who = await with_password(it)
        await it.shop.user_desk.suspend(who.user.id, "fraud", actor=OWNER)
        before = user_of(it)
        with pytest.raises(Refused, match="account-suspended"):
            await reset(it, BUYER, BETTER)
        assert user_of(it) == replace(before)
