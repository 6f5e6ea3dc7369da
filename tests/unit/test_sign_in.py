"""Signing in by a code, going on by refresh tokens, and how that ends."""

import asyncio
import unicodedata
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest
from tests.unit.people_shop import BUYER, CLIENT, OWNER, bought, codes, mails, record, signed_in

from bitloot.domain.account import OrderClaim, User
from bitloot.domain.address import parse_address
from bitloot.domain.decision import Decision, insert
from bitloot.domain.email import Email, Suppression
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.session import Client, Session
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.rate_limiter import Quota, Taken, Verdict
from bitloot.ports.unit_of_work import Transaction
from bitloot.usecases.people.mailed_codes import MailedCodes
from bitloot_web.testing import TestShop, shop

LIMITS = Limits()
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def session_of(it: TestShop, session_id: str) -> Session:
    return next(row for row in it.around.store.rows(Session) if row.id == session_id)


async def test_the_right_code_makes_an_account_and_signs_in() -> None:
    async with shop(seed=1) as it:
        first = await signed_in(it, "Buyer@Shop.example")
        assert first.is_new
        assert (first.user.email, first.user.email_key) == ("Buyer@Shop.example", BUYER)
        assert first.session.user_agent == "A browser"
        second = await signed_in(it, BUYER)
        assert (second.is_new, second.user.id) == (False, first.user.id)
        assert len(it.around.store.rows(User)) == 1


async def test_a_plus_alias_is_somebody_else() -> None:
    async with shop(seed=1) as it:
        first, second = await signed_in(it, BUYER), await signed_in(it, "buyer+x@shop.example")
        assert first.user.id != second.user.id


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("buyer@shop.example", "  BUYER@Shop.EXAMPLE "),
        ("\u00e9va@shop.example", "e\u0301va@shop.example"),
        ("STRASSE@shop.example", "stra\u00dfe@shop.example"),
        ("buyer@b\u00fccher.example", "buyer@XN--BCHER-KVA.example"),
        ("buyer@b\u00fccher.example", "buyer@bu\u0308cher.example"),
    ],
)
async def test_one_mailbox_is_one_account_however_it_is_typed(first: str, again: str) -> None:
    """And codes go to the address as it was typed."""
    async with shop(seed=1) as it:
        who = (await signed_in(it, first)).user
        challenge = (await it.shop.identity.request(again)).challenge_id
        await it.run_due()
        typed = unicodedata.normalize("NFC", again).strip()
        same = await it.shop.identity.verify(first, challenge, codes(it, typed)[-1], CLIENT)
        assert (same.user.id, same.user.email) == (who.id, first)
        assert len(it.around.store.rows(User)) == 1


class Noted:
    """Ports that note what is asked of them."""

    def __init__(self, codes: MailedCodes) -> None:
        self.asked: list[str] = []
        self._ports = codes
        self.codes = replace(codes, uow=self, otp=self, rate_limiter=self)

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        self.asked.append("begin")
        return self._ports.uow.begin()

    async def open(self, challenge: str, digest: str, *, life: timedelta, tries: int) -> None:
        self.asked.append("open")
        await self._ports.otp.open(challenge, digest, life=life, tries=tries)

    async def verify(self, challenge: str, digest: str) -> Literal["right", "wrong", "gone"]:
        return await self._ports.otp.verify(challenge, digest)

    async def hit(self, quota: Quota, subject: str, *, mark: str | None = None) -> Verdict:
        self.asked.append(quota.scope)
        return await self._ports.rate_limiter.hit(quota, subject, mark=mark)

    async def take(self, quota: Quota, subject: str, *, most: int) -> Taken:
        return await self._ports.rate_limiter.take(quota, subject, most=most)


async def test_the_same_is_done_for_an_address_whose_code_is_not_mailed() -> None:
    """Also for one that gets no mail at all: neither delay nor work tells which that is."""
    async with shop(seed=6) as it:
        row = insert(Suppression(id=BUYER, reason="bounce", created_at=it.around.clock.now()))
        await record(it, Decision(save=(row,)))
        noted = Noted(it.shop.codes)

        async def work(email: str) -> tuple[list[str], int, int]:
            noted.asked.clear()
            writes = it.around.store.tables.writes
            await noted.codes.send("signin", parse_address(email))
            return [*noted.asked], it.around.store.tables.writes - writes, await it.run_due()

        like_any = await work("new@shop.example")
        assert like_any[0] == ["otp-address", "otp-address-day", "begin", "open", "begin"]
        assert [await work("often@shop.example") for _ in range(8)] == [like_any] * 8
        assert await work(BUYER) == like_any
        assert len(mails(it, "often@shop.example")) == LIMITS.otp_requests_per_15_minutes
        assert not mails(it, BUYER)


