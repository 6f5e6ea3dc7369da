"""A supplier's 100,000 products into the catalogue (P15), and all prices anew."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Final

import psycopg
import uvloop
from psycopg.rows import TupleRow

from bench.limits import catalogue_rows as limit
from bench.memory import megabytes
from bench.report import Findings, Note, Row, against, at_most
from bench.rounds import Round, Sample, Watch
from bench.stage import Stage
from bitloot.domain.limits import Limits
from bitloot.domain.price_contexts import PricingTerms
from bitloot.ports.catalogue_writer import BATCH_PRODUCTS, CatalogueBatch
from bitloot.ports.supplier_catalogue import SupplierProduct
from bitloot.testing.invented_catalogue import EpochKind
from bitloot.testing.invented_supplier import InventedSupplier
from bitloot_adapters.clock import new_id
from bitloot_adapters.postgres.catalogue_writer import CatalogueWriter
from bitloot_adapters.postgres.migrate import upgrade
from bitloot_adapters.postgres.pool import open_database

PRODUCTS: Final = 100_000
SEED: Final = 100
# Of the full catalogue, later news come in so many batches: the others would say the same.
LATER_BATCHES: Final = 4
# Memory is compared with what it was after so many products.
SMALL: Final = 10_000
MARGIN: Final = Decimal(limit.MARGIN)
FEE: Final = Decimal("0.01")
REPRICES: Final = 2
LATER: Final[tuple[tuple[limit.Kind, EpochKind], ...]] = (
    ("texts", "texts"),
    ("prices", "prices"),
    ("nothing", "nothing"),
)

Connection = psycopg.AsyncConnection[TupleRow]
Step = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class _Sides:
    """Both, each with a database of its own."""

    ours: CatalogueWriter
    limit: Connection
    supplier: InventedSupplier
    memory: list[float] = field(default_factory=list)


def measure(stage: Stage) -> Findings:
    """First load, all texts, all prices, nothing, and all prices without a word of the supplier."""
    urls = [stage.postgres.create_database(name) for name in ("synced", "sync_limit")]
    for url in urls:
        upgrade(url)
    rows = uvloop.run(_measured(*urls))
    for name in ("synced", "sync_limit"):
        stage.postgres.drop_database(name)
    return Findings(rows=rows, notes=tuple(_notes()))


async def _measured(ours: str, bare: str) -> tuple[Row, ...]:
    async with (
        open_database(ours, Limits()) as database,
        await psycopg.AsyncConnection.connect(
            bare, autocommit=True, cursor_factory=psycopg.AsyncRawCursor
        ) as connection,
    ):
        await limit.without_triggers(connection)
        sides = _Sides(CatalogueWriter(database), connection, InventedSupplier(SEED, PRODUCTS))
        rows = [await _loaded(sides, "first-load", PRODUCTS // BATCH_PRODUCTS)]
        await asyncio.gather(*(asyncio.to_thread(_tidied, url) for url in (ours, bare)))
        for kind, epoch in LATER:
            sides.supplier.pass_epoch(epoch)
            rows.append(await _loaded(sides, kind, LATER_BATCHES))
        return (*rows, _memory(sides.memory), await _repriced(sides, ours, bare))


async def _loaded(sides: _Sides, kind: limit.Kind, batches: int) -> Row:
    """Products a second of both, from products that are in memory to the commit."""
    there = sides.supplier.now()
    at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=len(sides.supplier.epochs))
    rounds: list[Round] = []
    for _ in range(batches):
        products = tuple(islice(there, BATCH_PRODUCTS))
        made = limit.lines(products, kind)
        rounds.append(
            await _round(
                partial(_merged, sides.ours, products, at),
                partial(limit.merge, sides.limit, made, kind),
                len(products),
            )
        )
        if kind == "first-load":
            sides.memory.append(megabytes(os.getpid()))
    return _row(f"sync-{kind}", rounds, must=1 / 3, moonshot=2 / 3)


async def _merged(
    writer: CatalogueWriter, products: Sequence[SupplierProduct], at: datetime
) -> None:
    terms = PricingTerms(margin=MARGIN, gateway_fee=FEE)
    batch = CatalogueBatch(products=products)
    await writer.merge("invented", batch, terms=terms, new_id=new_id, at=at)


async def _repriced(sides: _Sides, ours: str, bare: str) -> Row:
    """Every price changes, with its history; the limit writes prices alone."""
    at = datetime(2026, 12, 1, tzinfo=UTC)
    rounds: list[Round] = []
    for number in range(1, REPRICES + 1):
        terms = PricingTerms(margin=MARGIN + Decimal(number) / 10, gateway_fee=FEE)
        for url in (ours, bare):
            await asyncio.to_thread(_tidied, url)
        rounds.append(
            await _round(
                partial(sides.ours.reprice, None, reason="rule", terms=terms, at=at),
                partial(limit.reprice, sides.limit, "1.07"),
                PRODUCTS,
            )
        )
    return _row("reprice-all", rounds, must=1 / 2, moonshot=2 / 3)


async def _round(ours: Step, bare: Step, products: int) -> Round:
    watch, samples = Watch(), []
    watch.look()
    for step in (ours, bare):
        begun = time.perf_counter()
        await step()
        samples.append(Sample(per_second=products / (time.perf_counter() - begun)))
        watch.look()
    return Round(ours=samples[0], limit=samples[1], spins=watch.spins, stolen=watch.stolen)


def _row(name: str, rounds: Sequence[Round], *, must: float, moonshot: float) -> Row:
    """Of all calm batches together: the first ones bring more words than the others."""
    counted = [each for each in rounds if not each.is_disturbed] or rounds
    ours, bare = (
        len(counted) / sum(1 / sample.per_second for sample in samples)
        for samples in ([each.ours for each in counted], [each.limit for each in counted])
    )
    return against(name, "products/s", ours, bare, must=must, moonshot=moonshot)


def _memory(after: Sequence[float]) -> Row:
    """The most that was resident at any batch, over that after the first ten thousand."""
    small = max(after[: SMALL // BATCH_PRODUCTS])
    return at_most("sync-memory", "x of 10k", max(after) / small, must=1.2, moonshot=1.05)


def _tidied(url: str) -> None:
    """As autovacuum leaves it: dead rows of one measurement are not those of the next."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _notes() -> list[Note]:
    told = (
        f"{PRODUCTS:,} invented products in batches of {BATCH_PRODUCTS:,}, a transaction each;"
        f" later news in {LATER_BATCHES} of them. A figure begins with products in memory and"
        " ends with the commit. Its limit copies the same rows, as ready text, into the same"
        " temporary tables and writes them with no trigger of the shop:"
    )
    kinds: tuple[limit.Kind, ...] = ("first-load", *(kind for kind, _ in LATER))
    notes = [
        Note(
            title=f"Limit of `sync-{kind}`",
            text=told if kind == "first-load" else "With the same temporary tables:",
            statement=";\n".join(each.strip() for each in limit.STATEMENTS[kind]),
        )
        for kind in kinds
    ]
    text = "The limit changes every price in one statement, without rules and without a history:"
    return [*notes, Note(title="Limit of `reprice-all`", text=text, statement=limit.REPRICE)]
