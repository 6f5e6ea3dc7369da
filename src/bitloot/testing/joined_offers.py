"""The suite of offers of several suppliers that are sold as one product."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest

from bitloot.domain.decision import Decision, update
from bitloot.domain.offer_change import joined, parted
from bitloot.domain.price_derivation import PriceRecord
from bitloot.domain.product import Listing, Offer, Product
from bitloot.domain.product_media import ProductMedia
from bitloot.domain.routing import Shelf
from bitloot.ports.catalogue_writer import CatalogueBatch, MergeCounts
from bitloot.ports.supplier_catalogue import SupplierProduct
from bitloot.testing.catalogue_writer import SAID, TERMS, CatalogueWriterRig, supplied
from bitloot.testing.contract import Contract
from bitloot.testing.rows import Rows, inserts, stocked

SECOND: Final = "second"
# Both suppliers call it the same: an id is a supplier's own.
NAME: Final = "p1"
LATER: Final = SAID + timedelta(hours=1)


async def told(rig: CatalogueWriterRig, supplier: str, *products: SupplierProduct) -> MergeCounts:
    """One batch of a supplier's catalogue."""
    batch = CatalogueBatch(products=products)
    return await rig.writer.merge(supplier, batch, terms=TERMS, new_id=rig.new_id, at=rig.now())


async def both(rig: CatalogueWriterRig, **fields: object) -> str:
    """A product of one supplier that a second one has too, joined; gives its id."""
    await told(rig, "supplier", supplied(1))
    await told(rig, SECOND, supplied(1, **fields))
    product = await of(rig, "supplier")
    async with rig.uow.begin() as tx:
        found = await tx.assortment.supplied(SECOND, NAME)
        assert found is not None
        await tx.record(joined(product, found.product, found.offers, actor="test", at=rig.now()))
    return product.id


async def of(rig: CatalogueWriterRig, supplier: str) -> Product:
    """What a supplier's catalogue made."""
    return next(row for row in await rig.all(Product) if row.source == supplier)


async def shelf(rig: CatalogueWriterRig, product_id: str) -> Shelf:
    """Where the product can come from."""
    async with rig.uow.begin() as tx:
        return await tx.checkout.shelf(product_id)


async def listing(rig: CatalogueWriterRig, product_id: str) -> Listing:
    """What stands on the lists for it."""
    return next(row for row in await rig.all(Listing) if row.id == product_id)


async def sold(rig: CatalogueWriterRig, product_id: str) -> tuple[str | None, int, Decimal | None]:
    """What it is sold from now (None: own keys), how many there are, and what one costs."""
    async with rig.uow.begin() as tx:
        (one,) = await tx.checkout.sellables([product_id])
    return one.offer.supplier if one.offer else None, one.available, one.unit_cost


