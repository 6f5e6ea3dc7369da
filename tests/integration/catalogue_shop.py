"""A catalogue in a database of its own, told in words that do not name its ids and times."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text

from bitloot.domain.limits import Limits
from bitloot.ports.catalogue_reading import CatalogueReading
from bitloot.testing.catalogue_writer import TERMS
from bitloot_adapters.clock import new_id, utc_now
from bitloot_adapters.postgres.catalogue_writer import CatalogueWriter
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.statements import Values, ask, compiled
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork

# Everything of the catalogue but ids and times of writing.
TOLD: Final = {
    "products": """
        SELECT to_jsonb(p) - '{id,created_at,updated_at}'::text[] FROM products p ORDER BY slug
    """,
    "product_offers": """
        SELECT p.slug, to_jsonb(o) - '{id,product_id,updated_at}'::text[]
        FROM product_offers o JOIN products p ON p.id = o.product_id ORDER BY p.slug, o.offer_id
    """,
    "listings": """
        SELECT p.slug, to_jsonb(l) - '{id,updated_at}'::text[]
        FROM listings l JOIN products p ON p.id = l.id ORDER BY p.slug
    """,
    "price_history": """
        SELECT p.slug, o.offer_id, to_jsonb(h) - '{id,product_id,offer_row_id,at}'::text[]
        FROM price_history h JOIN products p ON p.id = h.product_id
        LEFT JOIN product_offers o ON o.id = h.offer_row_id
        ORDER BY p.slug, h.at
    """,
    "product_media": """
        SELECT p.slug, to_jsonb(m) - '{id,product_id}'::text[]
        FROM product_media m JOIN products p ON p.id = m.product_id ORDER BY p.slug, m.url
    """,
    "search_index": """
        SELECT p.slug, s.document::text, s.rank
        FROM search_index s JOIN products p ON p.id = s.product_id ORDER BY p.slug
    """,
    "categories": """
        SELECT to_jsonb(c) - '{id,created_at,updated_at}'::text[] FROM categories c ORDER BY slug
    """,
    "search_words": "SELECT word FROM search_words ORDER BY word",
    "search_variants": "SELECT variant, word FROM search_variants ORDER BY variant, word",
    "catalogue_syncs": """
        SELECT to_jsonb(s) - '{id,started_at,ended_at,version,pages,next_page}'::text[]
        FROM catalogue_syncs s ORDER BY started_at
    """,
    "catalogue_seen": "SELECT page, supplier_product_ids FROM catalogue_seen ORDER BY 1",
    "catalogue_refusals": """
        SELECT page, supplier_product_id, reason FROM catalogue_refusals ORDER BY 1, 2, 3
    """,
}


async def told(database: Database) -> dict[str, Sequence[Values]]:
    """The whole catalogue."""
    found: dict[str, Sequence[Values]] = {}
    for name, question in TOLD.items():
        (found[name],) = await database.read(ask(compiled(text(question))))
    return found


def unit_of_work(database: Database) -> PostgresUnitOfWork:
    return PostgresUnitOfWork(database, new_id=new_id, max_attempts=Limits().job_attempts)


def reading(database: Database, *, batch_products: int) -> CatalogueReading:
    return CatalogueReading(
        writer=CatalogueWriter(database),
        terms=TERMS,
        limits=Limits(),
        clock=utc_now,
        new_id=new_id,
        batch_products=batch_products,
    )
