"""A catalogue of any size in whole sets: what every figure is measured over.

Titles are made of one of sixty common words, so that each of those is in one title of sixty, and of
one to three words of a large vocabulary. The same size gives the same catalogue each time.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Final

import psycopg

from bitloot.testing.invented_catalogue import GENRES, PLATFORMS, REGIONS, vocabulary

PRODUCTS: Final = 100_000
STOCK: Final = 1000
COST: Final = Decimal("8.00")
PRICE: Final = Decimal("9.99")
FLOOR: Final = Decimal("8.09")
# Behind the goods that the stand-ins sell, so that those come first on every list by title.
SLUG: Final = "z-game"
COMMON: Final = 60
WORDS: Final = vocabulary()
AT_ONCE: Final = 2

_WORDS: Final = """
CREATE UNLOGGED TABLE shelf_words AS
SELECT place - 1 AS place, word, bitloot_plain(word) AS plain
FROM unnest(CAST(%(words)s AS text[])) WITH ORDINALITY AS each(word, place)
"""
_SHELF: Final = """
CREATE UNLOGGED TABLE shelf AS
WITH drawn AS MATERIALIZED (
    SELECT n, mod(n, {common}) AS first, {common} + floor({rare} * random() ^ 3)::int AS second,
        CASE WHEN random() < 0.7 THEN {common} + floor({rare} * random() ^ 2)::int END AS third,
        CASE WHEN random() < 0.4 THEN {common} + floor({rare} * random() ^ 2)::int END AS fourth,
        CASE WHEN random() < 0.7 THEN 40 + floor(58 * random())::int END AS metacritic,
        1 + floor(14 * random() ^ 2)::int AS platform, 1 + floor(18 * random() ^ 2)::int AS region,
        1 + floor(25 * random())::int AS genre
    FROM generate_series(0, {size} - 1) AS n
)
SELECT n, (lpad(to_hex(n), 8, '0') || '{product}')::uuid AS id,
    '{slug}-' || lpad(n::text, 6, '0') AS slug,
    concat_ws(' ', a.word, b.word, c.word, d.word) AS title,
    concat_ws(' ', a.plain, b.plain, c.plain, d.plain) AS plain, metacritic,
    (CAST(%(platforms)s AS text[]))[platform] AS platform,
    (CAST(%(regions)s AS text[]))[region] AS region,
    (CAST(%(genres)s AS text[]))[genre] AS genre
FROM drawn JOIN shelf_words a ON a.place = first JOIN shelf_words b ON b.place = second
LEFT JOIN shelf_words c ON c.place = third LEFT JOIN shelf_words d ON d.place = fourth
ORDER BY n
"""
# What hangs on words other than the title's is worked out once for each mixture.
_PARTS: Final[Mapping[str, str]] = {
    "search_index": """
WITH kinds AS MATERIALIZED (
    SELECT platform, region, genre,
        bitloot_document(NULL, NULL, platform, region, ARRAY[genre], '{{base}}') AS document
    FROM (SELECT DISTINCT platform, region, genre FROM shelf) each
)
INSERT INTO search_index (product_id, document, rank)
SELECT id, setweight(to_tsvector('pg_catalog.simple', plain), 'A') || kinds.document,
    coalesce(metacritic, 0)
FROM shelf JOIN kinds USING (platform, region, genre)
""",
    "products": """
INSERT INTO products (id, version, slug, title, source, supplier_product_id, description, category,
    platform, region, metacritic, genres, tags, languages, developers, publishers,
    system_requirements, excluded_countries, pinned, is_preorder, hides_when_sold_out, is_published,
    cover_url, created_at, updated_at)
SELECT id, 1, slug, title, 'kinguin', 'z' || n,
    'A game that is described in a sentence or two, as most of them are.', lower(genre), platform,
    region, metacritic, ARRAY[genre], '{{base}}', '{{English}}', '{{Nordlys}}', '{{Lantern}}', '[]',
    '{{}}', '{{}}', false, false, true, 'https://images.supplier.example/' || n || '/cover.jpg',
    now(), now()
FROM shelf
""",
    "listings": """
INSERT INTO listings (id, version, is_listed, is_available, price, floor, is_loss_signed, rank,
    category, platform, region, source, updated_at)
SELECT id, 1, true, true, {price}, {floor}, false, coalesce(metacritic, 0), lower(genre), platform,
    region, 'kinguin', now()
FROM shelf
""",
    "product_offers": """
INSERT INTO product_offers (id, version, product_id, supplier, supplier_product_id, offer_id, cost,
    stock, held, wholesale, updated_at)
SELECT (lpad(to_hex(n), 8, '0') || '{offer}')::uuid, 1, id, 'kinguin', 'z' || n, 'zo' || n, {cost},
    {stock}, 0, '[]', now()
FROM shelf
""",
    "product_media": """
INSERT INTO product_media (id, version, product_id, kind, url, thumbnail_url, alt, position, source)
SELECT (lpad(to_hex(n), 8, '0') || '{picture}')::uuid, 1, id, 'screenshot',
    'https://images.supplier.example/' || n || '/1.jpg', NULL, '', 1, 'kinguin'
FROM shelf
""",
}
_KNOWN: Final = "SELECT bitloot_words_kept((SELECT array_agg(word) FROM shelf_words))"
_INDEXES: Final = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = %s AND schemaname = 'public'
    AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = indexname)
"""
# The rest of an id, whose first eight digits are the number of the product.
_ENDS: Final = {
    "product": "-0000-7000-8000-000000000001",
    "offer": "-0000-7000-8000-000000000002",
    "picture": "-0000-7000-8000-000000000003",
}


def product_id(number: int) -> str:
    """The id of one of the products: those that were made later have higher ones."""
    return f"{number:08x}{_ENDS['product']}"


def offer_row_id(number: int) -> str:
    """The id of its offer."""
    return f"{number:08x}{_ENDS['offer']}"


def common_words() -> tuple[str, ...]:
    """Each is in one of sixty titles."""
    return WORDS[:COMMON]


def fill(url: str, products: int = PRODUCTS) -> None:
    """So many products, each with an offer and a picture; statistics are up to date afterwards."""
    numbers = {
        "size": products,
        "common": COMMON,
        "rare": len(WORDS) - COMMON,
        "slug": SLUG,
        "price": PRICE,
        "floor": FLOOR,
        "cost": COST,
        "stock": STOCK,
        **_ENDS,
    }
    choices = {"platforms": list(PLATFORMS), "regions": list(REGIONS), "genres": list(GENRES)}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_WORDS, {"words": list(WORDS)})
        connection.execute("SELECT setseed(0.5)")
        connection.execute(_SHELF.format(**numbers).encode(), choices)
        connection.execute("ANALYZE shelf")
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for part in [
                threads.submit(_fill_one, url, table, statement.format(**numbers))
                for table, statement in _PARTS.items()
            ]:
                part.result()
        connection.execute(_KNOWN)
        connection.execute("DROP TABLE shelf, shelf_words")
        # Never of all tables: an empty one that was analysed is taken to stay empty, and read from
        # end to end when it has filled.
        connection.execute("ANALYZE search_words, search_variants")


def _fill_one(url: str, table: str, statement: str) -> None:
    """Without its triggers, and indexed at the end: row by row a large table takes minutes."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET maintenance_work_mem = '256MB'")
        indexes = connection.execute(_INDEXES, (table,)).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        connection.execute(statement.encode())
        for _, definition in indexes:
            connection.execute(str(definition).encode())
        connection.execute(f"VACUUM ANALYZE {table}".encode())
