"""What a page of the shelf costs: one round trip, an index for its order, no table read whole."""

import random
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from itertools import chain, combinations

import msgspec
import psycopg
import pytest
from psycopg import sql

from bitloot.domain.limits import Limits
from bitloot.ports.views.assortment import ProductFilter
from bitloot.ports.views.catalog import CANDIDATES, SORTS, ShelfQuery, Sort
from bitloot.testing.invented_catalogue import InventedCatalogue
from bitloot_adapters.postgres.lending import Connection
from bitloot_adapters.postgres.pool import PLANNER, Database, open_database
from bitloot_adapters.postgres.statements import Question, Rows
from bitloot_adapters.postgres.views.assortment import PostgresAssortmentViews
from bitloot_adapters.postgres.views.catalog import PostgresCatalogViews
from bitloot_web.devservices import Databases

# How many products the plans are made over; with --full as many as a shop has.
SIZE = 20_000
FULL_SIZE = 100_000
LIMITS = Limits()
GIVEN = {
    "category": "action",
    "platform": "Steam",
    "region": "Japan",
    "source": "kinguin",
    "price_from": Decimal("20.00"),
    "price_to": Decimal("20.50"),
    "in_stock": True,
}
# Of these no plan reads a whole one, and of none it sorts the rows.
LARGE = {"products", "listings", "search_index", "product_offers", "search_variants"}


class WatchedDatabase(Database):
    """Remembers what it was asked."""

    questions: Sequence[Question] = ()

    def forget(self) -> None:
        self.questions = ()

    async def send(
        self,
        connection: Connection,
        questions: Sequence[Question],
        *,
        patience: float | None = None,
    ) -> list[Rows]:
        self.questions = (*self.questions, *questions)
        return await super().send(connection, questions, patience=patience)


class Shop(msgspec.Struct, frozen=True):
    url: str
    size: int
    database: WatchedDatabase
    views: PostgresCatalogViews


def fill(connection: psycopg.Connection[tuple[object, ...]], size: int) -> None:
    """An invented catalogue, as a synchronisation leaves it."""
    invented = InventedCatalogue(11, size)
    with connection.cursor() as cursor:
        with cursor.copy(
            "COPY products (id, version, slug, title, original_name, source, supplier_product_id,"
            " description, category, platform, region, metacritic, genres, tags, languages,"
            " developers, publishers, system_requirements, excluded_countries, pinned, is_preorder,"
            " hides_when_sold_out, is_published, created_at, updated_at) FROM STDIN"
        ) as rows:
            for place in range(size):
                one = invented.product(place)
                assert one is not None
                genres = list(one.genres)
                rows.write_row(
                    (
                        f"{place:08x}-0000-7000-8000-000000000000", 1, f"game-{place:06}",
                        one.title, one.original_name, "kinguin", one.supplier_product_id,
                        one.description, genres[0].lower(), one.platform, one.region,
                        one.metacritic, genres, list(one.tags), list(one.languages),
                        list(one.developers), list(one.publishers), "[]", [], [], False, False,
                        True, one.updated_at, one.updated_at,
                    )
                )  # fmt: skip
        with cursor.copy(
            "COPY product_offers (id, version, product_id, supplier, supplier_product_id, offer_id,"
            " cost, stock, held, wholesale, updated_at) FROM STDIN"
        ) as rows:
            for place in range(size):
                one = invented.product(place)
                assert one is not None
                identity = f"{place:08x}-0000-7000-8000-00000000"
                rows.write_row(
                    (
                        f"{identity}0001", 1, f"{identity}0000", "kinguin",
                        one.supplier_product_id, one.offer_id, one.price, one.stock, 0, "[]",
                        one.updated_at,
                    )
                )  # fmt: skip
        cursor.execute(
            b"INSERT INTO listings (id, version, is_listed, is_available, price, floor,"
            b" is_loss_signed, rank, category, platform, region, source, updated_at)"
            b" SELECT p.id, 1, true, o.stock > 0, o.cost + 1, o.cost, false,"
            b" coalesce(floor(p.metacritic), 0)::integer, p.category, p.platform, p.region,"
            b" p.source, p.updated_at FROM products p JOIN product_offers o ON o.product_id = p.id"
        )
    connection.execute(b"VACUUM ANALYZE")


@pytest.fixture(scope="module")
def size(request: pytest.FixtureRequest) -> int:
    return FULL_SIZE if request.config.getoption("--full") else SIZE


