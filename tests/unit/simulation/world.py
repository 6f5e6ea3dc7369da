"""One shop on memory adapters with everything around it, all of it from one seed."""

import dataclasses
import traceback
from collections import Counter
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from typing import Final, TypeVar

import msgspec
from tests.unit.simulation.processes import Processes
from tests.unit.simulation.weather import Weather
from tests.unit.simulation.wires import (
    FarGateway,
    FarJobs,
    FarMailer,
    FarStore,
    FarSupplier,
    FarVault,
)

from bitloot.domain.decision import Decision
from bitloot.domain.limits import Limits
from bitloot.domain.own_stock import Batch
from bitloot.domain.product import Product, WholesaleTier
from bitloot.ports.email_templates import EmailFacts, Rendered
from bitloot.ports.errors import Conflict, LeaseLost, Rejected, StoreUnavailable, Unavailable
from bitloot.ports.jobs import Lease
from bitloot.ports.supplier import SupplierProduct
from bitloot.usecases.catalog import Catalog, OwnProduct
from bitloot_adapters.memory.jobs import MemoryJobs
from bitloot_adapters.memory.unit_of_work import MemoryUnitOfWork
from bitloot_web.composition.assembly import Signing, build_shop, job_handlers, signing
from bitloot_web.composition.memory import (
    GATEWAY,
    SUPPLIER,
    MemoryNeighbours,
    memory_neighbours,
)
from bitloot_web.composition.neighbours import unarmed
from bitloot_web.job_runner import Handler, JobRunner
from bitloot_web.metrics import Metrics, open_metrics
from bitloot_web.scheduler import Scheduler, ticks
from bitloot_web.settings import Settings
from bitloot_web.shop import Shop

