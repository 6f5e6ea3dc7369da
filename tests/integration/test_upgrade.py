"""A shop that was filled before prices stood beside products comes to the newest schema whole."""

import json
from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest

from bitloot.domain.limits import Limits
from bitloot.domain.price_contexts import PricingTerms
from bitloot.ports.catalogue_writer import CatalogueBatch
from bitloot.ports.supplier_catalogue import SupplierProduct
from bitloot.ports.views.catalog import ShelfQuery
from bitloot_adapters.clock import new_id, utc_now
from bitloot_adapters.postgres.catalogue_writer import CatalogueWriter
from bitloot_adapters.postgres.migrate import head, upgrade
from bitloot_adapters.postgres.pool import open_database
from bitloot_adapters.postgres.views.catalog import PostgresCatalogViews
from bitloot_web.devservices import Databases

BEFORE = "0008"
TERMS = PricingTerms(margin=Decimal("0.1"), gateway_fee=Decimal("0.01"))

# A supplier's product in stock and one that is sold out, one of our own with a key and one hidden,
# one that never had a price, and prices with more digits than cents.
FILL = """
INSERT INTO products (id, version, slug, title, source, supplier_product_id, description, platform,
    region, excluded_countries, is_preorder, price, is_published, created_at, updated_at)
SELECT ('00000000-0000-7000-8000-00000000000' || n)::uuid, 3, slug, title, source, named, 'Told',
    'Steam', 'Europe', '{DE,AT}', false, price, is_published, '2026-01-01', '2026-02-01'
FROM (VALUES
    (1, 'deep-sea', 'Deep Sea Voyage', 'kinguin', 'k1', 11.00, true),
    (2, 'sold-out', 'Sold Out Saga', 'kinguin', 'k2', 5.123, true),
    (3, 'lantern', 'Lantern Keeper', 'custom', NULL, 14.99, true),
    (4, 'hidden', 'Hidden Gem', 'custom', NULL, 3.00, false),
    (5, 'priceless', 'Priceless Thing', 'custom', NULL, 0, true)
) made(n, slug, title, source, named, price, is_published);
INSERT INTO product_offers (id, version, product_id, supplier, supplier_product_id, offer_id, cost,
    stock, held, wholesale, updated_at)
SELECT ('00000000-0000-7000-8000-00000000010' || n)::uuid, 1,
    ('00000000-0000-7000-8000-00000000000' || n)::uuid, 'kinguin', 'k' || n, 'o' || n, cost, stock,
    held, '[{"from_units":10,"price":"9.00"}]', '2026-02-01'
FROM (VALUES (1, 10.00, 7, 2), (2, 4.00, 1, 1)) made(n, cost, stock, held);
SET session_replication_role = replica;
INSERT INTO inventory_keys (id, version, product_id, batch, cost, state, created_at)
VALUES ('00000000-0000-7000-8000-000000000203', 1, '00000000-0000-7000-8000-000000000003', 'b',
    7.00, 'available', '2026-01-01');
SET session_replication_role = DEFAULT;
INSERT INTO quotes (id, version, lines, gateway_fee, total, frozen_until, created_at)
VALUES ('00000000-0000-7000-8000-000000000301', 1, '[]', 0.01, 11.00, '2026-02-01', '2026-02-01');
INSERT INTO orders (id, version, number, quote_id, email, email_key, email_person, placed_from,
    source, status, remarks, total, gateway_fee, created_at, window_ends_at, completion_mailed,
    event_seq)
VALUES ('00000000-0000-7000-8000-000000000401', 2, 'BL-1', '00000000-0000-7000-8000-000000000301',
    'Buyer@shop.example', 'buyer@shop.example', 'buyer@shop.example', '192.0.2.7', 'kinguin',
    'expired', '{}', 11.00, 0.01, '2026-02-01', '2026-02-01', false, 2);
INSERT INTO events (order_id, seq, kind, at, subject, facts, changes)
SELECT '00000000-0000-7000-8000-000000000401', seq, kind, '2026-02-01', 'x', '{}', changes::jsonb
FROM (VALUES
    (1, 'order_placed', '{"order/00000000-0000-7000-8000-000000000401": {"version": 1,
        "number": "BL-1", "email": "Buyer@shop.example", "email_key": "buyer@shop.example",
        "email_person": "buyer@shop.example", "placed_from": "192.0.2.7"},
        "orderitem/x": {"a": 1}}'),
    (2, 'order_expired', '{"order/00000000-0000-7000-8000-000000000401": {"version": 2}}')
) made(seq, kind, changes);
"""
TIMELINE = "SELECT changes::text FROM events ORDER BY seq"
LISTED = """
SELECT p.slug, l.price, l.is_listed, l.is_available, l.is_loss_signed, l.platform, l.region,
    l.source, p.version, p.excluded_countries, p.genres, p.pinned
FROM listings l JOIN products p ON p.id = l.id ORDER BY p.slug
"""