@pytest.fixture(scope="module")
def filled(postgres_server: Databases, shop_template: str, size: int) -> Iterator[str]:
    url = postgres_server.create_database("shelf_plans", shop_template)
    with psycopg.connect(url, autocommit=True) as connection:
        fill(connection, size)
    yield url
    postgres_server.drop_database("shelf_plans")


@pytest.fixture
async def shop(filled: str, size: int) -> AsyncIterator[Shop]:
    async with open_database(filled, LIMITS) as opened:
        database = WatchedDatabase(opened._lending, patience=60.0)
        yield Shop(
            filled, size, database, PostgresCatalogViews(database, gateway_fee=Decimal("0.01"))
        )


def written_out(question: Question) -> bytes:
    """The statement with its values in the text: EXPLAIN takes no parameters."""
    values = question.parameters or ()

    def value(found: re.Match[str]) -> str:
        return sql.Literal(values[int(found[1]) - 1]).as_string()

    return re.sub(r"\$(\d+)", value, question.statement.sql.decode()).encode()


def nodes(plan: object) -> list[dict[str, object]]:
    """Every step of a plan that is ever run."""
    match plan:
        case list():
            return [node for each in plan for node in nodes(each)]
        case dict():
            if plan.get("Actual Loops") == 0:
                return []
            own = [plan] if "Node Type" in plan else []
            return own + [node for each in plan.values() for node in nodes(each)]
        case _:
            return []


def children(node: dict[str, object]) -> list[dict[str, object]]:
    """The steps that hand their rows to this one."""
    plans = node.get("Plans", [])
    assert isinstance(plans, list)
    return [each for each in plans if each["Parent Relationship"] == "Outer"]


def rows_of(node: dict[str, object]) -> int:
    return round(float(str(node["Actual Rows"])))


async def plan_of(shop: Shop, question: Question, *, is_generic: bool) -> object:
    """How the statement was carried out: planned for its values, or once for all values."""
    explain = b"EXPLAIN (ANALYZE, FORMAT JSON) "
    async with await psycopg.AsyncConnection.connect(shop.url) as connection:
        for name, value in PLANNER.items():
            await connection.execute(f"SET {name} = {value}".encode())
        if is_generic:
            await connection.execute(b"SET plan_cache_mode = force_generic_plan")
            await connection.execute(b"PREPARE asked AS " + question.statement.sql)
            values = (sql.Literal(each).as_string() for each in question.parameters or ())
            text = f"EXECUTE asked({', '.join(values)})".encode().replace(b"asked()", b"asked")
        else:
            text = written_out(question)
        answer = await connection.execute(explain + text)
        row = await answer.fetchone()
    assert row is not None
    return row[0]


async def faults(shop: Shop, question: Question, *, is_generic: bool = False) -> list[str]:
    """Tables that are read from end to end, and sorts of more than the fence lets through."""
    found: list[str] = []
    for node in nodes(await plan_of(shop, question, is_generic=is_generic)):
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE:
            found.append(f"reads {node['Relation Name']}")
        if "Sort" in str(node["Node Type"]):
            below = sum(rows_of(each) for each in children(node))
            if below > CANDIDATES + 1:
                found.append(f"sorts {below}")
    return found


def mixtures(*sizes: int) -> list[dict[str, object]]:
    names = list(GIVEN)
    several = chain.from_iterable(combinations(names, size) for size in (*sizes, len(names)))
    return [{name: GIVEN[name] for name in chosen} for chosen in several]


@pytest.mark.parametrize("text", [None, "deluxe", "zzzzzz", "deluxe steam"])
async def test_no_mixture_of_filters_and_order_reads_or_sorts_a_table(
    shop: Shop, text: str | None
) -> None:
    bad: dict[str, list[str]] = {}
    for sort in SORTS:
        for given in mixtures(0, 1) if text else mixtures(0, 1, 2):
            query = msgspec.convert({"sort": sort, "text": text, **given}, ShelfQuery)
            after: str | None = None
            for page in (1, 2):
                shop.database.forget()
                trips = shop.database.round_trips
                shelf = await shop.views.products(query, limit=20, after=after)
                assert shop.database.round_trips - trips == 1
                (question,) = shop.database.questions
                found = await faults(shop, question)
                if found:
                    bad[f"{sort} {given} {text} page {page}"] = found
                after = shelf.page.after
                if after is None:
                    break
    assert bad == {}


