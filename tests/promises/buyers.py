"""Buyers who do not give up: the same request, with the same key, until the shop answers it."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import httpx
from tests.e2e.buyer import RefusalError
from tests.promises.stage import Stage

Seen: TypeAlias = dict[str, Any]
CALL_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 60.0
_numbers = itertools.count(1)


@dataclass
class Bought:
    """One order as its buyer knows it."""

    id: str
    number: str
    email: str
    token: dict[str, str]
    payment: str = ""
    times_answered: int = 0


@dataclass
class Crowd:
    """Holds the clients; `answers` counts what the shop said, `slowest` is in seconds."""

    stage: Stage
    shop: httpx.AsyncClient
    gateway: httpx.AsyncClient
    shelves: dict[str, list[str]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    # Moments at which a request was refused or got no answer.
    failures: list[float] = field(default_factory=list)
    successes: list[float] = field(default_factory=list)

    async def insist(
        self, send: Callable[[], Awaitable[httpx.Response]], *, patience: float = PATIENCE_SECONDS
    ) -> Seen:
        """Ask until it is answered with a 2xx; raises RefusalError when that cannot come."""
        deadline = time.monotonic() + patience
        while True:
            try:
                answer = await send()
            except httpx.TransportError as error:
                word, said = type(error).__name__, ""
            else:
                word, said = str(answer.status_code), answer.text[:500]
                self.answers[word] += 1
                if answer.is_success:
                    self.successes.append(time.monotonic())
                    found: Seen = answer.json()
                    return found
                if not answer.json().get("retryable"):
                    raise RefusalError(f"{answer.request.url.path} answered {word}: {said}")
            self.failures.append(time.monotonic())
            if time.monotonic() > deadline:
                raise RefusalError(f"no good answer in {patience:.0f} s; the last: {word} {said}")
            await asyncio.sleep(PAUSE_SECONDS)

    async def pick(self, source: str) -> str:
        """The slug of something that can be had."""
        if not self.shelves.get(source):
            query = {"source": source, "inStock": "true", "limit": "100"}
            items = (
                await self.insist(lambda: self.shop.get("/v1/catalog/products", params=query))
            )["items"]
            slugs = [one["slug"] for one in items if not one["isPreorder"] and one["available"] > 9]
            assert slugs, f"nothing of {source} is in stock"
            self.shelves[source] = slugs
        turn = next(_numbers) % len(self.shelves[source])
        return self.shelves[source][turn]

    async def place(self, *sources: str) -> Bought:
        """Place an order of one unit of each of these."""
        lines = [{"product": await self.pick(source), "quantity": 1} for source in sources]
        body = {"lines": lines, "asset": "ltc"}
        quote = await self.insist(lambda: self.shop.post("/v1/quotes", json=body))
        number = next(_numbers)
        email = f"promise{number}@reader.example"
        wanted = {"quoteId": quote["id"], "email": email}
        key = {"idempotency-key": f"promise-order-{number:010d}"}
        placed = await self.insist(lambda: self.shop.post("/v1/orders", json=wanted, headers=key))
        token = {"authorization": f"Bearer {placed['orderSessionToken']}"}
        return Bought(placed["id"], placed["number"], email, token)

    async def address(self, order: Bought) -> str:
        """Ask where to pay; gives the gateway's id of the payment."""
        path = f"/v1/orders/{order.id}/payments"
        headers = order.token | {"idempotency-key": f"promise-payment-{order.number}"}
        told = await self.insist(
            lambda: self.shop.post(path, json={"asset": "ltc"}, headers=headers)
        )
        found = await self.gateway.get("/_control/payments", params={"order_id": order.number})
        payments = found.raise_for_status().json()["payments"]
        mine = [one for one in payments if one["pay_address"] == told["payAddress"]]
        order.payment = str(mine[0]["payment_id"])
        return order.payment

    async def pay(self, order: Bought, **how: object) -> None:
        """Send the money."""
        path = f"/_control/payments/{order.payment}/pay"
        (await self.gateway.post(path, json=how)).raise_for_status()
        self.stage.paid.append(order.id)

    async def buy(self, *sources: str, **how: object) -> Bought:
        """The whole way to a paid order."""
        order = await self.place(*sources)
        await self.address(order)
        await self.pay(order, **how)
        return order

    async def many(
        self, count: int, *sources: str, at_once: int = 4, **how: object
    ) -> list[Bought]:
        """So many paid orders, a few buyers at a time."""
        room = asyncio.Semaphore(at_once)

        async def one() -> Bought:
            async with room:
                return await self.buy(*sources, **how)

        return list(await asyncio.gather(*(one() for _ in range(count))))


@contextlib.asynccontextmanager
async def open_crowd(stage: Stage) -> AsyncIterator[Crowd]:
    """Clients of their own."""
    async with contextlib.AsyncExitStack() as stack:
        shop, gateway = [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=stage.town.url(name), timeout=CALL_SECONDS, trust_env=False
                )
            )
            for name in ("shop", "nowpayments")
        ]
        yield Crowd(stage, shop, gateway)
