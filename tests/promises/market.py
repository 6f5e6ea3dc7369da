"""A shop on real servers, with every provider behind a socket, whose time a test lets pass.

PostgreSQL and Valkey are servers, the gateway, the supplier and the mail service are stand-ins on
sockets of this machine, and the shop is opened as its programs open it. Time passes by moving
everything that the database remembers into the past: the shop and the database keep their clocks.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import psycopg
from litestar.types import ASGIApp
from psycopg import sql
from psycopg.abc import Params
from tests import asgi

from bitloot.domain.own_stock import Batch
from bitloot.ports.clock import FailPoint
from bitloot.ports.views.desk import InvariantBreach
from bitloot.usecases.catalog import OwnProduct
from bitloot_adapters.sandbox.loopback import served
from bitloot_web.asgi import build_app
from bitloot_web.composition.assembly import build_shop
from bitloot_web.composition.neighbours import Neighbours, unarmed
from bitloot_web.composition.opening import OpenShop, open_shop
from bitloot_web.composition.sandboxes import sandbox_app
from bitloot_web.plugins import Configuration, configure
from bitloot_web.settings import Environment
from bitloot_web.shelves import catalog
from bitloot_web.shop import Shop
from bitloot_web.staffing import owner_key

Seen: TypeAlias = dict[str, Any]

SECRET_KEY = "a-secret-key-of-the-market-4c1d9f07b2e85a63"
PEPPER = "a pepper of the market 5d0B that nobody sees 7kQ2"
KEK = "market-1:8Jm2vX5qLw9Hs3yRb7nZc1mTd4gUf6aEp0iOtVuKxYk="
IPN_SECRET = "ipn-secret-of-the-market-61f8"
KINGUIN_SECRET = "kinguin-webhook-secret-of-the-market-b7"
RESEND_SECRET = "whsec_cmVzZW5kLXNlY3JldC1vZi1tYXJrZXQ5OTA="
GATEWAY_KEY = "GATEWAY-KEY-9a0f4e7c2b815d36"
SUPPLIER_KEY = "5e1c0a97f2b84d63a8c7e0195bd2f604"
MAIL_KEY = "re_9f3b71c04ad2e865"
SECRETS = (
    SECRET_KEY,
    PEPPER,
    KEK.partition(":")[2],
    IPN_SECRET,
    KINGUIN_SECRET,
    RESEND_SECRET,
    GATEWAY_KEY,
    SUPPLIER_KEY,
    MAIL_KEY,
)
OWNER = "owner@shop.example"
PUBLIC_URL = "https://shop.example"
GATEWAY_HOOK = "/v1/webhooks/nowpayments"
FIRST_PRODUCT = 20_000
SUPPLIED = 12
PRICE = "9.00"
A_LOT = "100000"
AT_ONCE = 8
MOST_ROUNDS = 400
# The pauses that pace a real shop, and what is counted of a client: one machine is all of them.
LIFTED = dict.fromkeys(
    (
        "OPEN_ORDERS_PER_ADDRESS",
        "OPEN_ORDERS_PER_IP",
        "CATALOGUE_PER_MINUTE",
        "QUOTES_PER_MINUTE",
        "ORDERS_PER_10_MINUTES",
        "ORDER_REPEATS_PER_10_MINUTES",
        "REVEALS_PER_HOUR",
        "ADMIN_PER_MINUTE",
        "OTP_REQUESTS_PER_15_MINUTES",
        "SESSION_TRIES_PER_15_MINUTES",
        "RESEND_PER_SECOND",
        "NOWPAYMENTS_CREATE_PER_SECOND",
        "NOWPAYMENTS_ESTIMATE_PER_SECOND",
    ),
    A_LOT,
) | {"DATABASE_WAIT": "60s", "DATABASE_LOCK": "30s", "DATABASE_STATEMENT": "30s"}
MOMENTS = """
SELECT table_name, array_agg(column_name::text) FROM information_schema.columns
WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'
GROUP BY table_name
"""
# How long until something can be taken up: due, not leased, and not just rung for.
DUE = """
SELECT min(greatest(available_at, lease_until, coalesce(published_at + %s, '-infinity'))) - now()
FROM jobs WHERE state = 'pending'
"""
_numbers = itertools.count(1)


def good(answer: httpx.Response) -> Seen:
    """The document of a 2xx answer."""
    told = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
    assert answer.is_success, f"{told} {answer.text[:1000]}"
    found: Seen = answer.json() if answer.content else {}
    return found


def once(**more: str) -> dict[str, str]:
    """Headers with an Idempotency-Key of their own."""
    return {"idempotency-key": f"market-key-{next(_numbers):08d}", **more}


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as its buyer knows it; `payment` is the gateway's id once there is one."""

    id: str
    number: str
    email: str
    token: Mapping[str, str]
    payment: str = ""

    @property
    def path(self) -> str:
        return f"/v1/orders/{self.id}"