async def test_what_is_asked_for_beyond_a_limit_uses_no_code_of_the_day_up() -> None:
    async with shop(seed=6) as it:
        for _ in range(2):
            for _ in range(3 * LIMITS.otp_requests_per_15_minutes):
                await it.shop.identity.request(BUYER)
            await it.advance(15 * MINUTE)
        assert len(mails(it, BUYER)) == 2 * LIMITS.otp_requests_per_15_minutes


async def test_orders_of_a_guest_are_theirs_from_the_next_sign_in_on() -> None:
    async with shop(seed=2) as it:
        order, _ = await bought(it), await bought(it, "other@shop.example")
        who = await signed_in(it)
        assert [row.id for row in it.around.store.rows(OrderClaim)] == [order.id]
        later = await bought(it)
        await signed_in(it)
        page = await it.shop.views.people.orders(who.user.id, limit=9, after=None)
        assert [each.id for each in page.items] == [later.id, order.id]


async def test_more_orders_than_one_sign_in_takes_are_taken_by_the_next() -> None:
    async with shop(seed=2, limits=Limits(claims_per_sign_in=2)) as it:
        for _ in range(3):
            await bought(it)
        await signed_in(it)
        assert len(it.around.store.rows(OrderClaim)) == 2
        await signed_in(it)
        assert len(it.around.store.rows(OrderClaim)) == 3


async def test_a_code_is_good_once_and_for_its_address_only() -> None:
    async with shop(seed=3) as it:
        challenge = await it.shop.identity.request(BUYER)
        await it.run_due()
        (code,) = codes(it, BUYER)
        verify = it.shop.identity.verify
        with pytest.raises(Refused, match="code-wrong"):
            await verify("other@shop.example", challenge.challenge_id, code, CLIENT)
        await verify(BUYER, challenge.challenge_id, code, CLIENT)
        with pytest.raises(Refused, match="code-wrong"):
            await verify(BUYER, challenge.challenge_id, code, CLIENT)


@pytest.mark.parametrize("spoil", [str.strip, lambda code: f" {code}", lambda _: "١٢٣٤٥٦"])
async def test_what_does_not_look_like_a_code_uses_up_a_try_like_any_other(
    spoil: Callable[[str], str],
) -> None:
    async with shop(seed=3) as it:
        challenge = await it.shop.identity.request(BUYER)
        await it.run_due()
        (code,) = codes(it, BUYER)
        wrong = spoil(code) if spoil(code) != code else f"{(int(code) + 1) % 10**6:06d}"
        for _ in range(LIMITS.otp_wrong_tries):
            with pytest.raises(Refused, match="code-wrong"):
                await it.shop.identity.verify(BUYER, challenge.challenge_id, wrong, CLIENT)
        with pytest.raises(Refused, match="code-wrong"):
            await it.shop.identity.verify(BUYER, challenge.challenge_id, code, CLIENT)


async def test_a_code_ends_after_five_minutes_and_is_not_mailed_later() -> None:
    async with shop(seed=4) as it:
        it.around.mailer.faults.go_down()
        challenge = await it.shop.identity.request(BUYER)
        await it.advance(LIMITS.otp_life)
        it.around.mailer.faults.come_back()
        await it.advance(timedelta(hours=1))
        assert mails(it, BUYER) == []
        code = it.shop.codes.code_of(challenge.challenge_id)
        with pytest.raises(Refused, match="code-wrong"):
            await it.shop.identity.verify(BUYER, challenge.challenge_id, code, CLIENT)


async def test_no_row_and_no_job_holds_a_code() -> None:
    async with shop(seed=5) as it:
        await it.shop.identity.request(BUYER)
        await it.run_due()
        (code,) = codes(it, BUYER)
        (row,) = it.around.store.rows(Email)
        assert (row.subject, row.html, row.text) == (None, None, None)
        assert all(code not in job.ref for job in it.around.store.jobs.all())


