"""What is sold: products, the offers of suppliers, what we ask for them, and quotes."""

from typing import Final

from sqlalchemy import (
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)
from sqlalchemy import text as written

from bitloot_adapters.postgres.tables.schema import (
    METADATA,
    check,
    document,
    eur,
    exact,
    flag,
    ident,
    link,
    loose_id,
    moment,
    number,
    one_of,
    rating,
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
    text("original_name", optional=True),
    text("source"),
    text("supplier_product_id", optional=True),
    text("description"),
    text("category", optional=True),
    text("platform", optional=True),
    text("region", optional=True),
    texts("genres"),
    texts("tags"),
    texts("languages"),
    texts("developers"),
    texts("publishers"),
    text("age_rating", optional=True),
    rating("metacritic"),
    text("steam_app", optional=True),
    document("system_requirements"),
    texts("excluded_countries"),
    flag("is_preorder"),
    text("release_date", optional=True),
    text("instructions", optional=True),
    text("cover_url", optional=True),
    texts("pinned"),
    number("low_stock_at", optional=True),
    flag("hides_when_sold_out"),
    flag("is_published"),
    text("facts_digest", optional=True),
    moment("supplier_updated_at", optional=True),
    moment("created_at"),
    moment("updated_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("slug", name="products_slug"),
    UniqueConstraint("source", "supplier_product_id", name="products_source_product"),
    Index("products_category", "category", "id"),
    Index("products_source", "source", "id"),
    Index("products_published", "is_published", "id"),
    Index(
        "products_watched",
        "id",
        postgresql_where=written("low_stock_at IS NOT NULL AND is_published"),
    ),
    check("metacritic", "metacritic >= 0"),
    check("low_stock_at", "low_stock_at >= 0"),
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
    moment("supplier_updated_at", optional=True),
    moment("updated_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("supplier", "supplier_product_id", "offer_id", name="product_offers_offer"),
    Index("product_offers_product_id", "product_id"),
    check("cost", "cost >= 0"),
    check("stock", "stock >= 0"),
    check("held", "held >= 0"),
)

# The narrow row that lists are read from. Its copies are kept by triggers.
listings = Table(
    "listings",
    METADATA,
    ident(),
    version(),
    flag("is_listed"),
    flag("is_available"),
    eur("price"),
    eur("floor"),
    flag("is_loss_signed"),
    number("rank"),
    text("category", optional=True),
    text("platform", optional=True),
    text("region", optional=True),
    text("source"),
    moment("updated_at"),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["id"], ["products.id"]),
    check("price", "price >= 0"),
    check("floor", "floor >= 0"),
    check("not_below_floor", "price >= floor OR is_loss_signed"),
)

_LISTED: Final = written("is_listed")
for _by in (None, listings.c.category, listings.c.platform, listings.c.region):
    Index(
        "listings_rank" if _by is None else f"listings_{_by.name}_rank",
        *(() if _by is None else (_by,)),
        listings.c.rank.desc(),
        listings.c.id.desc(),
        postgresql_where=_LISTED,
    )
Index(
    "listings_own_rank",
    listings.c.rank.desc(),
    listings.c.id.desc(),
    postgresql_where=written("is_listed AND source = 'custom'"),
)
Index("listings_sold_out", listings.c.id, postgresql_where=written("NOT is_available"))
# Every index of prices is written whenever any price is: the other lists by price sort a few rows.
Index("listings_price", listings.c.price, listings.c.id, postgresql_where=_LISTED)
Index(
    "listings_category_price",
    listings.c.category,
    listings.c.price,
    listings.c.id,
    postgresql_where=_LISTED,
)

# Every change of a price with what it was worked out from; never changed afterwards. It is only
# written out of products themselves: a foreign key would lock, and so write, each of their rows.
price_history = Table(
    "price_history",
    METADATA,
    ident(),
    version(),
    ident("product_id"),
    moment("at"),
    text("reason"),
    eur("price"),
    eur("previous", optional=True),
    eur("floor"),
    eur("cost", optional=True),
    exact("gateway_fee"),
    loose_id("offer_row_id"),
    document("rule", optional=True),
    document("tried"),
    PrimaryKeyConstraint("id"),
    Index("price_history_product_id", "product_id", "at"),
    one_of("reason", ("sync", "rule", "import", "own", "manual")),
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
