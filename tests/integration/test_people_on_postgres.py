"""Sessions, deletions and recoveries on real servers: PostgreSQL for rows, Valkey for codes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import httpx
import psycopg
import pytest
from psycopg import sql
from tests import asgi
from tests.integration.till import open_till

from bitloot.domain.address import parse_address
from bitloot.domain.decision import Decision, Event, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.forgetting import farewell
from bitloot.domain.limits import Limits
from bitloot.domain.roles import PERMISSIONS, Actor
from bitloot.domain.session import Client
from bitloot.testing.people_rows import PROOFS, PeopleRows
from bitloot.testing.rows import stocked
from bitloot.testing.virtual_time import VirtualClock
from bitloot.usecases.people.accounts import DELETION_SWEEP
from bitloot.usecases.people.forgetting import Forgetting
from bitloot.usecases.people.identity import SignedIn
from bitloot_adapters.redis.connection import open_redis
from bitloot_adapters.redis.otp_store import RedisOtpStore
from bitloot_web.asgi import build_app
from bitloot_web.composition.assembly import build_shop
from bitloot_web.composition.neighbours import Neighbours
from bitloot_web.devservices import ValkeyStore
from bitloot_web.job_runner import Handler
from bitloot_web.metrics import open_metrics
from bitloot_web.settings import Settings
from bitloot_web.shop import Shop

BUYER = "buyer@shop.example"
NEW = "new@shop.example"
CLIENT = Client(user_agent="A browser", address="192.0.2.7")
OWNER = Actor(name="cli", permissions=PERMISSIONS)
LIMITS = Limits()
AT_ONCE = 50
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Town:
    """A shop on real servers whose clock is told to go on."""

    shop: Shop
    near: Neighbours
    clock: VirtualClock

    async def sign_in(self, email: str = BUYER) -> SignedIn:
        """With the code that would be mailed."""
        challenge = (await self.shop.identity.request(email)).challenge_id
        code = self.shop.codes.code_of(challenge)
        return await self.shop.identity.verify(email, challenge, code, CLIENT)

    async def sweep(self) -> None:
        """The daily sweep."""
        at = self.clock.now()
        await self.near.jobs.tick(DELETION_SWEEP, at, "sweep", f"{DELETION_SWEEP}/{at}")
        await self.run(self.shop.accounts.run_due, "sweep")

    async def run(self, handle: Handler, kind: str = "forget_orders") -> None:
        """The jobs of a kind that are due."""
        for job_id in await self.near.jobs.claim_due(100):
            lease = await self.near.jobs.lease(job_id)
            if lease is not None and lease.kind == kind:
                await handle(lease)


async def places_of(url: str, text: str) -> set[str]:
    """The tables that hold a text, as text or as bytes."""
    found: set[str] = set()
    coded = text.encode().hex()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        asked = await connection.execute(TABLES)
        for (table,) in await asked.fetchall():
            rows = sql.SQL("SELECT 1 FROM {} t WHERE {} LIMIT 1").format(
                sql.Identifier(table),
                sql.SQL("position({} IN t::text) > 0 OR position({} IN t::text) > 0").format(
                    sql.Literal(text), sql.Literal(coded)
                ),
            )
            if await (await connection.execute(rows)).fetchone() is not None:
                found.add(table)
    return found


@pytest.fixture
async def town(shop_url: str, valkey_server: ValkeyStore) -> AsyncIterator[Town]:
    valkey_server.flush()
    redis, clock = open_redis(valkey_server.url), VirtualClock()
    async with open_till(shop_url) as till:
        near = replace(till.near, otp=RedisOtpStore(redis), clock=clock.now)
        settings = Settings(
            database_url=shop_url,
            redis_url=valkey_server.url,
            public_url="https://shop.example",
            secret_key="0123456789abcdef" * 4,
            gateways=("gateway",),
            suppliers=("custom",),
            limits=LIMITS,
        )
        yield Town(shop=build_shop(near, settings, open_metrics()), near=near, clock=clock)
    await redis.aclose()


async def test_fifty_refreshes_at_once_make_one_successor_and_lock_nobody_out(town: Town) -> None:
    who = await town.sign_in()
    refresh = town.shop.identity.refresh
    answers = await asyncio.gather(*(refresh(who.session.id, 1) for _ in range(AT_ONCE)))
    assert {each.session.generation for each in answers} == {2}
    assert len({each.session.rotated_at for each in answers}) == 1
    town.clock.advance(LIMITS.refresh_grace)
    with pytest.raises(Refused, match="session-ended"):
        await refresh(who.session.id, 1)
    with pytest.raises(Refused, match="session-ended"):
        await refresh(who.session.id, 2)


async def test_of_fifty_who_type_the_same_right_code_at_once_one_gets_in(town: Town) -> None:
    challenge = (await town.shop.identity.request(BUYER)).challenge_id
    code = town.shop.codes.code_of(challenge)

    async def attempt() -> bool:
        try:
            await town.shop.identity.verify(BUYER, challenge, code, CLIENT)
        except Refused:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt() for _ in range(AT_ONCE)))) == 1


async def test_two_first_sign_ins_at_once_make_one_account(town: Town) -> None:
    who = await asyncio.gather(town.sign_in(), town.sign_in())
    assert len({each.user.id for each in who}) == 1
    assert sum(each.is_new for each in who) == 1


async def test_thirty_days_of_a_deletion_pass_at_once(town: Town) -> None:
    who = await town.sign_in()
    await town.shop.accounts.request_deletion(who.user.id)
    await town.sweep()
    profile = await town.shop.views.people.profile(who.user.id)
    assert profile is not None
    assert profile.deletion is not None
    town.clock.advance(LIMITS.deletion_grace)
    await town.sweep()
    profile = await town.shop.views.people.profile(who.user.id)
    assert profile is not None
    assert (profile.state, profile.email) == ("deleted", f"deleted+{who.user.id}@invalid")
    with pytest.raises(Refused, match="account-deleted"):
        await town.sign_in()


async def test_no_table_says_who_somebody_was_once_they_are_forgotten(
    town: Town, shop_url: str
) -> None:
    rows = PeopleRows(clock=town.clock.now, new_id=town.near.new_id)
    goods = rows.goods()
    purchase = rows.purchase(goods, email=BUYER)
    for decision in (stocked(goods), purchase.placing()):
        async with town.near.uow.begin() as tx:
            await tx.record(decision)
    who = await town.sign_in()
    await town.shop.email_changes.request(who.user.id, NEW)
    await town.shop.recoveries.start(who.user.id, NEW, PROOFS, actor=OWNER)
    mail = rows.email(to=BUYER, order_id=purchase.order.id, state="sent", provider_id="m1")
    told = rows.webhook(provider="mailer", subject="m1", body=BUYER.encode())
    async with town.near.uow.begin() as tx:
        file = await tx.orders.file(purchase.order.id)
        assert file is not None
        ended = update(file.order, status="cancelled")
        event = Event(kind="order_cancelled", at=town.clock.now(), subject=purchase.order.id)
        await tx.record(
            Decision(
                save=(ended, insert(mail), insert(told)),
                events=(event,),
                order_id=purchase.order.id,
            )
        )
    assert "orders" in await places_of(shop_url, BUYER)
    assert not {"events", "audit_logs", "jobs"} & await places_of(shop_url, BUYER)
    await town.shop.accounts.request_deletion(who.user.id)
    town.clock.advance(LIMITS.deletion_grace)
    await town.sweep()
    # Only what is about to be sent, and the order that a job of its own makes nameless.
    assert await places_of(shop_url, BUYER) == {"emails", "orders"}
    await town.run(Forgetting(uow=town.near.uow, clock=town.clock.now, limits=LIMITS).orders)
    async with town.near.uow.begin() as tx:
        (last,) = await tx.inbox.mails_to(BUYER, limit=9)
    assert last.kind == "deletion-done"
    async with town.near.uow.begin() as tx:
        await tx.record(Decision(save=(update(last, **farewell(last, "it")),)))
    for text in (BUYER, NEW, "in March"):
        assert await places_of(shop_url, text) == set()


async def test_a_day_of_a_recovery_passes_at_once(town: Town) -> None:
    who = await town.sign_in()
    desk = town.shop.recoveries
    recovery = await desk.start(who.user.id, NEW, PROOFS, actor=OWNER)
    with pytest.raises(Refused, match="recovery-not-ready"):
        await desk.complete(recovery.id, actor=OWNER)
    town.clock.advance(LIMITS.recovery_cooling)
    await desk.complete(recovery.id, actor=OWNER)
    assert (await town.sign_in(NEW)).user.id == who.user.id


async def test_every_token_lives_its_life_and_half_a_minute_more(town: Town) -> None:
    """A quarter of an hour, an hour, a week; half a minute is for clocks that differ."""
    who, began, order_id = await town.sign_in(), town.clock.now(), town.near.new_id()
    pair = town.shop.tokens.pair(who.session)
    session = town.shop.sessions.issue(order_id, at=began)
    edge = asgi.transport(build_app(town.shop))
    async with httpx.AsyncClient(transport=edge, base_url="https://shop.example") as client:

        async def told(age: timedelta, path: str, token: str) -> int:
            town.clock.advance(began + age + LIMITS.token_leeway - town.clock.now())
            if path == "/v1/auth/refresh":
                answer = await client.post(path, json={"refreshToken": token})
            else:
                answer = await client.get(path, headers={"authorization": f"Bearer {token}"})
            return answer.status_code

        # There is no such order: the holder of its token is told that, until the token ends.
        for path, token, life, is_good in (
            ("/v1/me", pair.access, LIMITS.access_token_life, 200),
            (f"/v1/orders/{order_id}", session, LIMITS.order_session_life, 404),
        ):
            assert await told(life - SECOND, path, token) == is_good
            assert await told(life + SECOND, path, token) == 401
        week = LIMITS.refresh_token_life
        assert await told(week - SECOND, "/v1/auth/refresh", pair.refresh) == 200
        following = town.shop.tokens.pair((await town.sign_in()).session)
        end = town.clock.now() - began + week
        assert await told(end + SECOND, "/v1/auth/refresh", following.refresh) == 401


async def test_of_many_keys_of_one_name_made_at_once_one_is_there(town: Town) -> None:
    boss = (await town.shop.user_desk.appoint("boss@shop.example", ["owner"], actor=OWNER)).user_id

    async def made() -> str:
        try:
            await town.shop.api_keys.create("Books", ["orders.read"], maker_id=boss, actor=OWNER)
        except Refused as no:
            return no.code
        return "made"

    told = await asyncio.gather(*(made() for _ in range(8)))
    assert Counter(told) == {"made": 1, "api-key-name-taken": 7}


async def test_of_owners_who_demote_each_other_at_once_one_stays(town: Town) -> None:
    desk = town.shop.user_desk
    names = [f"boss{number}@shop.example" for number in range(2)]
    first, second = [(await desk.appoint(it, ["owner"], actor=OWNER)).user_id for it in names]
    async with town.near.uow.begin() as tx:
        boss = await tx.people.user(first)
        assert boss is not None
        assert await tx.people.has_other_owner(first)
        meanwhile = asyncio.create_task(desk.set_roles(second, [], actor=OWNER))
        assert not (await asyncio.wait({meanwhile}, timeout=0.3))[0]
        await tx.record(Decision(save=(update(boss, roles=()),)))
    with pytest.raises(Refused, match="last-owner"):
        await meanwhile


async def test_both_codes_move_an_account(town: Town) -> None:
    who = await town.sign_in()
    await town.shop.email_changes.request(who.user.id, NEW)
    async with town.near.uow.begin() as tx:
        change = await tx.people.open_change(who.user.id)
    assert change is not None
    both = map(town.shop.codes.code_of, (change.current_challenge, change.new_challenge))
    await town.shop.email_changes.confirm(who.user.id, who.session.id, *both)
    profile = await town.shop.views.people.profile(who.user.id)
    assert profile is not None
    assert profile.email == NEW
    assert parse_address(profile.email).key == NEW
