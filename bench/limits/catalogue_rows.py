"""The least that brings a supplier's batch into the same tables: COPY, and the fewest statements.

The lines of COPY are there before the clock starts. What changed is known beforehand, one margin
makes every price, nobody pinned anything, and no trigger of the shop is asked.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec
import psycopg
from psycopg.rows import TupleRow

from bitloot.domain.product import FACTS
from bitloot.ports.catalogue_facts import digest, facts, slug
from bitloot.ports.supplier_catalogue import SupplierProduct
from bitloot_adapters.clock import new_id
from bitloot_adapters.postgres.catalogue_statements import COPY, COPY_FACTS, CREATE, CREATE_FACTS
from bitloot_adapters.postgres.copy_text import line

Kind: TypeAlias = Literal["first-load", "texts", "prices", "nothing"]

MARGIN: Final = "0.10"
_NAMES: Final = ", ".join(FACTS)
_SAID: Final = ", ".join(f"f.{name}" for name in FACTS)
_KEPT: Final = ", ".join(f"{name} = f.{name}" for name in FACTS)
_FLOOR: Final = "ceil(s.cost * 100 / 0.99) * 0.01"
_PRICE: Final = f"greatest(ceil(s.cost * 100 * (1 + {MARGIN})) * 0.01, {_FLOOR})"
_TRIGGERS: Final = ("products", "product_offers", "listings", "product_media")
# A batch looks up its own rows in the limit too, whatever the statistics say.
_LOOK_UP: Final = (
    "SELECT set_config('seq_page_cost', '10', true), set_config('random_page_cost', '1', true)"
)
_HISTORY: Final = f"""
INSERT INTO price_history (id, version, product_id, at, reason, price, previous, floor, cost,
    gateway_fee, offer_row_id, rule, tried)
SELECT gen_random_uuid(), 1, o.product_id, now(), 'sync', {_PRICE}, NULL, {_FLOOR}, s.cost, 0.01,
    o.id, NULL, '[]'
FROM staged_catalogue s JOIN product_offers o ON o.supplier = 'invented'
    AND o.supplier_product_id = s.supplier_product_id AND o.offer_id = s.offer_id
"""
_OFFERS: Final = """
UPDATE product_offers o SET cost = s.cost, stock = s.stock, wholesale = s.wholesale,
    supplier_updated_at = s.said_at, version = o.version + 1, updated_at = now()
FROM staged_catalogue s
WHERE o.supplier = 'invented' AND o.supplier_product_id = s.supplier_product_id
    AND o.offer_id = s.offer_id
"""
STATEMENTS: Final[dict[Kind, tuple[str, ...]]] = {
    "first-load": (
        f"""
INSERT INTO products (id, version, slug, source, supplier_product_id, {_NAMES}, pinned,
    hides_when_sold_out, is_published, facts_digest, supplier_updated_at, created_at, updated_at)
SELECT s.product_id, 1, f.slug, 'invented', s.supplier_product_id, {_SAID}, '{{}}', false, true,
    s.digest, s.said_at, now(), now()
FROM staged_catalogue s JOIN staged_facts f ON f.product_id = s.product_id
""",
        """
INSERT INTO search_index (product_id, document, rank)
SELECT product_id, bitloot_document(title, original_name, platform, region, genres, tags),
    coalesce(floor(metacritic), 0)::integer
FROM staged_facts
""",
        """
INSERT INTO product_offers (id, version, product_id, supplier, supplier_product_id, offer_id,
    cost, stock, held, wholesale, supplier_updated_at, updated_at)
SELECT offer_row_id, 1, product_id, 'invented', supplier_product_id, offer_id, cost, stock, 0,
    wholesale, said_at, now()
FROM staged_catalogue
""",
        """
INSERT INTO product_media (id, version, product_id, kind, url, thumbnail_url, alt, position,
    source)
SELECT gen_random_uuid(), 1, f.product_id, m.kind, m.url, m.thumbnail_url, '', m.place, 'invented'
FROM staged_facts f CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(f.media)
    AS (kind text, url text, thumbnail_url text)) WITH ORDINALITY
    AS m(kind, url, thumbnail_url, place)
""",
        f"""
