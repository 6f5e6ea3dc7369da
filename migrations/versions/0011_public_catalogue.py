"""What buyers ask of the catalogue: own goods in order, and words with a slip in them.

Signs that stand between words part them everywhere alike, so that what buyers type is cut up just
as titles are. Whoever listens to `catalogue` is told of changes of what lists and products show.

Revision 0011, after 0010.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WORDS = (
    # The signs that the parser of PostgreSQL would read addresses, numbers and tags from.
    """
    CREATE OR REPLACE FUNCTION bitloot_plain(written text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT translate(lower(regexp_replace(
            normalize(replace(written, E'\\u2122', ' '), NFKD), '[\\u0300-\\u036f]', '', 'g')),
            E'-._/@:&<>+~\\'\\u2019', '           ')
    $$
    """,
    # Whether what was typed is the word with one letter wrong, missing or doubled, or two swapped.
    """
    CREATE FUNCTION bitloot_slip(word text, typed text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT word <> typed AND (
            substr(here, 2) = there OR here = substr(there, 2) OR substr(here, 2) = substr(there, 2)
            OR (left(here, 2) = reverse(left(there, 2)) AND substr(here, 3) = substr(there, 3)))
        FROM (
            SELECT substr(word, start) AS here, substr(typed, start) AS there
            FROM (
                SELECT coalesce(min(place), least(length(word), length(typed)) + 1) AS start
                FROM generate_series(1, least(length(word), length(typed))) AS place
                WHERE substr(word, place, 1) <> substr(typed, place, 1)
            ) parted
        ) ends
    $$
    """,
    """
    UPDATE search_index s SET document = bitloot_document(p.title, p.original_name, p.platform,
        p.region, p.genres, p.tags)
    FROM products p WHERE p.id = s.product_id
    """,
    "TRUNCATE search_words, search_variants",
    "SELECT bitloot_words_kept((SELECT array_agg(title) FROM products WHERE is_published))",
)

INDEXES = (
    """
    CREATE INDEX listings_own_rank ON listings (rank DESC, id DESC)
        WHERE is_listed AND source = 'custom'
    """,
)

TOLD = (
    "listings",
    "products",
    "product_media",
    "product_groups",
    "product_group_members",
    "categories",
)
NEWS = (
    """
    CREATE FUNCTION bitloot_catalogue_told() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('catalogue', '');
        RETURN NULL;
    END $$
    """,
    *(
        f"""
        CREATE TRIGGER {table}_told AFTER INSERT OR UPDATE OR DELETE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION bitloot_catalogue_told()
        """
        for table in TOLD
    ),
)


def upgrade() -> None:
    """Read words alike, order own goods, and tell of changes."""
    for statement in WORDS + INDEXES + NEWS:
        op.execute(statement)
