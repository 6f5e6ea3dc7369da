"""A synchronisation whose process is killed anywhere leaves the catalogue of one that is not.

Each run is a process of its own, which SIGKILL ends without a word; the next one goes on.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from tests.crash.children import Child, Inside, fork
from tests.integration.catalogue_shop import reading, told, unit_of_work

from bitloot.domain.catalogue_sync import CatalogueSync
from bitloot.domain.decision import Decision, insert
from bitloot.domain.limits import Limits
from bitloot.domain.pricing_rules import RuleTerms, new_rule
from bitloot.ports.errors import Conflict, StoreUnavailable
from bitloot.ports.supplier_catalogue import RefusedProduct
from bitloot.testing.invented_catalogue import Epoch
from bitloot.testing.invented_supplier import InventedSupplier
from bitloot_adapters.clock import new_id, utc_now
from bitloot_adapters.postgres.catalogue_writer import CatalogueWriter
from bitloot_adapters.postgres.pool import open_database
from bitloot_adapters.postgres.statements import Values
from bitloot_web.devservices import Databases

KILLS = 20
KILLS_A_RUN = 7
SIZE = 600
PAGE = 20
BATCH = 80
ODD = RefusedProduct(supplier_product_id="odd", reason="price is not an amount")
SUPPLIER = "invented"
RULES = (
    RuleTerms(scope="global", kind="margin", value=Decimal("0.2"), rounding="99"),
    RuleTerms(scope="category", subject="action", kind="fixed", value=Decimal("1.5")),
    RuleTerms(scope="global", kind="margin", value=Decimal(1), is_enabled=False),
)
EPOCHS = (
    Epoch("prices", 0.3),
    Epoch("texts", 0.3),
    Epoch("vanish", 0.2),
    Epoch("nothing", 1.0),
)


class Shop(msgspec.Struct, frozen=True):
    """A database, and where what its processes say is kept."""

    url: str
    log: Path

    def running(self) -> CatalogueSync | None:
        """The run that is not done."""

        async def ask() -> CatalogueSync | None:
            async with open_database(self.url, Limits()) as database:
                return await CatalogueWriter(database).running(SUPPLIER)

        return asyncio.run(ask())

    def told(self) -> dict[str, Sequence[Values]]:
        """The whole catalogue."""

        async def ask() -> dict[str, Sequence[Values]]:
            async with open_database(self.url, Limits()) as database:
                return await told(database)

        return asyncio.run(ask())

    def write(self, *decisions: Decision) -> None:
        """One after the other."""

        async def record() -> None:
            async with open_database(self.url, Limits()) as database:
                for decision in decisions:
                    async with unit_of_work(database).begin() as tx:
                        await tx.record(decision)

        asyncio.run(record())

    def begin(self) -> None:
        """A run that nobody works on yet."""
        row = CatalogueSync(id=new_id(), supplier=SUPPLIER, kind="full", started_at=utc_now())
        self.write(Decision(save=(insert(row),)))

    def working(self, epochs: Sequence[Epoch]) -> Child:
        """A process that goes on with the run until it is done."""

        async def job(inside: Inside) -> None:
            there = InventedSupplier(7, SIZE, page=PAGE, unreadable=(ODD,), epochs=epochs)
            async with open_database(self.url, Limits()) as database:
                sync = await CatalogueWriter(database).running(SUPPLIER)
                if sync is None:
                    return
                inside.tell({"goes on at": sync.next_page})
                # What was killed before may still hold its rows, or end its commit.
                with contextlib.suppress(Conflict, StoreUnavailable):
                    await reading(database, batch_products=BATCH).go_on(
                        sync,
                        there,
                        told=lambda now: inside.tell({"came to": now.next_page}),
                        is_time_up=lambda: False,
                    )

        return fork("sync", job, seed="", log=self.log)

    def finish(self, epochs: Sequence[Epoch]) -> float:
        """Go on until the run is done; seconds of the last process."""
        took = 0.0
        while self.running() is not None:
            began = time.monotonic()
            child = self.working(epochs)
            while child.status is None:
                child.look()
                time.sleep(0.002)
            assert child.status == 0, self.log.read_text()
            took = time.monotonic() - began
        return took


def killed(shop: Shop, epochs: Sequence[Epoch], told: int, after: float) -> bool:
    """Whether the process was killed at its work, and the run was not done by then: so many seconds
    after it told so many times how far it is.
    """
    child = shop.working(epochs)
    while child.status is None and len(child.lines) < told:
        child.look()
        time.sleep(0.001)
    time.sleep(after)
    if child.status is None:
        child.look()
    if child.status is not None:
        assert child.status == 0, shop.log.read_text()
        return False
    child.end()
    return shop.running() is not None


def test_killed_at_twenty_random_points_it_comes_to_the_same_catalogue(
    shop_url: str, postgres_server: Databases, shop_template: str, tmp_path: Path
) -> None:
    other = postgres_server.create_database("never_killed", shop_template)
    here, whole = Shop(shop_url, tmp_path / "here"), Shop(other, tmp_path / "whole")
    day = datetime(2026, 3, 1, tzinfo=UTC)
    rules = [new_rule(terms, rule_id=new_id(), at=day) for terms in RULES]
    for shop in (here, whole):
        shop.write(*(Decision(save=(insert(rule),)) for rule in rules))
    chance = random.Random(5)
    points: list[int] = []
    for day_number in range(len(EPOCHS) + 1):
        epochs = EPOCHS[:day_number]
        for shop in (here, whole):
            shop.begin()
        took = whole.finish(epochs)
        for _ in range(KILLS_A_RUN):
            # From the first page of a process on, for as long as it takes to two batches.
            told_times, after = chance.choice((1, 1, 2)), chance.uniform(0, took * BATCH / SIZE)
            if killed(here, epochs, told_times, after):
                run = here.running()
                points.append(run.next_page if run else 0)
        here.finish(epochs)
        unbroken = whole.told()
        for table, rows in here.told().items():
            assert rows == unbroken[table], (table, epochs[-1:])
    assert len(points) >= KILLS, points
    assert len(set(points)) > len(EPOCHS), "all kills fell on the same pages"
    postgres_server.drop_database("never_killed")
