"""Guests who walk through the public API, and pay at the stand-in's control door."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import count, cycle
from typing import Final, LiteralString
from uuid import uuid4

import httpx
import msgspec
import psycopg
from psycopg.rows import TupleRow

from bench.requests import client
from bench.town import Town

AT_ONCE: Final = 12
PATIENCE: Final = 300.0
LOOK_SECONDS: Final = 0.25
FEWEST_UNITS: Final = 20
# Below that the gateway takes no payment in some assets.
LOWEST_PRICE: Final = Decimal(5)


class Shelf(msgspec.Struct, frozen=True, rename="camel"):
    """A product on sale."""

    slug: str
    price: str
    available: int
    is_preorder: bool


class Shelves(msgspec.Struct, frozen=True):
    """A page of them."""

    items: tuple[Shelf, ...]


class Quoted(msgspec.Struct, frozen=True):
    """A quote's id."""

    id: str


class Placed(msgspec.Struct, frozen=True, rename="camel"):
    """An order's id and token."""

    id: str
    order_session_token: str


class Buyers:
    """They share two clients."""

    def __init__(self, town: Town, shop: httpx.AsyncClient, gateway: httpx.AsyncClient) -> None:
        self._town = town
        self._shop = shop
        self._gateway = gateway
        self._numbers = count(1)

    async def shelf(self, source: str) -> Iterator[str]:
        """What is on sale of a source, over and over."""
        query = {"source": source, "inStock": "true", "sort": "title", "limit": "100"}
        answer = good(await self._shop.get("/v1/catalog/products", params=query))
        items = msgspec.json.decode(answer, type=Shelves).items
        return cycle([item.slug for item in items if _is_for_many(item)])

    async def order(self, product: str) -> str:
        """Quote, order, and ask to pay; gives the order's id."""
        number = next(self._numbers)
        come_from = {"x-forwarded-for": client(number)}
        body = {"lines": [{"product": product, "quantity": 1}], "asset": "ltc"}
        quote = good(await self._shop.post("/v1/quotes", json=body, headers=come_from))
        quote_id = msgspec.json.decode(quote, type=Quoted).id
        answer = await self._shop.post(
            "/v1/orders",
            json={"quoteId": quote_id, "email": f"buyer{number}@reader.example"},
            headers=come_from | _once(),
        )
        placed = msgspec.json.decode(good(answer), type=Placed)
        answer = await self._shop.post(
            f"/v1/orders/{placed.id}/payments",
            json={"asset": "ltc"},
            headers=come_from | _once() | {"authorization": f"Bearer {placed.order_session_token}"},
        )
        good(answer)
        return placed.id

    async def orders(self, source: str, many: int) -> list[str]:
        """So many orders that wait for their money."""
        slugs, gate = await self.shelf(source), asyncio.Semaphore(AT_ONCE)

        async def one(slug: str) -> str:
            async with gate:
                return await self.order(slug)

        return list(await asyncio.gather(*(one(next(slugs)) for _ in range(many))))

    async def pay(self, order_ids: Sequence[str], per_second: float | None) -> None:
        """Send the money of each, one `finished` callback for each order, at that pace."""
        at_gateway = self._payments(order_ids)
        gate = asyncio.Semaphore(AT_ONCE)
        begun = asyncio.get_running_loop().time()

        async def one(place: int, order_id: str) -> None:
            if per_second:
                due = begun + place / per_second
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            async with gate:
                path = f"/_control/payments/{at_gateway[order_id]}/pay"
                good(await self._gateway.post(path, json={"steps": ["finished"]}))

        await asyncio.gather(*(one(place, each) for place, each in enumerate(order_ids)))

    async def until_fulfilled(self, order_ids: Sequence[str]) -> None:
        """Wait for the last key. Raises RuntimeError after some minutes."""
        for _ in range(int(PATIENCE / LOOK_SECONDS)):
            if self._fulfilled(order_ids) == len(order_ids):
                return
            await asyncio.sleep(LOOK_SECONDS)
        raise RuntimeError(f"{self._fulfilled(order_ids)} of {len(order_ids)} were fulfilled")

    async def until_rested(self) -> None:
        """Wait until no job is due: mails and follow-ups of what was sold are done. Raises
        RuntimeError after some minutes.
        """
        for _ in range(int(PATIENCE / LOOK_SECONDS)):
            if not self._due():
                return
            await asyncio.sleep(LOOK_SECONDS)
        raise RuntimeError(f"{self._due()} jobs were still due")

    def _payments(self, order_ids: Sequence[str]) -> Mapping[str, str]:
        with self._connected() as connection:
            found = connection.execute(
                "SELECT order_id::text, gateway_payment_id FROM payments WHERE order_id = ANY(%s)",
                (list(order_ids),),
            )
            return {str(order): str(payment) for order, payment in found}

    def _fulfilled(self, order_ids: Sequence[str]) -> int:
        return self._count(
            "SELECT count(*) FROM orders WHERE id = ANY(%s) AND status = 'fulfilled'",
            (list(order_ids),),
        )

    def _due(self) -> int:
        return self._count(
            "SELECT count(*) FROM jobs WHERE state = 'pending' AND available_at <= now()"
        )

    def _count(self, statement: LiteralString, parameters: Sequence[object] = ()) -> int:
        with self._connected() as connection:
            found = connection.execute(statement, parameters).fetchone()
        assert found is not None
        return int(found[0])

    def _connected(self) -> psycopg.Connection[TupleRow]:
        return psycopg.connect(self._town.database, autocommit=True)


@contextlib.asynccontextmanager
async def open_buyers(town: Town) -> AsyncIterator[Buyers]:
    """Buyers with clients of their own."""
    async with (
        httpx.AsyncClient(base_url=town.stage.url("shop"), timeout=30) as shop,
        httpx.AsyncClient(base_url=town.stage.url("nowpayments"), timeout=30) as gateway,
    ):
        yield Buyers(town, shop, gateway)


def good(answer: httpx.Response) -> bytes:
    """The body of a success. Raises RuntimeError for another answer."""
    if not answer.is_success:
        raise RuntimeError(f"{answer.request.url.path}: {answer.status_code} {answer.text[:500]}")
    return answer.content


def _once() -> dict[str, str]:
    return {"idempotency-key": uuid4().hex}


def _is_for_many(item: Shelf) -> bool:
    is_dear = Decimal(item.price) >= LOWEST_PRICE
    return is_dear and item.available >= FEWEST_UNITS and not item.is_preorder
