"""What is sold: products, the offers of suppliers, and quotes."""

from sqlalchemy import Index, PrimaryKeyConstraint, Table, UniqueConstraint

from bitloot_adapters.postgres.tables.schema import (
    METADATA,
    check,
    document,
    eur,
    flag,
    ident,
    link,
    loose_id,
    moment,
    number,
    text,
    texts,
    version,
)

products = Table(
    "products",
    METADATA,
    ident(),
    version(),
    text("slug"),
    text("title"),
    text("source"),
    text("supplier_product_id", optional=True),
    text("description"),
    text("platform", optional=True),
    text("region", optional=True),
    texts("excluded_countries"),
    flag("is_preorder"),
    text("release_date", optional=True),
    text("instructions", optional=True),
    text("cover_url", optional=True),
    eur("price"),
    flag("is_published"),
    moment("created_at"),
    moment("updated_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("slug", name="products_slug"),
    UniqueConstraint("source", "supplier_product_id", name="products_source_product"),
    check("price", "price >= 0"),
)

# Price and stock stand apart from the searchable text, so that a price change touches no text
# index. `held` is kept by a trigger from the reservations.
product_offers = Table(
    "product_offers",
    METADATA,
    ident(),
    version(),
    link("product_id", "products.id"),
    text("supplier"),
    text("supplier_product_id"),
    text("offer_id"),
    eur("cost"),
    number("stock"),
    number("held"),
    document("wholesale"),
    moment("updated_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("supplier", "offer_id", name="product_offers_offer"),
    Index("product_offers_product_id", "product_id"),
    check("cost", "cost >= 0"),
    check("stock", "stock >= 0"),
    check("held", "held >= 0"),
)

quotes = Table(
    "quotes",
    METADATA,
    ident(),
    version(),
    document("lines"),
    text("country", optional=True),
    text("asset", optional=True),
    eur("gateway_fee"),
    eur("total"),
    moment("frozen_until"),
    moment("created_at"),
    loose_id("used_by"),
    PrimaryKeyConstraint("id"),
    check("total", "total >= 0"),
)
