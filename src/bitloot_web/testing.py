"""A whole shop inside one test function: memory adapters, a virtual clock, one seed, no network.

async with shop(seed=7) as it:
product = await it.stock_supplier("Lantern Keeper", cost=Decimal("8.00"), units=3)
…
await it.run_due()
await it.advance(timedelta(days=30))
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

from bitloot.domain.api_key import ApiKey
from bitloot.domain.limits import Limits
from bitloot.domain.own_stock import Batch
from bitloot.domain.product import Product
from bitloot.ports.captcha import Captcha
from bitloot.ports.clock import FailPoint
from bitloot.ports.supplier import SupplierProduct
from bitloot.ports.views.catalog import ShelfQuery
from bitloot.usecases.catalog import Catalog, OwnProduct
from bitloot_web.application import Application
from bitloot_web.asgi import build_app
from bitloot_web.composition.assembly import build_shop, job_handlers
from bitloot_web.composition.memory import GATEWAY, SUPPLIER, MemoryNeighbours, memory_neighbours
from bitloot_web.composition.neighbours import unarmed
from bitloot_web.job_runner import JobRunner
from bitloot_web.metrics import open_metrics
from bitloot_web.settings import Settings
from bitloot_web.shop import Shop
from bitloot_web.staffing import owner_key

PUBLIC_URL: Final = "https://shop.example"
OWNER: Final = "owner@shop.example"
MOST_ROUNDS: Final = 10_000


@dataclass(frozen=True, kw_only=True)
class TestShop:
    """The shop, and the levers of everything around it.

    `around` holds the clock, the store, and the gateway, supplier, vault and mailer in memory.
    """

    __test__ = False

    shop: Shop
    around: MemoryNeighbours
    runner: JobRunner
    catalog: Catalog

    @property
    def app(self) -> Application:
        """The HTTP application over this shop."""
        return build_app(self.shop)

    async def owner_key(self) -> str:
        """A new API key that opens the desk, made as `bitloot admin create --with-key` makes it."""
        name = f"key {len(self.around.store.rows(ApiKey)) + 1}"
        return await owner_key(self.shop, OWNER, name)

    async def run_due(self) -> int:
        """Run every job that is due, and those that they bring; gives how many runs that were."""
        ran = 0
        for _ in range(MOST_ROUNDS):
            due = await self.around.near.jobs.claim_due(self.around.near.limits.relay_batch)
            if not due:
                return ran
            for job_id in due:
                await self.runner.run(job_id)
            ran += len(due)
        raise AssertionError("jobs bring jobs without end")

    async def advance(self, span: timedelta) -> None:
        """Let time pass, stopping at each moment at which a job is due to run it."""
        clock = self.around.clock
        target = clock.now() + span
        for _ in range(MOST_ROUNDS):
            await self.run_due()
            pending = (job for job in self.around.store.jobs.all() if job.state == "pending")
            due = min((job.available_at for job in pending), default=target)
            if due >= target:
                break
            # A marked job rings again only after a while; go on from there.
            clock.advance(max(due - clock.now(), timedelta(seconds=1)))
        clock.advance(max(target - clock.now(), timedelta(0)))
        await self.run_due()

    async def stock_supplier(
        self,
        title: str,
        *,
        cost: Decimal,
        units: int,
        is_preorder: bool = False,
        supplier: str = SUPPLIER,
    ) -> str:
        """Put a product of a supplier on its shelf and on ours; gives its slug."""
        number = str(20_000 + len(self.around.store.rows(Product)))
        product = SupplierProduct(
            supplier_product_id=number,
            title=title,
            description="",
            platform="PC",
            region=None,
            excluded_countries=(),
            is_preorder=is_preorder,
            release_date=None,
            instructions=None,
            cover_url=None,
            offer_id=f"offer-{number}",
            price=cost,
            stock=units,
            wholesale=(),
            updated_at=self.around.clock.now(),
        )
        self.around.suppliers[supplier].stock(product)
        await self.catalog.sync(supplier, told=lambda _: None)
        newest = ShelfQuery(source=supplier, sort="newest")
        shelf = await self.shop.views.catalog.products(newest, limit=100, after=None)
        return next(view.slug for view in shelf.page.items if view.title == title)

    async def sell_also(self, slug: str, *, supplier: str, cost: Decimal, units: int) -> str:
        """Have the product sold from a further supplier, which has it at this cost; gives the name
        of its offer there.
        """
        other = await self.stock_supplier(slug, cost=cost, units=units, supplier=supplier)
        row = {product.slug: product for product in self.around.store.rows(Product)}
        number = row[other].supplier_product_id
        assert number is not None
        await self.shop.supplier_desk.join(row[slug].id, supplier, number, actor="test")
        await self.run_due()
        return f"offer-{number}"

    async def stock_own(self, title: str, *, price: Decimal, keys: int) -> str:
        """Put a product of our own on the shelf with so many keys; gives its slug."""
        slug = title.lower().replace(" ", "-")
        row = await self.catalog.put_own(
            OwnProduct(slug=slug, title=title, price=price), actor="test"
        )
        made = "\n".join(self.around.random_bytes(8).hex() for _ in range(keys))
        batch = Batch(product_id=row.id, name="test", cost=price / 2)
        await self.shop.inventory.import_keys(made.encode(), batch, actor="test")
        return row.slug


@contextlib.asynccontextmanager
async def shop(
    seed: int = 0,
    *,
    limits: Limits | None = None,
    failpoint: FailPoint = unarmed,
    further_suppliers: Sequence[str] = (),
    captcha: Captcha | None = None,
) -> AsyncIterator[TestShop]:
    """A shop of its own; the same seed gives the same run. It has no captcha unless one is given.

    `further_suppliers` names those that keys are bought from beside the usual one.
    """
    around = memory_neighbours(seed, limits or Limits(), failpoint, further_suppliers)
    if captcha is not None:
        around = replace(around, near=replace(around.near, captcha=captcha))
    settings = Settings(
        database_url="postgresql://memory",
        redis_url="redis://memory",
        public_url=PUBLIC_URL,
        secret_key=around.random_bytes(32).hex(),
        gateways=(GATEWAY,),
        suppliers=("custom", *around.suppliers),
        limits=around.near.limits,
    )
    built = build_shop(around.near, settings, open_metrics())
    yield TestShop(
        shop=built,
        around=around,
        runner=JobRunner(
            around.near.jobs,
            job_handlers(around.near, built),
            limits=around.near.limits,
            jitter=lambda: around.random_bytes(1)[0] / 256,
            observe=built.metrics.job_ended,
        ),
        catalog=Catalog(
            uow=around.near.uow,
            writer=around.catalogue_writer,
            suppliers=around.near.suppliers,
            margin=settings.margin,
            limits=around.near.limits,
            clock=around.clock.now,
            new_id=around.near.new_id,
        ),
    )
