"""The statements of one product, of groups, of categories, and of what lists can be narrowed by."""

from typing import Final

from sqlalchemy import text

from bitloot.ports.views.catalog import FACET_VALUES, SIBLINGS
from bitloot_adapters.postgres.statements import Statement, compiled
from bitloot_adapters.postgres.views.shelf_statements import CARD, HAD

DETAILS: Final = (
    "description",
    "original_name",
    "genres",
    "tags",
    "languages",
    "developers",
    "publishers",
    "age_rating",
    "metacritic",
    "system_requirements",
)


def _statement(template: str, /, **parts: str | int) -> Statement:
    return compiled(
        text(
            template.format(
                **parts,
                card=CARD,
                had=HAD,
                details=", ".join(f"p.{name}" for name in DETAILS),
                siblings=SIBLINGS,
                values=FACET_VALUES,
            )
        )
    )


PRODUCT: Final = _statement("""
    SELECT {card}, {details},
        (SELECT coalesce(json_agg(json_build_object('kind', m.kind, 'url', m.url, 'thumbnail_url',
            m.thumbnail_url, 'alt', m.alt) ORDER BY m.position, m.id), '[]')
         FROM product_media m WHERE m.product_id = p.id),
        (SELECT coalesce(json_agg(json_build_object('source', each.supplier, 'available',
            greatest(each.stock - each.held, 0))
            ORDER BY each.stock <= each.held, each.cost, each.id), '[]')
         FROM product_offers each WHERE each.product_id = p.id),
        (SELECT coalesce(json_agg(json_build_object('slug', g.slug, 'title', g.title, 'products',
            siblings.products) ORDER BY g.slug), '[]')
         FROM product_group_members own JOIN product_groups g ON g.id = own.group_id
         CROSS JOIN LATERAL (
            SELECT coalesce(json_agg(one.product ORDER BY one.position, one.id), '[]') AS products
            FROM (
                SELECT m.position, m.id, json_build_object('slug', s.slug, 'title', s.title,
                    'label', m.label, 'platform', s.platform, 'region', s.region,
                    'price', asked.price::text, 'is_available', asked.is_available) AS product
                FROM product_group_members m JOIN products s ON s.id = m.product_id
                JOIN listings asked ON asked.id = s.id AND asked.is_listed
                WHERE m.group_id = g.id ORDER BY m.position, m.id LIMIT {siblings}
            ) one
         ) siblings
         WHERE own.product_id = p.id AND g.is_shown),
        stock.free
    FROM products p JOIN listings l ON l.id = p.id {had}
    WHERE p.slug = CAST(:slug AS text) AND p.is_published
""")

# Each value is found behind the one before in the index, and counted as far as it is told.
_FACET: Final = """
    {name}_values AS (
        (SELECT l.{name} AS value, 1 AS number FROM listings l
         WHERE l.is_listed AND l.{name} IS NOT NULL ORDER BY l.{name} LIMIT 1)
        UNION ALL
        SELECT next.value, found.number + 1 FROM {name}_values found CROSS JOIN LATERAL (
            SELECT l.{name} AS value FROM listings l
            WHERE l.is_listed AND l.{name} > found.value ORDER BY l.{name} LIMIT 1
        ) next
        WHERE found.number < {values}
    )"""
_COUNTED: Final = """
    SELECT '{name}' AS facet, found.value, counted.count
    FROM {name}_values found CROSS JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT 1 FROM listings l WHERE l.is_listed AND l.{name} = found.value
            ORDER BY l.{name}, l.rank DESC, l.id DESC LIMIT CAST(:most AS integer)
        ) met
    ) counted"""
_END: Final = """
    SELECT '{facet}', (
        SELECT l.price::text FROM listings l WHERE l.is_listed ORDER BY l.price {way}, l.id {way}
        LIMIT 1), 0"""
FACETS: Final = ("category", "platform", "region")
FILTERS: Final = _statement(
    "WITH RECURSIVE {facets} SELECT facet, value, count FROM ({all}) told ORDER BY facet, value",
    facets=", ".join(_FACET.format(name=name, values=FACET_VALUES) for name in FACETS),
    all=" UNION ALL ".join(
        (
            *(_COUNTED.format(name=name) for name in FACETS),
            _END.format(facet="price_from", way="ASC"),
            _END.format(facet="price_to", way="DESC"),
        )
    ),
)
_CATEGORIES: Final = """
    SELECT c.slug, c.title, c.home_position, counted.count FROM categories c CROSS JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT 1 FROM listings l WHERE l.is_listed AND l.category = c.slug
            ORDER BY l.category, l.rank DESC, l.id DESC LIMIT CAST(:most AS integer)
        ) met
    ) counted
    WHERE c.is_shown AND {only} ORDER BY {order}, c.slug LIMIT CAST(:limit AS integer)
"""
CATEGORIES: Final = _statement(_CATEGORIES, only="true", order="c.position")
SECTIONS: Final = _statement(
    _CATEGORIES, only="c.home_position IS NOT NULL", order="c.home_position"
)

_GROUPS: Final = """
    SELECT g.slug, g.title, g.description, g.cover_url, counted.count
    FROM product_groups g CROSS JOIN LATERAL (
        SELECT count(*) FROM product_group_members m CROSS JOIN LATERAL (
            SELECT 1 FROM listings l WHERE l.id = m.product_id AND l.is_listed LIMIT 1
        ) listed
        WHERE m.group_id = g.id
    ) counted
    WHERE g.is_shown AND {after} ORDER BY g.slug LIMIT CAST(:limit AS integer)
"""
GROUPS: Final = _statement(_GROUPS, after="true")
GROUPS_AFTER: Final = _statement(_GROUPS, after="g.slug > CAST(:after AS text)")
GROUP: Final = _statement("""
    SELECT g.slug, g.title, g.description, g.cover_url, member.*
    FROM product_groups g LEFT JOIN LATERAL (
        SELECT one.label, {card} FROM (
            SELECT m.product_id, m.label, m.position, m.id FROM product_group_members m
            CROSS JOIN LATERAL (
                SELECT 1 FROM listings each WHERE each.id = m.product_id AND each.is_listed LIMIT 1
            ) listed
            WHERE m.group_id = g.id ORDER BY m.position, m.id LIMIT {siblings}
        ) one
        CROSS JOIN LATERAL (SELECT * FROM products WHERE id = one.product_id LIMIT 1) p
        CROSS JOIN LATERAL (SELECT * FROM listings WHERE id = one.product_id LIMIT 1) l
        {had}
        ORDER BY one.position, one.id
    ) member ON true
    WHERE g.slug = CAST(:slug AS text) AND g.is_shown
""")
