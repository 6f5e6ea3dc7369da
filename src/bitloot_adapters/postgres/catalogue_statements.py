"""The statements that merge a batch of a supplier's catalogue, set by set.

What lists are sorted by and orders are made from is copied in first, narrow; the texts follow only
of what turns out to be news. Both tables live as long as the transaction. What did not change is
not written, and neither `held` nor what a person pinned is touched.
"""

from typing import Final

from sqlalchemy import text

from bitloot.domain.catalogue_sync import CatalogueSync
from bitloot.domain.category import Category
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import FACTS
from bitloot_adapters.postgres.statements import DIALECT, Statement, compiled
from bitloot_adapters.postgres.tables import products

STATEMENT_SECONDS: Final = 120
# Of one sort or hash: a batch is never sorted on disk.
WORKING_MEMORY: Final = "32MB"

STAGED: Final = (
    "product_id",
    "offer_row_id",
    "supplier_product_id",
    "said_at",
    "digest",
    "offer_id",
    "cost",
    "stock",
    "wholesale",
)
_MEDIA: Final = """
    SELECT f.product_id, m.kind, m.url, m.thumbnail_url, m.place::integer AS place
    FROM staged_facts f
    JOIN catalogue_news n ON n.product_id = f.product_id AND n.keeps_media IS NOT TRUE
    CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(f.media)
        AS (kind text, url text, thumbnail_url text)) WITH ORDINALITY AS m(kind, url,
        thumbnail_url, place)"""
_RULES: Final = """
    SELECT {rules}, NULL::text AS category FROM pricing_rules r WHERE scope <> 'product'
    UNION ALL
    SELECT {rules}, p.category
    FROM pricing_rules r JOIN products p ON p.id::text = r.subject
    WHERE r.scope = 'product' AND {concerned}
"""
_COUNTED: Final = "WITH written AS ({sql} RETURNING 1) SELECT count(*) FROM written"
_PARTS: Final = {
    "at": "CAST(:at AS timestamptz)",
    "supplier": "CAST(:supplier AS text)",
    "sync": "CAST(:sync_id AS uuid)",
    "seconds": str(STATEMENT_SECONDS),
    "memory": WORKING_MEMORY,
    "media": _MEDIA,
    "rules": ", ".join(f"r.{name}" for name in PricingRule.__struct_fields__),
    "categories": ", ".join(Category.__struct_fields__),
    "syncs": ", ".join(CatalogueSync.__struct_fields__),
    "facts": ", ".join(FACTS),
    "told_facts": ", ".join(f"f.{name}" for name in FACTS),
    "kept_facts": ", ".join(
        f"{name} = CASE WHEN '{name}' = ANY(p.pinned) THEN p.{name} ELSE f.{name} END"
        for name in FACTS
    ),
    "types": ", ".join(
        f"{name} {products.c[name].type.compile(dialect=DIALECT)}" for name in FACTS
    ),
}


def _statement(template: str, /, **parts: str) -> Statement:
    return compiled(text(template.format(**_PARTS, **parts)))


def _counted(sql: str) -> Statement:
    return _statement(_COUNTED, sql=sql.format(**_PARTS))


# What is staged is another amount each time, and so are the plans.
PATIENCE: Final = _statement("""
    SELECT set_config('statement_timeout', '{seconds}s', true),
        set_config('work_mem', '{memory}', true),
        set_config('plan_cache_mode', 'force_custom_plan', true)
""")
# A batch looks up its own rows: to read whole tables for it takes the longer the more there are.
LOOK_UP: Final = _statement("""
    SELECT set_config('seq_page_cost', '10', true), set_config('random_page_cost', '1', true)
""")
# Prices are made by one at a time: side by side, one would write what it made of an older cost or
# rule over what the other made of a newer. Whoever waits holds nothing yet, and waits for long.
TURN: Final = (
    _statement("SELECT set_config('lock_timeout', '{seconds}s', true)"),
    _statement("SELECT pg_advisory_xact_lock(3, 0)"),
    _statement("SET LOCAL lock_timeout TO DEFAULT"),
)
CREATE: Final = _statement("""
    CREATE TEMPORARY TABLE staged_catalogue (
        product_id uuid, offer_row_id uuid, supplier_product_id text, said_at timestamptz,
        digest text, offer_id text, cost numeric(20, 8), stock integer, wholesale jsonb
    ) ON COMMIT DROP
""")
CREATE_NEWS: Final = _statement("""
    CREATE TEMPORARY TABLE catalogue_news (LIKE staged_catalogue, is_new boolean,
        has_facts boolean, has_offer boolean, keeps_media boolean, sold_as uuid) ON COMMIT DROP
""")
CREATE_FACTS: Final = _statement("""
    CREATE TEMPORARY TABLE staged_facts (product_id uuid, slug text, {types}, media jsonb)
    ON COMMIT DROP
""")
COPY: Final = f"COPY staged_catalogue ({', '.join(STAGED)}) FROM STDIN".encode()
COPY_FACTS: Final = (
    f"COPY staged_facts (product_id, slug, {', '.join(FACTS)}, media) FROM STDIN".encode()
)