class JoinedOffersContract(Contract):
    """Fixture `rig`: an empty store with its catalogue writer."""

    async def test_a_shelf_holds_offers_of_every_supplier_and_free_own_keys(
        self, rig: CatalogueWriterRig
    ) -> None:
        product_id = await both(rig)
        row = next(row for row in await rig.all(Product) if row.id == product_id)
        rows = Rows(clock=rig.now, new_id=rig.new_id)
        keys = [rows.stock_key(row, cost=Decimal(cost)) for cost in (3, 5)]
        taken = rows.stock_key(row, cost=Decimal(9), state="burned")
        async with rig.uow.begin() as tx:
            await tx.record(Decision(save=inserts(*(r for k in (*keys, taken) for r in k))))
        found = await shelf(rig, product_id)
        assert {offer.supplier for offer in found.offers} == {"supplier", SECOND}
        assert [offer.id for offer in found.offers] == sorted(offer.id for offer in found.offers)
        assert (found.free_keys, found.key_cost) == (2, Decimal(5))
        assert await shelf(rig, rig.new_id()) == Shelf()

    async def test_a_supplier_s_product_is_found_with_its_offers_wherever_they_are_sold(
        self, rig: CatalogueWriterRig
    ) -> None:
        product_id = await both(rig)
        async with rig.uow.begin() as tx:
            found = await tx.assortment.supplied(SECOND, NAME)
            assert await tx.assortment.supplied("nobody", NAME) is None
        assert found is not None
        assert found.product.source == SECOND
        assert not found.product.is_published
        assert [offer.product_id for offer in found.offers] == [product_id]

    async def test_what_a_catalogue_says_of_a_joined_offer_is_heard_and_stays_hidden(
        self, rig: CatalogueWriterRig
    ) -> None:
        product_id = await both(rig)
        before = await of(rig, "supplier")
        news = supplied(1, title="Another name", price=Decimal(2), stock=3, media=())
        await told(rig, SECOND, news)
        assert await of(rig, "supplier") == before
        hidden = await of(rig, SECOND)
        assert (hidden.title, hidden.is_published) == ("Another name", False)
        assert {row.product_id for row in await rig.all(ProductMedia)} == {product_id}
        # Nothing of it is news a second time.
        assert await told(rig, SECOND, news) == MergeCounts()
        offer = next(row for row in await rig.all(Offer) if row.supplier == SECOND)
        assert (offer.product_id, offer.cost, offer.stock) == (product_id, Decimal(2), 3)
        # The price of what it is sold as follows the cheapest of its offers.
        assert (await listing(rig, product_id)).price == Decimal("2.20")

    @pytest.mark.parametrize(
        ("supplier", "fields"),
        [
            (SECOND, {"excluded_countries": ("DE", "AT", "FR")}),
            (SECOND, {"is_preorder": True}),
            ("supplier", {"excluded_countries": ("DE",)}),
            ("supplier", {"region": "Japan"}),
            ("supplier", {"is_preorder": True}),
        ],
    )
    async def test_offers_that_no_longer_keep_what_a_buyer_is_promised_are_parted(
        self, rig: CatalogueWriterRig, supplier: str, fields: dict[str, object]
    ) -> None:
        product_id = await both(rig, price=Decimal(3))
        assert await sold(rig, product_id) == (SECOND, 7, Decimal(3))
        price = {"price": Decimal(3)} if supplier == SECOND else {}
        await told(rig, supplier, supplied(1, **price, **fields))
        own = await of(rig, SECOND)
        offer = next(row for row in await rig.all(Offer) if row.supplier == SECOND)
        assert (offer.product_id, own.is_published) == (own.id, False)
        assert await sold(rig, product_id) == ("supplier", 7, Decimal("4.20"))
        # Both are priced by what they are sold from now.
        assert (await listing(rig, product_id)).price == Decimal("4.62")
        assert (await listing(rig, own.id)).is_available
        # As it was is not enough to be sold as that again: a person joined them.
        await told(rig, "supplier", supplied(1, updated_at=LATER))
        await told(rig, SECOND, supplied(1, **price, updated_at=LATER))
        offer = next(row for row in await rig.all(Offer) if row.supplier == SECOND)
        assert offer.product_id == own.id

    async def test_offers_that_are_locked_in_fewer_places_stay_joined(
        self, rig: CatalogueWriterRig
    ) -> None:
        product_id = await both(rig)
        await told(rig, SECOND, supplied(1, excluded_countries=("AT",)))
        await told(rig, "supplier", supplied(1, excluded_countries=("AT", "FR")))
        assert {row.product_id for row in await rig.all(Offer)} == {product_id}

    async def test_a_dearer_offer_in_stock_goes_before_a_cheaper_one_that_is_sold_out(
        self, rig: CatalogueWriterRig
    ) -> None:
        product_id = await both(rig, price=Decimal(3), stock=0)
        await rig.writer.reprice([product_id], reason="rule", terms=TERMS, at=rig.now())
        assert await sold(rig, product_id) == ("supplier", 7, Decimal("4.20"))
        assert (await listing(rig, product_id)).price == Decimal("4.62")
        offer = next(row for row in await rig.all(Offer) if row.supplier == "supplier")
        records = [row for row in await rig.all(PriceRecord) if row.product_id == product_id]
        assert {row.offer_row_id for row in records} == {offer.id}
        # Where nobody has anything the cheapest says what it will cost.
        await told(rig, "supplier", supplied(1, stock=0, updated_at=LATER))
        assert await sold(rig, product_id) == (SECOND, 0, Decimal(3))
        assert (await listing(rig, product_id)).price == Decimal("3.30")

    async def test_a_key_whose_time_is_over_makes_no_price(self, rig: CatalogueWriterRig) -> None:
        rows = Rows(clock=rig.now, new_id=rig.new_id)
        goods = rows.goods(own=True)
        async with rig.uow.begin() as tx:
            await tx.record(stocked(goods))
        product = await of(rig, "custom")
        await told(rig, SECOND, supplied(1, price=Decimal(4), excluded_countries=()))
        async with rig.uow.begin() as tx:
            found = await tx.assortment.supplied(SECOND, NAME)
            assert found is not None
            await tx.record(
                joined(product, found.product, found.offers, actor="test", at=rig.now())
            )
        over = rig.now() - timedelta(days=1)
        keys = [
            rows.stock_key(product, cost=Decimal(cost), expires_at=over)
            for cost in ("1.00", "3.90")
        ]
        async with rig.uow.begin() as tx:
            await tx.record(Decision(save=inserts(*(row for key in keys for row in key))))
        await rig.writer.reprice([product.id], reason="rule", terms=TERMS, at=rig.now())
        assert await sold(rig, product.id) == (SECOND, 7, Decimal(4))
        assert (await listing(rig, product.id)).price == Decimal("4.40")

    async def test_another_offer_of_a_joined_product_is_joined_and_what_is_gone_is_sold_out(
        self, rig: CatalogueWriterRig
    ) -> None:
        product_id = await both(rig)
        await told(rig, SECOND, supplied(1, offer_id="better", price=Decimal(3)))
        found = {o.offer_id: o for o in await rig.all(Offer) if o.supplier == SECOND}
        assert {name: (o.product_id, o.stock) for name, o in found.items()} == {
            "o1": (product_id, 0),
            "better": (product_id, 7),
        }
        gone = CatalogueBatch(left_out=(NAME,))
        await rig.writer.merge(SECOND, gone, terms=TERMS, new_id=rig.new_id, at=rig.now())
        assert {o.stock for o in await rig.all(Offer) if o.supplier == SECOND} == {0}
        assert {o.stock for o in await rig.all(Offer) if o.supplier == "supplier"} == {7}

    async def test_both_listings_follow_an_offer_that_is_joined_and_parted(
        self, rig: CatalogueWriterRig
    ) -> None:
        product_id = await both(rig)
        first = next(row for row in await rig.all(Offer) if row.supplier == "supplier")
        async with rig.uow.begin() as tx:
            await tx.record(Decision(save=(update(first, stock=0),)))
        hidden = (await of(rig, SECOND)).id
        assert (await listing(rig, product_id)).is_available
        assert not (await listing(rig, hidden)).is_available
        async with rig.uow.begin() as tx:
            found = await tx.assortment.supplied(SECOND, NAME)
            product = await tx.assortment.product(product_id)
            assert found is not None
            assert product is not None
            await tx.record(
                parted(product, found.product, found.offers, actor="test", at=rig.now())
            )
        assert not (await listing(rig, product_id)).is_available
        assert (await listing(rig, hidden)).is_available
        # What its catalogue said meanwhile is heard now.
        await told(rig, SECOND, supplied(1, title="Another name"))
        assert (await of(rig, SECOND)).title == "Another name"
        assert not (await of(rig, SECOND)).is_published

    async def test_own_keys_are_sold_until_a_supplier_has_the_thing_for_less(
        self, rig: CatalogueWriterRig
    ) -> None:
        rows = Rows(clock=rig.now, new_id=rig.new_id)
        goods = rows.goods(own=True)
        async with rig.uow.begin() as tx:
            await tx.record(stocked(goods))
        await told(rig, SECOND, supplied(1, price=Decimal(4), stock=2, excluded_countries=()))
        product = await of(rig, "custom")
        async with rig.uow.begin() as tx:
            found = await tx.assortment.supplied(SECOND, NAME)
            assert found is not None
            await tx.record(
                joined(product, found.product, found.offers, actor="test", at=rig.now())
            )
        # Without a key of its own it is sold from the supplier.
        assert await sold(rig, product.id) == (SECOND, 2, Decimal(4))
        key = rows.stock_key(product, cost=Decimal("3.50"))
        async with rig.uow.begin() as tx:
            await tx.record(Decision(save=inserts(*key)))
        assert await sold(rig, product.id) == (None, 1, Decimal("3.50"))
        await rig.writer.reprice([product.id], reason="rule", terms=TERMS, at=rig.now())
        assert (await listing(rig, product.id)).price == Decimal("3.85")
        await told(rig, SECOND, supplied(1, price=Decimal(3), stock=2, excluded_countries=()))
        assert await sold(rig, product.id) == (SECOND, 2, Decimal(3))
        assert (await listing(rig, product.id)).price == Decimal("3.30")
        await told(rig, SECOND, supplied(1, price=Decimal(3), stock=0, excluded_countries=()))
        assert await sold(rig, product.id) == (None, 1, Decimal("3.50"))
        assert (await listing(rig, product.id)).price == Decimal("3.85")
