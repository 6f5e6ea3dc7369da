"""Opening a shop on real neighbours: PostgreSQL, Redis, and the plugins that the settings name.

Everything is opened even while a server is away: what needs it says so when it is asked.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from redis.asyncio import Redis

from bitloot.ports.captcha import Captcha
from bitloot.ports.catalogue_writer import CatalogueWriter
from bitloot.ports.clock import FailPoint
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.mailer import Mailer
from bitloot.ports.password_hasher import PasswordHasher
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.plugin import PluginContext
from bitloot.ports.supplier import Supplier
from bitloot_adapters import clock
from bitloot_adapters.argon2.password_hasher import open_password_hasher
from bitloot_adapters.memory.captcha import CaptchaOff
from bitloot_adapters.postgres.breakers import PostgresBreakers
from bitloot_adapters.postgres.catalogue_writer import (
    CatalogueWriter as PostgresCatalogueWriter,
)
from bitloot_adapters.postgres.jobs import PostgresJobs
from bitloot_adapters.postgres.listener import CATALOGUE, open_listener
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
from bitloot_web import derived_keys as keys
from bitloot_web.composition.assembly import build_shop, job_handlers
from bitloot_web.composition.neighbours import Neighbours, unarmed
from bitloot_web.composition.probes import probes
from bitloot_web.job_runner import JobRunner
from bitloot_web.metrics import open_metrics
from bitloot_web.plugins import Chosen, Configuration
from bitloot_web.relay import Relay
from bitloot_web.settings import Settings
from bitloot_web.shop import Shop, Views

if TYPE_CHECKING:
    from taskiq import AsyncBroker

P = TypeVar("P")
# Whoever follows looks up so often even if nothing is told.
FOLLOW_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Workroom:
    """What a worker works with."""

    broker: "AsyncBroker"
    relay: Relay
    runner: JobRunner


@dataclass(frozen=True, kw_only=True)
class OpenShop:
    """A shop that is open, with what it was made of.

    `round_trips` says how often this process waited for an answer of the database.
    """

    configuration: Configuration
    neighbours: Neighbours
    shop: Shop
    catalogue_writer: CatalogueWriter
    round_trips: Callable[[], int]

    def runner(self) -> JobRunner:
        """Runs jobs by id."""
        return JobRunner(
            self.neighbours.jobs,
            job_handlers(self.neighbours, self.shop),
            limits=self.neighbours.limits,
            jitter=clock.jitter,
            observe=self.shop.metrics.job_ended,
        )

    @contextlib.asynccontextmanager
    async def following_catalogue(self) -> AsyncIterator[None]:
        """While the block runs, what any process changes of the catalogue is heard of at once."""
        following = asyncio.create_task(self._follow_catalogue(), name="following catalogue")
        try:
            yield
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    async def _follow_catalogue(self) -> None:
        url, catalog = self.configuration.settings.database_url, self.shop.views.catalog
        async with open_listener(url, clock.boot_seconds, CATALOGUE) as heard:
            while True:
                await heard.wait(FOLLOW_SECONDS)
                catalog.changed()

    @contextlib.asynccontextmanager
    async def workroom(self) -> AsyncIterator[Workroom]:
        """A doorbell, a relay and a runner, until the block is left."""
        # Loaded by workers only: Taskiq takes longer to load than a web server needs to start.
        from bitloot_adapters.redis.doorbell import Doorbell

        settings = self.configuration.settings
        doorbell = Doorbell(settings.redis_url, limits=settings.limits)
        runner = self.runner()
        async with open_listener(settings.database_url, clock.boot_seconds) as wake_up:
            relay = Relay(
                self.neighbours.jobs,
                doorbell,
                wake_up,
                runner.run,
                limits=settings.limits,
                concurrency=settings.worker_concurrency,
            )
            yield Workroom(broker=doorbell, relay=relay, runner=runner)


@contextlib.asynccontextmanager
async def open_shop(
    configuration: Configuration, *, failpoint: FailPoint = unarmed
) -> AsyncIterator[OpenShop]:
    """The shop of these settings, closed when the block is left."""
    settings = configuration.settings
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(
                settings.database_url,
                settings.limits,
                prepared_statements=settings.prepared_statements,
            )
        )
        redis = open_redis(settings.redis_url)
        stack.push_async_callback(redis.aclose)
        uow = PostgresUnitOfWork(
            database, new_id=clock.new_id, max_attempts=settings.limits.job_attempts
        )
        hasher = await stack.enter_async_context(open_password_hasher(settings.limits))
        opened = await _open_plugins(stack, configuration, uow)
        near = _neighbours(
            settings,
            database=database,
            redis=redis,
            uow=uow,
            hasher=hasher,
            opened=opened,
            failpoint=failpoint,
        )
        yield OpenShop(
            configuration=configuration,
            neighbours=near,
            shop=build_shop(near, settings, open_metrics()),
            catalogue_writer=near.catalogue_writer,
            round_trips=lambda: database.round_trips,
        )


@dataclass(frozen=True, kw_only=True)
class _Providers:
    gateways: dict[str, PaymentGateway]
    suppliers: dict[str, Supplier]
    vault: KeyVault
    mailer: Mailer
    captcha: Captcha


async def _open_plugins(
    stack: AsyncExitStack, configuration: Configuration, uow: PostgresUnitOfWork
) -> _Providers:
    settings, chosen = configuration.settings, configuration.plugins
    context = PluginContext(
        limits=settings.limits,
        clock=clock.utc_now,
        boot_clock=clock.boot_seconds,
        new_id=clock.new_id,
        random_bytes=clock.random_bytes,
        public_url=settings.public_url,
        data_dir=Path(settings.data_dir),
        is_production=settings.is_production,
        in_transaction=uow.in_transaction,
    )
    return _Providers(
        gateways={c.plugin.name: await _open(stack, c, context) for c in chosen.gateways},
        suppliers={c.plugin.name: await _open(stack, c, context) for c in chosen.suppliers},
        vault=await _open(stack, chosen.key_vault, context),
        mailer=await _open(stack, chosen.mailer, context),
        captcha=(await _open(stack, chosen.captcha, context) if chosen.captcha else CaptchaOff()),
    )


def _neighbours(
    settings: Settings,
    *,
    database: Database,
    redis: Redis,
    uow: PostgresUnitOfWork,
    hasher: PasswordHasher,
    opened: _Providers,
    failpoint: FailPoint,
) -> Neighbours:
    limits = settings.limits
    pepper = keys.derive(settings.secret_key, keys.RATE_LIMIT)
    return Neighbours(
        uow=uow,
        jobs=PostgresJobs(
            database, limits=limits, new_id=clock.new_id, boot_clock=clock.boot_seconds
        ),
        breakers=PostgresBreakers(database, limits=limits),
        upkeep=PostgresUpkeep(database),
        catalogue_writer=PostgresCatalogueWriter(database),
        views=Views(
            orders=PostgresOrderViews(database),
            catalog=PostgresCatalogViews(
                database, gateway_fee=limits.gateway_fee, count_exact=limits.count_exact
            ),
            desk=PostgresDeskViews(database, limits=limits),
            assortment=PostgresAssortmentViews(database),
            people=PostgresPeopleViews(database),
        ),
        gateways=opened.gateways,
        gateway=settings.gateways[0],
        suppliers=opened.suppliers,
        vault=opened.vault,
        mailer=opened.mailer,
        rate_limiter=RedisRateLimiter(redis, pepper=pepper),
        otp=RedisOtpStore(redis),
        password_hasher=hasher,
        realtime=RedisRealtime(redis),
        cache=RedisCache(redis),
        captcha=opened.captcha,
        clock=clock.utc_now,
        boot_clock=clock.boot_seconds,
        new_id=clock.new_id,
        random_bytes=clock.random_bytes,
        failpoint=failpoint,
        limits=limits,
        probes=probes(
            database=database,
            redis=redis,
            gateways=opened.gateways,
            suppliers=opened.suppliers,
            vault=opened.vault,
            mailer=opened.mailer,
            captcha=opened.captcha,
        ),
    )


async def _open(stack: AsyncExitStack, chosen: Chosen[P], context: PluginContext) -> P:
    opened: AbstractAsyncContextManager[P] = chosen.plugin.open(chosen.settings, context)
    return await stack.enter_async_context(opened)
