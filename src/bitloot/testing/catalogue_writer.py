"""The suite of whoever writes a supplier's catalogue, and prices it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol, TypeVar

import msgspec
import pytest

from bitloot.domain.catalogue_sync import CatalogueRefusal, CatalogueSync, Unseen
from bitloot.domain.category import Category
from bitloot.domain.decision import Decision, Row, insert, update
from bitloot.domain.own_product import OwnProduct, put_on_shelf
from bitloot.domain.price_contexts import HOUSE_RULE, PricingTerms
from bitloot.domain.price_derivation import PriceRecord, agrees
from bitloot.domain.pricing_rules import PricingRule, RuleTerms, new_rule
from bitloot.domain.product import Listing, Offer, Product, WholesaleTier
from bitloot.domain.product_media import ProductMedia
from bitloot.ports.catalogue_facts import advanced
from bitloot.ports.catalogue_writer import (
    COSTS_TOO_MUCH,
    CatalogueBatch,
    CatalogueWriter,
    MergeCounts,
    PageRefusal,
)
from bitloot.ports.clock import NewId
from bitloot.ports.errors import Conflict
from bitloot.ports.supplier_catalogue import RefusedProduct, SupplierMedia, SupplierProduct
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot.testing.contract import Contract
from bitloot.testing.rows import Rows

SUPPLIER: Final = "supplier"
TERMS: Final = PricingTerms(margin=Decimal("0.10"), gateway_fee=Decimal("0.01"))
SAID: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTHING: Final = MergeCounts()

R = TypeVar("R", bound=Row)


class CatalogueWriterRig(Protocol):
    """An empty store before each test, its writer, and a look at its rows."""

    @property
    def uow(self) -> UnitOfWork: ...
    @property
    def writer(self) -> CatalogueWriter: ...
    @property
    def new_id(self) -> NewId: ...

    def now(self) -> datetime:
        """The store's time."""
        ...

    async def all(self, row: type[R]) -> Sequence[R]:
        """Every row of a table, by id."""
        ...


def supplied(number: int = 1, **fields: object) -> SupplierProduct:
    """A product of the supplier, different for each number."""
    product = SupplierProduct(
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
        updated_at=SAID,
        genres=("Action", "Indie"),
        metacritic=Decimal("81.50"),
        media=(
            SupplierMedia(kind="image", url="https://cdn.example/c.jpg"),
            SupplierMedia(kind="screenshot", url="https://cdn.example/1.jpg"),
        ),
    )
    return msgspec.structs.replace(product, **fields)


async def merged(rig: CatalogueWriterRig, *products: SupplierProduct) -> MergeCounts:
    """One batch of these."""
    return await _batch(rig, CatalogueBatch(products=products))


async def _batch(rig: CatalogueWriterRig, batch: CatalogueBatch) -> MergeCounts:
    return await rig.writer.merge(
        SUPPLIER, batch, terms=TERMS, new_id=rig.new_id, at=rig.now(), sync=None
    )


async def _only(rig: CatalogueWriterRig, row: type[R]) -> R:
    (found,) = await rig.all(row)
    return found


async def _write(rig: CatalogueWriterRig, before: R, **fields: object) -> None:
    async with rig.uow.begin() as tx:
        await tx.record(Decision(save=(update(before, **fields),)))


async def _rule(rig: CatalogueWriterRig, terms: RuleTerms) -> PricingRule:
    rule = new_rule(terms, rule_id=rig.new_id(), at=rig.now())
    async with rig.uow.begin() as tx:
        await tx.record(Decision(save=(insert(rule),)))
    return rule


async def _reprice(rig: CatalogueWriterRig, *ids: str) -> int:
    return await rig.writer.reprice(ids or None, reason="rule", terms=TERMS, at=rig.now())


async def _running(rig: CatalogueWriterRig, **fields: object) -> CatalogueSync:
    bare = CatalogueSync(id=rig.new_id(), supplier=SUPPLIER, kind="full", started_at=rig.now())
    sync = msgspec.structs.replace(bare, **fields)
    async with rig.uow.begin() as tx:
        await tx.record(Decision(save=(insert(sync),)))
    found = await rig.writer.running(SUPPLIER)
    assert found is not None
    return found