async def test_more_codes_than_an_address_may_have_open_nothing_and_are_not_mailed() -> None:
    async with shop(seed=6) as it:
        for _ in range(3):
            for _ in range(LIMITS.otp_requests_per_15_minutes):
                await it.shop.identity.request(BUYER)
            await it.advance(15 * MINUTE)
        assert len(codes(it, BUYER)) == LIMITS.otp_codes_per_day
        again = await it.shop.identity.request(BUYER)
        await it.run_due()
        right = it.shop.codes.code_of(again.challenge_id)
        with pytest.raises(Refused, match="code-wrong"):
            await it.shop.identity.verify(BUYER, again.challenge_id, right, CLIENT)
        assert len(codes(it, BUYER)) == LIMITS.otp_codes_per_day
        await it.advance(DAY)
        assert (await signed_in(it)).is_new


async def test_more_codes_for_an_order_than_its_address_may_have_open_nothing() -> None:
    async with shop(seed=6) as it:
        order = await bought(it)
        for _ in range(LIMITS.otp_requests_per_15_minutes):
            await it.shop.reentry.request(order.id)
        one_more = (await it.shop.reentry.request(order.id)).challenge_id
        with pytest.raises(Refused, match="code-wrong"):
            await it.shop.reentry.verify(order.id, one_more, it.shop.codes.code_of(one_more))


async def test_an_account_is_known_to_nobody_without_the_right_code() -> None:
    async with shop(seed=7) as it:
        await signed_in(it)
        suspended = await signed_in(it, "bad@shop.example")
        await it.shop.user_desk.suspend(suspended.user.id, "fraud", actor=OWNER)
        challenges = [
            await it.shop.identity.request(each)
            for each in (BUYER, "bad@shop.example", "new@shop.example")
        ]
        assert len({each.expires_at for each in challenges}) == 1
        for each, challenge in zip(
            (BUYER, "bad@shop.example", "new@shop.example"), challenges, strict=True
        ):
            with pytest.raises(Refused, match="code-wrong"):
                await it.shop.identity.verify(each, challenge.challenge_id, "x", CLIENT)
        with pytest.raises(Refused, match="account-suspended"):
            await signed_in(it, "bad@shop.example")


async def test_without_the_store_of_codes_nobody_signs_in_and_sessions_go_on() -> None:
    async with shop(seed=8) as it:
        who = await signed_in(it)
        challenge = await it.shop.identity.request(BUYER)
        await it.run_due()
        it.around.otp.is_down = True
        with pytest.raises(StoreUnavailable):
            await it.shop.identity.request("other@shop.example")
        code = codes(it, BUYER)[-1]
        with pytest.raises(StoreUnavailable):
            await it.shop.identity.verify(BUYER, challenge.challenge_id, code, CLIENT)
        assert await it.shop.standing.session(who.session.id) is not None
        refreshed = await it.shop.identity.refresh(who.session.id, 1)
        assert refreshed.session.generation == 2


# --- going on ----------------------------------------------------------------------------------


async def test_a_refresh_token_has_one_successor_the_same_for_ten_seconds() -> None:
    async with shop(seed=9) as it:
        who = await signed_in(it)
        await it.advance(DAY)
        answers = await asyncio.gather(
            *(it.shop.identity.refresh(who.session.id, 1) for _ in range(50))
        )
        assert len({(each.session.generation, each.session.rotated_at) for each in answers}) == 1
        await it.advance(LIMITS.refresh_grace - SECOND)
        lost = await it.shop.identity.refresh(who.session.id, 1)
        assert lost.session == session_of(it, who.session.id)
        assert lost.session.expires_at == lost.session.rotated_at + LIMITS.refresh_token_life


async def test_a_token_that_comes_back_later_ends_the_session() -> None:
    async with shop(seed=10) as it:
        who = await signed_in(it)
        await it.shop.identity.refresh(who.session.id, 1)
        await it.advance(LIMITS.refresh_grace)
        for generation in (1, 2):
            with pytest.raises(Refused, match="session-ended"):
                await it.shop.identity.refresh(who.session.id, generation)
        assert session_of(it, who.session.id).revoked_reason == "reuse"
        assert [line.entry.action for line in it.around.store.audit.lines][-1] == "session.reused"