T = TypeVar("T")
WORKERS: Final = ("worker-1", "worker-2")
PROCESSES: Final = (*WORKERS, "web")
NO_TIME: Final = timedelta(0)
START_STOCK: Final = 6
# The supplier's products: two plain ones, one to come out later, one that is cheaper by the dozen.
PLAIN, PREORDER, WHOLESALE = (0, 1), 2, 3
DOZEN: Final = 11
TIERS: Final = (WholesaleTier(from_units=10, price=Decimal("7.00")),)
OWN_KEYS: Final = 4
LIMITS: Final = Limits()


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A callback on its way to the shop. `sender` is gateway, supplier or mailer."""

    sender: str
    headers: Mapping[str, str]
    body: bytes
    due: datetime
    tries: int = 0


class Line(msgspec.Struct, frozen=True):
    """One step of the run, for the story."""

    at: datetime
    what: str


@cache
def _metrics() -> Metrics:
    return open_metrics()


@cache
def _signing() -> Signing:
    return signing(_settings())


@cache
def _settings() -> Settings:
    return Settings(
        database_url="postgresql://memory",
        redis_url="redis://memory",
        public_url="https://shop.example",
        secret_key="5e" * 32,
        gateways=(GATEWAY,),
        suppliers=("custom", SUPPLIER),
        metrics_from=(),
        limits=LIMITS,
    )


def _with_plain_mails(shop: Shop) -> Shop:
    """How a mail looks is not what is simulated."""
    return dataclasses.replace(shop, emails=dataclasses.replace(shop.emails, render=_plain))


def _plain(facts: EmailFacts) -> Rendered:
    what = f"{facts.failure_reason} {facts.hold_reason} {facts.code} {facts.lines}"
    return Rendered(subject=f"{facts.kind} {facts.order_number}", html="", text=what)


class World:
    """The shop, its neighbours behind the weather, and what is on its way between them."""

    def __init__(self, seed: int) -> None:
        self.seed: Final = seed
        self.chance: Final = Random(seed)
        chance = self.chance
        self.processes: Final = Processes()
        self.weather: Final = Weather(
            chance,
            self.processes,
            self.now,
            rough=chance.choice((0, 20, 60, 150)),
            deadly=chance.choice((0, 10, 40)),
        )
        self.story: Final[list[Line]] = []
        self.letters: Final[list[Letter]] = []
        self.bell: Final[list[str]] = []
        self.is_redis_down = False
        self.bugs: Final[list[str]] = []
        self.committed: Final[list[Decision]] = []
        # The longest search lag, and how far the clocks of processes are off: together with what
        # is late they have to stay inside the settle window.
        lag = chance.choice((0, 0, 3, 40, 600))
        off = chance.choice((0, 0, 1, 20, 290)) if lag < 60 else chance.choice((0, 1, 5))
        self.skew: Final = {who: timedelta(seconds=chance.uniform(-off, off)) for who in PROCESSES}
        self.around: Final = self._surround(seed, timedelta(seconds=lag))
        near = self.around.near
        self.shop: Final = _with_plain_mails(build_shop(near, _settings(), _metrics(), _signing()))
        self.runner: Final = JobRunner(
            near.jobs,
            {
                kind: self._watched(kind, handler)
                for kind, handler in job_handlers(near, self.shop).items()
            },
            limits=LIMITS,
            jitter=chance.random,
            observe=lambda kind, ended, seconds: None,
        )
        self.store: Final = self.around.store
        self.clock: Final = self.around.clock
        self.gateway: Final = self.around.gateway
        self.supplier: Final = self.around.supplier
        self.products: Final = self._fill_shelves()

    def _watched(self, kind: str, handler: Handler) -> Handler:
        """The runner outlives every error of a handler; here none but these may come."""

        async def run(lease: Lease) -> None:
            try:
                await handler(lease)
            except (LeaseLost, StoreUnavailable, Unavailable, Conflict):
                raise
            except Exception as error:
                self.bugs.append(f"job {kind}: {traceback.format_exception(error)[-3:]}")
                raise

        return run

    def _own_time(self) -> datetime:
        """What the process that goes on takes for the time."""
        task = self.processes.current
        return self.around.clock.now() + (self.skew[task.process] if task else NO_TIME)

    def _surround(self, seed: int, search_lag: timedelta) -> MemoryNeighbours:
        around = memory_neighbours(seed, LIMITS, self.weather.failpoint)
        near, weather, random_bytes = around.near, self.weather, around.random_bytes
        uow = MemoryUnitOfWork(around.store)
        clock, asking = around.clock.now, uow.in_transaction
        gateway = FarGateway(
            clock=clock, random_bytes=random_bytes, name=GATEWAY, in_transaction=asking
        )
        supplier = FarSupplier(
            clock=clock,
            random_bytes=random_bytes,
            name=SUPPLIER,
            search_lag=search_lag,
            in_transaction=asking,
        )
        vault = FarVault(random_bytes=random_bytes, in_transaction=asking)
        mailer = FarMailer(
            clock=clock, random_bytes=random_bytes, limits=LIMITS, in_transaction=asking
        )
        gateway.copies, supplier.returns = {}, Counter()
        gateway.weather = supplier.weather = vault.weather = mailer.weather = weather
        near = dataclasses.replace(
            near,
            uow=FarStore(uow, weather, self.committed.append),
            jobs=FarJobs(MemoryJobs(around.store.jobs, around.clock.boot), weather),
            gateways={gateway.name: gateway},
            suppliers={**near.suppliers, supplier.name: supplier},
            vault=vault,
            mailer=mailer,
            clock=self._own_time,
        )
        return dataclasses.replace(
            around, near=near, gateway=gateway, supplier=supplier, vault=vault, mailer=mailer
        )

    def _fill_shelves(self) -> tuple[Product, ...]:
        """The supplier's products and one of our own."""
        stocks = tuple(self.chance.randint(1, START_STOCK) for _ in range(2))
        for product in _catalogue(stocks, self.now()):
            self.supplier.stock(product)
        filled = _filled(stocks)
        self.store.begin_like(filled.store)
        vault = self.around.vault
        assert isinstance(vault, FarVault)
        vault.begin_with(filled.vault.secrets())
        return tuple(self.store.rows(Product))

    def now(self) -> datetime:
        """The virtual time."""
        return self.around.clock.now()

    def pass_time(self, span: timedelta) -> None:
        """Time passes, and requests that were given up arrive in it."""
        until = self.now() + span
        while (late := self.weather.next_late(until)) is not None:
            self.clock.advance(late.due - self.now())
            with suppress(Rejected):
                at_once(late.work)
            self.tell(f"{late.name} is carried out although it was given up")
        self.clock.advance(until - self.now())

    def tell(self, what: str) -> None:
        """A line of the story, after what the weather had to say."""
        at = self.now()
        if self.weather.told:
            self.story.extend(Line(at, f"  ! {word}") for word in self.weather.told)
            self.weather.told.clear()
        self.story.append(Line(at, what))

    def scheduler(self) -> Scheduler:
        """A scheduler that was just started: ticks are rows, so it repeats none."""
        return Scheduler(self.around.near.jobs, self._own_time, ticks(LIMITS, (SUPPLIER,)))

    def post(self, sender: str, letter: tuple[Mapping[str, str], bytes]) -> None:
        """A callback leaves its sender: in the storm it may be lost, doubled or late by days."""
        chance, copies, late = self.chance, 1, timedelta(0)
        if self.weather.is_storm:
            copies = chance.choices((0, 1, 2, 3), (3, 12, 3, 1))[0]
        for _ in range(copies):
            if self.weather.is_storm and chance.random() < 0.3:
                late = timedelta(minutes=chance.choice((1, 20, 90, 3000, 9000)))
            headers, body = letter
            self.letters.append(
                Letter(sender=sender, headers=headers, body=body, due=self.now() + late)
            )


