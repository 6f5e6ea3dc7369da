"""How often a request waits for PostgreSQL and writes to the disk (P10), and how often two hundred
do that miss the same answer at once (P19): exact.

A round trip is one wait for an answer of the server; statements sent together are one. A commit
is counted by the number that PostgreSQL gives to every transaction that writes.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, cast
from urllib.parse import quote

import httpx
import msgspec
import psycopg
import uvloop

from bench import quotes
from bench.report import Findings, at_most
from bench.requests import callbacks
from bench.shelf_requests import LISTS
from bench.shelves import PRODUCTS, SLUG, common_words
from bench.stage import Stage
from bitloot_web.asgi import build_app
from bitloot_web.composition.opening import OpenShop, open_shop
from bitloot_web.plugins import configure
from bitloot_web.settings import Environment

MOST: Final = {"order": 3, "callback": 2, "repeated-callback": 2, "status": 1}
MOST_OF_READS: Final = {"list": 1, "detail": 1, "search": 1, "kept": 0}
MOST_COMMITS: Final = 1
STAMPEDE: Final = 200
MOST_OF_STAMPEDE: Final = 2
WRITTEN: Final = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


class Cost(msgspec.Struct, frozen=True):
    """What one request cost the database."""

    round_trips: int
    commits: int


def measure(stage: Stage) -> Findings:
    """One request of each kind through the whole application, in this process."""
    database = stage.fresh_database("trips")
    costs, stampede = uvloop.run(_counted(stage, database))
    most = {**MOST, **MOST_OF_READS}
    trips = tuple(
        at_most(
            f"round-trips-{name}",
            "round trips",
            cost.round_trips,
            must=most[name],
            moonshot=min(1, most[name]),
        )
        for name, cost in costs.items()
    )
    commits = most_commits(costs)
    return Findings(
        rows=(
            *trips,
            at_most("round-trips-commits", "commits", commits, must=MOST_COMMITS, moonshot=1),
            at_most("catalogue-stampede", "queries", stampede, must=MOST_OF_STAMPEDE, moonshot=1),
        )
    )


def most_commits(costs: Mapping[str, Cost]) -> int:
    """Of one request. The first try to store a repeated callback is refused, and is no commit."""
    refused = Counter({"repeated-callback": 1})
    return max(cost.commits - refused[name] for name, cost in costs.items())


async def _counted(stage: Stage, database: str) -> tuple[dict[str, Cost], int]:
    configuration = configure(Environment(stage.variables(database)))
    async with open_shop(configuration) as opened:
        costs = await count_all(opened, database, products=PRODUCTS)
        reads = await count_reads(opened, database)
        return {**costs, **reads}, await count_stampede(opened)


async def count_reads(opened: OpenShop, database: str) -> dict[str, Cost]:
    """What a page, a product and a search cost, each after one like it, and a page again."""
    word, *_ = common_words()
    paths = {
        "list": (f"{LISTS}?limit=19", f"{LISTS}?limit=18"),
        "detail": (f"{LISTS}/{SLUG}-000001", f"{LISTS}/{SLUG}-000002"),
        "search": (f"{LISTS}?q={quote(word)}&limit=19", f"{LISTS}?q={quote(word)}&limit=18"),
        "kept": (f"{LISTS}?limit=17", f"{LISTS}?limit=17"),
    }
    async with _asking(opened) as client:

        async def ask(path: str) -> None:
            (await client.get(path)).raise_for_status()

        costs: dict[str, Cost] = {}
        for name, (before, counted) in paths.items():
            await ask(before)
            costs[name] = await _cost(opened, database, partial(ask, counted))
        return costs


async def count_stampede(opened: OpenShop) -> int:
    """How many questions two hundred requests at once for a page cost that nobody had before."""
    async with _asking(opened) as client:
        before = opened.round_trips()
        answers = await asyncio.gather(*(client.get(f"{LISTS}?limit=16") for _ in range(STAMPEDE)))
    assert {answer.status_code for answer in answers} == {200}
    return opened.round_trips() - before


async def count_all(opened: OpenShop, database: str, *, products: int) -> dict[str, Cost]:
    """What an order, a callback and a look at the order cost, each after one like it."""
    async with _asking(opened) as client:
        costs: dict[str, Cost] = {}
        made = quotes.freeze(database, 2, products)
        signed = [_parts(raw) for raw in callbacks(0, 2)]
        for quote_id, (headers, body) in zip(made, signed, strict=True):
            placed: dict[str, str] = {}

            async def place(quote_id: str = quote_id, placed: dict[str, str] = placed) -> None:
                answer = await client.post(
                    "/v1/orders",
                    json={"quoteId": quote_id, "email": "buyer@reader.example"},
                    headers={"idempotency-key": quote_id},
                )
                placed.update(answer.raise_for_status().json())

            async def call_back(headers: dict[str, str] = headers, body: bytes = body) -> None:
                path = "/v1/webhooks/nowpayments"
                answer = await client.post(path, content=body, headers=headers)
                answer.raise_for_status()

            async def look(placed: dict[str, str] = placed) -> None:
                token = {"authorization": f"Bearer {placed['orderSessionToken']}"}
                answer = await client.get(f"/v1/orders/{placed['id']}", headers=token)
                answer.raise_for_status()

            costs["order"] = await _cost(opened, database, place)
            costs["callback"] = await _cost(opened, database, call_back)
            costs["repeated-callback"] = await _cost(opened, database, call_back)
            costs["status"] = await _cost(opened, database, look)
        return costs


async def _cost(opened: OpenShop, database: str, ask: Callable[[], Awaitable[None]]) -> Cost:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:

        async def written() -> int:
            row = await (await connection.execute(WRITTEN)).fetchone()
            assert row is not None
            return int(row[0])

        trips, transactions = opened.round_trips(), await written()
        await ask()
        return Cost(opened.round_trips() - trips, await written() - transactions)


@asynccontextmanager
async def _asking(opened: OpenShop) -> AsyncIterator[httpx.AsyncClient]:
    app = cast("Callable[..., Awaitable[None]]", build_app(opened.shop))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
        yield client


def _parts(raw: bytes) -> tuple[dict[str, str], bytes]:
    """Headers and body of a prepared request."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert json.loads(body)
    named = (line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:])
    return {name: value for name, value in named if name != "Host"}, body
