"""The suite of the goods as the desk sees them, and of what a transaction reads around them."""

from datetime import timedelta
from decimal import Decimal
from typing import Protocol, TypeVar

import msgspec
import pytest

from bitloot.domain.catalogue_sync import CatalogueRefusal, CatalogueSync
from bitloot.domain.category import Category
from bitloot.domain.decision import Decision, JobRequest, Row, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.price_derivation import PriceRecord
from bitloot.domain.pricing_rules import PricingRule, RuleTerms, new_rule
from bitloot.domain.product import Product
from bitloot.domain.product_group import GroupMember, ProductGroup
from bitloot.domain.product_media import ProductMedia
from bitloot.ports.errors import Conflict
from bitloot.ports.views.assortment import AssortmentViews, ProductFilter, StockCounts
from bitloot.testing.contract import Contract
from bitloot.testing.rows import FEE, inserts, stocked
from bitloot.testing.store_rig import StoreRig, own_stock, placed, record, rows_of, store
from bitloot.testing.view_rig import change, put, sold, whole

NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"
ANY = ProductFilter()

R = TypeVar("R", bound=Row)


class AssortmentRig(StoreRig, Protocol):
    """A store that is empty before each test, with the desk's views of its goods."""

    @property
    def assortment(self) -> AssortmentViews: ...


def rule_of(rig: AssortmentRig, **terms: object) -> PricingRule:
    """A rule that is not written yet."""
    given = {"scope": "global", "kind": "margin", "value": Decimal("0.25"), **terms}
    wanted = msgspec.convert(given, RuleTerms)
    return new_rule(wanted, rule_id=rig.new_id(), at=rig.now())


def category_of(rig: AssortmentRig, slug: str, position: int = 0) -> Category:
    """A category that is not written yet."""
    at = rig.now()
    return Category(
        id=rig.new_id(),
        slug=slug,
        title=slug.title(),
        position=position,
        genres=("RPG", "Action"),
        created_at=at,
        updated_at=at,
    )


def group_of(rig: AssortmentRig, slug: str) -> ProductGroup:
    """A group that is not written yet."""
    at = rig.now()
    return ProductGroup(id=rig.new_id(), slug=slug, title=slug, created_at=at, updated_at=at)


async def product(rig: AssortmentRig, **fields: object) -> Product:
    """A stored product of a supplier with ten units at 9.00, listed at 12.50."""
    goods = rows_of(rig).goods()
    await record(rig, stocked(goods))
    stored = await _again(rig, goods.product)
    return await change(rig, stored, **fields) if fields else stored


async def _again(rig: AssortmentRig, row: Product) -> Product:
    async with rig.uow.begin() as tx:
        found = await tx.assortment.product(row.id)
    assert found is not None
    return found


class RemovalContract(Contract):
    """What is taken away is gone, unless somebody changed it meanwhile."""

    async def test_a_removed_row_is_gone(self, rig: AssortmentRig) -> None:
        first, second = await put(rig, rule_of(rig)), await put(rig, rule_of(rig))
        await record(rig, Decision(remove=(first,)))
        assert await rig.assortment.rule(first.id) is None
        assert await rig.assortment.rule(second.id) == second

    async def test_a_row_that_moved_on_is_not_removed(self, rig: AssortmentRig) -> None:
        rule = await put(rig, rule_of(rig))
        await change(rig, rule, priority=7)
        with pytest.raises(Conflict):
            await record(rig, Decision(remove=(rule,)))
        kept = await rig.assortment.rule(rule.id)
        assert kept is not None
        assert kept.priority == 7

    async def test_nothing_is_written_where_a_row_cannot_be_removed(
        self, rig: AssortmentRig
    ) -> None:
        gone, other = rule_of(rig), await put(rig, rule_of(rig))
        with pytest.raises(Conflict):
            await record(rig, Decision(save=(update(other, priority=3),), remove=(gone,)))
        assert await rig.assortment.rule(other.id) == other

    async def test_a_row_is_removed_with_those_that_name_it(self, rig: AssortmentRig) -> None:
        group = await put(rig, group_of(rig, "editions"))
        owner = await product(rig)
        member = GroupMember(id=rig.new_id(), group_id=group.id, product_id=owner.id)
        member = await put(rig, member)
        await record(rig, Decision(remove=(group, member)))
        assert await rig.assortment.group(group.id) is None
        again = await put(rig, group_of(rig, "editions"))
        assert (await rig.assortment.groups(limit=9, after=None)).items == (again,)

    async def test_a_key_is_removed_with_its_sealed_form_and_may_come_in_again(
        self, rig: AssortmentRig
    ) -> None:
        goods = await own_stock(rig)
        sealed, key = rows_of(rig).stock_key(goods.product)
        stored, on_shelf = await put(rig, sealed), await put(rig, key)
        burned = await change(rig, on_shelf, state="burned")
        await record(rig, Decision(remove=(burned, stored)))
        assert await rig.assortment.stock(goods.product.id) == StockCounts()
        again = msgspec.structs.replace(sealed, id=rig.new_id(), object_name="again")
        await put(rig, again)
        async with rig.uow.begin() as tx:
            assert [row.id for row in await tx.keys.sealed([again.id])] == [again.id]


