"""Both stores answer every question to the shelf alike, and cut texts up alike."""

import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import msgspec
import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bitloot.domain.decision import Decision, insert
from bitloot.domain.limits import Limits
from bitloot.domain.product import Offer, Product, new_listing
from bitloot.domain.search_text import is_slip, words_of
from bitloot.ports.views.catalog import ACCLAIMED, SORTS, CatalogViews, Fences, ShelfQuery
from bitloot.ports.views.shelf import Way, key_after
from bitloot.testing.invented_catalogue import InventedCatalogue
from bitloot_adapters.clock import new_id
from bitloot_adapters.memory.rigs import MemoryStoreRig
from bitloot_adapters.memory.views.catalog import MemoryCatalogViews
from bitloot_adapters.postgres.pool import open_database
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork
from bitloot_adapters.postgres.views.catalog import PostgresCatalogViews
from bitloot_web.devservices import Databases

LIMITS = Limits()
FEE = Decimal("0.01")
SIZE = 90
QUESTIONS = 300
# So few that common words are hit more often, some of them among the acclaimed alone.
NARROW = Fences(candidates=12, hits=10)
# How its pages come after each other then.
OF_MANY: set[tuple[Way, Way]] = {
    ("best", "best"), ("best", "few"), ("best", "walk"), ("few", "few"), ("walk", "walk"),
}  # fmt: skip
AT = datetime(2026, 1, 2, tzinfo=UTC)


def assortment() -> list[Decision]:
    """Few words, few platforms, many as popular as others: many products for each question."""
    invented, decisions = InventedCatalogue(3, SIZE, words=60), []
    for place in range(SIZE):
        one = invented.product(place)
        assert one is not None
        own = place % 9 == 0
        product = Product(
            id=new_id(), slug=f"p-{place * 37 % SIZE:03}", title=one.title,
            original_name=one.original_name, source="custom" if own else "kinguin",
            supplier_product_id=None if own else one.supplier_product_id,
            category=one.genres[0].lower(), platform=one.platform, region=one.region,
            genres=one.genres, tags=one.tags,
            metacritic=one.metacritic if place % 3 else Decimal(ACCLAIMED + place % 2),
            is_published=place % 11 != 0, hides_when_sold_out=place % 2 == 0,
            created_at=AT, updated_at=AT,
        )  # fmt: skip
        listing = new_listing(
            product, price=Decimal(place % 20 + 1), floor=Decimal(0),
            is_available=one.stock > 0 and not own, at=AT,
        )  # fmt: skip
        offer = Offer(
            id=new_id(), product_id=product.id, supplier="kinguin", offer_id=one.offer_id,
            supplier_product_id=one.supplier_product_id, cost=Decimal(1), stock=one.stock,
            updated_at=AT,
        )  # fmt: skip
        rows = (product, listing) if own else (product, listing, offer)
        decisions.append(Decision(save=tuple(insert(row) for row in rows)))
    return decisions


@pytest.fixture(params=[Fences(), NARROW], ids=["few hits", "many hits"])
def fences(request: pytest.FixtureRequest) -> Fences:
    chosen = request.param
    assert isinstance(chosen, Fences)
    return chosen


@pytest.fixture
async def stores(shop_url: str, fences: Fences) -> AsyncIterator[tuple[CatalogViews, CatalogViews]]:
    memory = MemoryStoreRig()
    async with open_database(shop_url, LIMITS) as database:
        uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=LIMITS.job_attempts)
        for decision in assortment():
            for one in (memory.uow, uow):
                async with one.begin() as tx:
                    await tx.record(decision)
        yield (
            MemoryCatalogViews(memory.store, gateway_fee=FEE, fences=fences),
            PostgresCatalogViews(database, gateway_fee=FEE, fences=fences),
        )


def question(drawn: random.Random, words: list[str]) -> ShelfQuery:
    """Anything that may be asked, now and then with a slip in it."""

    def sometimes(*values: str) -> str | None:
        return drawn.choice(values) if drawn.random() < 0.3 else None

    if drawn.random() < 0.2:
        return ShelfQuery(text=text(drawn, words), in_stock=drawn.random() < 0.3)
    prices = sorted(Decimal(drawn.randrange(1, 21)) for _ in range(2))
    return ShelfQuery(
        text=None if drawn.random() < 0.3 else text(drawn, words),
        category=sometimes("action", "indie", "rpg", "casual"),
        platform=sometimes("Steam", "EA App", "Epic Games"),
        region=sometimes("Region free", "Europe"),
        source=sometimes("kinguin", "custom", "nobody"),
        price_from=prices[0] if drawn.random() < 0.3 else None,
        price_to=prices[1] if drawn.random() < 0.3 else None,
        in_stock=drawn.random() < 0.3,
        sort=drawn.choice(SORTS),
    )


