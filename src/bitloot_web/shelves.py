"""Filling the shelves: a supplier's catalogue, own products with fresh keys, files of keys."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from bitloot.domain.errors import Refused
from bitloot.domain.money import Eur
from bitloot.domain.own_stock import Batch
from bitloot.usecases.catalog import Catalog, OwnProduct, Synced
from bitloot.usecases.inventory import ImportReport
from bitloot_web.composition.opening import OpenShop, open_shop
from bitloot_web.plugins import Configuration

ACTOR: Final = "cli"
ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
OWN_PRODUCTS: Final = (
    OwnProduct(
        slug="lantern-keeper-deluxe",
        title="Lantern Keeper: Deluxe Edition",
        price=Decimal("14.99"),
        platform="PC",
        description="A quiet adventure about light, tides and old machines.",
        instructions="Open the launcher, choose Redeem, and enter the key.",
    ),
    OwnProduct(
        slug="northwind-office-pro-1-year",
        title="Northwind Office Pro, 1 year",
        price=Decimal("39.00"),
        platform="Windows, macOS",
        description="Documents, tables and slides for one person on two devices.",
    ),
    OwnProduct(
        slug="streambox-premium-3-months",
        title="Streambox Premium, 3 months",
        price=Decimal("24.50"),
        description="Films and series without advertising.",
    ),
)


async def sync_catalogue(
    configuration: Configuration,
    supplier: str,
    told: Callable[[Synced], None],
    *,
    is_vanishing_confirmed: bool = False,
) -> Synced:
    """Mirror a supplier's catalogue; `told` hears after each page."""
    confirmed_by = ACTOR if is_vanishing_confirmed else None
    async with open_shop(configuration) as opened:
        return await catalog(opened).sync(supplier, told=told, confirmed_by=confirmed_by)


async def seed_own_stock(configuration: Configuration, keys: int) -> list[tuple[str, int]]:
    """Three own products with `keys` new keys each: (title, how many came in)."""
    async with open_shop(configuration) as opened:
        return [await stock_up(opened, product, keys) for product in OWN_PRODUCTS]


async def stock_up(opened: OpenShop, product: OwnProduct, keys: int) -> tuple[str, int]:
    """Put a product of our own on the shelf with new keys: (title, how many came in)."""
    row = await catalog(opened).put_own(product, actor=ACTOR)
    made = "\n".join(_key(opened.neighbours.random_bytes(15)) for _ in range(keys))
    batch = Batch(product_id=row.id, name="seed", cost=product.price / 2)
    report = await opened.shop.inventory.import_keys(made.encode(), batch, actor=ACTOR)
    return row.title, report.imported


def catalog(opened: OpenShop) -> Catalog:
    """The use cases of the shelves over an open shop."""
    near = opened.neighbours
    return Catalog(
        uow=near.uow,
        writer=opened.catalogue_writer,
        suppliers=near.suppliers,
        margin=opened.configuration.settings.margin,
        limits=near.limits,
        clock=near.clock,
        new_id=near.new_id,
    )


def _key(entropy: bytes) -> str:
    letters = "".join(ALPHABET[byte % len(ALPHABET)] for byte in entropy)
    return "-".join(letters[start : start + 5] for start in range(0, len(letters), 5))


async def import_file(
    configuration: Configuration, product: str, raw: bytes, cost: Eur, batch: str
) -> ImportReport:
    """Take in a file of keys for a product of our own, named by slug or id. Raises Refused."""
    async with open_shop(configuration) as opened:
        async with opened.neighbours.uow.begin() as tx:
            found = await tx.checkout.sellables((product,))
        if not found:
            raise Refused("not-found", f"there is no product {product!r}", field="product")
        named = Batch(product_id=found[0].product.id, name=batch, cost=cost)
        return await opened.shop.inventory.import_keys(raw, named, actor=ACTOR)