@dataclass(kw_only=True)
class Market:
    """The shop, a client for its edge, and one for the control door of each stand-in.

    `key` is an API key of the shop's owner, once somebody has asked for it.
    """

    url: str
    doors: Mapping[str, str]
    variables: Mapping[str, str]
    opened: OpenShop
    near: Neighbours
    shop: Shop
    looking: psycopg.AsyncConnection[tuple[object, ...]]
    client: httpx.AsyncClient
    gateway: httpx.AsyncClient
    supplier: httpx.AsyncClient
    mail: httpx.AsyncClient
    answers: list[httpx.Response] = field(default_factory=list)
    key: str = ""

    async def admin(self) -> dict[str, str]:
        """What opens the desk."""
        if not self.key:
            self.key = await owner_key(self.shop, OWNER, f"market {next(_numbers)}")
        return {"authorization": f"Bearer {self.key}"}

    async def sql(self, statement: str, parameters: Params = ()) -> list[tuple[Any, ...]]:
        cursor = await self.looking.execute(statement.encode(), parameters)
        return await cursor.fetchall() if cursor.description else []

    async def count(self, statement: str, *parameters: object) -> int:
        value = (await self.sql(statement, parameters))[0][0]
        assert isinstance(value, int)
        return value

    # --- goods -----------------------------------------------------------------------------------

    async def own(self, slug: str, *serials: bytes) -> str:
        """A product of our own with these keys; gives its id."""
        row = await catalog(self.opened).put_own(
            OwnProduct(slug=slug, title=slug.title(), price=Decimal("12.50")), actor="test"
        )
        batch = Batch(product_id=row.id, name="first", cost=Decimal("8.00"))
        await self.shop.inventory.import_keys(b"\n".join(serials), batch, actor="test")
        return row.id

    async def supplied(self, products: int = SUPPLIED) -> list[str]:
        """So many products of the supplier at 9.00 with much in stock; gives their slugs."""
        for number in range(FIRST_PRODUCT, FIRST_PRODUCT + products):
            await self.offer(number, stock=10_000, is_preorder=False, wholesale=[])
            await self.offer(number, price=PRICE)
        await self.supplied_as_told()
        wanted = [str(number) for number in range(FIRST_PRODUCT, FIRST_PRODUCT + products)]
        rows = await self.sql(
            "SELECT p.slug FROM products p JOIN product_offers o ON o.product_id = p.id"
            " WHERE o.stock >= 10000 AND p.source = 'kinguin' ORDER BY p.slug"
        )
        found = [str(slug) for (slug,) in dict.fromkeys(rows)]
        assert len(found) >= len(wanted) / 2, found
        return found

    async def supplied_as_told(self) -> None:
        """The supplier's catalogue as it comes."""
        await catalog(self.opened).sync("kinguin", told=lambda _: None)

    async def offer(self, number: int, **change: object) -> Seen:
        """Change a product at the supplier."""
        return good(await self.supplier.post(f"/_control/products/{number}", json=change))

    # --- buying ----------------------------------------------------------------------------------

    async def order(self, *lines: tuple[str, int] | str, email: str | None = None) -> Order:
        wanted = [
            {"product": line, "quantity": 1}
            if isinstance(line, str)
            else {"product": line[0], "quantity": line[1]}
            for line in lines
        ]
        quote = good(await self.client.post("/v1/quotes", json={"lines": wanted}))
        email = email or f"buyer{next(_numbers)}@reader.example"
        body = {"quoteId": quote["id"], "email": email}
        placed = good(await self.client.post("/v1/orders", json=body, headers=once()))
        return Order(
            id=placed["id"],
            number=placed["number"],
            email=email,
            token={"authorization": f"Bearer {placed['orderSessionToken']}"},
        )

    async def payable(self, *lines: tuple[str, int] | str) -> Order:
        """An order with an address to pay to."""
        order = await self.order(*lines)
        path = f"{order.path}/payments"
        body = {"kind": "address", "asset": "ltc"}
        good(await self.client.post(path, json=body, headers=once(**order.token)))
        query = {"order_id": order.number}
        found = good(await self.gateway.get("/_control/payments", params=query))["payments"]
        return dataclasses.replace(order, payment=str(found[-1]["payment_id"]))

    async def pay(self, order: Order, **how: object) -> list[Seen]:
        """Send the money; gives the callbacks, which nobody has sent on."""
        path = f"/_control/payments/{order.payment}/pay"
        paid = good(await self.gateway.post(path, json={"ipn": "lost", **how}))
        found: list[Seen] = paid["deliveries"]
        return found

    async def call_back(self, sent: Seen) -> httpx.Response:
        """Send on what the gateway wrote and signed."""
        headers = {"content-type": "application/json", "x-nowpayments-sig": sent["signature"]}
        return await self.client.post(GATEWAY_HOOK, content=sent["body"].encode(), headers=headers)

    async def paid(self, *lines: tuple[str, int] | str) -> Order:
        """An order whose money has come and was told of; nothing was worked on yet."""
        order = await self.payable(*lines)
        sent = (await self.pay(order))[-1]
        assert sent["payment_status"] == "finished"
        assert (await self.call_back(sent)).status_code == httpx.codes.OK
        return order

    async def bought(self, *lines: tuple[str, int] | str) -> Order:
        """A paid order, worked on."""
        order = await self.paid(*lines)
        await self.work()
        return order

    # --- working and waiting ---------------------------------------------------------------------

    async def work_kind(self, kind: str) -> None:
        """The pending jobs of one kind."""
        found = "SELECT id::text FROM jobs WHERE kind = %s AND state = 'pending'"
        runner = self.opened.runner()
        await asyncio.gather(*(runner.run(str(job)) for (job,) in await self.sql(found, [kind])))

    async def work(self) -> int:
        """Every job that is due, and those that they bring; gives how many runs that were."""
        runner, room, ran = self.opened.runner(), asyncio.Semaphore(AT_ONCE), 0

        async def one(job_id: str) -> None:
            async with room:
                await runner.run(job_id)

        for _ in range(MOST_ROUNDS):
            due = await self.near.jobs.claim_due(self.near.limits.relay_batch)
            if not due:
                return ran
            ran += len(due)
            await asyncio.gather(*map(one, due))
        raise AssertionError("jobs bring jobs without end")

    async def elapse(self, span: timedelta) -> None:
        """Time passes for everything that is remembered, here and at the supplier."""
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            # What may only be added to grows older as well.
            await connection.execute("SET session_replication_role = replica")
            for table, columns in await (await connection.execute(MOMENTS)).fetchall():
                older = [
                    sql.SQL("{0} = {0} - {1}::interval").format(sql.Identifier(name), span)
                    for name in columns
                ]
                statement = sql.SQL("UPDATE {} SET {}").format(
                    sql.Identifier(table), sql.SQL(", ").join(older)
                )
                await connection.execute(statement)
            await connection.execute("UPDATE breakers SET failures = '{}'")
        body = {"seconds": span.total_seconds()}
        good(await self.supplier.post("/_control/advance", json=body))
        good(await self.mail.post("/_control/advance", json=body))

    async def live(self, span: timedelta, *, stride: timedelta = timedelta(seconds=1)) -> int:
        """Work while so much time passes, at each moment at which something is due.

        At least `stride` passes at once, by which work may then be late.
        """
        left, runs = span, await self.work()
        for _ in range(10 * MOST_ROUNDS):
            [(wait,)] = await self.sql(DUE, [self.near.limits.relay_ring_again])
            step = left if wait is None else max(wait, stride)
            await self.elapse(min(step, left))
            left -= min(step, left)
            runs += await self.work()
            if not left:
                return runs
        raise AssertionError(f"{left} are left after {runs} runs")

    # --- looking ---------------------------------------------------------------------------------

    async def see(self, order: Order) -> Seen:
        return good(await self.client.get(order.path, headers=order.token))

    async def reveal(self, order: Order, line: int = 0) -> str:
        """The path of a link to the keys of a line."""
        item = (await self.see(order))["items"][line]["id"]
        path = f"{order.path}/items/{item}/reveal"
        link = good(await self.client.post(path, headers=once(**order.token)))
        return httpx.URL(link["url"]).path

    async def keys(self, order: Order) -> list[Seen]:
        """Every key of the order as the download gives it."""
        found = []
        for line in range(len((await self.see(order))["items"])):
            found += good(await self.client.get(await self.reveal(order, line)))["keys"]
        return found

    async def sold(self, order: Order | None = None) -> list[Seen]:
        """The supplier's orders, all or those of an order of ours."""
        answer = (await self.supplier.get("/_control/orders")).raise_for_status()
        every: list[Seen] = answer.json()
        if order is None:
            return every
        ids = {
            str(one)
            for (one,) in await self.sql(
                "SELECT a.external_id FROM supplier_attempts a JOIN fulfilments f"
                " ON f.id = a.fulfilment_id WHERE f.order_id = %s",
                [order.id],
            )
        }
        return [each for each in every if each["external_id"] in ids]

    async def breaches(self) -> Sequence[InvariantBreach]:
        """What must never be and is; holds, waits and dead letters are no breach."""
        return await self.near.views.desk.breaches(limit=100)