def text(drawn: random.Random, words: list[str]) -> str:
    """One to three words, in any order, the last of them cut short, some with a letter less."""
    chosen = [drawn.choice(words) for _ in range(drawn.choice((1, 1, 1, 2, 3)))]
    if drawn.random() < 0.4:
        chosen[-1] = chosen[-1][: drawn.randrange(1, len(chosen[-1]) + 1)]
    if drawn.random() < 0.4:
        place = drawn.randrange(len(chosen[0]))
        chosen[0] = chosen[0][:place] + drawn.choice(("", "e", "s")) + chosen[0][place + 1 :]
    return " ".join(chosen)


async def answers(
    views: CatalogViews, query: ShelfQuery, limit: int
) -> tuple[list[tuple[object, ...]], list[Way]]:
    """Every page in turn: what is shown, and how words were read; and how each page was found."""
    found: list[tuple[object, ...]] = []
    ways: list[Way] = []
    after: str | None = None
    for _ in range(SIZE):
        shelf = await views.products(query, limit=limit, after=after)
        found += [(view.slug, view.price, view.available) for view in shelf.page.items]
        found.append(shelf.readings)
        after = shelf.page.after
        key = key_after(after)
        if key is None:
            return found, ways
        ways.append(key.way)
    raise AssertionError("pages without end")


async def test_both_stores_give_the_same_answers_in_the_same_order(
    stores: tuple[CatalogViews, CatalogViews], fences: Fences
) -> None:
    drawn, (memory, postgres) = random.Random(17), stores
    products = (row.after for decision in assortment() for row in decision.save)
    titles = [row.title for row in products if isinstance(row, Product)]
    words = sorted({word for title in titles for word in words_of(title)} | {"europe", "indie"})
    hits = mended = 0
    turns: set[tuple[Way, Way]] = set()
    for _ in range(QUESTIONS):
        query = question(drawn, words)
        limit = drawn.choice((2, 3, 7)) if query.text else 7
        theirs, _ = await answers(memory, query, limit)
        ours, ways = await answers(postgres, query, limit)
        assert ours == theirs, query
        turns |= set(pairwise(ways)) if query.text else set()
        hits += len(ours) > 1
        mended += any(isinstance(each[0], msgspec.Struct) for each in ours if each)
    assert min(hits, mended) > 10, (hits, mended)
    assert turns >= (OF_MANY if fences == NARROW else {("best", "few"), ("few", "few")})
    assert await memory.filters() == await postgres.filters()


LETTERS = st.one_of(
    st.sampled_from("aAeEzZ0129 -._/@:&<>+~'\u2019!?()[]\"\\|*\u2122\u00a0"),
    st.characters(min_codepoint=0x20, max_codepoint=0x24F),
    st.characters(min_codepoint=0x370, max_codepoint=0x44F),
    st.sampled_from("\u0301\u0308\u4e2d\u6587\u30c6\u30b9\u30c8\U0001f47e\u2603\ufb01"),
)


@settings(max_examples=300)
@given(st.lists(st.text(LETTERS, max_size=30), min_size=20, max_size=20))
@example(["0E0A", "12e3abc4 1e2e3f", "3e5\u00e9 a1e2b 3e 3ea e5x", "1e5x1e6y 7e7-8e8b"])
def test_texts_are_cut_into_the_same_words(plain_url: str, texts: list[str]) -> None:
    with psycopg.connect(plain_url) as connection:
        rows = connection.execute(
            b"SELECT tsvector_to_array(to_tsvector('pg_catalog.simple', bitloot_plain(each)))"
            b" FROM unnest(%s::text[]) WITH ORDINALITY AS told(each, place) ORDER BY place",
            [texts],
        ).fetchall()
    for written, (lexemes,) in zip(texts, rows, strict=True):
        assert set(lexemes) == set(words_of(written)), written


WORDS = st.text(st.sampled_from("abc"), min_size=1, max_size=7)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=100, max_size=100))
def test_slips_are_known_alike(plain_url: str, pairs: list[tuple[str, str]]) -> None:
    with psycopg.connect(plain_url) as connection:
        rows = connection.execute(
            b"SELECT bitloot_slip(word, typed) FROM unnest(%s::text[], %s::text[])"
            b" WITH ORDINALITY AS told(word, typed, place) ORDER BY place",
            [[word for word, _ in pairs], [typed for _, typed in pairs]],
        ).fetchall()
    assert [found for (found,) in rows] == [is_slip(word, typed) for word, typed in pairs]


@pytest.fixture(scope="module")
def plain_url(postgres_server: Databases, shop_template: str) -> Iterator[str]:
    name = "shelf_words"
    yield postgres_server.create_database(name, shop_template)
    postgres_server.drop_database(name)
