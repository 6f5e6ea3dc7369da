"""A call about a product is a hint: the product is read again at the supplier, and that counts."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from tests.contract.wire.kinguin_town import MINUTE, Town

from bitloot.domain.product import Listing, Offer
from bitloot.ports.jobs import Lease
from bitloot.testing.rows import Goods
from bitloot.usecases.catalogue_syncs import CatalogueSyncs
from bitloot_adapters.memory.catalogue_writer import MemoryCatalogueWriter


class NewsTown(Town):
    """A town whose shop reads products again when it is told of them."""

    def __init__(self) -> None:
        super().__init__("text", preorders=False)
        self.reads_webhooks = True
        self.reads = 0

    async def run(self, lease: Lease) -> None:
        if lease.kind != "read_product":
            await super().run(lease)
            return
        self.reads += 1
        syncs = CatalogueSyncs(
            uow=self.uow,
            jobs=self.jobs,
            catalogue_writer=MemoryCatalogueWriter(self.store),
            suppliers=self.hints.suppliers,
            margin=Decimal("0.25"),
            limits=self.limits,
            clock=self.clock.now,
            boot_clock=self.clock.boot,
            new_id=self.new_id,
        )
        await syncs.read_product(lease)

    def offer(self, goods: Goods) -> tuple[Decimal, int]:
        """What the shop knows of the supplier's price and stock."""
        (row,) = (each for each in self.store.rows(Offer) if each.product_id == goods.product.id)
        return row.cost, row.stock

    def price(self, goods: Goods) -> Decimal:
        (row,) = (each for each in self.store.rows(Listing) if each.id == goods.product.id)
        return row.price

    def number(self) -> int:
        """The supplier's own number of the product that was put on sale last."""
        return self._sold


@pytest.fixture
async def town() -> AsyncIterator[NewsTown]:
    opened = NewsTown()
    yield opened
    await opened.close()


async def test_a_call_has_its_product_read_and_priced_anew(town: NewsTown) -> None:
    goods = await town.sell(stock=50)
    await town.change(price="12.00", stock=7)
    await town.control("webhooks/send", kinguin_id=town.number())
    await town.work()
    assert town.offer(goods) == (Decimal("12.00"), 7)
    assert town.price(goods) == Decimal("15.00")


async def test_what_a_call_says_itself_is_not_believed(town: NewsTown) -> None:
    goods = await town.sell(stock=50)
    await town.work()
    told: dict[str, object] = {
        "kinguinId": town.number(),
        "productId": goods.product.supplier_product_id,
        "qty": 0,
        "price": 0.01,
        "cheapestOfferId": [],
        "updatedAt": "2026-03-01T00:00:00+00:00",
    }
    await town.control("webhooks/send", event="product.update", payload=told)
    await town.work()
    assert town.offer(goods) == (Decimal("9.00"), 50)


async def test_a_product_that_is_gone_by_then_has_nothing_left(town: NewsTown) -> None:
    goods = await town.sell(stock=50)
    await town.change(stock=0)
    await town.control("webhooks/send", kinguin_id=town.number())
    await town.work()
    assert town.offer(goods)[1] == 0


async def test_ten_calls_about_one_product_read_it_once(town: NewsTown) -> None:
    goods = await town.sell(stock=50)
    await town.work_for(MINUTE)
    before = town.reads
    await town.change(price="10.00")
    for _ in range(10):
        await town.control("webhooks/send", kinguin_id=town.number())
    await town.work()
    assert town.offer(goods)[0] == Decimal("10.00")
    assert 1 <= town.reads - before <= 2


async def test_a_second_change_of_the_same_instant_is_heard_too(town: NewsTown) -> None:
    goods = await town.sell(stock=50)
    told: dict[str, object] = {
        "kinguinId": town.number(),
        "productId": goods.product.supplier_product_id,
        "qty": 50,
        "textQty": 50,
        "cheapestOfferId": [],
        "updatedAt": "2026-03-01T00:00:00.000+00:00",
    }
    for price in ("10.00", "12.00", "11.00"):
        await town.change(price=price)
        await town.control("webhooks/send", event="product.update", payload=told)
        await town.work()
        assert town.offer(goods) == (Decimal(price), 50)
        assert town.price(goods) == Decimal(price) * Decimal("1.25")


async def test_a_call_with_another_secret_has_nothing_read(town: NewsTown) -> None:
    goods = await town.sell(stock=50)
    await town.work()
    before = town.reads
    await town.control("webhooks/send", kinguin_id=town.number(), mode="wrong_secret")
    await town.work()
    assert town.reads == before
    assert town.offer(goods)[1] == 50
