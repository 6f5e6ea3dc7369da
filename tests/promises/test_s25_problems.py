"""S25: every "no" is a problem document of a known type, and says nothing of the inside."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec
import psycopg
from psycopg import sql
from tests.promises.figures import Figures
from tests.promises.market import SECRETS, Market, Order, once, open_doors, open_market

from bitloot_web.asgi import openapi_document
from bitloot_web.devservices import ValkeyStore
from bitloot_web.problems import PROBLEMS, URN

INSIDE = re.compile(
    r"Traceback|File \"|\.py\b|psycopg|sqlalchemy|msgspec|litestar|asyncio|SELECT |INSERT INTO"
    r"|UPDATE |relation \"|0x[0-9a-f]{6,}|/site-packages/|/src/|SQLSTATE|redis|Exception",
    re.IGNORECASE,
)
NOBODY = "01c2ae78-4200-7003-b48f-c209128b2f33"
BODIES = (b"", b"{", b"[]", b'"x"', b"\xff", b'{"surprise": 1}', b"[" * 5000, b'{"a": NaN}')
PLACE = re.compile(r"\{(\w+)\}")
REACHABLE = ("healthz", "readyz")


def operations() -> list[tuple[str, str]]:
    document = msgspec.json.decode(openapi_document())
    return [
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    ]


def faults_of(answer: httpx.Response) -> list[str]:
    """What is wrong with how something was refused."""
    told = f"{answer.request.method} {answer.request.url.path} {answer.status_code}"
    if answer.headers.get("content-type") != "application/problem+json":
        return [f"{told}: {answer.headers.get('content-type')}"]
    document = answer.json()
    code = str(document.get("type")).removeprefix(URN)
    found = []
    if code not in PROBLEMS or PROBLEMS[code].status != answer.status_code:
        found.append(f"{told}: type {document.get('type')}")
    if document.get("instance") != answer.headers.get("x-request-id"):
        found.append(f"{told}: instance")
    text = answer.text + str(answer.headers)
    # The path that was asked for is the caller's own.
    if inside := INSIDE.search(answer.text):
        found.append(f"{told}: tells {inside[0]!r}")
    if any(secret in text for secret in SECRETS):
        found.append(f"{told}: tells a secret")
    if not 400 <= document.get("status", 0) == answer.status_code:
        found.append(f"{told}: status")
    return found


async def misuse(market: Market, order: Order, bodies: Sequence[bytes]) -> None:
    """Every operation, asked in every way in which it must say no."""
    for method, path in operations():
        mine = path.replace("{order_id}", order.id)
        known = PLACE.sub(NOBODY, mine)
        keys = {**await market.admin(), **once()} if "/admin" in path else {**order.token, **once()}
        call = market.client.request
        await call("TRACE", known, headers=keys)
        await call(method, known + "?surprise=1", headers=keys)
        await call(method, PLACE.sub("no-id", path), headers=keys)
        await call(method, PLACE.sub("%00", path), headers=keys)
        await call(method, known)
        await call(method, known, headers={"authorization": "Bearer x.y.z"})
        await call(method, known, headers={**keys, "content-type": "text/html"}, content=b"<p>")
        if method != "GET":
            for body in bodies:
                headers = {**keys, "content-type": "application/json"}
                await call(method, known, headers=headers, content=body)
            huge = b'{"a": "' + b"x" * 400_000 + b'"}'
            await call(method, known, headers=keys, content=huge)


async def shut(url: str, *, is_shut: bool) -> None:
    """Nobody may connect to the shop's database any more, or all may again."""
    base, _, name = url.partition("?")[0].rpartition("/")
    query = url.partition("?")[2]
    async with await psycopg.AsyncConnection.connect(
        f"{base}/postgres?{query}", autocommit=True
    ) as connection:
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        word = sql.SQL("false" if is_shut else "true")
        await connection.execute(allow.format(sql.Identifier(name), word))
        if is_shut:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )


async def test_s25_every_refusal_on_every_operation_is_a_problem_document_of_a_known_type(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    valkey_server.flush()
    limits = {"DATABASE_WAIT": "300ms"}
    async with (
        open_doors() as doors,
        open_market(shop_url, valkey_server.url, tmp_path, doors, limits=limits) as market,
    ):
        await market.own("own-game", b"AAAA-1", b"AAAA-2")
        order = await market.bought("own-game")
        market.answers.clear()
        await misuse(market, order, BODIES if figures.full else BODIES[:2])
        outage = len(market.answers)
        await shut(shop_url, is_shut=True)
        for method, path in operations():
            known = PLACE.sub(NOBODY, path.replace("{order_id}", order.id))
            keys = await market.admin() if "/admin" in path else order.token
            headers = {**keys, **once(), "content-type": "application/json"}
            await market.client.request(method, known, headers=headers, content=b"{}")
        await shut(shop_url, is_shut=False)
        answers = market.answers
    refused = [answer for answer in answers if answer.status_code >= 400]
    healthy = [answer for answer in refused if not answer.request.url.path.endswith(REACHABLE)]
    statuses = Counter(answer.status_code for answer in healthy)
    faults = [fault for answer in healthy for fault in faults_of(answer)]
    types = {answer.json().get("type") for answer in healthy if "problem" in str(answer.headers)}
    away = Counter(answer.status_code for answer in answers[outage:])
    figures.note(
        "S25",
        "every refusal is a problem document of a known type that tells nothing of the inside",
        figure=f"{len(operations())} operations: {len(healthy)} refusals of {len(types)} types"
        f" {dict(sorted(statuses.items()))}, database away {dict(away)}:"
        f" {len(faults)} faults {faults[:8] or ''}",
        scale="full" if figures.full else "2 of 8 bad bodies",
        holds=not faults and 500 not in statuses and len(healthy) > 300 and away[503] > 10,
    )
