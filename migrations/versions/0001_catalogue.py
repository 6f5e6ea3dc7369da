"""What is sold: products, offers, quotes.

Revision 0001, after nothing.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE products (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        slug TEXT NOT NULL,
        title TEXT NOT NULL,
        source TEXT NOT NULL,
        supplier_product_id TEXT,
        description TEXT NOT NULL,
        platform TEXT,
        region TEXT,
        excluded_countries TEXT[] NOT NULL,
        is_preorder BOOLEAN NOT NULL,
        release_date TEXT,
        instructions TEXT,
        cover_url TEXT,
        price NUMERIC(20, 8) NOT NULL,
        is_published BOOLEAN NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT products_pkey PRIMARY KEY (id),
        CONSTRAINT products_slug UNIQUE (slug),
        CONSTRAINT products_source_product UNIQUE (source, supplier_product_id),
        CONSTRAINT products_price CHECK (price >= 0)
    )
    """,
    """
    CREATE TABLE product_offers (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        product_id UUID NOT NULL,
        supplier TEXT NOT NULL,
        supplier_product_id TEXT NOT NULL,
        offer_id TEXT NOT NULL,
        cost NUMERIC(20, 8) NOT NULL,
        stock INTEGER NOT NULL,
        held INTEGER NOT NULL,
        wholesale JSONB NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT product_offers_pkey PRIMARY KEY (id),
        CONSTRAINT product_offers_offer UNIQUE (supplier, offer_id),
        CONSTRAINT product_offers_cost CHECK (cost >= 0),
        CONSTRAINT product_offers_stock CHECK (stock >= 0),
        CONSTRAINT product_offers_held CHECK (held >= 0),
        CONSTRAINT product_offers_product_id_fkey FOREIGN KEY(product_id) REFERENCES products (id)
    )
    """,
    "CREATE INDEX product_offers_product_id ON product_offers (product_id)",
    """
    CREATE TABLE quotes (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        lines JSONB NOT NULL,
        country TEXT,
        asset TEXT,
        gateway_fee NUMERIC(20, 8) NOT NULL,
        total NUMERIC(20, 8) NOT NULL,
        frozen_until TIMESTAMP WITH TIME ZONE NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        used_by UUID,
        CONSTRAINT quotes_pkey PRIMARY KEY (id),
        CONSTRAINT quotes_total CHECK (total >= 0)
    )
    """,
)

RULES = (
    """
    ALTER TABLE product_offers SET (fillfactor = 80)
    """,
)


def upgrade() -> None:
    for statement in TABLES + RULES:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back over data: restore a backup instead."""
    raise NotImplementedError
