"""S12: whether somebody has an account here is told by no answer and by no time."""

import asyncio
import gc
import random
import statistics
import time
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from pathlib import Path
from typing import Final

import httpx
import psycopg
import pytest
from tests.promises.figures import Figures
from tests.promises.market import Market
from tests.promises.people import challenge, inhabited, open_town, sign_in

from bitloot.domain.account import UserState
from bitloot_web.devservices import ValkeyStore

WORDS: Final = "a lantern in the rain"
WRONG: Final = "two lanterns in the rain"
# What differs between two answers to one question.
OWN: Final = frozenset({"challengeId", "instance", "expiresAt"})
WARM: Final = 20
# Who waits for a row waits longer here.
PATIENCE_SECONDS: Final = 20
# A hash that costs less hides less of what is done beside it.
CHEAP: Final = {"PASSWORD_HASH_BYTES": str(7 * 1024 * 1024), "PASSWORD_HASH_PASSES": "1"}

Ask = Callable[[Market, str], Awaitable[httpx.Response]]
Prepare = Callable[[Market, str], Awaitable[str]]


async def request(market: Market, email: str) -> httpx.Response:
    return await market.client.post("/v1/auth/otp/request", json={"email": email})


async def forgot(market: Market, email: str) -> httpx.Response:
    return await market.client.post("/v1/auth/password/forgot", json={"email": email})


async def login(market: Market, email: str) -> httpx.Response:
    body = {"email": email, "password": WRONG}
    return await market.client.post("/v1/auth/login", json=body)


def wrong(market: Market, challenge_id: str) -> str:
    """A code of the right shape."""
    return f"{(int(market.shop.codes.code_of(challenge_id)) + 1) % 10**6:06d}"


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


# --- time --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """What is asked of whom: `prepare` is done before the time is taken."""

    ask: Callable[[Market, str, str], Awaitable[httpx.Response]]
    prepare: Prepare | None = None


async def asked_code(market: Market, email: str, _: str) -> httpx.Response:
    return await request(market, email)


async def tried_code(market: Market, email: str, challenge_id: str) -> httpx.Response:
    body = {"email": email, "challengeId": challenge_id, "code": wrong(market, challenge_id)}
    return await market.client.post("/v1/auth/otp/verify", json=body)


async def tried_password(market: Market, email: str, _: str) -> httpx.Response:
    return await login(market, email)


QUESTIONS: Final = {
    "a code is asked for": Question(asked_code),
    "a wrong code is tried": Question(tried_code, challenge),
    "a wrong password is tried": Question(tried_password),
}


async def measured(
    market: Market, question: Question, known: Sequence[str], unknown: Sequence[str]
) -> tuple[list[float], list[float]]:
    """Milliseconds for addresses with and without an account, each asked once, in random turns."""
    chance = random.Random(12)
    found: tuple[list[float], list[float]] = ([], [])
    for number, pair in enumerate(zip(known, unknown, strict=True)):
        turn = list(enumerate(pair))
        chance.shuffle(turn)
        before = [
            await question.prepare(market, email) if question.prepare else "" for email in pair
        ]
        for kind, email in turn:
            began = time.perf_counter()
            await question.ask(market, email, before[kind])
            took = (time.perf_counter() - began) * 1000
            if number >= WARM:
                found[kind].append(took)
        market.answers.clear()
    return found


def slower(one: Sequence[float], other: Sequence[float]) -> float:
    """How probably one of the first took longer than one of the others (Mann and Whitney)."""
    ranked = sorted(other)
    below = sum(bisect_left(ranked, each) + bisect_right(ranked, each) for each in one) / 2
    return below / (len(one) * len(other))


def alike(one: Sequence[float], other: Sequence[float]) -> float:
    """The p-value of the test of Kolmogorov and Smirnov for large samples."""
    first, second = sorted(one), sorted(other)
    places = sorted((*first, *second))
    distance = max(
        abs(bisect_right(first, at) / len(first) - bisect_right(second, at) / len(second))
        for at in places
    )
    size = sqrt(len(first) * len(second) / (len(first) + len(second)))
    x = (size + 0.12 + 0.11 / size) * distance
    series = 2 * sum((-1) ** (k - 1) * exp(-2 * (k * x) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, series)) if x > 0.2 else 1.0


@pytest.mark.parametrize("what", QUESTIONS)
async def test_s12_no_time_tells_an_account_from_none(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures, what: str
) -> None:
    tries = 2_000 if figures.full else 200
    # Three standard errors of tries without any difference, six where they are few and the machine
    # has much else to do.
    bound, medians_ms = (0.03, 5.0) if figures.full else (0.17, 20.0)
    valkey_server.flush()
    limits = {} if figures.full else CHEAP
    async with open_town(shop_url, valkey_server.url, tmp_path, limits=limits) as town:
        market = town.first
        hashed = await market.near.password_hasher.hash(WORDS)
        known, unknown = [
            [f"{name}{number:04d}@reader.example" for number in range(tries + WARM)]
            for name in ("reader", "nobody")
        ]
        await inhabited(market, *known, hashed=hashed)
        await market.sql("ANALYZE users")
        gc.disable()
        try:
            with_account, without = await measured(market, QUESTIONS[what], known, unknown)
        finally:
            gc.enable()
    share = slower(with_account, without)
    apart = abs(statistics.median(with_account) - statistics.median(without))
    figures.note(
        "S12",
        f"no time tells an account from none: {what}",
        figure=f"{tries} tries each: an account answers later with probability {share:.3f}"
        f" (0.5 ± {bound}); medians {apart:.2f} ms apart"
        f" (of {medians_ms:.0f});"
        f" Kolmogorov-Smirnov p {alike(with_account, without):.2f}",
        scale="full" if figures.full else "÷ 10",
        holds=abs(share - 0.5) <= bound and apart < medians_ms,
    )
