"""A supplier's catalogue is merged by the page."""

from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.domain.product import Sellable, WholesaleTier
from bitloot.ports.catalogue_writer import UpsertCounts
from bitloot.ports.supplier import SupplierProduct
from bitloot_adapters.clock import new_id, utc_now
from bitloot_adapters.postgres.catalogue_writer import CatalogueWriter, slug
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork

NOTHING = UpsertCounts(
    products_new=0, products_changed=0, offers_new=0, offers_changed=0, retired=0
)


@pytest.fixture
async def database(shop_url: str) -> AsyncIterator[Database]:
    async with open_database(shop_url, Limits()) as database:
        yield database


def product(number: int = 1, **fields: object) -> SupplierProduct:
    supplied = SupplierProduct(
        supplier_product_id=f"p{number}",
        title=f"Gräme {number}: \t«The\n\\.Return»",
        description="Two lines\nand a backslash \\ and a tab\t.",
        platform="Steam",
        region=None,
        excluded_countries=("DE", "AT"),
        is_preorder=False,
        release_date=None,
        instructions=None,
        cover_url="https://cdn.example/c.jpg",
        offer_id=f"o{number}",
        price=Decimal("4.20"),
        stock=7,
        wholesale=(WholesaleTier(from_units=10, price=Decimal("3.90")),),
        updated_at=utc_now(),
    )
    return msgspec.structs.replace(supplied, **fields)


def dearer(supplied: SupplierProduct) -> Decimal:
    return supplied.price * 2


async def merge(database: Database, *page: SupplierProduct) -> UpsertCounts:
    writer = CatalogueWriter(database)
    return await writer.upsert("kinguin", page, price=dearer, new_id=new_id, at=utc_now())


async def sold_as(database: Database, supplied: SupplierProduct) -> Sellable:
    uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)
    name = slug(supplied.title, f"kinguin/{supplied.supplier_product_id}")
    async with uow.begin() as tx:
        (sellable,) = await tx.checkout.sellables([name])
    return sellable


async def test_a_new_page_is_on_sale_as_it_was_told(database: Database) -> None:
    page = [product(n) for n in range(1, 4)]
    counts = await merge(database, *page)
    assert counts == msgspec.structs.replace(NOTHING, products_new=3, offers_new=3)
    sellable = await sold_as(database, page[0])
    assert sellable.offer is not None
    assert sellable.product.title == page[0].title
    assert sellable.product.description == page[0].description
    assert sellable.product.excluded_countries == ("DE", "AT")
    assert sellable.price == Decimal("8.40")
    assert sellable.offer.wholesale == page[0].wholesale
    assert (sellable.available, sellable.unit_cost) == (7, Decimal("4.20"))


async def test_the_same_page_again_writes_nothing(database: Database) -> None:
    await merge(database, product(1), product(2))
    assert await merge(database, product(1), product(2)) == NOTHING


async def test_a_new_price_changes_one_product_and_keeps_its_name(database: Database) -> None:
    await merge(database, product(1), product(2))
    before = await sold_as(database, product(1))
    changed = product(1, title="Renamed", price=Decimal("5.00"), stock=3)
    counts = await merge(database, changed, product(2))
    assert counts == msgspec.structs.replace(NOTHING, products_changed=1, offers_changed=1)
    after = await sold_as(database, product(1))
    assert after.product.slug == before.product.slug
    assert after.product.title == "Renamed"
    assert after.product.version == before.product.version + 1
    assert (after.available, after.unit_cost) == (3, Decimal("5.00"))


async def test_an_offer_that_another_replaced_has_nothing_left(database: Database) -> None:
    await merge(database, product(1))
    counts = await merge(database, product(1, offer_id="better", price=Decimal("4.00")))
    assert (counts.offers_new, counts.retired) == (1, 1)
    sellable = await sold_as(database, product(1))
    assert sellable.offer is not None
    assert sellable.offer.offer_id == "better"


async def test_of_a_product_named_twice_the_last_counts(database: Database) -> None:
    counts = await merge(database, product(1), product(1, stock=1))
    assert (counts.products_new, counts.offers_new) == (1, 1)
    assert (await sold_as(database, product(1))).available == 1


async def test_an_empty_page_is_no_work(database: Database) -> None:
    assert await merge(database) == NOTHING


def test_a_slug_is_plain_and_differs_for_each_product() -> None:
    one = slug("Élite: Dangerous™ — Deluxe", "kinguin/1")
    other = slug("Élite: Dangerous™ — Deluxe", "kinguin/2")
    assert one != other
    assert one.startswith("elite-dangeroustm-deluxe-")
    assert slug("龍", "kinguin/3").isalnum()
