"""S11: a code of six digits stands against whoever has all day, all addresses and all networks."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
from tests import asgi
from tests.promises.figures import Figures
from tests.promises.market import PUBLIC_URL, Market
from tests.promises.people import caller_from, code, open_town

from bitloot_web.application import Application
from bitloot_web.devservices import ValkeyStore
from bitloot_web.testing import TestShop, shop

VICTIM: Final = "victim@reader.example"
QUARTER: Final = timedelta(minutes=15)
QUARTERS_A_DAY: Final = 96
TRIES: Final = 5
CODES_A_DAY: Final = 10
MOST_CHANCE: Final = 5e-5
AT_ONCE: Final = 50


@dataclass
class Attacker:
    """Somebody with as many network addresses as they like: a limit by address stops nothing."""

    it: TestShop
    app: Application
    guesses: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    _hosts: int = 0

    async def ask(self, path: str, body: dict[str, str]) -> httpx.Response:
        self._hosts += 1
        host = f"10.{self._hosts >> 16 & 255}.{self._hosts >> 8 & 255}.{self._hosts & 255}"
        transport = asgi.transport(self.app, client=(host, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
            return await client.post(path, json=body)

    async def wanted(self) -> str:
        """Ask for a code to the victim's mailbox; gives its challenge."""
        answer = await self.ask("/v1/auth/otp/request", {"email": VICTIM})
        self.answers[code(answer)] += 1
        return str(answer.json()["challengeId"])

    async def tried(self, challenge_id: str, guess: str) -> str:
        body = {"email": VICTIM, "challengeId": challenge_id, "code": guess}
        return code(await self.ask("/v1/auth/otp/verify", body))

    async def burned(self, challenge_id: str) -> bool:
        """Five wrong codes, and after them the right one."""
        right = self.it.shop.codes.code_of(challenge_id)
        for number in range(1, TRIES + 1):
            self.guesses += 1
            wrong = f"{(int(right) + number) % 10**6:06d}"
            assert await self.tried(challenge_id, wrong) == "code-wrong"
        return await self.tried(challenge_id, right) == "code-wrong"


async def test_s11_an_attacker_with_every_network_has_fifty_guesses_a_day(
    figures: Figures,
) -> None:
    """A code that was mailed bears five wrong tries, one beyond the day's ten opens nothing."""
    asked, burned, opened = 0, 0, 0
    async with shop(seed=11) as it:
        attacker = Attacker(it, it.app)
        for quarter in range(QUARTERS_A_DAY):
            for _ in range(TRIES + 1 if figures.full or quarter < 4 else 1):
                asked += 1
                burned += await attacker.burned(await attacker.wanted())
            await it.advance(QUARTER - timedelta(seconds=1))
        mailed = len([each for each in it.around.mailer.mailbox if each.message.to == VICTIM])
        # The same again tomorrow, with four wrong tries: now the right one opens, ten times.
        await it.advance(timedelta(days=1))
        for _ in range(QUARTERS_A_DAY // 8):
            for _ in range(TRIES + 1):
                known = await attacker.wanted()
                right = it.shop.codes.code_of(known)
                for number in range(1, TRIES):
                    await attacker.tried(known, f"{(int(right) + number) % 10**6:06d}")
                opened += await attacker.tried(known, right) == "201"
            await it.advance(QUARTER)
    chance = mailed * TRIES / 10**6
    figures.note(
        "S11",
        "an attacker with every network address opens an account with 5·10⁻⁵ a day at most",
        figure=f"{asked} codes asked for in a day, {mailed} mailed, {attacker.guesses} guesses,"
        f" {burned} burned; the chance is {chance:.0e}; with four wrong tries each {opened} open",
        scale="full" if figures.full else "fewer codes asked for",
        holds=mailed == opened == CODES_A_DAY
        and burned == asked
        and chance <= MOST_CHANCE
        and set(attacker.answers) == {"202"},
    )


async def sprayed(market: Market, address: str, body: dict[str, str], path: str) -> Counter[str]:
    """As many addresses as one network address may ask for, and twice as many more."""
    found = Counter[str]()
    async with caller_from(market, address) as client:
        for number in range(90):
            asked = {"email": f"reader{number}@reader.example", **body}
            found[code(await client.post(f"/v1/auth/otp/{path}", json=asked))] += 1
    return found


async def test_s11_one_network_address_asks_for_five_codes_and_tries_thirty(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    """Whichever mailboxes it goes through; what it says of other addresses is not believed."""
    valkey_server.flush()
    limits = {
        "OTP_REQUESTS_PER_15_MINUTES": "5",
        "OTP_VERIFICATIONS_PER_IP_PER_15_MINUTES": "30",
        "OTP_CODES_PER_DAY": "10",
    }
    once, flushed = 0, Counter[bool]()
    async with open_town(shop_url, valkey_server.url, tmp_path, limits=limits) as town:
        market = town.first
        asked = await sprayed(market, "198.51.100.1", {}, "request")
        body = {"challengeId": "x" * 36, "code": "123456"}
        tried = await sprayed(market, "198.51.100.2", body, "verify")
        async with caller_from(market, "198.51.100.3") as client:
            known = str(
                (await client.post("/v1/auth/otp/request", json={"email": VICTIM})).json()[
                    "challengeId"
                ]
            )
        right = {"email": VICTIM, "challengeId": known, "code": market.shop.codes.code_of(known)}

        async def typed(number: int) -> str:
            async with caller_from(market, f"203.0.113.{number}") as client:
                return code(await client.post("/v1/auth/otp/verify", json=right))

        once = Counter(await asyncio.gather(*map(typed, range(AT_ONCE))))["201"]
        # Everything that counts in Valkey is lost again and again; the mails of a day are not.
        for number in range(4 * CODES_A_DAY):
            valkey_server.flush()
            email = "flushed@reader.example"
            async with caller_from(market, f"192.0.2.{number}") as client:
                wanted = await client.post("/v1/auth/otp/request", json={"email": email})
                known = wanted.json()["challengeId"]
                found = {"email": email, "challengeId": known}
                found["code"] = market.shop.codes.code_of(known)
                flushed[(await client.post("/v1/auth/otp/verify", json=found)).is_success] += 1
    figures.note(
        "S11",
        "codes are limited for each network, opened once, and counted beyond a loss of Valkey",
        figure=f"90 addresses from one network: asked {dict(asked)}, tried {dict(tried)}; {AT_ONCE}"
        f" at once with the right code: {once} in; {4 * CODES_A_DAY} codes for one address with"
        f" Valkey emptied before each: {flushed[True]} open",
        scale="full",
        holds=asked == {"202": 5, "rate-limited": 85}
        and tried == {"code-wrong": 30, "rate-limited": 60}
        and once == 1
        and flushed == {True: CODES_A_DAY, False: 3 * CODES_A_DAY},
    )
