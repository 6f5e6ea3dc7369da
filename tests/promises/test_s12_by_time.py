"""S12: no time tells whether somebody has an account here."""

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
import pytest
from tests.promises.figures import Figures
from tests.promises.market import Market
from tests.promises.people import challenge, inhabited, open_town
from tests.promises.strangers import CHEAP, WORDS, login, request, wrong

from bitloot_web.devservices import ValkeyStore

WARM: Final = 20

Prepare = Callable[[Market, str], Awaitable[str]]


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
    # In a rest between two hashes what is done before the second one would not be seen.
    limits = {"PASSWORD_CPU_SHARE": "1000"} | ({} if figures.full else CHEAP)
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
