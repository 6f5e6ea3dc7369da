"""S16: a limit of rate is exact over all processes, and what a client says of itself moves none.

Without Valkey nobody signs in, and everything that needs nobody's secret goes on.
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import httpx
from tests.promises.figures import Figures
from tests.promises.market import Market, good
from tests.promises.people import caller_from, code, open_town, sign_in

from bitloot_web.devservices import ValkeyStore, start_valkey

PROXY: Final = "10.1.2.3"
AT_ONCE: Final = 16
# Each with its own limit, so that what is counted here is counted nowhere else.
DOORS: Final[Mapping[str, tuple[str, int, dict[str, str]]]] = {
    "codes-by-ip": ("/v1/auth/otp/request", 5, {"email": "reader{}@reader.example"}),
    "code-tries-by-ip": (
        "/v1/auth/otp/verify",
        30,
        {"email": "reader{}@reader.example", "challengeId": "x" * 36, "code": "123456"},
    ),
    "sign-ins-by-ip": (
        "/v1/auth/login",
        10,
        {"email": "reader{}@reader.example", "password": "none of the passwords"},
    ),
    "refreshes": ("/v1/auth/refresh", 60, {"refreshToken": "no.token.{}"}),
}
LIMITS: Final = {
    "OTP_REQUESTS_PER_15_MINUTES": "5",
    "OTP_VERIFICATIONS_PER_IP_PER_15_MINUTES": "30",
    "SIGN_INS_PER_15_MINUTES": "10",
    "REFRESHES_PER_MINUTE": "60",
    "QUOTES_PER_MINUTE": "60",
    "PASSWORD_HASH_BYTES": str(7 * 1024 * 1024),
    "PASSWORD_HASH_PASSES": "1",
    "PASSWORD_HASHING_WAITING": "1000",
}


def forged(number: int) -> dict[str, str]:
    """What a client may say about where it comes from, another place each time."""
    host = f"198.18.{number // 250}.{number % 250}"
    return {
        "x-forwarded-for": f"{host}, {host}",
        "forwarded": f"for={host}",
        "x-real-ip": host,
        "x-client-ip": host,
        "true-client-ip": host,
        "cf-connecting-ip": host,
    }


def filled(body: Mapping[str, str], number: int) -> dict[str, str]:
    return {name: text.format(number) for name, text in body.items()}


async def allowed(clients: list[httpx.AsyncClient], name: str, *, forges: bool) -> int:
    """How many get through, twice as many as may and more, by turns from all of these."""
    path, limit, body = DOORS[name]
    # More at once would keep the answers of Valkey waiting for longer than a limit that lets
    # pass where it cannot ask.
    room = asyncio.Semaphore(AT_ONCE)

    async def gets_through(number: int) -> bool:
        client, headers = clients[number % len(clients)], forged(number) if forges else {}
        async with room:
            answer = await client.post(path, json=filled(body, number), headers=headers)
        return answer.status_code != httpx.codes.TOO_MANY_REQUESTS

    return sum(await asyncio.gather(*map(gets_through, range(2 * limit + 10))))


async def behind_proxies(markets: list[Market], name: str, limit: int) -> int:
    """A client that writes hops of its own before those that the trusted proxy adds."""
    path, _, body = DOORS[name]
    through = 0
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(caller_from(market, PROXY)) for market in markets
        ]
        for number in range(2 * limit):
            headers = {"x-forwarded-for": f"198.18.0.{number}, 203.0.113.99"}
            answer = await clients[number % len(clients)].post(
                path, json=filled(body, number), headers=headers
            )
            through += answer.status_code != httpx.codes.TOO_MANY_REQUESTS
    return through


async def test_s16_limits_are_exact_over_processes_whatever_a_client_says(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    valkey_server.flush()
    found: dict[str, int] = {}
    settings = {"BITLOOT_TRUSTED_PROXIES": "10.0.0.0/8"}
    async with (
        open_town(
            shop_url, valkey_server.url, tmp_path, processes=2, limits=LIMITS, settings=settings
        ) as town,
        AsyncExitStack() as stack,
    ):
        for host, name in enumerate(DOORS):
            # The last half of an IPv6 address is the client's own choice.
            network = ipaddress.IPv6Network(f"2001:db8:0:{host}::/64")
            for kind, addresses in (
                ("forged headers", [f"192.0.2.{host}"] * 2),
                ("IPv6 /64", [str(network[n * 2**60 + 1]) for n in range(16)]),
            ):
                clients = [
                    await stack.enter_async_context(caller_from(market, address))
                    for market, address in zip(
                        list(town.markets) * (len(addresses) // 2), addresses, strict=True
                    )
                ]
                found[f"{name} {kind}"] = await allowed(clients, name, forges=True)
        found["codes-by-ip behind a proxy"] = await behind_proxies(
            list(town.markets), "codes-by-ip", 5
        )
    exact = [name for name, count in found.items() if count == DOORS[name.partition(" ")[0]][1]]
    figures.note(
        "S16",
        "limits are exact over two processes, whatever headers say and within an IPv6 /64",
        figure=f"{len(exact)} of {len(found)} exact: {found}",
        scale="full",
        holds=len(exact) == len(found),
    )


async def test_s16_without_valkey_nobody_signs_in_and_all_else_goes_on(
    shop_url: str, tmp_path: Path, figures: Figures
) -> None:
    """No way to sign in fails open: not even the right code or the right password opens."""
    closed, opened, back = Counter[str](), Counter[str](), Counter[str]()
    email, words = "buyer@reader.example", "a lantern in the rain"
    with start_valkey(tmp_path / "valkey") as valkey:
        async with open_town(shop_url, valkey.url, tmp_path, limits=LIMITS) as town:
            market = town.first
            await market.own("own-game", b"AAAA-1", b"AAAA-2")
            order = await market.order("own-game", email=email)
            who = await sign_in(market, email)
            body = {"password": words}
            good(await market.client.post("/v1/auth/password", json=body, headers=who.headers))
            paths = {"otp/request": "otp/verify", "password/forgot": "password/reset"}
            right = {}
            for asked, path in paths.items():
                answer = await market.client.post(f"/v1/auth/{asked}", json={"email": email})
                known = good(answer)["challengeId"]
                right[path] = {
                    "email": email,
                    "challengeId": known,
                    "code": market.shop.codes.code_of(known),
                }
            right["password/reset"]["password"] = words
            right["login"] = {"email": email, "password": words}
            right |= {asked: {"email": email} for asked in paths}
            valkey.kill()
            doors = {f"/v1/auth/{path}": body for path, body in right.items()}
            doors[f"{order.path}/session/code"] = {}
            doors[f"{order.path}/session"] = {"challengeId": "x" * 36, "code": "123456"}
            for path, body in doors.items():
                answer = await market.client.post(path, json=body)
                wait = int(answer.headers.get("retry-after", "0"))
                closed[f"{answer.status_code} {'with' if wait else 'without'} Retry-After"] += 1
            for path in ("/v1/me", "/v1/me/orders", order.path):
                answer = await market.client.get(path, headers=who.headers)
                opened[code(answer)] += 1
            for path in ("/v1/catalog/products", "/v1/catalog/products/own-game"):
                opened[code(await market.client.get(path))] += 1
            basket = {"lines": [{"product": "own-game"}]}
            opened[code(await market.client.post("/v1/quotes", json=basket))] += 1
            token = {"refreshToken": who.refresh}
            opened[code(await market.client.post("/v1/auth/refresh", json=token))] += 1
            valkey.restart()
            for path in ("otp/verify", "password/reset"):
                back[code(await market.client.post(f"/v1/auth/{path}", json=right[path]))] += 1
            back[code(await market.client.post("/v1/auth/login", json=right["login"]))] += 1
    figures.note(
        "S16",
        "without Valkey sign-in and codes are refused with 503; tokens and the catalogue go on",
        figure=f"refused: {dict(closed)}; went on: {dict(opened)}; codes after it: {dict(back)}",
        scale="full",
        holds=closed == {"503 with Retry-After": len(doors)}
        and set(opened) <= {"200", "201"}
        and back == {"code-wrong": 2, "201": 1},
    )
