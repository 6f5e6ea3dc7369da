"""The one statement of each limit of the catalogue: PostgreSQL writes the answer."""

from typing import Final

# As long as the cursor that the shop signs.
NEXT: Final = "0" * 110
_CARD: Final = """json_build_object('id', p.id, 'slug', p.slug, 'title', p.title,
        'source', p.source, 'category', p.category, 'platform', p.platform, 'region', p.region,
        'excludedCountries', p.excluded_countries, 'price', l.price::text, 'currency', 'EUR',
        'available', o.stock - o.held, 'isPreorder', p.is_preorder,
        'releaseDate', p.release_date, 'coverUrl', p.cover_url)"""
_PAGE: Final = f"""
SELECT json_build_object('items', json_agg({_CARD} ORDER BY found.place),
    'next', '{NEXT}', 'readings', '[]'::json)::text
FROM ({{found}}) found
JOIN products p ON p.id = found.id
JOIN listings l ON l.id = found.id
JOIN product_offers o ON o.product_id = found.id
"""

# Parameters: rank and id of the product before.
LIST: Final = f"""
SELECT json_build_object('items', json_agg({_CARD} ORDER BY l.rank DESC, l.id DESC),
    'next', '{NEXT}', 'readings', '[]'::json)::text
FROM (
    SELECT id, rank, price FROM listings
    WHERE is_listed AND (rank, id) < ($1::integer, $2::uuid)
    ORDER BY rank DESC, id DESC LIMIT 20
) l
JOIN products p ON p.id = l.id
JOIN product_offers o ON o.product_id = l.id
"""

# Parameter: slug.
DETAIL: Final = """
SELECT json_build_object('id', p.id, 'slug', p.slug, 'title', p.title, 'source', p.source,
    'category', p.category, 'platform', p.platform, 'region', p.region,
    'excludedCountries', p.excluded_countries, 'price', l.price::text, 'currency', 'EUR',
    'available', o.stock - o.held, 'isPreorder', p.is_preorder, 'releaseDate', p.release_date,
    'coverUrl', p.cover_url, 'description', p.description, 'originalName', p.original_name,
    'genres', p.genres, 'tags', p.tags, 'languages', p.languages, 'developers', p.developers,
    'publishers', p.publishers, 'ageRating', p.age_rating, 'metacritic', p.metacritic::text,
    'systemRequirements', p.system_requirements,
    'media', (SELECT coalesce(json_agg(json_build_object('kind', m.kind, 'url', m.url,
        'thumbnailUrl', m.thumbnail_url, 'alt', m.alt) ORDER BY m.position, m.id), '[]')
        FROM product_media m WHERE m.product_id = p.id),
    'offers', json_build_array(json_build_object('source', o.supplier, 'available',
        o.stock - o.held)),
    'groups', (SELECT coalesce(json_agg(json_build_object('slug', g.slug, 'title', g.title,
        'products', '[]'::json)), '[]')
        FROM product_group_members m JOIN product_groups g ON g.id = m.group_id
        WHERE m.product_id = p.id))::text
FROM products p
JOIN listings l ON l.id = p.id
JOIN product_offers o ON o.product_id = p.id
WHERE p.slug = $1::text
"""

# Parameter: the words as a tsquery.
SEARCH_BY_TS_RANK: Final = _PAGE.format(
    found="""
    SELECT product_id AS id, row_number() OVER () AS place FROM (
        SELECT s.product_id FROM search_index s WHERE s.document @@ $1::tsquery
        ORDER BY ts_rank(s.document, $1::tsquery) DESC, s.product_id DESC LIMIT 20
    ) best"""
)
SEARCH_BY_POPULARITY: Final = _PAGE.format(
    found="""
    SELECT product_id AS id, row_number() OVER () AS place FROM (
        SELECT s.product_id FROM search_index s WHERE s.document @@ $1::tsquery
        ORDER BY s.rank DESC, s.product_id DESC LIMIT 20
    ) best"""
)