@pytest.mark.parametrize("text", [None, "deluxe", "zzzzzz"])
async def test_neither_does_a_plan_that_is_made_once_for_all_values(
    shop: Shop, text: str | None
) -> None:
    bad: dict[str, list[str]] = {}
    for sort in SORTS:
        for given in mixtures(0, 1):
            query = msgspec.convert({"sort": sort, "text": text, **given}, ShelfQuery)
            shop.database.forget()
            await shop.views.products(query, limit=20, after=None)
            (question,) = shop.database.questions
            found = await faults(shop, question, is_generic=True)
            if found:
                bad[f"{sort} {given} {text}"] = found
    assert bad == {}


def rows_read(plan: object) -> int:
    """Rows that the steps of a plan looked at in all, those put aside too."""
    looked = ("Rows Removed by Filter", "Rows Removed by Index Recheck", "Actual Rows")
    return sum(
        round(float(str(node.get(name, 0))) * float(str(node["Actual Loops"])))
        for node in nodes(plan)
        for name in looked
    )


@pytest.mark.parametrize("is_generic", [False, True], ids=["planned anew", "planned once"])
async def test_a_page_full_of_acclaimed_products_is_found_by_their_own_index(
    shop: Shop, *, is_generic: bool
) -> None:
    after: str | None = None
    for _ in range(2):
        shop.database.forget()
        shelf = await shop.views.products(ShelfQuery(text="deluxe steam"), limit=20, after=after)
        after = shelf.page.after
        (question,) = shop.database.questions
        plan = await plan_of(shop, question, is_generic=is_generic)
        used = {str(node.get("Index Name")) for node in nodes(plan)}
        assert {each for each in used if each.startswith("search_")} == {"search_index_acclaimed"}


@pytest.mark.parametrize("is_generic", [False, True], ids=["planned anew", "planned once"])
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("source", ["nobody", "aaaa", "zzzz"])
async def test_a_source_that_nobody_has_is_not_looked_for_along_an_order(
    shop: Shop, sort: Sort, source: str, *, is_generic: bool
) -> None:
    shop.database.forget()
    shelf = await shop.views.products(ShelfQuery(source=source, sort=sort), limit=20, after=None)
    assert shelf.page.items == ()
    (question,) = shop.database.questions
    assert rows_read(await plan_of(shop, question, is_generic=is_generic)) < 100


async def test_products_that_run_low_and_those_of_a_category_are_looked_up(shop: Shop) -> None:
    desk = PostgresAssortmentViews(shop.database)
    async with await psycopg.AsyncConnection.connect(shop.url, autocommit=True) as connection:
        watched = (
            b"UPDATE products SET low_stock_at = %s WHERE slug IN ('game-000001', 'game-000777')"
        )
        await connection.execute(watched, (1_000_000,))
        await connection.execute(b"ANALYZE products")
    shop.database.forget()
    low = await desk.low_stock(limit=20, after=None)
    assert len(low.items) == 2
    await desk.costed(category="nothing", product_id=None, limit=20, after=None)
    await desk.products(ProductFilter(category="nothing"), limit=20, after=None)
    await desk.products(
        ProductFilter(source="kinguin", supplier_product_id="none"), limit=20, after=None
    )
    for question in shop.database.questions:
        for is_generic in (False, True):
            assert rows_read(await plan_of(shop, question, is_generic=is_generic)) < 100


@pytest.mark.parametrize(
    "text",
    ["&|!():*<->", "a:* | !b & (", "'; DROP TABLE products; --", "\U0001f47e\U0001f3ae", "\\", "%"],
)
async def test_a_search_of_operators_or_emoji_is_words_or_nothing_to_the_database(
    shop: Shop, text: str
) -> None:
    for sort in SORTS:
        shelf = await shop.views.products(ShelfQuery(text=text, sort=sort), limit=20, after=None)
        assert shelf.page.items == ()