INSERT INTO listings (id, version, is_listed, is_available, price, floor, is_loss_signed, rank,
    category, platform, region, source, updated_at)
SELECT s.product_id, 1, true, s.stock > 0, {_PRICE}, {_FLOOR}, false,
    coalesce(floor(f.metacritic), 0)::integer, f.category, f.platform, f.region, 'invented', now()
FROM staged_catalogue s JOIN staged_facts f ON f.product_id = s.product_id
""",
        _HISTORY,
    ),
    "texts": (
        f"""
UPDATE products p SET {_KEPT}, facts_digest = s.digest, supplier_updated_at = s.said_at,
    version = p.version + 1, updated_at = now()
FROM staged_catalogue s JOIN staged_facts f ON f.product_id = s.product_id
WHERE p.source = 'invented' AND p.supplier_product_id = s.supplier_product_id
""",
        _OFFERS,
    ),
    "prices": (
        _OFFERS,
        f"""
UPDATE listings l SET price = {_PRICE}, floor = {_FLOOR}, version = l.version + 1,
    updated_at = now()
FROM staged_catalogue s JOIN product_offers o ON o.supplier = 'invented'
    AND o.supplier_product_id = s.supplier_product_id AND o.offer_id = s.offer_id
WHERE l.id = o.product_id
""",
        _HISTORY,
    ),
    "nothing": (
        """
SELECT count(*) FROM staged_catalogue s
JOIN products p ON p.source = 'invented' AND p.supplier_product_id = s.supplier_product_id
JOIN product_offers o ON o.supplier = 'invented'
    AND o.supplier_product_id = s.supplier_product_id AND o.offer_id = s.offer_id
WHERE (p.facts_digest, o.cost, o.stock, o.wholesale, o.supplier_updated_at)
    IS DISTINCT FROM (s.digest, s.cost, s.stock, s.wholesale, s.said_at)
""",
    ),
}
# Of all rows, by a share of what they cost now.
REPRICE: Final = """
UPDATE listings SET price = ceil(price * CAST($1 AS numeric) * 100) * 0.01,
    version = version + 1, updated_at = now()
"""


class Lines(msgspec.Struct, frozen=True):
    """A batch as COPY is given it."""

    narrow: bytes
    texts: bytes


def lines(products: Sequence[SupplierProduct], kind: Kind) -> Lines:
    """The same rows as the shop stages; texts only where they are news."""
    narrow, texts = [], []
    for each in products:
        row_id = new_id()
        shelf = each.genres[0].lower() if each.genres else None
        wholesale = msgspec.json.encode(each.wholesale).decode()
        said = (each.supplier_product_id, each.updated_at, digest(each, shelf), each.offer_id)
        narrow.append(line((row_id, new_id(), *said, each.price, each.stock, wholesale)))
        if kind in {"first-load", "texts"}:
            told = {
                **facts(each, shelf),
                "system_requirements": msgspec.json.encode(each.system_requirements).decode(),
            }
            name = slug(each.title, each.supplier_product_id)
            media = msgspec.json.encode(each.media).decode()
            texts.append(line((row_id, name, *told.values(), media)))
    return Lines("".join(narrow).encode(), "".join(texts).encode())


async def without_triggers(connection: psycopg.AsyncConnection[TupleRow]) -> None:
    """Foreign keys and checks stay."""
    for table in _TRIGGERS:
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())


async def merge(connection: psycopg.AsyncConnection[TupleRow], made: Lines, kind: Kind) -> None:
    """One transaction."""
    async with connection.transaction():
        await connection.execute(_LOOK_UP.encode())
        for table in (CREATE, CREATE_FACTS):
            await connection.execute(table.sql)
        await _copied(connection, COPY, made.narrow)
        if made.texts:
            await _copied(connection, COPY_FACTS, made.texts)
        for statement in STATEMENTS[kind]:
            await connection.execute(statement.encode())


async def _copied(connection: psycopg.AsyncConnection[TupleRow], into: bytes, rows: bytes) -> None:
    async with connection.cursor() as cursor, cursor.copy(into) as copy:
        await copy.write(rows)


async def reprice(connection: psycopg.AsyncConnection[TupleRow], share: str) -> None:
    """Every price times that."""
    await connection.execute(REPRICE.encode(), (share,))