class LockedReadsContract(Contract):
    """What a transaction reads around the products."""

    async def test_what_is_not_there_is_none(self, rig: AssortmentRig) -> None:
        for name in (NOBODY, "none"):
            async with rig.uow.begin() as tx:
                look = tx.assortment
                assert await look.product(name) is None
                assert await look.rule(name) is None
                assert await look.category(name) is None
                assert await look.group(name) is None
                assert await look.category_by_slug(name) is None
                assert await look.group_by_slug(name) is None
                assert not await look.is_in_use(name)
                assert not await look.is_spoken_for(name)
                assert tuple(await look.media(name)) == ()
                assert await look.stock_prints(name, "key") == {}

    async def test_rows_are_found_by_id_and_slug(self, rig: AssortmentRig) -> None:
        rule, shelf = await put(rig, rule_of(rig)), await put(rig, category_of(rig, "rpg"))
        group = await put(rig, group_of(rig, "editions"))
        async with rig.uow.begin() as tx:
            assert await tx.assortment.rule(rule.id) == rule
            assert await tx.assortment.category(shelf.id) == shelf
            assert await tx.assortment.category_by_slug("rpg") == shelf
            assert await tx.assortment.group_by_slug("editions") == group
            file = await tx.assortment.group(group.id)
        assert file is not None
        assert (file.group, file.members) == (group, ())

    async def test_a_category_is_in_use_by_products_and_by_rules(self, rig: AssortmentRig) -> None:
        await product(rig, category="filled")
        await put(rig, rule_of(rig, scope="category", subject="ruled"))
        await put(rig, category_of(rig, "empty"))
        async with rig.uow.begin() as tx:
            used = [await tx.assortment.is_in_use(slug) for slug in ("filled", "ruled", "empty")]
        assert used == [True, True, False]

    async def test_a_product_is_spoken_for_while_units_are_kept_or_owed(
        self, rig: AssortmentRig
    ) -> None:
        waiting, owed, done = await placed(rig), await sold(rig), await sold(rig, "delivered")
        free = await product(rig)
        ids = (waiting.item.product_id, owed.item.product_id, done.item.product_id, free.id)
        async with rig.uow.begin() as tx:
            spoken = [await tx.assortment.is_spoken_for(each) for each in ids]
        assert spoken == [True, True, False, False]

    async def test_the_fingerprints_of_the_shelf_are_those_of_its_keys(
        self, rig: AssortmentRig
    ) -> None:
        goods = await own_stock(rig)
        rows = rows_of(rig)
        sealed, key = rows.stock_key(goods.product)
        burned = rows.stock_key(goods.product)
        await store(rig, *inserts(sealed, key, *burned))
        await change(rig, msgspec.structs.replace(burned[1], version=1), state="burned")
        async with rig.uow.begin() as tx:
            prints = dict(await tx.assortment.stock_prints(goods.product.id, "key"))
            others = dict(await tx.assortment.stock_prints(goods.product.id, "account"))
        assert list(prints.values()) == [key.id]
        assert others == {}


