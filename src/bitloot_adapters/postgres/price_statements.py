"""The arithmetic of prices as one set-based pass over any number of products.

It says the same as `bitloot.domain.price_derivation`: a property test holds the two together.
Nothing is divided inexactly: the floor is a whole quotient and what remains of it.
"""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec
from sqlalchemy import text

from bitloot.domain.price_contexts import PriceContext
from bitloot_adapters.postgres.statements import Statement, compiled

Which: TypeAlias = Literal["all", "named", "news"]


def floor_of(cost: str) -> str:
    """The lowest price that loses nothing at this cost and the gateway's `:fee`: cents up."""
    share = "1 - CAST(:fee AS numeric)"
    return f"0.01 * (div({cost} * 100, {share}) + sign(mod({cost} * 100, {share})))"


# From `facts` (cost, kind, value, cap, rounding, is_signed, previous) to `priced`. EUR a unit.
# `OFFSET 0` keeps each step by itself: merged they are worked out again wherever they are used.
STEPS: Final = """
    floored AS (
        SELECT facts.*,
            CASE WHEN cost IS NULL THEN 0 ELSE FLOOR_OF_COST END AS cost_floor,
            CASE kind WHEN 'margin' THEN cost * (1 + value) WHEN 'fixed' THEN cost + value
                WHEN 'override' THEN value END AS raw
        FROM facts OFFSET 0
    ),
    asked AS (
        SELECT floored.*,
            CASE WHEN raw IS NOT NULL THEN least(
                CASE rounding WHEN 'cent' THEN ceil(raw * 100) * 0.01
                    WHEN '99' THEN ceil(raw - 0.99) + 0.99
                    WHEN '95' THEN ceil(raw - 0.95) + 0.95
                    ELSE ceil(raw) END,
                floor(cap * 100) * 0.01) END AS capped,
            ceil(previous * 100) * 0.01 AS stays
        FROM floored OFFSET 0
    ),
    priced AS (
        SELECT asked.*,
            CASE WHEN raw IS NULL AND cost IS NULL THEN previous
                WHEN raw IS NULL AND stays >= cost_floor THEN stays
                WHEN raw IS NULL THEN cost_floor
                WHEN is_signed THEN capped
                ELSE greatest(cost_floor, capped) END AS price,
            raw IS NOT NULL AND is_signed AS is_loss_signed
        FROM asked OFFSET 0
    )""".replace("FLOOR_OF_COST", floor_of("cost"))

_CONTEXTS: Final = """
    contexts AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:contexts AS json)) AS c(place integer,
            product_id uuid, category text, kind text, value numeric, cap numeric, rounding text,
            is_signed boolean, rule jsonb, tried jsonb)
    )"""

_WHICH: Final[dict[Which, str]] = {
    "all": "true",
    "named": "p.id = ANY(CAST(:ids AS uuid[]))",
    "news": "p.id IN (SELECT sold_as FROM catalogue_news)",
}

_FACTS: Final = """
    facts AS (
        SELECT p.id, p.is_published AND (f.available OR NOT p.hides_when_sold_out) AS is_listed,
            f.available, coalesce(floor(p.metacritic), 0)::integer AS popularity, p.category,
            p.platform, p.region, p.source, l.id IS NULL AS is_new, l.price AS previous,
            l.floor AS old_floor, l.is_loss_signed AS was_signed,
            CASE WHEN f.from_keys THEN k.cost ELSE o.cost END AS cost,
            CASE WHEN f.from_keys THEN NULL ELSE o.id END AS offer_row_id,
            c.kind, c.value, c.cap, c.rounding, c.is_signed, c.rule, c.tried
        FROM products p
        LEFT JOIN listings l ON l.id = p.id
        LEFT JOIN contexts mine ON mine.product_id = p.id
        LEFT JOIN contexts shared ON shared.category = p.category
        JOIN contexts c ON c.place = coalesce(mine.place, shared.place, 0)
        LEFT JOIN LATERAL (
            SELECT id, cost, stock > held AS available FROM product_offers
            WHERE product_id = p.id ORDER BY stock > held DESC, cost, id LIMIT 1
        ) o ON true
        LEFT JOIN LATERAL (
            SELECT max(cost) AS cost, count(*) > 0 AS available FROM inventory_keys
            WHERE product_id = p.id AND state = 'available' AND p.source = 'custom'
                AND (expires_at IS NULL OR expires_at > statement_timestamp())
        ) k ON true
        CROSS JOIN LATERAL (
            SELECT coalesce(o.available, false) OR coalesce(k.available, false) AS available,
                p.source = 'custom' AND (o.id IS NULL OR (k.available
                    AND (NOT o.available OR k.cost <= o.cost))) AS from_keys
        ) f
        WHERE {which}
    )"""

_WHOLE: Final = """
    WITH {contexts}, {facts}, {steps},
    sound AS (SELECT * FROM priced WHERE price < 1000000000000 AND cost_floor < 1000000000000),
    moved AS (
        UPDATE listings l SET price = s.price, floor = s.cost_floor,
            is_loss_signed = s.is_loss_signed, version = l.version + 1,
            updated_at = CAST(:at AS timestamptz)
        FROM sound s WHERE l.id = s.id AND NOT s.is_new
            AND (s.price, s.cost_floor, s.is_loss_signed)
                IS DISTINCT FROM (s.previous, s.old_floor, s.was_signed)
        RETURNING 1
    ),
    listed AS (
        INSERT INTO listings (id, version, is_listed, is_available, price, floor, is_loss_signed,
            rank, category, platform, region, source, updated_at)
        SELECT id, 1, is_listed, available, price, cost_floor, is_loss_signed, popularity,
            category, platform, region, source, CAST(:at AS timestamptz)
        FROM sound WHERE is_new
        RETURNING 1
    ),
    told AS (
        INSERT INTO price_history (id, version, product_id, at, reason, price, previous, floor,
            cost, gateway_fee, offer_row_id, rule, tried)
        SELECT bitloot_uuid7(CAST(:at AS timestamptz)), 1, id, CAST(:at AS timestamptz),
            CAST(:reason AS text), price, previous, cost_floor, cost, CAST(:fee AS numeric),
            offer_row_id, rule, tried
        FROM sound WHERE price IS DISTINCT FROM previous
        RETURNING 1
    )
    SELECT count(*) FROM told"""


def _pass(which: Which) -> Statement:
    facts = _FACTS.format(which=_WHICH[which])
    return compiled(text(_WHOLE.format(contexts=_CONTEXTS, facts=facts, steps=STEPS)))


# Listings and history of products, brought to what the rules in `contexts` say; how many prices
# changed.
REPRICE: Final[dict[Which, Statement]] = {
    "all": _pass("all"),
    "named": _pass("named"),
    "news": _pass("news"),
}


def written(contexts: Iterable[PriceContext]) -> str:
    """The contexts as the statement reads them; the first is for whoever has no other."""
    rows: list[dict[str, object]] = []
    for place, context in enumerate(contexts):
        rule = context.choice.applied
        row: dict[str, object] = {
            "place": place,
            "product_id": context.product_id,
            "category": context.category,
            "is_signed": rule is not None and rule.is_loss_signed,
            "rule": rule,
            "tried": context.choice.tried,
        }
        if rule is not None:
            row |= {
                "kind": rule.kind,
                "value": rule.value,
                "cap": rule.cap,
                "rounding": rule.rounding,
            }
        rows.append(row)
    return msgspec.json.encode(rows).decode()