# What is new or says something else than before, unless newer news were here already. `product_id`
# is what the supplier's product made here; its offers are sold as that, or as the product that a
# person joined them to. One that was joined without having a product of its own tells no facts.
RECOGNISE: Final = _statement("""
    INSERT INTO catalogue_news
    SELECT coalesce(p.id, o.product_id, s.product_id), coalesce(o.id, s.offer_row_id),
        s.supplier_product_id, s.said_at, s.digest, s.offer_id, s.cost, s.stock, s.wholesale,
        p.id IS NULL AND o.product_id IS NULL,
        (p.id IS NOT NULL OR o.product_id IS NULL) AND p.facts_digest IS DISTINCT FROM s.digest,
        o.id IS NOT NULL, 'media' = ANY(p.pinned), coalesce(o.product_id, p.id, s.product_id)
    FROM staged_catalogue s
    LEFT JOIN LATERAL (
        SELECT id, facts_digest, supplier_updated_at, pinned FROM products
        WHERE source = {supplier} AND supplier_product_id = s.supplier_product_id LIMIT 1
    ) p ON true
    LEFT JOIN LATERAL (
        SELECT CASE WHEN offer_id = s.offer_id THEN id END AS id, product_id, cost, stock,
            wholesale, supplier_updated_at
        FROM product_offers
        WHERE supplier = {supplier} AND supplier_product_id = s.supplier_product_id
        ORDER BY offer_id = s.offer_id DESC LIMIT 1
    ) o ON true
    WHERE (o.id IS NULL
            OR (p.id IS NOT NULL AND p.facts_digest IS DISTINCT FROM s.digest)
            OR (o.cost, o.stock, o.wholesale, o.supplier_updated_at)
                IS DISTINCT FROM (s.cost, s.stock, s.wholesale, s.said_at))
        AND (p.supplier_updated_at > s.said_at) IS NOT TRUE
        AND (o.id IS NULL OR (o.supplier_updated_at > s.said_at) IS NOT TRUE)
    RETURNING supplier_product_id, product_id, has_facts, is_new
""")

INSERT_PRODUCTS: Final = _counted("""
    INSERT INTO products (id, version, slug, source, supplier_product_id, {facts}, pinned,
        hides_when_sold_out, is_published, facts_digest, supplier_updated_at, created_at,
        updated_at)
    SELECT n.product_id, 1, f.slug, {supplier}, n.supplier_product_id,
        {told_facts}, '{{}}', false, true, n.digest, n.said_at, {at},
        {at}
    FROM catalogue_news n JOIN staged_facts f ON f.product_id = n.product_id WHERE n.is_new
""")
UPDATE_PRODUCTS: Final = _counted("""
    UPDATE products p SET
        {kept_facts},
        facts_digest = n.digest, supplier_updated_at = n.said_at, version = p.version + 1,
        updated_at = {at}
    FROM catalogue_news n JOIN staged_facts f ON f.product_id = n.product_id
    WHERE p.id = n.product_id AND NOT n.is_new
""")
INSERT_OFFERS: Final = _counted("""
    INSERT INTO product_offers (id, version, product_id, supplier, supplier_product_id, offer_id,
        cost, stock, held, wholesale, supplier_updated_at, updated_at)
    SELECT offer_row_id, 1, sold_as, {supplier}, supplier_product_id, offer_id, cost, stock, 0,
        wholesale, said_at, {at}
    FROM catalogue_news WHERE NOT has_offer
""")
UPDATE_OFFERS: Final = _counted("""
    UPDATE product_offers o SET cost = n.cost, stock = n.stock, wholesale = n.wholesale,
        supplier_updated_at = n.said_at, version = o.version + 1, updated_at = {at}
    FROM catalogue_news n
    WHERE o.id = n.offer_row_id AND n.has_offer
        AND (o.cost, o.stock, o.wholesale, o.supplier_updated_at)
            IS DISTINCT FROM (n.cost, n.stock, n.wholesale, n.said_at)
""")
# Of a product that is told with another offer now, and of what is not to be sold, nothing is left.
RETIRE_OTHERS: Final = _counted("""
    UPDATE product_offers o SET stock = 0, version = o.version + 1, updated_at = {at}
    WHERE o.supplier = {supplier} AND o.stock > 0 AND o.id IN (
        SELECT other.id FROM catalogue_news n JOIN product_offers other
            ON other.product_id = n.sold_as AND other.supplier = {supplier}
            AND other.offer_id <> n.offer_id
            AND other.supplier_product_id = n.supplier_product_id
        UNION ALL
        SELECT left_out.id FROM product_offers left_out
        WHERE left_out.supplier = {supplier}
            AND left_out.supplier_product_id = ANY(CAST(:left_out AS text[])))
""")