class ProductListsContract(Contract):
    """Products in any state, with what is asked for them."""

    async def test_products_are_listed_newest_first(self, rig: AssortmentRig) -> None:
        made = [await product(rig) for _ in range(5)]
        found = await whole(lambda after: rig.assortment.products(ANY, limit=2, after=after))
        assert [facts.product.id for facts in found] == [row.id for row in reversed(made)]
        listing = found[0].listing
        assert listing is not None
        assert (listing.price, listing.is_available) == (Decimal("12.50"), True)

    async def test_products_are_found_by_each_question(self, rig: AssortmentRig) -> None:
        hidden = await product(rig, title="100% Hero_1", is_published=False, category="rpg")
        await product(rig, title="100 Heroes 1")
        own = await own_stock(rig)
        for only in (
            ProductFilter(is_published=False),
            ProductFilter(category="rpg"),
            ProductFilter(title="% hero_"),
            ProductFilter(supplier_product_id=hidden.supplier_product_id),
        ):
            page = await rig.assortment.products(only, limit=9, after=None)
            assert [facts.product.id for facts in page.items] == [hidden.id], only
        for only in (ProductFilter(source="custom"), ProductFilter(is_available=False)):
            page = await rig.assortment.products(only, limit=9, after=None)
            assert [facts.product.id for facts in page.items] == [own.product.id], only

    async def test_one_product_is_told_whole(self, rig: AssortmentRig) -> None:
        row = await product(rig, genres=("RPG",), metacritic=Decimal("81.50"), low_stock_at=3)
        facts = await rig.assortment.product(row.id)
        assert facts is not None
        assert facts.product == row
        bare = rows_of(rig).goods().product
        await store(rig, insert(bare))
        never = await rig.assortment.product(bare.id)
        assert never is not None
        assert never.listing is None
        assert await rig.assortment.product(NOBODY) is None
        assert await rig.assortment.product("none") is None

    async def test_media_are_told_in_their_order(self, rig: AssortmentRig) -> None:
        owner = await product(rig)
        for place in (2, 1):
            await put(
                rig,
                ProductMedia(
                    id=rig.new_id(),
                    product_id=owner.id,
                    kind="image",
                    url=f"https://pictures.example/{place}.png",
                    position=place,
                    source="custom",
                ),
            )
        assert [row.position for row in await rig.assortment.media(owner.id)] == [1, 2]
        assert await rig.assortment.media(NOBODY) == ()
        assert await rig.assortment.media("none") == ()

    async def test_the_offer_that_is_bought_first_stands_in_front(self, rig: AssortmentRig) -> None:
        goods = rows_of(rig).goods(stock=0, cost=Decimal("1.00"))
        await record(rig, stocked(goods))
        assert goods.offer is not None
        dearer = msgspec.structs.replace(
            goods.offer, id=rig.new_id(), offer_id="dearer", cost=Decimal("8.00"), stock=4
        )
        await put(rig, dearer)
        offers = await rig.assortment.offers(goods.product.id)
        assert [(row.offer_id, row.stock) for row in offers] == [
            ("dearer", 4),
            (goods.offer.offer_id, 0),
        ]
        (costed,) = (
            await rig.assortment.costed(
                category=None, product_id=goods.product.id, limit=9, after=None
            )
        ).items
        assert (costed.cost, costed.price) == (Decimal("8.00"), Decimal("12.50"))