def variables(
    url: str, redis_url: str, folder: Path, doors: Mapping[str, str], limits: Mapping[str, str]
) -> dict[str, str]:
    """The environment of a shop on these servers."""
    return {f"BITLOOT_LIMIT_{name}": value for name, value in {**LIFTED, **limits}.items()} | {
        "BITLOOT_DATABASE_URL": url,
        "BITLOOT_REDIS_URL": redis_url,
        "BITLOOT_PUBLIC_URL": PUBLIC_URL,
        "BITLOOT_DATA_DIR": str(folder),
        "BITLOOT_SECRET_KEY": SECRET_KEY,
        "BITLOOT_KEY_VAULT": "local",
        "BITLOOT_LOCAL_KEKS": KEK,
        "BITLOOT_LOCAL_PEPPER": PEPPER,
        "BITLOOT_NOWPAYMENTS_API_KEY": GATEWAY_KEY,
        "BITLOOT_NOWPAYMENTS_IPN_SECRET": IPN_SECRET,
        "BITLOOT_NOWPAYMENTS_BASE_URL": doors["nowpayments"] + "/v1",
        "BITLOOT_KINGUIN_API_KEY": SUPPLIER_KEY,
        "BITLOOT_KINGUIN_WEBHOOK_SECRET": KINGUIN_SECRET,
        "BITLOOT_KINGUIN_BASE_URL": doors["kinguin"] + "/esa/api",
        "BITLOOT_KINGUIN_KEY_TYPE": "any",
        "BITLOOT_RESEND_API_KEY": MAIL_KEY,
        "BITLOOT_RESEND_WEBHOOK_SECRET": RESEND_SECRET,
        "BITLOOT_RESEND_FROM_ADDRESS": "BitLoot <orders@shop.example>",
        "BITLOOT_RESEND_BASE_URL": doors["resend"],
    }


