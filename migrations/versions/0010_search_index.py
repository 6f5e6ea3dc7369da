"""What buyers type finds products: a narrow table of words, kept in step by the database.

Titles weigh most, then other names and platforms, then regions, genres and tags. Words are compared
without accents and capitals. For words with a letter wrong, missing, doubled or swapped, every
longer word of a title is also known without any one of its letters.

Revision 0010, after 0009.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE search_index (
        product_id UUID NOT NULL,
        document TSVECTOR NOT NULL,
        rank INTEGER NOT NULL,
        CONSTRAINT search_index_pkey PRIMARY KEY (product_id),
        CONSTRAINT search_index_product_id_fkey FOREIGN KEY(product_id) REFERENCES products (id)
            ON DELETE CASCADE
    )
    """,
    "CREATE INDEX search_index_document ON search_index USING gin (document)",
    """
    CREATE TABLE search_words (
        word TEXT NOT NULL,
        CONSTRAINT search_words_pkey PRIMARY KEY (word)
    )
    """,
    """
    CREATE TABLE search_variants (
        variant TEXT NOT NULL,
        word TEXT NOT NULL,
        CONSTRAINT search_variants_pkey PRIMARY KEY (variant, word)
    )
    """,
)

RULES = (
    """
    CREATE FUNCTION bitloot_plain(written text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT lower(regexp_replace(normalize(written, NFKD), '[\\u0300-\\u036f]', '', 'g'))
    $$
    """,
    """
    CREATE FUNCTION bitloot_document(title text, other_name text, platform text, region text,
        genres text[], tags text[]) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT setweight(to_tsvector('pg_catalog.simple', coalesce(bitloot_plain(title), '')), 'A')
            || setweight(to_tsvector('pg_catalog.simple', coalesce(bitloot_plain(
                coalesce(other_name, '') || ' ' || coalesce(platform, '')), '')), 'B')
            || setweight(to_tsvector('pg_catalog.simple', coalesce(bitloot_plain(
                coalesce(region, '') || ' ' || array_to_string(genres, ' ') || ' '
                || array_to_string(tags, ' ')), '')), 'C')
    $$
    """,
    # A word without any one of its letters, and the word itself. Of equal neighbours only the last
    # is left out, so that no variant comes twice. Not STRICT, or it could not be inlined.
    """
    CREATE FUNCTION bitloot_variants(word text) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE place WHEN 0 THEN word ELSE overlay(word PLACING '' FROM place FOR 1) END
        FROM generate_series(0, length(word)) AS place
        WHERE place = 0 OR substr(word, place, 1) <> substr(word, place + 1, 1)
    $$
    """,
    """
    CREATE FUNCTION bitloot_words_kept(titles text[]) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        WITH said AS (
            SELECT DISTINCT unnested.lexeme AS word FROM unnest(titles) AS title,
                unnest(to_tsvector('pg_catalog.simple', bitloot_plain(title))) AS unnested
            WHERE length(unnested.lexeme) BETWEEN 5 AND 40
        ),
        fresh AS (
            INSERT INTO search_words (word)
            SELECT word FROM said WHERE NOT EXISTS (
                SELECT 1 FROM search_words known WHERE known.word = said.word)
            ORDER BY word ON CONFLICT DO NOTHING RETURNING word
        )
        INSERT INTO search_variants (variant, word)
        SELECT variant, word FROM fresh, bitloot_variants(word) AS variant
        ORDER BY variant, word ON CONFLICT DO NOTHING;
    END $$
    """,
    """
    CREATE FUNCTION bitloot_products_found_new() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO search_index (product_id, document, rank)
        SELECT id, bitloot_document(title, original_name, platform, region, genres, tags),
            coalesce(floor(metacritic), 0)::integer
        FROM after_rows WHERE is_published;
        PERFORM bitloot_words_kept((SELECT array_agg(title) FROM after_rows WHERE is_published));
        RETURN NULL;
    END $$
    """,
    # Planned anew each time: a plan made for one product would compare thousands with each other.
    """
    CREATE FUNCTION bitloot_products_found_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        titles text[];
    BEGIN
        IF NOT EXISTS (SELECT 1 FROM after_rows) THEN
            RETURN NULL;
        END IF;
        EXECUTE $moved$
            WITH moved AS (
                SELECT a.*, a.title IS DISTINCT FROM b.title OR NOT b.is_published AS is_renamed
                FROM after_rows a JOIN before_rows b ON b.id = a.id
                WHERE (a.title, a.original_name, a.platform, a.region, a.genres, a.tags,
                    a.metacritic, a.is_published) IS DISTINCT FROM (b.title, b.original_name,
                    b.platform, b.region, b.genres, b.tags, b.metacritic, b.is_published)
            ),
            hidden AS (
                DELETE FROM search_index s USING moved m
                WHERE s.product_id = m.id AND NOT m.is_published
            ),
            found AS (
                INSERT INTO search_index (product_id, document, rank)
                SELECT id, bitloot_document(title, original_name, platform, region, genres, tags),
                    coalesce(floor(metacritic), 0)::integer
                FROM moved WHERE is_published
                ON CONFLICT (product_id)
                DO UPDATE SET document = excluded.document, rank = excluded.rank
            )
            SELECT array_agg(title) FROM moved WHERE is_published AND is_renamed
        $moved$ INTO titles;
        PERFORM bitloot_words_kept(titles);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER products_found_new AFTER INSERT ON products
    REFERENCING NEW TABLE AS after_rows
    FOR EACH STATEMENT EXECUTE FUNCTION bitloot_products_found_new()
    """,
    """
    CREATE TRIGGER products_found_changed AFTER UPDATE ON products
    REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows
    FOR EACH STATEMENT EXECUTE FUNCTION bitloot_products_found_changed()
    """,
    """
    INSERT INTO search_index (product_id, document, rank)
    SELECT id, bitloot_document(title, original_name, platform, region, genres, tags),
        coalesce(floor(metacritic), 0)::integer
    FROM products WHERE is_published
    """,
    "SELECT bitloot_words_kept((SELECT array_agg(title) FROM products WHERE is_published))",
)


def upgrade() -> None:
    """Make the tables, fill them, and keep them in step from now on."""
    for statement in TABLES + RULES:
        op.execute(statement)
