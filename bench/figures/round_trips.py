"""How often a request waits for PostgreSQL, and how often it writes to the disk (P10): exact.

A round trip is one wait for an answer of the server; statements sent together are one. A commit
is counted by the number that PostgreSQL gives to every transaction that writes.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, cast

import httpx
import msgspec
import psycopg
import uvloop

from bench import quotes
from bench.report import Findings, at_most
from bench.requests import callbacks
from bench.shelves import PRODUCTS
from bench.stage import Stage
from bitloot_web.asgi import build_app
from bitloot_web.composition.opening import OpenShop, open_shop
from bitloot_web.plugins import configure
from bitloot_web.settings import Environment

MOST: Final = {"order": 3, "callback": 2, "repeated-callback": 2, "status": 1}
MOST_COMMITS: Final = 1
WRITTEN: Final = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


class Cost(msgspec.Struct, frozen=True):
    """What one request cost the database."""

    round_trips: int
    commits: int


def measure(stage: Stage) -> Findings:
    """One request of each kind through the whole application, in this process."""
    database = stage.fresh_database("trips")
    costs = uvloop.run(_counted(stage, database))
    trips = tuple(
        at_most(f"round-trips-{name}", "round trips", cost.round_trips, must=MOST[name], moonshot=1)
        for name, cost in costs.items()
    )
    commits = most_commits(costs)
    most = at_most("round-trips-commits", "commits", commits, must=MOST_COMMITS, moonshot=1)
    return Findings(rows=(*trips, most))


def most_commits(costs: Mapping[str, Cost]) -> int:
    """Of one request. The first try to store a repeated callback is refused, and is no commit."""
    refused = Counter({"repeated-callback": 1})
    return max(cost.commits - refused[name] for name, cost in costs.items())


async def _counted(stage: Stage, database: str) -> dict[str, Cost]:
    configuration = configure(Environment(stage.variables(database)))
    async with open_shop(configuration) as opened:
        return await count_all(opened, database, products=PRODUCTS)


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
