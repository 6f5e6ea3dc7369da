"""The steps of a search: what is hit, how its words were read, and how well a hit has them.

What was typed is hidden from the planner: it would read the whole table where a word is common, and
make another plan for every text, which takes longer than carrying it out.
"""

from typing import Final

from bitloot.domain.search_text import READ_AS_MAX, TYPED_LENGTHS
from bitloot.ports.views.catalog import ACCLAIMED

# So many words may lack the same letter; what is beyond is not looked at.
NEIGHBOURS: Final = 100
# The words as they were typed, and as they are looked for once slips are mended.
TYPED: Final = "(SELECT CAST(:exact AS tsquery))"
WANTED: Final = "(SELECT query FROM wanted)"
HAS_THEM: Final = f"s.document @@ {WANTED}"
ITS_WORDS: Final = """
    CROSS JOIN LATERAL (SELECT document FROM search_index WHERE product_id = few.id LIMIT 1) s"""
READINGS: Final = """
    (SELECT json_agg(json_build_object('word', word, 'read_as', read_as) ORDER BY place)
     FROM readings)"""
_PARTS: Final = {
    "typed": TYPED,
    "wanted": WANTED,
    "acclaimed": str(ACCLAIMED),
    "top": "1000000",
    "neighbours": str(NEIGHBOURS),
    "read_as": str(READ_AS_MAX),
    "shortest": str(TYPED_LENGTHS.start),
    "longest": str(TYPED_LENGTHS.stop - 1),
}

# The acclaimed have an index of words of their own, a fraction of the other. `below` is where a
# walk goes on that comes after them: at the top, where none or too many of them are hit.
_BEST: Final = """
    best AS MATERIALIZED (
        SELECT s.product_id AS id, s.rank, s.document FROM search_index s
        WHERE s.document @@ {typed} AND s.rank >= {acclaimed} LIMIT {fence}
    ),
    best_count AS MATERIALIZED (
        SELECT count(*) > {hits} AS is_many,
            CASE WHEN count(*) BETWEEN 1 AND {hits} THEN {acclaimed} ELSE {top} END AS below
        FROM best
    )"""
BELOW_BEST: Final = "rank < (SELECT below FROM best_count)"
FEW_BEST: Final = "NOT (SELECT is_many FROM best_count)"
# A page that is full of them asks for nothing more.
_BEST_PAGE: Final = """
    best_page AS MATERIALIZED ({page}),
    enough AS MATERIALIZED (SELECT count(*) > {limit} AS is_enough FROM best_page)"""
_NOT_ENOUGH: Final = "NOT (SELECT is_enough FROM enough)"
BEST_OF_MANY: Final = """
    SELECT * FROM best_page
    WHERE (SELECT is_enough FROM enough) OR (SELECT is_many FROM hits_count)"""
# Words that the shop does not know are read as such that differ by one slip, if nothing is hit
# exactly.
_HITS: Final = """
    typed AS (
        SELECT word, place, place = cardinality(CAST(:words AS text[])) AS is_last
        FROM unnest((SELECT CAST(:words AS text[]))) WITH ORDINALITY AS each(word, place)
    ),
    exact AS MATERIALIZED (
        SELECT s.product_id AS id, s.rank FROM search_index s
        WHERE s.document @@ {typed} AND {gate} LIMIT {fence}
    ),
    readings AS MATERIALIZED (
        SELECT t.word, t.place, array_agg(near.word ORDER BY near.word) AS read_as
        FROM typed t CROSS JOIN LATERAL (
            SELECT DISTINCT v.word FROM bitloot_variants(t.word) AS part(variant)
            CROSS JOIN LATERAL (
                SELECT known.word FROM search_variants known
                WHERE known.variant = part.variant LIMIT {neighbours}
            ) v
            WHERE bitloot_slip(v.word, t.word) ORDER BY v.word LIMIT {read_as}
        ) near
        WHERE {gate} AND NOT EXISTS (SELECT 1 FROM exact)
            AND length(t.word) BETWEEN {shortest} AND {longest}
            AND NOT EXISTS (SELECT 1 FROM search_words known WHERE known.word = t.word)
            AND (SELECT count(*) FROM (
                SELECT 1 FROM search_index s WHERE s.document @@ CAST(quote_literal(t.word)
                    || CASE WHEN t.is_last THEN ':*' ELSE '' END AS tsquery) LIMIT {hits}
            ) known) = 0
        GROUP BY t.word, t.place
    ),
    mended AS MATERIALIZED (
        SELECT CAST(string_agg('(' || quote_literal(t.word)
            || CASE WHEN t.is_last THEN ':*' ELSE '' END
            || coalesce((SELECT string_agg(' | ' || quote_literal(each), '')
                FROM unnest(r.read_as) AS each), '') || ')', ' & ') AS tsquery) AS query
        FROM typed t LEFT JOIN readings r ON r.place = t.place
        WHERE EXISTS (SELECT 1 FROM readings)
    ),
    wanted AS MATERIALIZED (
        SELECT coalesce((SELECT query FROM mended), {typed}) AS query
    ),
    hits AS MATERIALIZED (
        SELECT id, rank FROM exact
        UNION ALL
        (SELECT s.product_id, s.rank FROM search_index s
        WHERE EXISTS (SELECT 1 FROM readings)
            AND s.document @@ (SELECT query FROM mended) LIMIT {fence})
    )"""


def weight(document: str, query: str) -> str:
    """2 where all words are in the title, 1 where they are in it or in a name, otherwise 0."""
    return f"""CASE WHEN ts_filter({document}, '{{a}}') @@ {query} THEN 2
        WHEN ts_filter({document}, '{{a,b}}') @@ {query} THEN 1 ELSE 0 END"""


def best_steps(page: str, *, hits: int, limit: int) -> list[str]:
    """The acclaimed that are hit, the `page` that is made of `best`, and whether it is enough."""
    return [
        _BEST.format(**_PARTS, hits=hits, fence=hits + 1),
        _BEST_PAGE.format(page=page, limit=limit),
    ]


def hit_steps(hits: int, *, after_best: bool) -> str:
    """All that is hit, up to a fence; nothing where the acclaimed were enough."""
    gate = _NOT_ENOUGH if after_best else "true"
    return _HITS.format(**_PARTS, hits=hits, fence=hits + 1, gate=gate)
