"""A shop on PostgreSQL and a vault of files, its providers in memory, behind its HTTP edge."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import httpx
from redis.asyncio import Redis

from bitloot.domain.decision import Decision, insert
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.limits import Limits
from bitloot.domain.money import ZERO
from bitloot.domain.own_stock import Batch
from bitloot.domain.product import Offer, Product, new_listing
from bitloot.ports.plugin import PluginContext
from bitloot.ports.supplier import SupplierProduct
from bitloot_adapters import clock
from bitloot_adapters.local.file_vault import FileVaultSettings
from bitloot_adapters.local.file_vault import plugin as file_vault
from bitloot_adapters.memory.mailer import MemoryMailer
from bitloot_adapters.memory.payment_gateway import MemoryPaymentGateway
from bitloot_adapters.memory.supplier import MemorySupplier
from bitloot_adapters.postgres.breakers import PostgresBreakers
from bitloot_adapters.postgres.catalogue_writer import CatalogueWriter
from bitloot_adapters.postgres.jobs import PostgresJobs
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork
from bitloot_adapters.postgres.upkeep import PostgresUpkeep
from bitloot_adapters.postgres.views.assortment import PostgresAssortmentViews
from bitloot_adapters.postgres.views.catalog import PostgresCatalogViews
from bitloot_adapters.postgres.views.desk import PostgresDeskViews
from bitloot_adapters.postgres.views.orders import PostgresOrderViews
from bitloot_adapters.postgres.views.people import PostgresPeopleViews
from bitloot_adapters.redis.cache import RedisCache
from bitloot_adapters.redis.connection import open_redis
from bitloot_adapters.redis.otp_store import RedisOtpStore
from bitloot_adapters.redis.rate_limiter import RedisRateLimiter
from bitloot_adapters.redis.realtime import RedisRealtime
from bitloot_web.asgi import build_app
from bitloot_web.composition.assembly import build_shop, job_handlers
from bitloot_web.composition.memory import memory_neighbours
from bitloot_web.composition.neighbours import Neighbours, unarmed
from bitloot_web.job_runner import JobRunner
from bitloot_web.metrics import open_metrics
from bitloot_web.settings import Settings
from bitloot_web.shop import Shop, Views
from bitloot_web.staffing import owner_key

OLD_KEY = "old:" + "p5Q2mV0c8kYbTnR4wZs7uXh1jLd6gFa3eKi9oBtNvCM="
NEW_KEY = "new:" + "Zk3vT9qLw1Hs6yRb0nXc5mJd8gUf2aEp7iOtVuKxYzA="
PEPPER = "a pepper 7f3Q that no buyer ever sees 91xZ"
SECRET_KEY = "a-secret-key-of-the-goods-shop-55501928374"
OWNER = "owner@shop.example"
SUPPLIER = "kinguin"
GATEWAY = "nowpayments"
COST = Decimal("8.00")
LIMITS = Limits(orders_per_10_minutes=1000, open_orders_per_ip=1000, reveals_per_hour=1000)


@dataclass(kw_only=True)
class GoodsShop:
    """The shop with everything around it that a test may turn."""

    near: Neighbours
    shop: Shop
    client: httpx.AsyncClient
    gateway: MemoryPaymentGateway
    supplier: MemorySupplier
    mailer: MemoryMailer
    vault_folder: Path
    answers: list[httpx.Response] = field(default_factory=list)

    def once(self, **more: str) -> dict[str, str]:
        return {"idempotency-key": f"key-{self.near.new_id()}", **more}

    async def owner_key(self) -> str:
        """A new API key of the shop's owner."""
        return await owner_key(self.shop, OWNER, f"key {self.near.new_id()}")

    async def work(self) -> None:
        """Every job that is due, until none is."""
        runner = JobRunner(
            self.near.jobs,
            job_handlers(self.near, self.shop),
            limits=self.near.limits,
            jitter=lambda: 0.0,
            observe=self.shop.metrics.job_ended,
        )
        for _ in range(200):
            due = await self.near.jobs.claim_due(100)
            if not due:
                return
            for job_id in due:
                await runner.run(job_id)

    async def own_product(self, slug: str, *serials: bytes) -> str:
        """A product of our own with these keys; gives its id."""
        product = await self._put_on_sale(slug, "custom")
        batch = Batch(product_id=product.id, name="first", cost=COST)
        await self.shop.inventory.import_keys(b"\n".join(serials), batch, actor="test")
        return product.id

    async def bought_product(self, slug: str) -> str:
        """A product of the supplier; gives its id."""
        return (await self._put_on_sale(slug, SUPPLIER)).id

    async def _put_on_sale(self, slug: str, source: str) -> Product:
        at = self.near.clock()
        is_own = source == "custom"
        product = Product(
            id=self.near.new_id(),
            slug=slug,
            title=slug.title(),
            source=source,
            supplier_product_id=None if is_own else f"sp-{slug}",
            created_at=at,
            updated_at=at,
        )
        offer = Offer(
            id=self.near.new_id(),
            product_id=product.id,
            supplier=source,
            supplier_product_id=f"sp-{slug}",
            offer_id=f"o-{slug}",
            cost=COST,
            stock=500,
            updated_at=at,
        )
        listing = new_listing(
            product, price=Decimal("12.50"), floor=ZERO, is_available=not is_own, at=at
        )
        rows = (product, listing) if is_own else (product, listing, offer)
        async with self.near.uow.begin() as tx:
            await tx.record(Decision(save=tuple(insert(row) for row in rows)))
        if not is_own:
            self.supplier.stock(
                SupplierProduct(
                    supplier_product_id=offer.supplier_product_id,
                    title=product.title,
                    description="",
                    platform=None,
                    region=None,
                    excluded_countries=(),
                    is_preorder=False,
                    release_date=None,
                    instructions=None,
                    cover_url=None,
                    offer_id=offer.offer_id,
                    price=COST,
                    stock=500,
                    wholesale=(),
                    updated_at=at,
                )
            )
        return product

    async def buy(self, slug: str, quantity: int) -> tuple[str, dict[str, str]]:
        """Quote, order, payment and callback over HTTP; the order's id and what opens it."""
        lines = [{"product": slug, "quantity": quantity}]
        quote = (await self.client.post("/v1/quotes", json={"lines": lines})).json()
        placed = (
            await self.client.post(
                "/v1/orders",
                json={"quoteId": quote["id"], "email": f"buyer-of-{slug}@shop.example"},
                headers=self.once(),
            )
        ).json()
        token = {"authorization": f"Bearer {placed['orderSessionToken']}"}
        opened = await self.client.post(
            f"/v1/orders/{placed['id']}/payments",
            json={"kind": "address", "asset": "btc"},
            headers={**token, **self.once()},
        )
        assert opened.status_code == 201, opened.text
        (report,) = self.gateway.of_order(placed["number"])
        self.gateway.pay(report.gateway_payment_id, Decimal(1))
        headers, body = self.gateway.webhook(report.gateway_payment_id)
        await self.client.post(f"/v1/webhooks/{GATEWAY}", content=body, headers=headers)
        await self.work()
        return str(placed["id"]), token

    async def reveal(self, order_id: str, token: dict[str, str]) -> str:
        """The link to the keys of the order's only line, as a path."""
        order = (await self.client.get(f"/v1/orders/{order_id}", headers=token)).json()
        item_id = order["items"][0]["id"]
        link = await self.client.post(
            f"/v1/orders/{order_id}/items/{item_id}/reveal", headers={**token, **self.once()}
        )
        assert link.status_code == 201, link.text
        return httpx.URL(link.json()["url"]).path

    async def fulfilments(self, order_id: str) -> tuple[Fulfilment, ...]:
        async with self.near.uow.begin() as tx:
            file = await tx.orders.file(order_id)
        assert file is not None
        return tuple(file.fulfilments)


