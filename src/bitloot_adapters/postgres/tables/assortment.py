"""What stands around the products: pricing rules, categories, media, groups, synchronisations."""

from sqlalchemy import (
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)
from sqlalchemy import text as written

from bitloot.ports.views.catalog import ACCLAIMED
from bitloot_adapters.postgres.tables.schema import (
    METADATA,
    check,
    eur,
    flag,
    ident,
    link,
    moment,
    number,
    one_of,
    text,
    texts,
    version,
    words,
)

pricing_rules = Table(
    "pricing_rules",
    METADATA,
    ident(),
    version(),
    text("scope"),
    text("subject", optional=True),
    text("kind"),
    eur("value"),
    eur("cap", optional=True),
    text("rounding"),
    number("priority"),
    flag("is_enabled"),
    text("loss_signed_by", optional=True),
    moment("created_at"),
    moment("updated_at"),
    PrimaryKeyConstraint("id"),
    Index("pricing_rules_subject", "scope", "subject"),
    one_of("scope", ("global", "category", "product")),
    one_of("kind", ("margin", "fixed", "override")),
    one_of("rounding", ("cent", "99", "95", "whole")),
    check("subject_of_scope", "(scope = 'global') = (subject IS NULL)"),
    check("value", "value >= 0"),
    check("cap", "cap > 0"),
    check("loss_of_override", "loss_signed_by IS NULL OR kind = 'override'"),
)

categories = Table(
    "categories",
    METADATA,
    ident(),
    version(),
    text("slug"),
    text("title"),
    number("position"),
    texts("genres"),
    flag("is_shown"),
    moment("created_at"),
    moment("updated_at"),
    number("home_position", optional=True),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("slug", name="categories_slug"),
)

product_media = Table(
    "product_media",
    METADATA,
    ident(),
    version(),
    link("product_id", "products.id"),
    text("kind"),
    text("url"),
    text("thumbnail_url", optional=True),
    text("alt"),
    number("position"),
    text("source"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("product_id", "url", name="product_media_url"),
    one_of("kind", ("image", "screenshot", "video")),
)

product_groups = Table(
    "product_groups",
    METADATA,
    ident(),
    version(),
    text("slug"),
    text("title"),
    text("description"),
    text("cover_url", optional=True),
    flag("is_shown"),
    moment("created_at"),
    moment("updated_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("slug", name="product_groups_slug"),
)

product_group_members = Table(
    "product_group_members",
    METADATA,
    ident(),
    version(),
    link("group_id", "product_groups.id"),
    link("product_id", "products.id"),
    number("position"),
    text("label"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("group_id", "product_id", name="product_group_members_product"),
    Index("product_group_members_product_id", "product_id"),
)

catalogue_syncs = Table(
    "catalogue_syncs",
    METADATA,
    ident(),
    version(),
    text("supplier"),
    text("kind"),
    text("state"),
    number("next_page"),
    moment("updated_since", optional=True),
    moment("started_at"),
    moment("ended_at", optional=True),
    number("pages"),
    number("products"),
    number("refused"),
    number("products_new"),
    number("products_changed"),
    number("offers_new"),
    number("offers_changed"),
    number("prices_changed"),
    number("retired"),
    text("confirmed_by", optional=True),
    text("last_error", optional=True),
    PrimaryKeyConstraint("id"),
    Index("catalogue_syncs_started_at", "supplier", "started_at"),
    Index(
        "catalogue_syncs_one_running",
        "supplier",
        unique=True,
        postgresql_where=written("state = 'running'"),
    ),
    one_of("kind", ("full", "incremental")),
    one_of("state", ("running", "done", "failed")),
    check("next_page", "next_page >= 1"),
)

catalogue_refusals = Table(
    "catalogue_refusals",
    METADATA,
    ident(),
    version(),
    link("sync_id", "catalogue_syncs.id"),
    number("page"),
    text("supplier_product_id", optional=True),
    text("reason"),
    moment("at"),
    PrimaryKeyConstraint("id"),
    Index("catalogue_refusals_sync_id", "sync_id", "page"),
)

# What a synchronisation came across, by the page at which it went on: what it did not is not to be
# had any more.
catalogue_seen = Table(
    "catalogue_seen",
    METADATA,
    link("sync_id", "catalogue_syncs.id"),
    number("page"),
    texts("supplier_product_ids"),
    PrimaryKeyConstraint("sync_id", "page"),
)

# Kept by triggers from the products that are published.
search_index = Table(
    "search_index",
    METADATA,
    ident("product_id"),
    words("document"),
    number("rank"),
    PrimaryKeyConstraint("product_id"),
    ForeignKeyConstraint(["product_id"], ["products.id"], ondelete="CASCADE"),
)
Index("search_index_document", search_index.c.document, postgresql_using="gin")
# A search looks here first: the statement says the same of the rank.
Index(
    "search_index_acclaimed",
    search_index.c.document,
    postgresql_using="gin",
    postgresql_where=search_index.c.rank >= ACCLAIMED,
)
# Common words are met by walking along it.
Index("search_index_rank", search_index.c.rank.desc(), search_index.c.product_id.desc())

search_words = Table("search_words", METADATA, text("word"), PrimaryKeyConstraint("word"))

# Each word of a title without any one of its letters, and itself.
search_variants = Table(
    "search_variants",
    METADATA,
    text("variant"),
    text("word"),
    PrimaryKeyConstraint("variant", "word"),
)