CONFIGS: Mapping[str, Mapping[str, object]] = {
    "nowpayments": {"api_keys": [GATEWAY_KEY], "ipn_secret": IPN_SECRET},
    "kinguin": {
        "api_keys": [SUPPLIER_KEY],
        "products": SUPPLIED,
        "balance": "100000000.00",
        "webhook_url": None,
        "webhook_secret": KINGUIN_SECRET,
    },
    "resend": {"api_keys": [{"token": MAIL_KEY}], "webhooks": [], "rate_limit": 100_000},
}


@contextlib.asynccontextmanager
async def open_doors(
    before: Mapping[str, Callable[[ASGIApp], ASGIApp]] | None = None,
    **configs: Mapping[str, object],
) -> AsyncIterator[dict[str, str]]:
    """The stand-ins, each on a socket; gives their addresses. `before` wraps some by name."""
    async with contextlib.AsyncExitStack() as stack:
        doors = {}
        for name, config in CONFIGS.items():
            text = json.dumps({**config, **configs.get(name, {})}).encode()
            app: ASGIApp = sandbox_app(name, text)
            if before is not None and name in before:
                app = before[name](app)
            doors[name] = await stack.enter_async_context(served(app))
        yield doors


@contextlib.asynccontextmanager
async def open_market(
    url: str,
    redis_url: str,
    folder: Path,
    doors: Mapping[str, str],
    *,
    limits: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    failpoint: FailPoint = unarmed,
    changed: Callable[[Neighbours], Neighbours] | None = None,
) -> AsyncIterator[Market]:
    """A shop on these servers; a second one over them is a second process.

    `limits` are named as their variables are, `settings` by the whole name; `changed` puts others
    in the place of neighbours.
    """
    environment = {
        **variables(url, redis_url, folder, doors, limits or {}),
        **(settings or {}),
    }
    configuration: Configuration = configure(Environment(environment))
    async with contextlib.AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_shop(configuration, failpoint=failpoint))
        if changed is not None:
            near = changed(opened.neighbours)
            shop = build_shop(near, configuration.settings, opened.shop.metrics)
            opened = dataclasses.replace(opened, neighbours=near, shop=shop)
        answers: list[httpx.Response] = []
        looking = await psycopg.AsyncConnection.connect(url, autocommit=True)
        stack.push_async_callback(looking.close)
        client = await stack.enter_async_context(_edge(opened.shop, answers))
        gateway, supplier, mail = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=doors[name], timeout=30, trust_env=False)
            )
            for name in ("nowpayments", "kinguin", "resend")
        ]
        yield Market(
            url=url,
            doors=doors,
            variables=environment,
            opened=opened,
            near=opened.neighbours,
            shop=opened.shop,
            looking=looking,
            client=client,
            gateway=gateway,
            supplier=supplier,
            mail=mail,
            answers=answers,
        )


def _edge(shop: Shop, answers: list[httpx.Response]) -> httpx.AsyncClient:
    async def keep(answer: httpx.Response) -> None:
        await answer.aread()
        answers.append(answer)

    app: Callable[..., Awaitable[None]] = build_app(shop)
    return httpx.AsyncClient(
        transport=asgi.transport(app, client=("203.0.113.7", 4711)),
        base_url=PUBLIC_URL,
        event_hooks={"response": [keep]},
    )