class PriceListsContract(Contract):
    """Rules, prices, and what they are worked out from."""

    async def test_rules_are_found_by_scope_and_subject(self, rig: AssortmentRig) -> None:
        everywhere = await put(rig, rule_of(rig))
        shelf = await put(rig, rule_of(rig, scope="category", subject="rpg", cap=Decimal("59.99")))
        read = rig.assortment.rules
        assert await whole(lambda after: read(scope=None, subject=None, limit=1, after=after)) == [
            shelf,
            everywhere,
        ]
        by_scope = await read(scope="category", subject=None, limit=9, after=None)
        assert by_scope.items == (shelf,)
        by_subject = await read(scope=None, subject="rpg", limit=9, after=None)
        assert by_subject.items == (shelf,)

    async def test_a_history_is_read_from_its_end(self, rig: AssortmentRig) -> None:
        owner, other = await product(rig), await product(rig)
        rule = rule_of(rig).snapshot()
        made = [
            await put(
                rig,
                PriceRecord(
                    id=rig.new_id(),
                    product_id=owner.id,
                    at=rig.now(),
                    reason="rule",
                    price=Decimal(10 + n),
                    floor=Decimal("9.10"),
                    cost=Decimal("9.00"),
                    gateway_fee=FEE,
                    rule=rule,
                ),
            )
            for n in range(3)
        ]
        read = rig.assortment.price_history
        found = await whole(lambda after: read(owner.id, limit=2, after=after))
        assert found == list(reversed(made))
        assert await rig.assortment.price_record(made[0].id) == made[0]
        assert await rig.assortment.price_record("none") is None
        for nothing in (other.id, NOBODY, "none"):
            assert (await read(nothing, limit=2, after=None)).items == ()

    async def test_costs_are_told_by_id_of_all_or_of_a_category(self, rig: AssortmentRig) -> None:
        plain, shelved = await product(rig), await product(rig, category="rpg")
        own = await own_stock(rig, "2.00", "3.00")
        empty = await own_stock(rig)
        read = rig.assortment.costed
        every = await whole(
            lambda after: read(category=None, product_id=None, limit=2, after=after)
        )
        assert [each.id for each in every] == sorted(
            [plain.id, shelved.id, own.product.id, empty.product.id]
        )
        costs = {each.id: each.cost for each in every}
        assert costs[plain.id] == Decimal("9.00")
        assert costs[own.product.id] == Decimal("3.00")
        assert costs[empty.product.id] is None
        of_shelf = await read(category="rpg", product_id=None, limit=9, after=None)
        assert [each.id for each in of_shelf.items] == [shelved.id]

    async def test_what_is_still_to_be_priced_is_counted(self, rig: AssortmentRig) -> None:
        assert (await rig.assortment.reprice_work()).oldest is None
        requests = tuple(JobRequest(kind="reprice", ref=ref) for ref in ("all", NOBODY))
        await record(rig, Decision(jobs=requests))
        work = await rig.assortment.reprice_work()
        assert (work.pending, work.dead) == (2, 0)
        assert work.oldest is not None

    @pytest.mark.parametrize("after", ["", "no key", "-1", "9" * 40])
    async def test_a_key_that_is_none_is_refused(self, rig: AssortmentRig, after: str) -> None:
        look = rig.assortment
        for read in (
            lambda: look.products(ANY, limit=1, after=after),
            lambda: look.rules(scope=None, subject=None, limit=1, after=after),
            lambda: look.costed(category=None, product_id=None, limit=1, after=after),
            lambda: look.groups(limit=1, after=after),
            lambda: look.keys(NOBODY, state=None, limit=1, after=after),
            lambda: look.low_stock(limit=1, after=after),
        ):
            with pytest.raises(Refused) as refused:
                await read()
            assert (refused.value.code, refused.value.field) == ("invalid-input", "cursor")


