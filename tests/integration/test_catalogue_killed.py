"""A synchronisation that is killed anywhere comes to the same catalogue as one that is not."""

import asyncio
import contextlib
import random

from tests.integration.catalogue_shop import reading, told, unit_of_work

from bitloot.domain.catalogue_sync import CatalogueSync
from bitloot.domain.decision import Decision, insert
from bitloot.domain.limits import Limits
from bitloot.ports.errors import Conflict, StoreUnavailable
from bitloot.ports.supplier_catalogue import RefusedProduct
from bitloot.testing.invented_supplier import InventedSupplier
from bitloot_adapters.clock import new_id, utc_now
from bitloot_adapters.postgres.catalogue_writer import CatalogueWriter
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_web.devservices import Databases

KILLS = 20
SIZE = 600
PAGE = 20
BATCH = 80
ODD = RefusedProduct(supplier_product_id="odd", reason="price is not an amount")


def supplier() -> InventedSupplier:
    return InventedSupplier(7, SIZE, page=PAGE, unreadable=(ODD,))


async def begin(database: Database, there: InventedSupplier) -> None:
    row = CatalogueSync(id=new_id(), supplier=there.name, kind="full", started_at=utc_now())
    async with unit_of_work(database).begin() as tx:
        await tx.record(Decision(save=(insert(row),)))


async def run(database: Database, there: InventedSupplier) -> None:
    """Go on with the run that is not done, if there is one."""
    sync = await CatalogueWriter(database).running(there.name)
    if sync is not None:
        await reading(database, batch_products=BATCH).go_on(
            sync, there, told=lambda now: None, is_time_up=lambda: False
        )


async def killed(database: Database, there: InventedSupplier, after: float) -> bool:
    """Whether the run was cut off before it was done."""
    work = asyncio.create_task(run(database, there))
    await asyncio.wait({work}, timeout=after)
    if work.done():
        await work
        return False
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError, Conflict, StoreUnavailable):
        await work
    return True


async def test_killed_at_twenty_random_points_it_comes_to_the_same_catalogue(
    shop_url: str, postgres_server: Databases, shop_template: str
) -> None:
    other = postgres_server.create_database("never_killed", shop_template)
    chance = random.Random(5)
    async with open_database(shop_url, Limits()) as here, open_database(other, Limits()) as whole:
        calm, harried, kills = supplier(), supplier(), 0
        for epoch in (None, "prices", "texts", "vanish", "nothing"):
            if epoch is not None:
                calm.pass_epoch(epoch, 0.3)
                harried.pass_epoch(epoch, 0.3)
            for database, there in ((here, harried), (whole, calm)):
                await begin(database, there)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await run(whole, calm)
            took = loop.time() - began
            before = kills
            while kills - before < 6 and await killed(
                here, harried, chance.uniform(took / 40, took / 8)
            ):
                kills += 1
            await run(here, harried)
            assert await told(here) == await told(whole), epoch
        assert kills >= KILLS
    postgres_server.drop_database("never_killed")