# Some of the oldest products stand apart from all others, and one has keys beyond number.
SET_APART = (
    b"UPDATE products SET source = 'second' WHERE slug < 'game-000400'",
    b"UPDATE products SET is_published = false WHERE slug < 'game-000100'",
    b"UPDATE listings SET is_available = true WHERE NOT is_available",
    b"""
    UPDATE listings SET is_available = false FROM products p
    WHERE p.id = listings.id AND p.slug < 'game-000200'
    """,
    b"""
    WITH sealed AS (
        INSERT INTO sealed_keys (id, version, product_id, supplier, kind, content_type, fingerprint,
            wrapped_dek, kek_id, nonce, sha256, size, object_name, state, downloads, created_at)
        SELECT gen_random_uuid(), 1, p.id, 'custom', 'key', 'text/plain', n::text, '', 'k', '', '',
            0, 'keys/' || n, 'live', 0, now()
        FROM products p, generate_series(1, 3000) n WHERE p.slug = 'game-000700'
        RETURNING id, product_id, fingerprint
    )
    INSERT INTO inventory_keys (id, version, product_id, batch, cost, state, created_at)
    SELECT id, 1, product_id, 'b', 1, CASE WHEN fingerprint::int <= 3 THEN 'burned' ELSE 'sold' END,
        now() FROM sealed
    """,
    b"ANALYZE products, listings, sealed_keys, inventory_keys",
)
PUT_BACK = (
    b"DELETE FROM inventory_keys",
    b"DELETE FROM sealed_keys",
    b"UPDATE products SET source = 'kinguin', is_published = true WHERE slug < 'game-000400'",
    b"""
    UPDATE listings SET is_available = o.stock > 0 FROM product_offers o
    WHERE o.product_id = listings.id
    """,
    b"VACUUM ANALYZE",
)


@pytest.fixture
async def set_apart(shop: Shop) -> AsyncIterator[Shop]:
    async with await psycopg.AsyncConnection.connect(shop.url, autocommit=True) as connection:
        for statement in SET_APART:
            await connection.execute(statement)
        yield shop
        for statement in PUT_BACK:
            await connection.execute(statement)


async def test_the_desk_finds_what_stands_apart_without_walking_past_all_others(
    set_apart: Shop,
) -> None:
    shop, bad = set_apart, dict[str, int]()
    desk = PostgresAssortmentViews(shop.database)
    for only in (
        ProductFilter(source="second"),
        ProductFilter(is_published=False),
        ProductFilter(is_available=False),
        ProductFilter(source="second", is_published=False),
        ProductFilter(is_available=False, source="second"),
    ):
        after: str | None = None
        for page in (1, 2, 3):
            shop.database.forget()
            found = await desk.products(only, limit=20, after=after)
            assert len(found.items) == 20
            after = found.after
            (question,) = shop.database.questions
            for is_generic in (False, True):
                looked = rows_read(await plan_of(shop, question, is_generic=is_generic))
                if looked >= 1_500:
                    bad[f"{only} page {page} {is_generic=}"] = looked
    assert bad == {}


async def test_the_desk_finds_few_keys_in_a_state_among_thousands(set_apart: Shop) -> None:
    shop = set_apart
    desk = PostgresAssortmentViews(shop.database)
    product_id = f"{700:08x}-0000-7000-8000-000000000000"
    for state, count in (("burned", 3), ("sold", 20), (None, 20)):
        shop.database.forget()
        found = await desk.keys(product_id, state=state, limit=20, after=None)
        assert len(found.items) == count
        (question,) = shop.database.questions
        for is_generic in (False, True):
            assert rows_read(await plan_of(shop, question, is_generic=is_generic)) < 200


async def faulted(shop: Shop, count: int) -> tuple[int, list[str]]:
    """Titles of the catalogue with one slip each: how many find their product among the first ten,
    and the texts that do not.
    """
    drawn = random.Random(5)
    invented = InventedCatalogue(11, shop.size)
    found = 0
    missed: list[str] = []
    while found + len(missed) < count:
        place = drawn.randrange(shop.size)
        one = invented.product(place)
        assert one is not None
        words = one.title.removesuffix(" CD Key").split()
        long = [n for n, word in enumerate(words) if len(word) >= 5 and word.isalpha()]
        if not long:
            continue
        at = drawn.choice(long)
        words[at] = slipped(words[at], drawn)
        text = " ".join(words)
        shelf = await shop.views.products(ShelfQuery(text=text), limit=10, after=None)
        if f"game-{place:06}" in {each.slug for each in shelf.page.items}:
            found += 1
        else:
            missed.append(f"{one.title} as {text}")
    return found, missed


def slipped(word: str, drawn: random.Random) -> str:
    """The word with a letter wrong, missing or doubled, or two swapped."""
    slip = word
    while slip == word:
        place = drawn.randrange(len(word) - 1)
        before, here, after = word[:place], word[place], word[place + 1 :]
        slip = drawn.choice(
            (
                before + drawn.choice("aeioustrnl") + after,
                before + after,
                before + here + here + after,
                before + after[0] + here + after[1:],
            )
        )
    return slip


async def test_nine_of_ten_titles_with_a_slip_find_their_product_among_the_first_ten(
    shop: Shop,
) -> None:
    found, missed = await faulted(shop, 500)
    assert found >= 450, (found, missed[:20])