class ShelfListsContract(Contract):
    """Categories, groups, own stock, and runs through catalogues."""

    async def test_categories_stand_by_position(self, rig: AssortmentRig) -> None:
        for slug, position in (("b", 1), ("a", 1), ("c", 0)):
            await put(rig, category_of(rig, slug, position))
        found = await rig.assortment.categories()
        assert [row.slug for row in found] == ["c", "a", "b"]
        assert found[0].genres == ("RPG", "Action")
        assert await rig.assortment.category(found[0].id) == found[0]

    async def test_a_group_is_told_with_its_members_in_order(self, rig: AssortmentRig) -> None:
        group = await put(rig, group_of(rig, "editions"))
        owners = [await product(rig) for _ in range(2)]
        for place, owner in zip((2, 1), owners, strict=True):
            await put(
                rig,
                GroupMember(
                    id=rig.new_id(), group_id=group.id, product_id=owner.id, position=place
                ),
            )
        file = await rig.assortment.group(group.id)
        assert file is not None
        assert [row.product_id for row in file.members] == [row.id for row in reversed(owners)]
        assert await rig.assortment.group("none") is None

    async def test_own_stock_is_listed_and_counted(self, rig: AssortmentRig) -> None:
        goods, rows = await own_stock(rig, "2.00", "3.00"), rows_of(rig)
        over = rows.stock_key(goods.product, expires_at=rig.now() - timedelta(days=1))
        burned = rows.stock_key(goods.product)
        await store(rig, *inserts(*over, *burned))
        await change(rig, msgspec.structs.replace(burned[1], version=1), state="burned")
        read = rig.assortment.keys
        every = await whole(lambda after: read(goods.product.id, state=None, limit=3, after=after))
        assert len(every) == 4
        assert every[0].id == burned[1].id
        gone = await read(goods.product.id, state="burned", limit=9, after=None)
        assert [line.id for line in gone.items] == [burned[1].id]
        assert await rig.assortment.key(burned[1].id) == every[0]
        assert await rig.assortment.stock(goods.product.id) == StockCounts(
            available=2, burned=1, expired=1, value=Decimal("5.00")
        )
        assert await rig.assortment.stock("none") == StockCounts()
        assert (await read("none", state=None, limit=9, after=None)).items == ()

    async def test_own_stock_tells_its_kind_and_what_it_was_sold_for(
        self, rig: AssortmentRig
    ) -> None:
        goods, rows = await own_stock(rig, "2.00"), rows_of(rig)
        sale = await sold(rig, "delivered", goods=goods)
        sealed, key = rows.stock_key(
            goods.product, cost=Decimal("1.25"), state="sold", order_item_id=sale.item.id
        )
        await store(rig, *inserts(msgspec.structs.replace(sealed, kind="account"), key))
        read = rig.assortment.keys
        page = await read(goods.product.id, state="sold", kind="account", limit=9, after=None)
        (line,) = page.items
        assert (line.id, line.kind, line.sold_for) == (key.id, "account", sale.item.unit_price)
        assert await rig.assortment.key(key.id) == line
        others = await read(goods.product.id, state=None, kind="key", limit=9, after=None)
        assert [(each.kind, each.sold_for) for each in others.items] == [("key", None)]
        counts = await rig.assortment.stock(goods.product.id)
        assert (counts.sold_for, counts.sold_cost) == (sale.item.unit_price, Decimal("1.25"))

    async def test_products_of_which_few_are_left_are_told(self, rig: AssortmentRig) -> None:
        few, none = await product(rig, low_stock_at=10), await own_stock(rig)
        await change(rig, await _again(rig, none.product), low_stock_at=0)
        await product(rig, low_stock_at=9)
        await product(rig, low_stock_at=50, is_published=False)
        # What suppliers declare together may be more than a number of the store holds.
        many = rows_of(rig).goods(stock=2**31 - 1)
        assert many.offer is not None
        await record(rig, stocked(many))
        await change(rig, await _again(rig, many.product), low_stock_at=9)
        await put(rig, msgspec.structs.replace(many.offer, id=rig.new_id(), offer_id="beside"))
        found = await whole(lambda after: rig.assortment.low_stock(limit=1, after=after))
        assert [(line.id, line.available) for line in found] == [(few.id, 10), (none.product.id, 0)]

    async def test_runs_are_told_with_what_they_could_not_read(self, rig: AssortmentRig) -> None:
        done = await put(rig, _run(rig, state="done"))
        running = await put(rig, _run(rig))
        refusal = await put(
            rig,
            CatalogueRefusal(
                id=rig.new_id(), sync_id=done.id, page=3, reason="price is none", at=rig.now()
            ),
        )
        read = rig.assortment.syncs
        every = await whole(lambda after: read(supplier=None, state=None, limit=1, after=after))
        assert every == [running, done]
        now = await read(supplier="supplier", state="running", limit=9, after=None)
        assert now.items == (running,)
        assert (await read(supplier="other", state=None, limit=9, after=None)).items == ()
        told = await rig.assortment.refusals(done.id, limit=9, after=None)
        assert told.items == (refusal,)
        assert (await rig.assortment.refusals("none", limit=9, after=None)).items == ()


def _run(rig: AssortmentRig, **fields: object) -> CatalogueSync:
    row = CatalogueSync(id=rig.new_id(), supplier="supplier", kind="full", started_at=rig.now())
    return msgspec.structs.replace(row, **fields)


class AssortmentContract(
    RemovalContract,
    LockedReadsContract,
    ProductListsContract,
    PriceListsContract,
    ShelfListsContract,
):
    """Fixture `rig`: an `AssortmentRig`."""