@pytest.fixture
def old_shop(postgres_server: Databases) -> Iterator[str]:
    url = postgres_server.create_database("old_shop")
    upgrade(url, BEFORE)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in FILL.split(";\n"):
            connection.execute(statement.encode())
    upgrade(url)
    yield url
    postgres_server.drop_database("old_shop")


def rows(url: str, question: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(question.encode()).fetchall()


def test_timelines_say_no_more_who_bought(old_shop: str) -> None:
    order = '"order/00000000-0000-7000-8000-000000000401"'
    told = [json.loads(str(text)) for (text,) in rows(old_shop, TIMELINE)]
    number = {"version": 1, "number": "BL-1"}
    assert told == [
        json.loads(f'{{{order}: {json.dumps(number)}, "orderitem/x": {{"a": 1}}}}'),
        json.loads(f'{{{order}: {{"version": 2}}}}'),
    ]
    assert rows(old_shop, "SELECT email FROM orders") == [("Buyer@shop.example",)]
    with pytest.raises(psycopg.Error, match="append-only"):
        rows(old_shop, "UPDATE events SET kind = 'x' RETURNING kind")


def test_every_product_keeps_its_price_and_what_is_left_of_it(old_shop: str) -> None:
    told = ("Steam", "Europe")
    rest: tuple[object, ...] = (3, ["DE", "AT"], [], [])
    assert rows(old_shop, LISTED) == [
        ("deep-sea", Decimal("11.00"), True, True, False, *told, "kinguin", *rest),
        ("hidden", Decimal("3.00"), False, False, False, *told, "custom", *rest),
        ("lantern", Decimal("14.99"), True, True, False, *told, "custom", *rest),
        ("priceless", Decimal(0), True, False, False, *told, "custom", *rest),
        ("sold-out", Decimal("5.13"), True, False, False, *told, "kinguin", *rest),
    ]
    assert rows(old_shop, "SELECT version_num FROM alembic_version") == [(head(),)]
    offers = "SELECT offer_id, cost, stock, held FROM product_offers ORDER BY offer_id"
    assert rows(old_shop, offers) == [("o1", Decimal(10), 7, 2), ("o2", Decimal(4), 1, 1)]
    assert rows(old_shop, "SELECT count(*), sum(total) FROM quotes") == [(1, Decimal(11))]


def test_prices_of_our_own_become_rules_that_set_them(old_shop: str) -> None:
    rules = """
        SELECT p.slug, r.kind, r.value, r.is_enabled FROM pricing_rules r
        JOIN products p ON p.id::text = r.subject WHERE r.scope = 'product' ORDER BY 1
    """
    assert rows(old_shop, rules) == [
        ("hidden", "override", Decimal(3), True),
        ("lantern", "override", Decimal("14.99"), True),
    ]
    waiting = "SELECT kind, ref FROM jobs WHERE state = 'pending'"
    assert rows(old_shop, waiting) == [("reprice", "all")]


async def test_what_was_there_is_found_repriced_and_taken_over_by_the_next_news(
    old_shop: str,
) -> None:
    async with open_database(old_shop, Limits()) as database:
        views = PostgresCatalogViews(database, gateway_fee=TERMS.gateway_fee)
        for typed in ("lantern", "keper", "deep sea"):
            found = await views.products(ShelfQuery(text=typed), limit=10, after=None)
            assert len(found.page.items) == 1, typed
        writer = CatalogueWriter(database)
        await writer.reprice(None, reason="rule", terms=TERMS, at=utc_now())
        floors = "SELECT p.slug, l.price, l.floor FROM listings l JOIN products p USING (id)"
        after = {slug: (price, floor) for slug, price, floor in rows(old_shop, floors)}
        assert after["lantern"] == (Decimal("14.99"), Decimal("7.08"))
        assert after["deep-sea"] == (Decimal(11), Decimal("10.11"))
        assert after["sold-out"] == (Decimal("4.40"), Decimal("4.05"))
        said = SupplierProduct(
            supplier_product_id="k1",
            title="Deep Sea Voyage: Deluxe",
            description="New",
            platform="Steam",
            region="Europe",
            excluded_countries=("DE",),
            is_preorder=False,
            release_date=None,
            instructions=None,
            cover_url=None,
            offer_id="o1",
            price=Decimal("8.00"),
            stock=3,
            wholesale=(),
            updated_at=utc_now(),
            genres=("Adventure",),
        )
        counts = await writer.merge(
            "kinguin", CatalogueBatch(products=(said,)), terms=TERMS, new_id=new_id, at=utc_now()
        )
        assert (counts.products_new, counts.products_changed, counts.offers_changed) == (0, 1, 1)
        now = rows(
            old_shop,
            "SELECT slug, title, p.category, o.stock, o.held, l.price FROM products p"
            " JOIN listings l USING (id) JOIN product_offers o ON o.product_id = p.id"
            " WHERE p.supplier_product_id = 'k1'",
        )
        assert now == [("deep-sea", "Deep Sea Voyage: Deluxe", "adventure", 3, 2, Decimal("8.80"))]
