"""Thirty days, a day, a week, a quarter of an hour: passed on a virtual clock, in no time."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import httpx
import pytest
from tests import asgi
from tests.unit.people_shop import BUYER, CLIENT, OWNER, bought, codes, mails, signed_in

from bitloot.domain.account import User
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.testing.people_rows import PROOFS
from bitloot.usecases.people.accounts import DELETION_SWEEP
from bitloot_web.testing import PUBLIC_URL, TestShop, shop

LIMITS: Final = Limits()
SECOND: Final = timedelta(seconds=1)
NEW: Final = "new@shop.example"
# What the processor worked, whatever else it had to do meanwhile.
MOST_SECONDS: Final = 1.0


@asynccontextmanager
async def in_less_than_a_second(seed: int) -> AsyncIterator[TestShop]:
    """A whole shop, opened, lived in and left."""
    async with shop() as it:
        assert it.app.routes  # which are made once in a process
    began = time.process_time()
    async with shop(seed=seed) as it:
        yield it
    assert time.process_time() - began < MOST_SECONDS


async def sweep(it: TestShop) -> None:
    """The daily sweep, as the scheduler asks for it."""
    at = it.around.clock.now()
    await it.around.near.jobs.tick(DELETION_SWEEP, at, "sweep", f"{DELETION_SWEEP}/{at}")
    await it.run_due()


def state_of(it: TestShop, user_id: str) -> str:
    return next(row.state for row in it.around.store.rows(User) if row.id == user_id)


async def test_thirty_days_of_a_deletion_pass_in_less_than_a_second() -> None:
    async with in_less_than_a_second(1) as it:
        await bought(it)
        who = await signed_in(it)
        await it.shop.accounts.request_deletion(who.user.id)
        for _ in range(29):
            await it.advance(timedelta(days=1))
            await sweep(it)
        assert state_of(it, who.user.id) == "active"
        await it.advance(timedelta(days=1))
        await sweep(it)
        assert state_of(it, who.user.id) == "deleted"
        with pytest.raises(Refused, match="account-deleted"):
            await signed_in(it)


async def test_a_day_of_a_recovery_passes_in_less_than_a_second() -> None:
    async with in_less_than_a_second(2) as it:
        who = await signed_in(it)
        recovery = await it.shop.recoveries.start(who.user.id, NEW, PROOFS, actor=OWNER)
        await it.advance(LIMITS.recovery_cooling - SECOND)
        assert any("?token=" in text for text in mails(it, BUYER))
        with pytest.raises(Refused, match="recovery-not-ready"):
            await it.shop.recoveries.complete(recovery.id, actor=OWNER)
        await it.advance(SECOND)
        await it.shop.recoveries.complete(recovery.id, actor=OWNER)
        assert (await signed_in(it, NEW)).user.id == who.user.id


async def test_every_token_lives_its_life_in_less_than_a_second() -> None:
    """An access token a quarter of an hour, an order's an hour, a refresh token a week; and each
    half a minute more, for clocks that differ.
    """
    async with in_less_than_a_second(3) as it:
        order = await bought(it)
        who = await signed_in(it)
        began, pair = it.around.clock.now(), it.shop.tokens.pair(who.session)
        session = it.shop.sessions.issue(order.id, at=began)
        transport = asgi.transport(it.app)
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:

            async def opens(path: str, token: str) -> bool:
                headers = {"authorization": f"Bearer {token}"}
                return (await client.get(path, headers=headers)).is_success

            async def at(age: timedelta) -> tuple[bool, bool]:
                await it.advance(began + age + LIMITS.token_leeway - it.around.clock.now())
                own = await opens("/v1/me", pair.access)
                return own, await opens(f"/v1/orders/{order.id}", session)

            assert await at(-LIMITS.token_leeway) == (True, True)
            assert await at(LIMITS.access_token_life - SECOND) == (True, True)
            assert await at(LIMITS.access_token_life + SECOND) == (False, True)
            assert await at(LIMITS.order_session_life - SECOND) == (False, True)
            assert await at(LIMITS.order_session_life + SECOND) == (False, False)
            await at(LIMITS.refresh_token_life - SECOND)
            ask = {"refreshToken": pair.refresh}
            assert (await client.post("/v1/auth/refresh", json=ask)).status_code == 200
            last = it.shop.tokens.pair(
                (await it.shop.identity.sign_in(who.user.id, CLIENT)).session
            )
            await it.advance(LIMITS.refresh_token_life + LIMITS.token_leeway + SECOND)
            ask = {"refreshToken": last.refresh}
            assert (await client.post("/v1/auth/refresh", json=ask)).status_code == 401


async def test_a_code_lives_five_minutes() -> None:
    async with in_less_than_a_second(4) as it:
        for age, is_good in ((LIMITS.otp_life - SECOND, True), (LIMITS.otp_life, False)):
            challenge = await it.shop.identity.request(BUYER)
            await it.run_due()
            code = codes(it, BUYER)[-1]
            await it.advance(age)
            verify = it.shop.identity.verify(BUYER, challenge.challenge_id, code, CLIENT)
            if is_good:
                assert (await verify).user.email == BUYER
            else:
                with pytest.raises(Refused, match="code-wrong"):
                    await verify