async def test_a_token_of_two_generations_ago_ends_the_session_at_once() -> None:
    async with shop(seed=10) as it:
        who = await signed_in(it)
        await it.shop.identity.refresh(who.session.id, 1)
        await it.shop.identity.refresh(who.session.id, 2)
        with pytest.raises(Refused, match="session-ended"):
            await it.shop.identity.refresh(who.session.id, 1)
        assert session_of(it, who.session.id).revoked_reason == "reuse"


async def test_a_session_lives_seven_days_from_its_last_use() -> None:
    async with shop(seed=11) as it:
        who = await signed_in(it)
        await it.advance(6 * DAY)
        await it.shop.identity.refresh(who.session.id, 1)
        await it.advance(6 * DAY)
        await it.shop.identity.refresh(who.session.id, 2)
        await it.advance(7 * DAY + LIMITS.token_leeway)
        with pytest.raises(Refused, match="session-ended"):
            await it.shop.identity.refresh(who.session.id, 3)


async def test_a_clock_that_is_behind_by_half_a_minute_ends_no_session() -> None:
    async with shop(seed=11) as it:
        who = await signed_in(it)
        await it.advance(7 * DAY + LIMITS.token_leeway - SECOND)
        assert (await it.shop.identity.refresh(who.session.id, 1)).session.generation == 2


async def test_one_more_than_fifty_sessions_ends_the_oldest() -> None:
    async with shop(seed=12, limits=Limits(sessions_per_user=2)) as it:
        who = await signed_in(it)
        for _ in range(2):
            await it.advance(MINUTE)
            await it.shop.identity.sign_in(who.user.id, CLIENT)
        assert session_of(it, who.session.id).revoked_reason == "crowded"
        assert len(await it.shop.views.people.sessions(who.user.id, at=it.around.clock.now())) == 2


async def test_sessions_are_ended_one_or_all_by_their_owner_alone() -> None:
    async with shop(seed=13) as it:
        who, other = await signed_in(it), await signed_in(it, "other@shop.example")
        second, third = [await it.shop.identity.sign_in(who.user.id, CLIENT) for _ in range(2)]
        with pytest.raises(Refused, match="not-found"):
            await it.shop.identity.end_session(other.user.id, who.session.id)
        await it.shop.identity.end_session(who.user.id, second.session.id)
        assert await it.shop.identity.end_sessions(who.user.id, keep=third.session.id) == 1
        told = await it.shop.views.people.sessions(who.user.id, at=it.around.clock.now())
        assert [each.id for each in told] == [third.session.id]
        await it.shop.identity.logout(third.session.id)
        with pytest.raises(Refused, match="session-ended"):
            await it.shop.identity.refresh(third.session.id, 1)
        await it.shop.identity.refresh(other.session.id, 1)


async def test_what_a_browser_says_of_itself_cannot_break_out_of_its_line() -> None:
    async with shop(seed=14) as it:
        who = await signed_in(it)
        hostile = Client(user_agent="a\r\nb\x00\u202e" + "x" * 900)
        session = (await it.shop.identity.sign_in(who.user.id, hostile)).session
        assert session.user_agent.isprintable()
        assert session.user_agent.startswith("a b x")
        assert len(session.user_agent) <= 200


async def test_an_ended_session_is_believed_for_half_a_minute_at_most() -> None:
    async with shop(seed=15) as it:
        who = await signed_in(it)
        state = await it.shop.standing.session(who.session.id)
        assert state is not None
        assert state.is_good(it.around.clock.now())
        await it.shop.identity.logout(who.session.id)
        await it.advance(LIMITS.session_cache)
        state = await it.shop.standing.session(who.session.id)
        assert state is not None
        assert not state.is_good(it.around.clock.now())


async def test_a_session_that_this_process_ended_is_asked_for_at_once() -> None:
    async with shop(seed=15) as it:
        who = await signed_in(it)
        await it.shop.standing.session(who.session.id)
        await it.shop.identity.logout(who.session.id)
        it.shop.standing.forget(who.session.id)
        state = await it.shop.standing.session(who.session.id)
        assert state is not None
        assert not state.is_good(it.around.clock.now())
