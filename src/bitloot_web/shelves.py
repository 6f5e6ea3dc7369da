"""Filling the shelves: a supplier's catalogue, and own products with freshly made keys."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from bitloot.domain.errors import Refused
from bitloot.domain.money import Eur
from bitloot.domain.own_stock import Batch
from bitloot.usecases.catalog import Catalog, OwnProduct, Synced
from bitloot.usecases.inventory import ImportReport, Inventory
from bitloot_web.composition.opening import OpenShop, open_shop
from bitloot_web.plugins import Configuration

ACTOR: Final = "cli"
# How often keys that are in use are waited for, and for how many seconds each time.
MOST_PAUSES: Final = 100
PAUSE: Final = 0.2
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


class Rotation(msgspec.Struct, frozen=True):
    """How many data keys were wrapped anew, and the ids of the sealed keys that do not open."""

    rotated: int
    unreadable: tuple[str, ...] = ()


async def rotate_keys(configuration: Configuration) -> Rotation:
    """Re-wrap every data key that is not under the present key-encryption key.

    What was done stays done when it is broken off: run it again for the rest. Raises
    Refused(`invalid-input`) when keys stay in use for too long to be sure of all of them.
    """
    async with open_shop(configuration) as opened:
        return await rotate_all(opened.shop.inventory)


async def rotate_all(inventory: Inventory) -> Rotation:
    """Batch after batch until no data key is left but those that do not open.

    Keys that are in use are waited for, and each round begins with the first key again.
    """
    rotated = 0
    for _ in range(MOST_PAUSES):
        batch = await inventory.rotate()
        done, unreadable = batch.count, list(batch.unreadable)
        while batch.last is not None:
            batch = await inventory.rotate(batch.last)
            done += batch.count
            unreadable += batch.unreadable
        rotated += done
        if await inventory.not_rotated() == len(unreadable):
            return Rotation(rotated, tuple(unreadable))
        await asyncio.sleep(PAUSE)
    raise Refused("invalid-input", "Some keys are in use all the time; run it again.")