@cache
def _filled(stocks: tuple[int, ...]) -> MemoryNeighbours:
    """A shop whose shelves were filled by its own use cases: every run with as much begins so."""
    around = memory_neighbours(0, LIMITS, unarmed)
    near, clock = around.near, around.clock.now
    for product in _catalogue(stocks, clock()):
        around.supplier.stock(product)
    catalog = Catalog(
        uow=near.uow,
        writer=around.catalogue_writer,
        suppliers=near.suppliers,
        margin=Decimal("0.2"),
        limits=LIMITS,
        clock=clock,
        new_id=near.new_id,
    )
    at_once(catalog.sync(SUPPLIER, told=lambda synced: None))
    own = OwnProduct(slug="own-lantern", title="Own Lantern", price=Decimal("9.00"))
    row = at_once(catalog.put_own(own, actor="test"))
    made = "\n".join(f"OWN-KEY-{n}" for n in range(OWN_KEYS)).encode()
    batch = Batch(product_id=row.id, name="first", cost=Decimal("3.00"))
    shop = build_shop(near, _settings(), _metrics())
    at_once(shop.inventory.import_keys(made, batch, actor="test"))
    [asked] = around.store.jobs.pending()
    lease = at_once(near.jobs.lease(asked.id))
    assert lease is not None
    at_once(shop.catalogue_syncs.reprice(lease))
    around.store.jobs.forget_done(clock() + timedelta(seconds=1), 1)
    assert not list(around.store.jobs.all())
    return around


def at_once(work: Coroutine[object, None, T]) -> T:
    """Run to the end without letting anybody else go on."""
    try:
        while True:
            work.send(None)
    except StopIteration as end:
        answer: T = end.value
        return answer


def _catalogue(stocks: tuple[int, ...], at: datetime) -> list[SupplierProduct]:
    plain = [_supplied(number, stock, at) for number, stock in zip(PLAIN, stocks, strict=True)]
    coming = msgspec.structs.replace(_supplied(PREORDER, START_STOCK, at), is_preorder=True)
    dozen = msgspec.structs.replace(_supplied(WHOLESALE, 3 * DOZEN, at), wholesale=TIERS)
    return [*plain, coming, dozen]


def _supplied(number: int, stock: int, at: datetime) -> SupplierProduct:
    return SupplierProduct(
        supplier_product_id=str(20_000 + number),
        title=f"Harbour {number}",
        description="",
        platform="PC",
        region=None,
        excluded_countries=(),
        is_preorder=False,
        release_date=None,
        instructions=None,
        cover_url=None,
        offer_id=f"offer-{number}",
        price=Decimal("8.00"),
        stock=stock,
        wholesale=(),
        updated_at=at,
    )