@contextlib.asynccontextmanager
async def open_goods_shop(
    url: str,
    redis_url: str,
    folder: Path,
    *,
    keks: str = OLD_KEY,
    supplier: Callable[..., MemorySupplier] = MemorySupplier,
    limits: Limits = LIMITS,
) -> AsyncIterator[GoodsShop]:
    """A shop over these servers and this folder; a second one over them is a second process."""
    settings = _settings(url, redis_url, limits)
    redis = open_redis(redis_url)
    async with open_database(url, limits) as database, contextlib.aclosing(redis):
        uow = PostgresUnitOfWork(database, new_id=clock.new_id, max_attempts=limits.job_attempts)
        inside, now, bytes_of = uow.in_transaction, clock.utc_now, clock.random_bytes
        gateway = MemoryPaymentGateway(
            clock=now, random_bytes=bytes_of, name=GATEWAY, in_transaction=inside
        )
        seller = supplier(clock=now, random_bytes=bytes_of, name=SUPPLIER, in_transaction=inside)
        mailer = MemoryMailer(
            clock=now, random_bytes=bytes_of, limits=limits, name="resend", in_transaction=inside
        )
        vault_settings = FileVaultSettings(keks=keks, pepper=PEPPER)
        async with file_vault.open(vault_settings, _context(settings, folder, uow)) as vault:
            near = dataclasses.replace(
                _on_servers(limits, database, redis, uow),
                gateways={GATEWAY: gateway},
                vault=vault,
                mailer=mailer,
            )
            near = dataclasses.replace(near, suppliers={**near.suppliers, SUPPLIER: seller})
            shop = build_shop(near, settings, open_metrics())
            answers: list[httpx.Response] = []
            async with _client(shop, answers) as client:
                yield GoodsShop(
                    near=near,
                    shop=shop,
                    client=client,
                    gateway=gateway,
                    supplier=seller,
                    mailer=mailer,
                    vault_folder=folder / "vault",
                    answers=answers,
                )


