"""S9: a refresh token has one successor, whoever asks; copied, it ends the session."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

from tests.promises.figures import Figures
from tests.promises.market import Market
from tests.promises.people import Person, Town, code, open_town, person, sign_in

from bitloot_web.devservices import ValkeyStore

AT_ONCE = 50
QUARTER = timedelta(minutes=14)
GRACE = timedelta(seconds=10)
SECOND = timedelta(seconds=1)
STEP = timedelta(seconds=5)
MOST = timedelta(seconds=60)


async def asked(market: Market, token: str) -> str:
    """What becomes of a refresh token."""
    answer = await market.client.post("/v1/auth/refresh", json={"refreshToken": token})
    return code(answer)


async def successors(town: Town, who: Person) -> set[Person]:
    """Fifty at once in two processes; the answers to all but the first may have been lost."""
    answers = await asyncio.gather(
        *(
            market.client.post("/v1/auth/refresh", json={"refreshToken": who.refresh})
            for market in town.markets
            for _ in range(AT_ONCE // len(town.markets))
        )
    )
    return {person(answer, who.email) for answer in answers}


async def believed_for(town: Town, who: Person) -> timedelta:
    """How long any process goes on believing an access token, by the shop's clock."""
    waited = timedelta()
    while waited <= MOST:
        answers = [await each.client.get("/v1/me", headers=who.headers) for each in town.markets]
        if all(code(answer) == "unauthenticated" for answer in answers):
            return waited
        town.clock.by += STEP
        waited += STEP
    return waited


async def test_s9_a_refresh_token_has_one_successor_and_a_copied_one_ends_the_session(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    rounds = 20 if figures.full else 1
    valkey_server.flush()
    made, again, late, newest = Counter[int](), Counter[bool](), Counter[str](), Counter[str]()
    believed = []
    async with open_town(shop_url, valkey_server.url, tmp_path, processes=2) as town:
        for number in range(rounds):
            who = await sign_in(town.first, f"buyer{number}@reader.example")
            town.clock.by += QUARTER
            found = await successors(town, who)
            made[len(found)] += 1
            town.clock.by += GRACE - 2 * SECOND
            again[await successors(town, who) == found] += 1
            following = found.pop()
            for market in town.markets:
                assert (await market.client.get("/v1/me", headers=following.headers)).is_success
            town.clock.by += 3 * SECOND
            late[await asked(town.first, who.refresh)] += 1
            newest[await asked(town.first, following.refresh)] += 1
            believed.append(await believed_for(town, following))
        told = await town.first.count(
            "SELECT count(*)::int FROM audit_logs WHERE action = 'session.reused'"
        )
    figures.note(
        "S9",
        "a refresh token has one successor, the same for 10 s; after that it ends the session",
        figure=f"{rounds} sessions, {AT_ONCE} at once in 2 processes: successors {dict(made)};"
        f" asked again within 10 s the same pair {dict(again)}; later {dict(late)} and the newest"
        f" {dict(newest)}; its access token was believed {max(believed).total_seconds():.0f} s"
        f" more at most; {told} lines in the audit log",
        scale="full" if figures.full else "÷ 20",
        holds=made == {1: rounds}
        and again == {True: rounds}
        and late == newest == {"session-ended": rounds}
        and max(believed) <= MOST
        and told == rounds,
    )
