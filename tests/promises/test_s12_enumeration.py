"""S12: whether somebody has an account here is told by no answer, and by nobody who waits."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import httpx
import psycopg
from tests.promises.figures import Figures
from tests.promises.market import Market
from tests.promises.people import challenge, inhabited, open_town, sign_in
from tests.promises.strangers import CHEAP, WORDS, forgot, login, request, wrong

from bitloot.domain.account import UserState
from bitloot_web.devservices import ValkeyStore

# What differs between two answers to one question.
OWN: Final = frozenset({"challengeId", "instance", "expiresAt"})
# Who waits for a row waits longer here.
PATIENCE_SECONDS: Final = 20

Ask = Callable[[Market, str], Awaitable[httpx.Response]]


async def verify(market: Market, email: str) -> httpx.Response:
    """A wrong code, for one that was mailed."""
    body = {"email": email, "challengeId": await challenge(market, email)}
    body["code"] = wrong(market, body["challengeId"])
    return await market.client.post("/v1/auth/otp/verify", json=body)


async def reset(market: Market, email: str) -> httpx.Response:
    body = {"email": email, "challengeId": await challenge(market, email, "password/forgot")}
    body |= {"code": wrong(market, body["challengeId"]), "password": WORDS}
    return await market.client.post("/v1/auth/password/reset", json=body)


def shape(answer: httpx.Response) -> tuple[int, dict[str, object], dict[str, str]]:
    """What an answer shows, but for what is of this one only."""
    document = {name: value for name, value in answer.json().items() if name not in OWN}
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "ratelimit", "date"}
    }
    return answer.status_code, document, headers


async def test_s12_no_answer_tells_an_account_from_none(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    valkey_server.flush()
    asked: dict[str, Ask] = {
        "a code": request, "a wrong code": verify, "a forgotten password": forgot,
        "a reset": reset, "a password": login,
    }  # fmt: skip
    different = []
    async with open_town(shop_url, valkey_server.url, tmp_path, limits=CHEAP) as town:
        market = town.first
        hashed = await market.near.password_hasher.hash(WORDS)
        kinds: dict[str, UserState] = {
            "known": "active",
            "suspended": "suspended",
            "deleted": "deleted",
        }
        for name, state in kinds.items():
            emails = [f"{name}{number}@reader.example" for number in range(len(asked) + 1)]
            await inhabited(market, *emails, state=state, hashed=hashed)
        for number, (what, ask) in enumerate(asked.items()):
            seen = [
                shape(await ask(market, f"{kind}{number}@reader.example"))
                for kind in ("unknown", *kinds)
            ]
            different += [what for each in seen if each != seen[0]]
        who = await sign_in(market, f"known{len(asked)}@reader.example")
        changes = []
        for email in ("known0@reader.example", "deleted0@reader.example", "new@reader.example"):
            path = "/v1/me/email-change"
            body = {"email": email}
            changes.append(shape(await market.client.post(path, json=body, headers=who.headers)))
        different += ["another address" for each in changes if each != changes[0]]
    figures.note(
        "S12",
        "every answer is the same for known, unknown, suspended and deleted addresses",
        figure=f"{len(asked) + 1} questions for 4 kinds of address: {len(different)} differ"
        f" {different or ''}",
        scale="full",
        holds=not different,
    )


async def test_s12_nobody_who_tries_a_password_waits_for_the_account(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    """Else two tries at once would take longer where there is an account to wait for."""
    valkey_server.flush()
    email, told = "reader@reader.example", []
    async with (
        open_town(shop_url, valkey_server.url, tmp_path, limits=CHEAP) as town,
        await psycopg.AsyncConnection.connect(shop_url) as holder,
    ):
        market = town.first
        hashed = await market.near.password_hasher.hash(WORDS)
        await inhabited(market, email, hashed=hashed)
        await holder.execute("SELECT FROM users FOR UPDATE")
        for ask in (request, verify, forgot, reset, login):
            async with asyncio.timeout(PATIENCE_SECONDS):
                told.append((await ask(market, email)).status_code)
        await holder.rollback()
    figures.note(
        "S12",
        "nobody who tries to get in without the right secret waits for the account",
        figure=f"{len(told)} questions while its row was locked: {told}",
        scale="full",
        holds=told == [202, 401, 202, 401, 401],
    )