def _settings(url: str, redis_url: str, limits: Limits) -> Settings:
    return Settings(
        database_url=url,
        redis_url=redis_url,
        public_url="https://shop.example",
        secret_key=SECRET_KEY,
        limits=limits,
    )


def _context(settings: Settings, folder: Path, uow: PostgresUnitOfWork) -> PluginContext:
    return PluginContext(
        limits=settings.limits,
        clock=clock.utc_now,
        boot_clock=clock.boot_seconds,
        new_id=clock.new_id,
        random_bytes=clock.random_bytes,
        public_url=settings.public_url,
        data_dir=folder,
        is_production=False,
        in_transaction=uow.in_transaction,
    )


def _on_servers(
    limits: Limits, database: Database, redis: Redis, uow: PostgresUnitOfWork
) -> Neighbours:
    """Everything that stands on PostgreSQL and Valkey; the providers are still in memory."""
    return dataclasses.replace(
        memory_neighbours(3, limits, unarmed).near,
        uow=uow,
        jobs=PostgresJobs(
            database, limits=limits, new_id=clock.new_id, boot_clock=clock.boot_seconds
        ),
        breakers=PostgresBreakers(database, limits=limits),
        upkeep=PostgresUpkeep(database),
        catalogue_writer=CatalogueWriter(database),
        views=Views(
            orders=PostgresOrderViews(database),
            catalog=PostgresCatalogViews(database, gateway_fee=limits.gateway_fee),
            desk=PostgresDeskViews(database, limits=limits),
            assortment=PostgresAssortmentViews(database),
            people=PostgresPeopleViews(database),
        ),
        gateway=GATEWAY,
        rate_limiter=RedisRateLimiter(redis, pepper=b"a pepper of the limits"),
        otp=RedisOtpStore(redis),
        realtime=RedisRealtime(redis),
        cache=RedisCache(redis),
        clock=clock.utc_now,
        boot_clock=clock.boot_seconds,
        new_id=clock.new_id,
        random_bytes=clock.random_bytes,
    )


def _client(shop: Shop, answers: list[httpx.Response]) -> httpx.AsyncClient:
    app: Callable[..., Awaitable[None]] = build_app(shop)

    async def keep(answer: httpx.Response) -> None:
        await answer.aread()
        answers.append(answer)

    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=("203.0.113.7", 4711)),
        base_url="https://shop.example",
        event_hooks={"response": [keep]},
    )
