"""A shop whose store is PostgreSQL and whose neighbours are in memory, and a look into its books.

What many do at once is decided by the database; gateway and supplier only have to be there.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256

import psycopg
from psycopg.abc import Params

from bitloot.domain.forbidden import forbidden_pairs
from bitloot.domain.idempotency import Once
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.own_stock import Batch
from bitloot.domain.payment import Payment, PaymentReport
from bitloot.domain.quote import Wanted
from bitloot.ports.clock import Clock
from bitloot.ports.intake import Taken
from bitloot.ports.supplier import SupplierProduct
from bitloot.usecases.catalog import Catalog, OwnProduct
from bitloot.usecases.checkout import OrderFacts
from bitloot.usecases.payments.facts import PaymentFacts
from bitloot_adapters.clock import boot_seconds, jitter, new_id, random_bytes, utc_now
from bitloot_adapters.key_inventory.plugin import OwnStock
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
from bitloot_web.composition.assembly import build_shop, job_handlers
from bitloot_web.composition.memory import GATEWAY, SUPPLIER, memory_neighbours
from bitloot_web.composition.neighbours import Neighbours, unarmed
from bitloot_web.job_runner import JobRunner
from bitloot_web.metrics import open_metrics
from bitloot_web.settings import Settings
from bitloot_web.shop import Shop, Views

# Many buyers behind few connections wait longer than a real shop lets them.
PATIENT = Limits(
    open_orders_per_address=1000,
    open_orders_per_ip=1000,
    database_wait=timedelta(seconds=120),
    database_lock=timedelta(seconds=60),
    database_statement=timedelta(seconds=60),
)
MOST_ROUNDS = 200
AT_ONCE = 16


@dataclass
class ShiftedClock:
    """The real time and what was added to it."""

    ahead: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return utc_now() + self.ahead


class GatedGateway(MemoryPaymentGateway):
    """A gateway whose answer about a payment can be kept back until it is let go."""

    def __init__(self, *, clock: Clock, in_transaction: Callable[[], bool]) -> None:
        super().__init__(
            clock=clock, random_bytes=random_bytes, name=GATEWAY, in_transaction=in_transaction
        )
        self._gates: dict[str, asyncio.Event] = {}
        self._asked: dict[str, asyncio.Event] = {}

    def keep_back(self, gateway_payment_id: str) -> tuple[asyncio.Event, asyncio.Event]:
        """The next answers wait; gives what tells that one was asked for, and what lets it go."""
        asked = self._asked.setdefault(gateway_payment_id, asyncio.Event())
        return asked, self._gates.setdefault(gateway_payment_id, asyncio.Event())

    async def payment(self, gateway_payment_id: str) -> PaymentReport:
        report = await super().payment(gateway_payment_id)
        if gateway_payment_id in self._gates:
            self._asked[gateway_payment_id].set()
            await self._gates[gateway_payment_id].wait()
        return report


@dataclass(frozen=True, kw_only=True)
class Till:
    """The shop, its levers, and `sql` for what only the database can tell."""

    url: str
    shop: Shop
    near: Neighbours
    gateway: GatedGateway
    looking: psycopg.AsyncConnection[tuple[object, ...]]
    supplier: MemorySupplier
    clock: ShiftedClock
    runner: JobRunner
    catalog: Catalog

    async def sql(self, statement: str, parameters: Params = ()) -> list[tuple[object, ...]]:
        cursor = await self.looking.execute(statement.encode(), parameters)
        return await cursor.fetchall() if cursor.description else []

    async def count(self, statement: str, *parameters: object) -> int:
        value = (await self.sql(statement, parameters))[0][0]
        assert isinstance(value, int)
        return value

    # --- goods -----------------------------------------------------------------------------------

    async def own(self, keys: int, slug: str = "own-game") -> str:
        product = await self.catalog.put_own(
            OwnProduct(slug=slug, title=slug, price=Decimal("12.50")), actor="test"
        )
        made = "\n".join(random_bytes(8).hex() for _ in range(keys))
        batch = Batch(product_id=product.id, name="test", cost=Decimal("9.00"))
        await self.shop.inventory.import_keys(made.encode(), batch, actor="test")
        return product.slug

    async def supplied(self, units: int) -> str:
        """The slug of a product of the supplier."""
        number = str(20_000 + units)
        self.supplier.stock(
            SupplierProduct(
                supplier_product_id=number,
                title=f"game {number}",
                description="",
                platform=None,
                region=None,
                excluded_countries=(),
                is_preorder=False,
                release_date=None,
                instructions=None,
                cover_url=None,
                offer_id=f"offer-{number}",
                price=Decimal("9.00"),
                stock=units,
                wholesale=(),
                updated_at=self.clock.now(),
            )
        )
        await self.catalog.sync(SUPPLIER, told=lambda _: None)
        found = await self.sql("SELECT slug FROM products WHERE supplier_product_id = %s", [number])
        return str(found[0][0])

    # --- buying ----------------------------------------------------------------------------------

    async def quote(self, *slugs: str) -> str:
        wanted = [Wanted(product=slug, quantity=1) for slug in slugs]
        quoted = await self.shop.checkout.quote(wanted, country=None, asset=None)
        return quoted.quote.id

    async def place(self, quote_id: str, *, buyer: int = 0, once: Once | None = None) -> OrderFacts:
        return await self.shop.checkout.place(
            quote_id,
            email=f"buyer{buyer}@shop.example",
            placed_from=f"192.0.2.{buyer}",
            once=once or fresh_key("orders"),
        )

    async def pay(self, order_id: str, *, once: Once | None = None) -> PaymentFacts:
        return await self.shop.opening.pay(
            order_id, asset="btc", once=once or fresh_key("payments")
        )

    async def payable(self, slug: str, *, buyer: int = 0) -> tuple[OrderFacts, str]:
        """A placed order, and the gateway's id of the payment opened for it."""
        placed = await self.place(await self.quote(slug), buyer=buyer)
        return placed, self.there(await self.file(placed.order_id), await self.pay(placed.order_id))

    def there(self, file: OrderFile, facts: PaymentFacts) -> str:
        """The gateway's id of a payment, told by the address."""
        reports = self.gateway.of_order(file.order.number)
        return next(r.gateway_payment_id for r in reports if r.pay_address == facts.pay_address)

    async def call_back(self, gateway_payment_id: str) -> Taken:
        headers, body = self.gateway.webhook(gateway_payment_id)
        return await self.shop.webhook_intake.accept(GATEWAY, headers, body)

    # --- working ---------------------------------------------------------------------------------

    async def jobs(self, kind: str, ref: str | None = None) -> list[str]:
        """Pending jobs of a kind, made due now."""
        rows = await self.sql(
            "UPDATE jobs SET available_at = now() WHERE state = 'pending' AND kind = %s"
            " AND (%s::text IS NULL OR ref = %s) RETURNING id::text",
            [kind, ref, ref],
        )
        return [str(row[0]) for row in rows]

    async def callback_jobs(self, gateway_payment_id: str) -> list[str]:
        """The pending jobs of a payment's callbacks, made due now."""
        rows = await self.sql(
            "UPDATE jobs SET available_at = now() FROM webhook_logs w WHERE w.subject = %s"
            " AND jobs.ref = w.id::text AND jobs.kind = 'apply_payment'"
            " AND jobs.state = 'pending' RETURNING jobs.id::text",
            [gateway_payment_id],
        )
        return sorted(str(row[0]) for row in rows)

    async def settling(self, gateway_payment_id: str) -> Callable[[], Awaitable[object]]:
        """The job of a payment's callback, begun, with the gateway's answer on its way: the rest
        of it is what is given back, one transaction.
        """
        asked, go = self.gateway.keep_back(gateway_payment_id)
        running = asyncio.create_task(self.run(*await self.callback_jobs(gateway_payment_id)))
        await asyncio.wait_for(asked.wait(), timeout=30)

        async def rest() -> None:
            go.set()
            await running

        return rest

    async def run(self, *job_ids: str) -> None:
        """Run these, some at a time."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(job_id: str) -> None:
            async with room:
                await self.runner.run(job_id)

        await asyncio.gather(*map(one, job_ids))

    async def work(self) -> None:
        """Run every due job, and those that they bring."""
        for _ in range(MOST_ROUNDS):
            due = await self.near.jobs.claim_due(self.near.limits.relay_batch)
            if not due:
                return
            await self.run(*due)
        raise AssertionError("jobs bring jobs without end")

    # --- the books -------------------------------------------------------------------------------

    async def file(self, order_id: str) -> OrderFile:
        async with self.near.uow.begin() as tx:
            found = await tx.orders.file(order_id)
        assert found is not None
        return found

    async def payment(self, order_id: str, gateway_payment_id: str) -> Payment:
        file = await self.file(order_id)
        return next(p for p in file.payments if p.gateway_payment_id == gateway_payment_id)

    async def assert_in_order(self, order_id: str) -> OrderFile:
        """No forbidden pair, money of every finished payment accounted for, books that balance."""
        file = await self.file(order_id)
        order = file.order
        assert forbidden_pairs(file, at=self.clock.now()) == []
        for payment in file.payments:
            if payment.status == "finished" and payment.id != order.settled_by:
                assert waits_for_a_person(file, payment), (order.status, payment.id)
        entries = await self.sql(
            "SELECT entry, sum(amount) FROM ledger_lines WHERE order_id = %s GROUP BY entry",
            [order_id],
        )
        assert all(total == 0 for _, total in entries)
        expected = set()
        if order.paid_at is not None:
            expected = {f"sale/{order.id}", f"payment/{order.settled_by}"}
        told = {str(entry) for entry, _ in entries if not str(entry).startswith("cost/")}
        assert told == expected
        assert await self.goods_are_counted_once()
        assert await self.count("SELECT count(*) FROM jobs WHERE last_error IS NOT NULL") == 0
        return file

    async def goods_are_counted_once(self) -> bool:
        """Every own key is kept by the one reservation that names it, and offers count as held."""
        adrift = await self.count(
            "SELECT count(*) FROM inventory_keys k WHERE (k.state = 'reserved') <> EXISTS"
            " (SELECT FROM reservations r WHERE r.id = k.reservation_id AND k.id = ANY(r.key_ids)"
            "  AND r.state IN ('held', 'consumed')) AND k.state IN ('available', 'reserved')"
        )
        miscounted = await self.count(
            "SELECT count(*) FROM product_offers o WHERE o.held <> (SELECT"
            " coalesce(sum(quantity), 0) FROM reservations r"
            " WHERE r.offer_row_id = o.id AND r.state = 'held')"
        )
        return adrift == 0 == miscounted


def waits_for_a_person(file: OrderFile, payment: Payment) -> bool:
    """Whether an open hold stands for this money."""
    return any(h.is_open and h.subject_id in {payment.id, file.order.id} for h in file.holds)


def fresh_key(route: str) -> Once:
    """A request of its own."""
    return Once(
        route=route,
        caller="192.0.2.7",
        key=new_id(),
        request_hash=sha256(route.encode()).hexdigest(),
    )


def _neighbours(
    database: Database,
    uow: PostgresUnitOfWork,
    clock: ShiftedClock,
    gateway: GatedGateway,
    supplier: MemorySupplier,
    limits: Limits,
) -> Neighbours:
    return replace(
        memory_neighbours(0, limits, unarmed).near,
        uow=uow,
        gateways={GATEWAY: gateway},
        suppliers={OwnStock().name: OwnStock(), SUPPLIER: supplier},
        jobs=PostgresJobs(database, limits=limits, new_id=new_id, boot_clock=boot_seconds),
        breakers=PostgresBreakers(database, limits=limits),
        upkeep=PostgresUpkeep(database),
        views=Views(
            orders=PostgresOrderViews(database),
            catalog=PostgresCatalogViews(database, gateway_fee=limits.gateway_fee),
            desk=PostgresDeskViews(database, limits=limits),
            assortment=PostgresAssortmentViews(database),
            people=PostgresPeopleViews(database),
        ),
        clock=clock.now,
        boot_clock=boot_seconds,
        new_id=new_id,
        random_bytes=random_bytes,
    )


@contextlib.asynccontextmanager
async def open_till(
    url: str, *, through: str | None = None, limits: Limits = PATIENT
) -> AsyncIterator[Till]:
    """A shop on this database, which it reaches `through` another address if one is given."""
    clock = ShiftedClock()
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as looking,
        open_database(through or url, limits) as database,
    ):
        uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=limits.job_attempts)
        gateway = GatedGateway(clock=clock.now, in_transaction=uow.in_transaction)
        supplier = MemorySupplier(
            clock=clock.now,
            random_bytes=random_bytes,
            name=SUPPLIER,
            in_transaction=uow.in_transaction,
        )
        near = _neighbours(database, uow, clock, gateway, supplier, limits)
        settings = Settings(
            database_url=url,
            redis_url="redis://memory",
            public_url="https://shop.example",
            secret_key=random_bytes(32).hex(),
            gateways=(GATEWAY,),
            suppliers=("custom", SUPPLIER),
            limits=limits,
        )
        shop = build_shop(near, settings, open_metrics())
        yield Till(
            url=url,
            shop=shop,
            near=near,
            gateway=gateway,
            looking=looking,
            supplier=supplier,
            clock=clock,
            runner=JobRunner(
                near.jobs,
                job_handlers(near, shop),
                limits=limits,
                jitter=jitter,
                observe=shop.metrics.job_ended,
            ),
            catalog=Catalog(
                uow=uow,
                writer=CatalogueWriter(database),
                suppliers=near.suppliers,
                margin=settings.margin,
                limits=limits,
                clock=clock.now,
                new_id=new_id,
            ),
        )


async def in_turn(
    till: Till, order_id: str, *acts: Callable[[], Awaitable[object]]
) -> list[object]:
    """All at once, but reaching the order's lock in this turn; what each gave or raised.

    The order is locked from outside until each of them waits for it; the server then grants the
    lock in the order of their coming.
    """
    running: list[asyncio.Future[object]] = []
    async with await psycopg.AsyncConnection.connect(till.url) as holder:
        await holder.execute("SELECT FROM orders WHERE id = %s FOR UPDATE", [order_id])
        for act in acts:
            running.append(asyncio.ensure_future(act()))
            await until_waiting(till, len(running))
        await holder.rollback()
    return await asyncio.gather(*running, return_exceptions=True)


async def until_waiting(till: Till, count: int) -> None:
    """Until so many of the shop's transactions wait for a lock."""
    for _ in range(MOST_ROUNDS):
        waiting = await till.count(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        if waiting >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not {count} of them wait for the order")