# Offers that a person joined to a product go back to their own once the two are unlike, as
# `offer_change.unlike` says it, whichever of them was told anew. Both are priced with the rest.
PART_UNLIKE: Final = _statement("""
    WITH told AS (
        SELECT o.* FROM catalogue_news n CROSS JOIN LATERAL (
            SELECT id, supplier, supplier_product_id, product_id FROM product_offers
            WHERE supplier = {supplier} AND supplier_product_id = n.supplier_product_id OFFSET 0
        ) o
        WHERE n.has_facts AND n.sold_as <> n.product_id
        UNION
        SELECT o.* FROM catalogue_news n CROSS JOIN LATERAL (
            SELECT id, supplier, supplier_product_id, product_id FROM product_offers
            WHERE product_id = n.product_id AND (supplier <> {supplier}
                OR supplier_product_id <> n.supplier_product_id) OFFSET 0
        ) o
        WHERE n.has_facts AND NOT n.is_new
    ),
    unlike AS MATERIALIZED (
        SELECT told.id, told.product_id AS left_behind, own.id AS own_id
        FROM told
        CROSS JOIN LATERAL (
            SELECT id, excluded_countries, region, is_preorder FROM products
            WHERE source = told.supplier AND supplier_product_id = told.supplier_product_id OFFSET 0
        ) own
        CROSS JOIN LATERAL (
            SELECT excluded_countries, region, is_preorder FROM products
            WHERE id = told.product_id OFFSET 0
        ) sold
        WHERE own.id <> told.product_id AND (NOT own.excluded_countries <@ sold.excluded_countries
            OR (sold.region IS NOT NULL AND own.region IS DISTINCT FROM sold.region)
            OR own.is_preorder <> sold.is_preorder)
    ),
    parted AS (
        UPDATE product_offers o SET version = o.version + 1, updated_at = {at},
            product_id = (SELECT own_id FROM unlike WHERE unlike.id = o.id)
        WHERE o.id = ANY(ARRAY(SELECT id FROM unlike))
    )
    INSERT INTO catalogue_news (sold_as) SELECT unnest(ARRAY[left_behind, own_id]) FROM unlike
""")

# What the supplier shows no longer, shows otherwise, and shows now: told once, compared once. The
# media of a product are looked up, for else all that there are would be read.
MEDIA: Final = _statement("""
    WITH told AS MATERIALIZED ({media}),
    known AS MATERIALIZED (
        SELECT m.* FROM catalogue_news n CROSS JOIN LATERAL (
            SELECT id, product_id, url, kind, thumbnail_url, position, source
            FROM product_media WHERE product_id = n.product_id OFFSET 0
        ) m
        WHERE n.has_facts AND n.keeps_media IS NOT TRUE
    ),
    compared AS MATERIALIZED (
        SELECT product_id, url, told.kind, told.thumbnail_url, told.place, known.id, known.source
        FROM told FULL JOIN known USING (product_id, url)
        WHERE (told.kind, told.thumbnail_url, told.place)
            IS DISTINCT FROM (known.kind, known.thumbnail_url, known.position)
    ),
    dropped AS (
        DELETE FROM product_media m USING compared c
        WHERE m.id = c.id AND c.source = {supplier} AND c.place IS NULL
    ),
    moved AS (
        UPDATE product_media m SET kind = c.kind, thumbnail_url = c.thumbnail_url,
            position = c.place, version = m.version + 1
        FROM compared c WHERE m.id = c.id AND c.source = {supplier} AND c.place IS NOT NULL
    )
    INSERT INTO product_media (id, version, product_id, kind, url, thumbnail_url, alt, position,
        source)
    SELECT bitloot_uuid7({at}), 1, product_id, kind, url, thumbnail_url, '', place, {supplier}
    FROM compared WHERE id IS NULL
    ON CONFLICT (product_id, url) DO NOTHING
""")

# --- rules, categories, progress -------------------------------------------------------------


def _rules(concerned: str) -> Statement:
    """Rules of categories and of the shop, and those of the products concerned."""
    return _statement(_RULES, concerned=concerned)


