"""The suite of the views of the shelf: what is published is found, at the price of a quote."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TypedDict, Unpack

import msgspec
import pytest

from bitloot.domain.category import Category
from bitloot.domain.errors import Refused
from bitloot.domain.pricing import unit_price
from bitloot.domain.product import new_listing
from bitloot.domain.product_group import GroupMember, ProductGroup
from bitloot.domain.product_media import ProductMedia
from bitloot.ports.views.catalog import ProductDetail, Reading, Shelf, ShelfQuery, Sort
from bitloot.testing.contract import Contract
from bitloot.testing.rows import FEE, PRICE, SUPPLIER, Goods, stocked
from bitloot.testing.store_rig import own_stock, record, rows_of
from bitloot.testing.view_rig import ViewsRig, change, put

NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"
EVERYTHING = ShelfQuery()
# Rigs count facets exactly up to this.
COUNTED_BY_RIG = 6


class Told(TypedDict, total=False):
    """What may be said of a product that is put on sale."""

    title: str
    category: str
    platform: str
    region: str
    genres: tuple[str, ...]
    metacritic: Decimal
    hides_when_sold_out: bool


async def on_sale(
    rig: ViewsRig,
    slug: str,
    *,
    stock: int = 5,
    cost: str = "9.00",
    price: Decimal = PRICE,
    **told: Unpack[Told],
) -> Goods:
    """A product of the supplier on the shelf."""
    goods = rows_of(rig).goods(stock=stock, cost=Decimal(cost))
    product = msgspec.structs.replace(goods.product, slug=slug, **told)
    listing = new_listing(
        product, price=price, floor=Decimal(0), is_available=stock > 0, at=rig.now()
    )
    named = msgspec.structs.replace(goods, product=product, listing=listing)
    await record(rig, stocked(named))
    return msgspec.structs.replace(named, product=msgspec.structs.replace(product, version=1))


async def pages(rig: ViewsRig, query: ShelfQuery, *, limit: int = 2) -> list[str]:
    """The slugs of every page, one after the other."""
    slugs: list[str] = []
    after: str | None = None
    for _ in range(100):
        shelf = await rig.catalog.products(query, limit=limit, after=after)
        slugs += [product.slug for product in shelf.page.items]
        after = shelf.page.after
        if after is None:
            return slugs
        assert len(shelf.page.items) == limit
    raise AssertionError("pages without end")


async def found(rig: ViewsRig, text: str, *, sort: Sort = "popular") -> Shelf:
    """The first page of a search."""
    return await rig.catalog.products(ShelfQuery(text=text, sort=sort), limit=10, after=None)


async def slugs_of(rig: ViewsRig, text: str) -> list[str]:
    """What a search finds."""
    return [product.slug for product in (await found(rig, text)).page.items]


async def shown(rig: ViewsRig, slug: str) -> ProductDetail:
    """One product that is there."""
    product = await rig.catalog.product(slug)
    assert product is not None
    return product


async def grouped(
    rig: ViewsRig, slug: str, *goods: Goods, is_shown: bool = True, backwards: bool = False
) -> ProductGroup:
    """A group of these products, in this order or in the other."""
    at = rig.now()
    group = await put(
        rig,
        ProductGroup(
            id=rig.new_id(),
            slug=slug,
            title=slug.title(),
            is_shown=is_shown,
            created_at=at,
            updated_at=at,
        ),
    )
    for place, one in enumerate(goods):
        await put(
            rig,
            GroupMember(
                id=rig.new_id(),
                group_id=group.id,
                product_id=one.product.id,
                position=-place if backwards else place,
                label=f"label {place}",
            ),
        )
    return group


class CatalogViewsContract(Contract):
    """The shelf shows what is published, narrowed, sorted and searched, a page at a time."""

    # --- lists -----------------------------------------------------------------------------------

    async def test_every_order_gives_every_listed_product_once_over_its_pages(
        self, rig: ViewsRig
    ) -> None:
        for slug, price, critics in (
            ("b-2", "5", 70), ("a-1", "3", 90), ("c-3", "4", 70), ("b-10", "3", 0), ("d", "1", 99),
        ):  # fmt: skip
            goods = await on_sale(
                rig, slug, price=Decimal(price), cost="0.10", metacritic=Decimal(critics)
            )
        await change(rig, goods.product, is_published=False)
        expected: dict[Sort, Sequence[str]] = {
            "popular": ["a-1", "c-3", "b-2", "b-10"],
            "price": ["a-1", "b-10", "c-3", "b-2"],
            "-price": ["b-2", "c-3", "b-10", "a-1"],
            "newest": ["b-10", "c-3", "a-1", "b-2"],
            "title": ["a-1", "b-10", "b-2", "c-3"],
        }
        for sort, slugs in expected.items():
            for limit in (1, 2, 3, 9):
                query = ShelfQuery(sort=sort)
                assert (sort, await pages(rig, query, limit=limit)) == (sort, slugs)

    async def test_filters_narrow_the_shelf_each_alone_and_all_together(
        self, rig: ViewsRig
    ) -> None:
        for slug, category, platform, region, price in (
            ("one", "action", "Steam", "Europe", "5.00"),
            ("two", "action", "GOG", "Europe", "6.00"),
            ("three", "puzzle", "Steam", "Asia", "7.00"),
            ("four", "action", "Steam", "Asia", "8.00"),
        ):
            await on_sale(
                rig, slug, category=category, platform=platform, region=region,
                price=Decimal(price), cost="1",
            )  # fmt: skip
        cases: dict[ShelfQuery, list[str]] = {
            ShelfQuery(category="action"): ["one", "two", "four"],
            ShelfQuery(platform="Steam"): ["one", "three", "four"],
            ShelfQuery(region="Asia"): ["three", "four"],
            ShelfQuery(price_from=Decimal(6), price_to=Decimal(7)): ["two", "three"],
            ShelfQuery(price_to=Decimal("5.00")): ["one"],
            ShelfQuery(price_from=Decimal("8.01")): [],
            ShelfQuery(category="action", platform="Steam", region="Asia"): ["four"],
            ShelfQuery(category="action", price_from=Decimal(6)): ["two", "four"],
            ShelfQuery(category="no-such"): [],
            ShelfQuery(platform="Steam", source="custom"): [],
        }
        sorts: tuple[Sort, ...] = ("popular", "price", "-price", "newest", "title")
        for query, slugs in cases.items():
            for sort in sorts:
                seen = await pages(rig, msgspec.structs.replace(query, sort=sort), limit=2)
                assert (query, sort, sorted(seen)) == (query, sort, sorted(slugs))

    async def test_the_shelf_is_narrowed_by_source_and_by_stock(self, rig: ViewsRig) -> None:
        await on_sale(rig, "theirs", stock=1)
        await on_sale(rig, "theirs-gone", stock=0)
        ours, ours_gone = await own_stock(rig, "5", "6"), await own_stock(rig)

        async def slugs(source: str | None, *, in_stock: bool) -> set[str]:
            return set(await pages(rig, ShelfQuery(source=source, in_stock=in_stock)))

        own = {ours.product.slug, ours_gone.product.slug}
        assert await slugs("custom", in_stock=False) == own
        assert await slugs("custom", in_stock=True) == {ours.product.slug}
        assert await slugs(SUPPLIER, in_stock=True) == {"theirs"}
        assert len(await slugs(None, in_stock=False)) == 4
        assert (await shown(rig, ours.product.slug)).available == 2

    async def test_what_hides_when_sold_out_is_not_listed_but_is_still_there(
        self, rig: ViewsRig
    ) -> None:
        await on_sale(rig, "hiding", stock=0, title="Hiding", hides_when_sold_out=True)
        assert await pages(rig, EVERYTHING) == []
        assert await slugs_of(rig, "hiding") == []
        assert (await shown(rig, "hiding")).available == 0

    async def test_keys_of_pages_that_nobody_gave_out_are_refused(self, rig: ViewsRig) -> None:
        for after in (
            "", "x", "{}", "[]", '{"way":"few"}', '{"way":"all","id":"' + NOBODY + '"}',
            '{"way":"few","id":"1"}', '{"way":"walk","id":"' + NOBODY + '","rank":"1"}', "\ud800",
        ):  # fmt: skip
            with pytest.raises(Refused, match="invalid-input"):
                await rig.catalog.products(EVERYTHING, limit=2, after=after)

    # --- search ----------------------------------------------------------------------------------

    async def test_words_are_found_without_accents_capitals_and_signs(self, rig: ViewsRig) -> None:
        await on_sale(rig, "creed", title="Assassin\u2019s Cr\u00e9ed: ODYSSEY\u2122 (Co-op)")
        await on_sale(rig, "other", title="Another thing")
        for text in (
            "assassins creed", "ASSASSIN'S CREED", "cre\u0301ed odyssey", "odyssey co op",
            "co-op odyssey", "ody", "  odyssey,creed!  ", "creed odyssey creed",
        ):  # fmt: skip
            assert (text, await slugs_of(rig, text)) == (text, ["creed"])
        for text in ("assassins thing", "yssey", "creedo x", "nothing"):
            assert (text, await slugs_of(rig, text)) == (text, [])

    async def test_only_the_last_word_may_be_the_beginning_of_one(self, rig: ViewsRig) -> None:
        await on_sale(rig, "lantern", title="Lantern Keeper")
        assert await slugs_of(rig, "lantern kee") == ["lantern"]
        assert await slugs_of(rig, "kee lantern") == []

    async def test_platforms_regions_and_genres_are_found_too(self, rig: ViewsRig) -> None:
        await on_sale(
            rig, "one", title="One", platform="Battle.net", region="Europe", genres=("Story rich",)
        )
        await on_sale(rig, "two", title="Two", platform="Steam", region="Asia")
        for text in ("battle net", "battle.net", "europe", "story rich", "one europe"):
            assert (text, await slugs_of(rig, text)) == (text, ["one"])
        assert await slugs_of(rig, "two europe") == []

    async def test_the_popular_come_first_and_among_them_those_with_the_words_in_their_titles(
        self, rig: ViewsRig
    ) -> None:
        await on_sale(rig, "genre", title="Alpha", genres=("Horror",), metacritic=Decimal(80))
        await on_sale(rig, "title", title="Horror Night", metacritic=Decimal(80))
        await on_sale(rig, "place", title="Beta", platform="Horror", metacritic=Decimal(80))
        await on_sale(rig, "loved", title="Gamma", genres=("Horror",), metacritic=Decimal(95))
        ordered = ["loved", "title", "place", "genre"]
        assert await slugs_of(rig, "horror") == ordered
        assert await pages(rig, ShelfQuery(text="horror"), limit=1) == ordered

    async def test_a_search_is_narrowed_and_sorted_as_a_list_is(self, rig: ViewsRig) -> None:
        for slug, platform, price in (
            ("a", "Steam", "3"), ("b", "GOG", "1"), ("c", "Steam", "2"), ("d", "Steam", "9"),
        ):  # fmt: skip
            await on_sale(
                rig, slug, title=f"Quest {slug}", platform=platform, price=Decimal(price), cost="1"
            )
        query = ShelfQuery(text="quest", platform="Steam", price_to=Decimal(5), sort="price")
        assert await pages(rig, query, limit=1) == ["c", "a"]
        assert await pages(rig, ShelfQuery(text="quest", sort="title"), limit=3) == list("abcd")
        assert await pages(rig, ShelfQuery(text="quest", sort="newest"), limit=3) == list("dcba")

    async def test_a_text_without_a_word_finds_nothing_and_breaks_nothing(
        self, rig: ViewsRig
    ) -> None:
        await on_sale(rig, "one", title="One")
        for text in ("", "   ", "&|!():*<->", "\U0001f47e\U0001f3ae", "\x00", "'';--", "\\", "''"):
            assert (text, await slugs_of(rig, text)) == (text, [])

    async def test_a_word_too_long_for_any_index_is_none(self, rig: ViewsRig) -> None:
        await on_sale(rig, "moon", title="Moon Base")
        # One sign that stands for six letters: what was typed is short.
        assert await slugs_of(rig, "\u3316" * 200) == []
        assert await slugs_of(rig, "moon " + "\u3316" * 190) == ["moon"]

    async def test_operators_among_words_are_no_operators(self, rig: ViewsRig) -> None:
        await on_sale(rig, "one", title="One Two")
        for text in ("one & two", "one | nothing", "!one", "one:*", "(one", "one <-> two", "on'e"):
            hits = [] if "nothing" in text else ["one"]
            assert (text, await slugs_of(rig, text)) == (text, hits)

    async def test_what_is_hidden_or_renamed_is_found_no_more(self, rig: ViewsRig) -> None:
        goods = await on_sale(rig, "one", title="Firstname")
        renamed = await change(rig, goods.product, title="Secondname")
        assert await slugs_of(rig, "firstname") == []
        assert await slugs_of(rig, "secondname") == ["one"]
        await change(rig, renamed, is_published=False)
        assert await slugs_of(rig, "secondname") == []

    # --- slips -----------------------------------------------------------------------------------

    async def test_a_letter_wrong_missing_doubled_or_swapped_is_mended(self, rig: ViewsRig) -> None:
        await on_sale(rig, "lantern", title="Lantern Keeper")
        await on_sale(rig, "harbour", title="Harbour Story")
        for typed in ("lanterm", "latern", "lanntern", "lantren", "antern", "alntern"):
            shelf = await found(rig, f"{typed} keeper")
            assert (typed, [one.slug for one in shelf.page.items]) == (typed, ["lantern"])
            assert shelf.readings == (Reading(word=typed, read_as=("lantern",)),)

    async def test_two_slips_in_a_word_are_not_mended(self, rig: ViewsRig) -> None:
        await on_sale(rig, "lantern", title="Lantern Keeper")
        for typed in ("lamterm", "lntrn", "xlanternx", "nretnal"):
            shelf = await found(rig, f"{typed} keeper")
            assert (typed, shelf.page.items, shelf.readings) == (typed, (), ())

    async def test_a_word_that_is_known_is_read_as_it_is(self, rig: ViewsRig) -> None:
        await on_sale(rig, "house", title="House Party", platform="Steam")
        await on_sale(rig, "mouse", title="Mouse Hunt", platform="Stean")
        shelf = await found(rig, "house hunt")
        assert (shelf.page.items, shelf.readings) == ((), ())
        assert await slugs_of(rig, "mouse") == ["mouse"]
        assert await slugs_of(rig, "steam mouse") == []

    async def test_every_word_that_a_slip_may_have_meant_is_looked_for(self, rig: ViewsRig) -> None:
        await on_sale(rig, "house", title="House Party")
        await on_sale(rig, "mouse", title="Mouse Hunt")
        shelf = await found(rig, "qouse")
        assert {one.slug for one in shelf.page.items} == {"house", "mouse"}
        assert shelf.readings == (Reading(word="qouse", read_as=("house", "mouse")),)

    # --- products --------------------------------------------------------------------------------

    async def test_a_product_shows_what_a_quote_would_say(self, rig: ViewsRig) -> None:
        cheap = await on_sale(rig, "cheap", stock=3, cost="9.00")
        dear = await on_sale(rig, "dear", stock=2, cost="20.00")
        shown_cheap, shown_dear = await shown(rig, "cheap"), await shown(rig, "dear")
        assert (shown_cheap.id, shown_cheap.available) == (cheap.product.id, 3)
        assert (shown_cheap.price, shown_cheap.source) == (PRICE, SUPPLIER)
        assert shown_dear.price == unit_price(Decimal("20.00"), Decimal(0), FEE)
        shelf = await rig.catalog.products(EVERYTHING, limit=9, after=None)
        assert {one.slug: one.price for one in shelf.page.items} == {
            "cheap": shown_cheap.price,
            "dear": shown_dear.price,
        }
        (facts,) = await rig.catalog.sellables([dear.product.id])
        assert (facts.product.id, facts.available) == (dear.product.id, 2)
        assert facts.unit_cost == Decimal(20)

    async def test_what_cannot_be_had_is_shown_without_units(self, rig: ViewsRig) -> None:
        await on_sale(rig, "gone", stock=0)
        gone = await shown(rig, "gone")
        assert (gone.available, gone.price) == (0, PRICE)
        empty = await own_stock(rig)
        shown_empty = await shown(rig, empty.product.slug)
        assert (shown_empty.available, shown_empty.price) == (0, PRICE)
        assert [(each.source, each.available) for each in shown_empty.offers] == [("custom", 0)]

    async def test_hidden_and_unknown_products_are_not_there(self, rig: ViewsRig) -> None:
        goods = await on_sale(rig, "hidden")
        await change(rig, goods.product, is_published=False)
        for slug in ("hidden", "nothing", "", "\x00", "' OR 1=1"):
            assert await rig.catalog.product(slug) is None

    async def test_a_product_is_told_with_its_media_and_its_offers(self, rig: ViewsRig) -> None:
        goods = await on_sale(rig, "one", title="One", genres=("Action",), stock=4)
        for position, kind in ((2, "video"), (1, "image"), (3, "screenshot")):
            media = ProductMedia(
                id=rig.new_id(),
                product_id=goods.product.id,
                kind="video" if kind == "video" else "image",
                url=f"https://pictures.example/{kind}",
                position=position,
                source="custom",
            )
            await put(rig, media)
        product = await shown(rig, "one")
        assert [each.url.rpartition("/")[2] for each in product.media] == [
            "image",
            "video",
            "screenshot",
        ]
        assert [(each.source, each.available) for each in product.offers] == [(SUPPLIER, 4)]
        assert (product.genres, product.groups) == (("Action",), ())

    async def test_facts_for_a_quote_come_in_the_order_asked_for(self, rig: ViewsRig) -> None:
        one, two = await on_sale(rig, "one"), await own_stock(rig, "4")
        asked = [two.product.id, NOBODY, one.product.id]
        facts = await rig.catalog.sellables(asked)
        assert [s.product.id for s in facts] == [two.product.id, one.product.id]
        assert (facts[0].offer, facts[0].unit_cost) == (None, Decimal(4))
        assert facts[1].offer is not None

    # --- groups, categories, filters -------------------------------------------------------------

    async def test_a_group_shows_what_is_listed_of_it_in_its_order(self, rig: ViewsRig) -> None:
        one, two = await on_sale(rig, "one"), await on_sale(rig, "two", stock=0)
        gone = await on_sale(rig, "gone")
        await change(rig, gone.product, is_published=False)
        await grouped(rig, "variants", one, gone, two, backwards=True)
        group = await rig.catalog.group("variants")
        assert group is not None
        assert [(each.label, each.product.slug) for each in group.members] == [
            ("label 2", "two"),
            ("label 0", "one"),
        ]
        (of_product,) = (await shown(rig, "one")).groups
        assert [(each.slug, each.is_available) for each in of_product.products] == [
            ("two", False),
            ("one", True),
        ]
        assert of_product.products[0].price == PRICE

    async def test_groups_are_listed_by_slug_a_page_at_a_time(self, rig: ViewsRig) -> None:
        one = await on_sale(rig, "one")
        for slug in ("c", "a", "b"):
            await grouped(rig, slug, *([one] if slug == "b" else []))
        await grouped(rig, "hidden", one, is_shown=False)
        first = await rig.catalog.groups(limit=2, after=None)
        assert [(each.slug, each.products) for each in first.items] == [("a", 0), ("b", 1)]
        rest = await rig.catalog.groups(limit=2, after=first.after)
        assert [each.slug for each in rest.items] == ["c"]
        assert rest.after is None
        empty = await rig.catalog.group("a")
        assert empty is not None
        assert empty.members == ()
        for slug in ("hidden", "nothing", "\x00"):
            assert await rig.catalog.group(slug) is None
        assert [each.slug for each in (await shown(rig, "one")).groups] == ["b"]

    async def test_categories_and_filters_count_what_is_listed(self, rig: ViewsRig) -> None:
        assert (await rig.catalog.filters()).price_from is None
        at = rig.now()
        for position, slug in enumerate(("puzzle", "action", "empty", "hidden")):
            category = Category(
                id=rig.new_id(), slug=slug, title=slug.title(), position=position,
                is_shown=slug != "hidden", created_at=at, updated_at=at,
            )  # fmt: skip
            await put(rig, category)
        for number in range(5):
            goods = await on_sale(
                rig, f"n-{number}", price=Decimal(10 + number), platform="Steam",
                category="action" if number else "puzzle",
            )  # fmt: skip
        await change(rig, goods.product, is_published=False)
        told = [(each.slug, each.count, each.is_more) for each in await rig.catalog.categories()]
        assert told == [("puzzle", 1, False), ("action", 3, False), ("empty", 0, False)]
        filters = await rig.catalog.filters()
        assert [(each.value, each.count) for each in filters.categories] == [
            ("action", 3),
            ("puzzle", 1),
        ]
        assert [(each.value, each.count) for each in filters.platforms] == [("Steam", 4)]
        assert filters.regions == ()
        assert (filters.price_from, filters.price_to) == (Decimal(10), Decimal(13))

    async def test_sections_of_the_home_page_have_an_order_of_their_own(
        self, rig: ViewsRig
    ) -> None:
        at = rig.now()
        for position, (slug, place) in enumerate(
            {"strategy": 7, "action": None, "puzzle": 0, "hidden": 1, "arcade": 7}.items()
        ):
            category = Category(
                id=rig.new_id(), slug=slug, title=slug.title(), position=position,
                home_position=place, is_shown=slug != "hidden", created_at=at, updated_at=at,
            )  # fmt: skip
            await put(rig, category)
        told = await rig.catalog.categories(homepage=True)
        assert [(each.slug, each.home_position) for each in told] == [
            ("puzzle", 0), ("arcade", 7), ("strategy", 7),
        ]  # fmt: skip
        every = await rig.catalog.categories()
        assert [each.slug for each in every] == ["strategy", "action", "puzzle", "arcade"]

    async def test_more_than_is_counted_exactly_is_told_as_such(self, rig: ViewsRig) -> None:
        for number in range(COUNTED_BY_RIG + 1):
            await on_sale(rig, f"n-{number}", platform="Steam" if number else "GOG")
        (gog, steam) = (await rig.catalog.filters()).platforms
        assert (gog.value, gog.count, gog.is_more) == ("GOG", 1, False)
        assert (steam.value, steam.count, steam.is_more) == ("Steam", COUNTED_BY_RIG, False)
        await on_sale(rig, "one-more", platform="Steam")
        (_, steam) = (await rig.catalog.filters()).platforms
        assert (steam.count, steam.is_more) == (COUNTED_BY_RIG, True)