class CatalogueWriterContract(Contract):
    """What a supplier says becomes what the shop shows and asks."""

    async def test_a_new_batch_is_on_sale_as_it_was_told(self, rig: CatalogueWriterRig) -> None:
        counts = await merged(rig, *(supplied(n) for n in range(1, 4)))
        assert counts == MergeCounts(products_new=3, offers_new=3, prices_changed=3)
        product = min(await rig.all(Product), key=lambda each: str(each.supplier_product_id))
        told = supplied(1)
        assert (product.title, product.description) == (told.title, told.description)
        assert (product.excluded_countries, product.genres) == (("DE", "AT"), told.genres)
        assert (product.category, product.metacritic) == ("action", Decimal("81.50"))
        assert {each.slug for each in await rig.all(Category)} == {"action", "indie"}
        offer = next(each for each in await rig.all(Offer) if each.product_id == product.id)
        assert (offer.cost, offer.stock, offer.wholesale) == (told.price, 7, told.wholesale)
        listing = next(each for each in await rig.all(Listing) if each.id == product.id)
        assert (listing.price, listing.floor) == (Decimal("4.62"), Decimal("4.25"))
        assert (listing.is_available, listing.is_listed, listing.rank) == (True, True, 81)
        assert (listing.category, listing.platform) == ("action", "Steam")
        media = [each for each in await rig.all(ProductMedia) if each.product_id == product.id]
        shown = sorted((each.position, each.kind) for each in media)
        assert shown == [(1, "image"), (2, "screenshot")]

    async def test_a_price_tells_how_it_came_about(self, rig: CatalogueWriterRig) -> None:
        await merged(rig, supplied())
        record = await _only(rig, PriceRecord)
        assert agrees(record)
        assert record.rule is not None
        assert (record.rule.id, record.reason, record.previous) == (HOUSE_RULE, "sync", None)
        assert (record.cost, record.gateway_fee) == (Decimal("4.20"), TERMS.gateway_fee)
        assert record.offer_row_id == (await _only(rig, Offer)).id
        assert [each.outcome for each in record.tried] == ["applied"]

    async def test_the_same_batch_again_writes_nothing(self, rig: CatalogueWriterRig) -> None:
        await merged(rig, supplied(1), supplied(2))
        kinds: tuple[type[Row], ...] = (Product, Offer, Listing, PriceRecord, ProductMedia)
        before = [await rig.all(kind) for kind in kinds]
        assert await merged(rig, supplied(1), supplied(2)) == NOTHING
        assert [await rig.all(kind) for kind in kinds] == before

    async def test_a_new_price_touches_no_text(self, rig: CatalogueWriterRig) -> None:
        await merged(rig, supplied())
        before = await _only(rig, Product)
        later = SAID + timedelta(hours=1)
        counts = await merged(rig, supplied(price=Decimal("5.00"), stock=3, updated_at=later))
        assert counts == MergeCounts(offers_changed=1, prices_changed=1)
        assert await _only(rig, Product) == before
        assert (await _only(rig, Listing)).price == Decimal("5.50")
        told = sorted(await rig.all(PriceRecord), key=lambda each: each.price)
        assert [each.previous for each in told] == [None, Decimal("4.62")]

    async def test_new_texts_touch_no_price_and_keep_the_address(
        self, rig: CatalogueWriterRig
    ) -> None:
        await merged(rig, supplied())
        before = await _only(rig, Product)
        media = (SupplierMedia(kind="screenshot", url="https://cdn.example/1.jpg"),)
        counts = await merged(rig, supplied(title="Renamed", genres=("Indie",), media=media))
        assert counts == MergeCounts(products_changed=1)
        after = await _only(rig, Product)
        assert (after.title, after.slug, after.category) == ("Renamed", before.slug, "indie")
        assert after.version == before.version + 1
        assert (await _only(rig, Listing)).category == "indie"
        assert (await _only(rig, ProductMedia)).position == 1
        assert len(await rig.all(PriceRecord)) == 1

    async def test_what_a_person_pinned_stays(self, rig: CatalogueWriterRig) -> None:
        await merged(rig, supplied())
        pinned = ("title", "category", "media")
        await _write(rig, await _only(rig, Product), title="Ours", category=None, pinned=pinned)
        await merged(rig, supplied(title="Theirs", description="New", media=()))
        after = await _only(rig, Product)
        assert (after.title, after.category, after.description) == ("Ours", None, "New")
        assert len(await rig.all(ProductMedia)) == 2

    async def test_pictures_of_a_person_stay_among_those_of_the_supplier(
        self, rig: CatalogueWriterRig
    ) -> None:
        await merged(rig, supplied(1))
        product = await _only(rig, Product)
        own = ProductMedia(
            id=rig.new_id(), product_id=product.id, kind="image", url="https://own.example/1.jpg",
            position=9, source="custom",
        )  # fmt: skip
        async with rig.uow.begin() as tx:
            await tx.record(Decision(save=(insert(own),)))
        await merged(rig, supplied(1, media=(), title="Bare", updated_at=SAID + timedelta(hours=1)))
        assert [each.url for each in await rig.all(ProductMedia)] == [own.url]

    async def test_older_news_never_replace_newer(self, rig: CatalogueWriterRig) -> None:
        await merged(rig, supplied(updated_at=SAID + timedelta(hours=1)))
        old = supplied(title="Old", price=Decimal("1.00"), stock=99)
        assert await merged(rig, old) == NOTHING
        assert (await _only(rig, Offer)).cost == Decimal("4.20")
        assert (await _only(rig, Product)).title == supplied().title

    async def test_a_product_of_pictures_alone_is_not_priced_and_not_sold(
        self, rig: CatalogueWriterRig
    ) -> None:
        await merged(rig, supplied(1))
        pictures = {"has_text": False, "price": Decimal("0.50"), "stock": 0}
        counts = await merged(rig, supplied(1, **pictures), supplied(2, **pictures))
        assert counts == MergeCounts(retired=1)
        offer, listing = await _only(rig, Offer), await _only(rig, Listing)
        assert (offer.cost, offer.stock) == (Decimal("4.20"), 0)
        assert (listing.price, listing.is_available) == (Decimal("4.62"), False)

    async def test_what_is_left_out_has_nothing_left(self, rig: CatalogueWriterRig) -> None:
        await merged(rig, supplied(1))
        assert await _batch(rig, CatalogueBatch(left_out=("p1", "p9"))) == MergeCounts(retired=1)
        assert (await _only(rig, Listing)).is_available is False

    async def test_an_offer_that_another_replaced_has_nothing_left(
        self, rig: CatalogueWriterRig
    ) -> None:
        await merged(rig, supplied())
        counts = await merged(rig, supplied(offer_id="better", price=Decimal("4.00")))
        assert (counts.offers_new, counts.retired, counts.prices_changed) == (1, 1, 1)
        stock = {each.offer_id: each.stock for each in await rig.all(Offer)}
        assert stock == {"o1": 0, "better": 7}
        assert (await _only(rig, Listing)).price == Decimal("4.40")

    async def test_each_product_whose_offer_has_no_name_keeps_an_offer_of_its_own(
        self, rig: CatalogueWriterRig
    ) -> None:
        pair = (supplied(1, offer_id=""), supplied(2, offer_id=""))
        assert (await merged(rig, *pair)).offers_new == 2
        assert (await merged(rig, *pair)).offers_changed == 0
        sold = [each.supplier_product_id for each in await rig.all(Offer)]
        assert sorted(sold) == ["p1", "p2"]

    async def test_of_a_product_named_twice_the_last_counts(self, rig: CatalogueWriterRig) -> None:
        counts = await merged(rig, supplied(1), supplied(1, stock=1))
        assert (counts.products_new, counts.offers_new) == (1, 1)
        assert (await _only(rig, Offer)).stock == 1

    async def test_an_empty_batch_is_no_work(self, rig: CatalogueWriterRig) -> None:
        assert await merged(rig) == NOTHING

    async def test_a_price_beyond_reason_is_refused_and_what_is_known_stays(
        self, rig: CatalogueWriterRig
    ) -> None:
        await merged(rig, supplied(1))
        sync = await _running(rig)
        absurd = supplied(1, price=Decimal("999999999999.99"))
        batch = CatalogueBatch(products=(absurd, supplied(2)), pages=1, next_page=2)
        await _go_on(rig, sync, batch)
        refusal = await _only(rig, CatalogueRefusal)
        assert (refusal.supplier_product_id, refusal.reason) == ("p1", COSTS_TOO_MUCH)
        assert {each.cost for each in await rig.all(Offer)} == {Decimal("4.20")}

    # --- lists ---------------------------------------------------------------------------------

    async def test_a_listing_follows_what_can_be_had(self, rig: CatalogueWriterRig) -> None:
        await merged(rig, supplied())
        await _write(rig, await _only(rig, Product), hides_when_sold_out=True)
        assert (await _only(rig, Listing)).is_listed is True
        await merged(rig, supplied(stock=0))
        listing = await _only(rig, Listing)
        assert (listing.is_available, listing.is_listed) == (False, False)
        await merged(rig, supplied(stock=2))
        assert (await _only(rig, Listing)).is_listed is True
        await _write(rig, await _only(rig, Product), is_published=False)
        assert (await _only(rig, Listing)).is_listed is False

    async def test_own_stock_is_listed_by_its_keys(self, rig: CatalogueWriterRig) -> None:
        product = await _own(rig)
        assert (await _only(rig, Listing)).is_available is False
        sealed, key = Rows(clock=rig.now, new_id=rig.new_id).stock_key(product)
        async with rig.uow.begin() as tx:
            await tx.record(Decision(save=(insert(sealed), insert(key))))
        assert (await _only(rig, Listing)).is_available is True
        before = msgspec.structs.replace(key, version=1)
        await _write(rig, before, state="expired")
        assert (await _only(rig, Listing)).is_available is False

    # --- prices --------------------------------------------------------------------------------

    async def test_rules_of_products_outrank_those_of_categories_and_of_the_shop(
        self, rig: CatalogueWriterRig
    ) -> None:
        await merged(rig, supplied(1), supplied(2, genres=("Puzzle",)), supplied(3))
        ids = {each.supplier_product_id: each.id for each in await rig.all(Product)}
        await _rule(rig, RuleTerms(scope="global", kind="fixed", value=Decimal(1)))
        margin = RuleTerms(scope="category", subject="action", kind="margin", value=Decimal(1))
        await _rule(rig, margin)
        own = RuleTerms(
            scope="product", subject=ids["p3"], kind="fixed", value=Decimal("0.30"), rounding="99"
        )
        await _rule(rig, own)
        assert await _reprice(rig) == 3
        assert await _reprice(rig) == 0
        prices = {each.id: each.price for each in await rig.all(Listing)}
        asked = [prices[ids[name]] for name in ("p1", "p2", "p3")]
        assert asked == [Decimal("8.40"), Decimal("5.20"), Decimal("4.99")]
        records = [each for each in await rig.all(PriceRecord) if each.product_id == ids["p3"]]
        told = next(each for each in records if each.reason == "rule")
        assert [each.outcome for each in told.tried] == ["applied", *["outranked by scope"] * 3]
        assert all(agrees(each) for each in await rig.all(PriceRecord))

    async def test_only_the_products_that_are_named_are_repriced(
        self, rig: CatalogueWriterRig
    ) -> None:
        await merged(rig, supplied(1), supplied(2))
        await _rule(rig, RuleTerms(scope="global", kind="fixed", value=Decimal(1)))
        one, *_ = await rig.all(Product)
        assert await _reprice(rig, one.id, one.id, rig.new_id()) == 1
        prices = {each.id: each.price for each in await rig.all(Listing)}
        assert prices.pop(one.id) == Decimal("5.20")
        assert set(prices.values()) == {Decimal("4.62")}

    async def test_a_price_lies_below_its_floor_only_where_that_was_signed(
        self, rig: CatalogueWriterRig
    ) -> None:
        await merged(rig, supplied())
        product = await _only(rig, Product)
        terms = RuleTerms(
            scope="product", subject=product.id, kind="override", value=Decimal("3.00")
        )
        unsigned = await _rule(rig, terms)
        await _reprice(rig)
        listing = await _only(rig, Listing)
        assert (listing.price, listing.is_loss_signed) == (Decimal("4.25"), False)
        before = msgspec.structs.replace(unsigned, version=1)
        await _write(rig, before, loss_signed_by="admin")
        await _reprice(rig)
        listing = await _only(rig, Listing)
        assert (listing.price, listing.is_loss_signed) == (Decimal("3.00"), True)
        assert listing.floor == Decimal("4.25")

    async def test_own_stock_keeps_its_price_until_keys_cost_more(
        self, rig: CatalogueWriterRig
    ) -> None:
        product = await _own(rig)
        assert await _reprice(rig, product.id) == 0
        assert (await _only(rig, Listing)).price == Decimal("2.50")
        sealed, key = Rows(clock=rig.now, new_id=rig.new_id).stock_key(product)
        async with rig.uow.begin() as tx:
            await tx.record(Decision(save=(insert(sealed), insert(key))))
        assert await _reprice(rig, product.id) == 1
        assert (await _only(rig, Listing)).price == Decimal("9.10")
        assert all(agrees(each) for each in await rig.all(PriceRecord))

    # --- categories ----------------------------------------------------------------------------

    async def test_products_stand_where_their_words_belong_now(
        self, rig: CatalogueWriterRig
    ) -> None:
        await merged(
            rig,
            supplied(1, genres=("Action", "Indie")),
            supplied(2, genres=("Indie", "Action")),
            supplied(3, genres=("Puzzle",)),
            supplied(4, genres=("Action",)),
        )
        own = await _own(rig)
        pinned = next(each for each in await rig.all(Product) if each.supplier_product_id == "p4")
        await _write(rig, pinned, category="indie", pinned=("category",))
        shelf = next(each for each in await rig.all(Category) if each.slug == "indie")
        await _write(rig, shelf, genres=("  INDIE ", "puzzle"))
        action = next(each for each in await rig.all(Category) if each.slug == "action")
        await _write(rig, action, genres=("Shooter",))
        assert await rig.writer.shelve(at=rig.now()) == 1
        stands = {each.supplier_product_id: each.category for each in await rig.all(Product)}
        # What no category speaks of stands in the one that is called so.
        assert stands == {"p1": "action", "p2": "indie", "p3": "indie", "p4": "indie", None: None}
        listed = {each.id: each.category for each in await rig.all(Listing)}
        assert listed == {each.id: each.category for each in await rig.all(Product)}
        assert own.id in listed
        assert await rig.writer.shelve(at=rig.now()) == 0
        again = await merged(rig, supplied(3, genres=("Puzzle",)))
        assert again.products_changed <= 1
        assert {each.category for each in await rig.all(Product) if each.genres == ("Puzzle",)} == {
            "indie"
        }

    # --- synchronisations ----------------------------------------------------------------------

    async def test_a_run_goes_on_with_each_batch_and_tells_what_it_refused_once(
        self, rig: CatalogueWriterRig
    ) -> None:
        sync = await _running(rig)
        bad = PageRefusal(page=1, refused=RefusedProduct(supplier_product_id="x", reason="odd"))
        batch = CatalogueBatch(products=(supplied(1),), refusals=(bad,), pages=1, next_page=2)
        now = await _go_on(rig, sync, batch)
        assert (now.next_page, now.pages, now.products, now.refused) == (2, 1, 1, 1)
        assert (now.products_new, now.prices_changed) == (1, 1)
        assert await rig.writer.running(SUPPLIER) == now
        refusal = await _only(rig, CatalogueRefusal)
        assert (refusal.sync_id, refusal.page, refusal.reason) == (sync.id, 1, "odd")
        await _go_on(rig, now, batch)  # the page is read again
        assert len(await rig.all(CatalogueRefusal)) == 1

    async def test_two_that_go_on_with_one_run_do_not_both_count(
        self, rig: CatalogueWriterRig
    ) -> None:
        sync = await _running(rig)
        await _go_on(rig, sync, CatalogueBatch(products=(supplied(1),), pages=1, next_page=2))
        with pytest.raises(Conflict):
            await _go_on(rig, sync, CatalogueBatch(products=(supplied(2),), pages=1, next_page=2))
        assert [each.supplier_product_id for each in await rig.all(Product)] == ["p1"]

    async def test_what_a_whole_run_did_not_see_has_nothing_left(
        self, rig: CatalogueWriterRig
    ) -> None:
        await merged(rig, *(supplied(n) for n in range(1, 5)))
        await _own(rig)
        sync = await _running(rig)
        unreadable = PageRefusal(
            page=2, refused=RefusedProduct(supplier_product_id="p3", reason="odd")
        )
        sync = await _go_on(rig, sync, CatalogueBatch(products=(supplied(1),), next_page=2))
        sync = await _go_on(
            rig, sync, CatalogueBatch(products=(supplied(2),), refusals=(unreadable,), next_page=3)
        )
        found = await rig.writer.unseen(sync)
        assert (found.in_stock, found.unseen) == (4, 1)
        assert await rig.writer.finish(sync, at=rig.now()) == 1
        left = {each.supplier_product_id for each in await rig.all(Offer) if each.stock}
        assert left == {"p1", "p2", "p3"}
        assert await rig.writer.running(SUPPLIER) is None
        done = await _only(rig, CatalogueSync)
        assert (done.state, done.retired, done.version) == ("done", 1, sync.version + 1)
        with pytest.raises(Conflict):
            await rig.writer.finish(sync, at=rig.now())

    async def test_a_run_takes_nothing_away_from_other_suppliers(
        self, rig: CatalogueWriterRig
    ) -> None:
        other = CatalogueBatch(products=(supplied(9),))
        await rig.writer.merge("other", other, terms=TERMS, new_id=rig.new_id, at=rig.now())
        await merged(rig, supplied(1))
        sync = await _running(rig)
        assert await rig.writer.unseen(sync) == Unseen(in_stock=1, unseen=1)
        assert await rig.writer.finish(sync, at=rig.now()) == 1
        left = {each.supplier: each.stock for each in await rig.all(Offer)}
        assert left == {"other": 7, SUPPLIER: 0}

    async def test_a_run_over_what_changed_takes_nothing_away(
        self, rig: CatalogueWriterRig
    ) -> None:
        await merged(rig, supplied(1), supplied(2))
        sync = await _running(rig, kind="incremental", updated_since=SAID)
        sync = await _go_on(rig, sync, CatalogueBatch(products=(supplied(1),), next_page=2))
        assert (await rig.writer.unseen(sync)).unseen == 0
        assert await rig.writer.finish(sync, at=rig.now()) == 0
        assert {each.stock for each in await rig.all(Offer)} == {7}


async def _go_on(
    rig: CatalogueWriterRig, sync: CatalogueSync, batch: CatalogueBatch
) -> CatalogueSync:
    counts = await rig.writer.merge(
        SUPPLIER, batch, terms=TERMS, new_id=rig.new_id, at=rig.now(), sync=sync
    )
    return advanced(sync, batch, counts)


async def _own(rig: CatalogueWriterRig) -> Product:
    wanted = OwnProduct(slug="own", title="Own", price=Decimal("2.50"))
    shelved = put_on_shelf(
        wanted, gateway_fee=TERMS.gateway_fee, actor="admin", at=rig.now(), new_id=rig.new_id
    )
    async with rig.uow.begin() as tx:
        await tx.record(shelved.decision)
    return shelved.product