RULES_OF_NEWS: Final = _rules("p.id IN (SELECT sold_as FROM catalogue_news)")
RULES_OF_NAMED: Final = _rules("p.id = ANY(CAST(:ids AS uuid[]))")
RULES_OF_ALL: Final = _rules("true")
CATEGORIES: Final = _statement("""
    SELECT {categories} FROM categories
""")
GENRES: Final = _statement("""
    SELECT DISTINCT unnest(genres) FROM products WHERE source <> 'custom'
""")
# The first of its words that has a category says where a product stands.
SHELVE: Final = _counted("""
    UPDATE products p SET category = s.category, version = p.version + 1, updated_at = {at}
    FROM (SELECT CAST(:found AS jsonb) AS found) w, LATERAL (
        SELECT id, (SELECT w.found ->> g.word
            FROM unnest(known.genres) WITH ORDINALITY AS g(word, place)
            WHERE jsonb_exists(w.found, g.word) ORDER BY g.place LIMIT 1) AS category
        FROM products known WHERE source <> 'custom' AND 'category' <> ALL(pinned)
    ) s
    WHERE p.id = s.id AND p.category IS DISTINCT FROM s.category
""")
MAKE_CATEGORIES: Final = _statement("""
    INSERT INTO categories (id, version, slug, title, position, genres, is_shown, created_at,
        updated_at)
    SELECT bitloot_uuid7({at}), 1, slug, title, 1000, ARRAY[title], true, {at}, {at}
    FROM unnest(CAST(:slugs AS text[]), CAST(:titles AS text[])) AS made(slug, title)
    ORDER BY slug ON CONFLICT (slug) DO NOTHING
""")
SEEN: Final = _statement("""
    INSERT INTO catalogue_seen AS known (sync_id, page, supplier_product_ids)
    VALUES ({sync}, CAST(:page AS integer), CAST(:seen AS text[]))
    ON CONFLICT (sync_id, page) DO UPDATE SET
        supplier_product_ids = known.supplier_product_ids || excluded.supplier_product_ids
""")
REFUSED: Final = _statement("""
    WITH gone AS (
        DELETE FROM catalogue_refusals
        WHERE sync_id = {sync} AND page = ANY(CAST(:pages AS integer[]))
    )
    INSERT INTO catalogue_refusals (id, version, sync_id, page, supplier_product_id, reason, at)
    SELECT bitloot_uuid7({at}), 1, {sync}, page, supplier_product_id, reason, {at}
    FROM unnest(CAST(:pages AS integer[]), CAST(:names AS text[]), CAST(:reasons AS text[]))
        AS refused(page, supplier_product_id, reason)
""")
PROGRESS: Final = _statement("""
    WITH moved AS (
        UPDATE catalogue_syncs s SET version = g.version, state = g.state,
            next_page = g.next_page, updated_since = g.updated_since, ended_at = g.ended_at,
            pages = g.pages, products = g.products, refused = g.refused,
            products_new = g.products_new, products_changed = g.products_changed,
            offers_new = g.offers_new, offers_changed = g.offers_changed,
            prices_changed = g.prices_changed, retired = g.retired, last_error = g.last_error
        FROM json_populate_record(NULL::catalogue_syncs, CAST(:row AS json)) g
        WHERE s.id = g.id AND s.version = g.version - 1 AND s.state = 'running'
        RETURNING 1
    )
    SELECT bitloot_require((SELECT count(*) FROM moved), 1, 'BL001')
""")
RETIRE_UNSEEN: Final = _counted("""
    UPDATE product_offers o SET stock = 0, version = o.version + 1, updated_at = {at}
    WHERE o.supplier = {supplier} AND o.stock > 0 AND NOT EXISTS (
        SELECT 1 FROM (SELECT unnest(supplier_product_ids) AS name FROM catalogue_seen
            WHERE sync_id = {sync}) seen
        WHERE seen.name = o.supplier_product_id)
""")
UNSEEN: Final = _statement("""
    SELECT count(*), count(*) FILTER (WHERE seen.name IS NULL)
    FROM product_offers o LEFT JOIN (
        SELECT DISTINCT unnest(supplier_product_ids) AS name FROM catalogue_seen
        WHERE sync_id = {sync}) seen ON seen.name = o.supplier_product_id
    WHERE o.supplier = {supplier} AND o.stock > 0
""")
FORGET_SEEN: Final = _statement("DELETE FROM catalogue_seen WHERE sync_id = {sync}")
RUNNING: Final = _statement("""
    SELECT {syncs} FROM catalogue_syncs WHERE supplier = {supplier} AND state = 'running'
""")
BY_ID: Final = _statement("SELECT {syncs} FROM catalogue_syncs WHERE id = {sync}")
LAST_DONE: Final = _statement("""
    SELECT {syncs} FROM catalogue_syncs WHERE supplier = {supplier} AND state = 'done'
        AND kind = coalesce(CAST(:kind AS text), kind)
    ORDER BY started_at DESC, id DESC LIMIT 1
""")
FLUSH_SEARCH: Final = _statement("""
    SELECT gin_clean_pending_list('search_index_document'),
        gin_clean_pending_list('search_index_acclaimed')
""")
