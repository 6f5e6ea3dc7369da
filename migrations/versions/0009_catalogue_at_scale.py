"""The catalogue at the scale of a supplier: what we ask stands apart from what things are.

Prices move from products to the narrow `listings`, which the lists are read from. Rules of pricing,
the history of prices, categories, media, groups and synchronisations are new. The prices of own
stock become rules, so that they stay what they are.

Revision 0009, after 0008.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE listings (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        is_listed BOOLEAN NOT NULL,
        is_available BOOLEAN NOT NULL,
        price NUMERIC(20, 8) NOT NULL,
        floor NUMERIC(20, 8) NOT NULL,
        is_loss_signed BOOLEAN NOT NULL,
        rank INTEGER NOT NULL,
        category TEXT,
        platform TEXT,
        region TEXT,
        source TEXT NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT listings_pkey PRIMARY KEY (id),
        CONSTRAINT listings_id_fkey FOREIGN KEY(id) REFERENCES products (id),
        CONSTRAINT listings_price CHECK (price >= 0),
        CONSTRAINT listings_floor CHECK (floor >= 0),
        CONSTRAINT listings_not_below_floor CHECK (price >= floor OR is_loss_signed)
    )
    """,
    "CREATE INDEX listings_category_price ON listings (category, price, id) WHERE is_listed",
    """
    CREATE INDEX listings_category_rank
        ON listings (category, rank DESC, id DESC) WHERE is_listed
    """,
    """
    CREATE INDEX listings_platform_rank
        ON listings (platform, rank DESC, id DESC) WHERE is_listed
    """,
    "CREATE INDEX listings_price ON listings (price, id) WHERE is_listed",
    "CREATE INDEX listings_rank ON listings (rank DESC, id DESC) WHERE is_listed",
    "CREATE INDEX listings_region_rank ON listings (region, rank DESC, id DESC) WHERE is_listed",
    """
    CREATE TABLE price_history (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        product_id UUID NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        reason TEXT NOT NULL,
        price NUMERIC(20, 8) NOT NULL,
        previous NUMERIC(20, 8),
        floor NUMERIC(20, 8) NOT NULL,
        cost NUMERIC(20, 8),
        gateway_fee NUMERIC NOT NULL,
        offer_row_id UUID,
        rule JSONB,
        tried JSONB NOT NULL,
        CONSTRAINT price_history_pkey PRIMARY KEY (id),
        CONSTRAINT price_history_reason
            CHECK ("reason" IN ('sync', 'rule', 'import', 'own', 'manual'))
    )
    """,
    "CREATE INDEX price_history_product_id ON price_history (product_id, at)",
    """
    CREATE TABLE pricing_rules (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        scope TEXT NOT NULL,
        subject TEXT,
        kind TEXT NOT NULL,
        value NUMERIC(20, 8) NOT NULL,
        cap NUMERIC(20, 8),
        rounding TEXT NOT NULL,
        priority INTEGER NOT NULL,
        is_enabled BOOLEAN NOT NULL,
        loss_signed_by TEXT,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pricing_rules_pkey PRIMARY KEY (id),
        CONSTRAINT pricing_rules_scope CHECK ("scope" IN ('global', 'category', 'product')),
        CONSTRAINT pricing_rules_kind CHECK ("kind" IN ('margin', 'fixed', 'override')),
        CONSTRAINT pricing_rules_rounding CHECK ("rounding" IN ('cent', '99', '95', 'whole')),
        CONSTRAINT pricing_rules_subject_of_scope CHECK ((scope = 'global') = (subject IS NULL)),
        CONSTRAINT pricing_rules_value CHECK (value >= 0),
        CONSTRAINT pricing_rules_cap CHECK (cap > 0),
        CONSTRAINT pricing_rules_loss_of_override
            CHECK (loss_signed_by IS NULL OR kind = 'override')
    )
    """,
    "CREATE INDEX pricing_rules_subject ON pricing_rules (scope, subject)",
    """
    CREATE TABLE categories (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        slug TEXT NOT NULL,
        title TEXT NOT NULL,
        position INTEGER NOT NULL,
        genres TEXT[] NOT NULL,
        is_shown BOOLEAN NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT categories_pkey PRIMARY KEY (id),
        CONSTRAINT categories_slug UNIQUE (slug)
    )
    """,
    """
    CREATE TABLE product_media (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        product_id UUID NOT NULL,
        kind TEXT NOT NULL,
        url TEXT NOT NULL,
        thumbnail_url TEXT,
        alt TEXT NOT NULL,
        position INTEGER NOT NULL,
        source TEXT NOT NULL,
        CONSTRAINT product_media_pkey PRIMARY KEY (id),
        CONSTRAINT product_media_url UNIQUE (product_id, url),
        CONSTRAINT product_media_kind CHECK ("kind" IN ('image', 'screenshot', 'video')),
        CONSTRAINT product_media_product_id_fkey FOREIGN KEY(product_id) REFERENCES products (id)
    )
    """,
    """
    CREATE TABLE product_groups (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        slug TEXT NOT NULL,
        title TEXT NOT NULL,
        description TEXT NOT NULL,
        cover_url TEXT,
        is_shown BOOLEAN NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT product_groups_pkey PRIMARY KEY (id),
        CONSTRAINT product_groups_slug UNIQUE (slug)
    )
    """,
    """
    CREATE TABLE product_group_members (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        group_id UUID NOT NULL,
        product_id UUID NOT NULL,
        position INTEGER NOT NULL,
        label TEXT NOT NULL,
        CONSTRAINT product_group_members_pkey PRIMARY KEY (id),
        CONSTRAINT product_group_members_product UNIQUE (group_id, product_id),
        CONSTRAINT product_group_members_group_id_fkey
            FOREIGN KEY(group_id) REFERENCES product_groups (id),
        CONSTRAINT product_group_members_product_id_fkey
            FOREIGN KEY(product_id) REFERENCES products (id)
    )
    """,
    "CREATE INDEX product_group_members_product_id ON product_group_members (product_id)",
    """
    CREATE TABLE catalogue_syncs (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        supplier TEXT NOT NULL,
        kind TEXT NOT NULL,
        state TEXT NOT NULL,
        next_page INTEGER NOT NULL,
        updated_since TIMESTAMP WITH TIME ZONE,
        started_at TIMESTAMP WITH TIME ZONE NOT NULL,
        ended_at TIMESTAMP WITH TIME ZONE,
        pages INTEGER NOT NULL,
        products INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        products_new INTEGER NOT NULL,
        products_changed INTEGER NOT NULL,
        offers_new INTEGER NOT NULL,
        offers_changed INTEGER NOT NULL,
        prices_changed INTEGER NOT NULL,
        retired INTEGER NOT NULL,
        last_error TEXT,
        CONSTRAINT catalogue_syncs_pkey PRIMARY KEY (id),
        CONSTRAINT catalogue_syncs_kind CHECK ("kind" IN ('full', 'incremental')),
        CONSTRAINT catalogue_syncs_state CHECK ("state" IN ('running', 'done', 'failed')),
        CONSTRAINT catalogue_syncs_next_page CHECK (next_page >= 1)
    )
    """,
    """
    CREATE UNIQUE INDEX catalogue_syncs_one_running
        ON catalogue_syncs (supplier) WHERE state = 'running'
    """,
    "CREATE INDEX catalogue_syncs_started_at ON catalogue_syncs (supplier, started_at)",
    """
    CREATE TABLE catalogue_refusals (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        sync_id UUID NOT NULL,
        page INTEGER NOT NULL,
        supplier_product_id TEXT,
        reason TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT catalogue_refusals_pkey PRIMARY KEY (id),
        CONSTRAINT catalogue_refusals_sync_id_fkey
            FOREIGN KEY(sync_id) REFERENCES catalogue_syncs (id)
    )
    """,
    "CREATE INDEX catalogue_refusals_sync_id ON catalogue_refusals (sync_id, page)",
    """
    CREATE TABLE catalogue_seen (
        sync_id UUID NOT NULL,
        page INTEGER NOT NULL,
        supplier_product_ids TEXT[] NOT NULL,
        CONSTRAINT catalogue_seen_pkey PRIMARY KEY (sync_id, page),
        CONSTRAINT catalogue_seen_sync_id_fkey FOREIGN KEY(sync_id) REFERENCES catalogue_syncs (id)
    )
    """,
)

# What a product is told of now, with nothing said yet where there are rows already.
PRODUCTS = (
    """
    ALTER TABLE products
        ADD COLUMN original_name TEXT,
        ADD COLUMN category TEXT,
        ADD COLUMN genres TEXT[] NOT NULL DEFAULT '{}',
        ADD COLUMN tags TEXT[] NOT NULL DEFAULT '{}',
        ADD COLUMN languages TEXT[] NOT NULL DEFAULT '{}',
        ADD COLUMN developers TEXT[] NOT NULL DEFAULT '{}',
        ADD COLUMN publishers TEXT[] NOT NULL DEFAULT '{}',
        ADD COLUMN age_rating TEXT,
        ADD COLUMN metacritic NUMERIC(5, 2),
        ADD COLUMN steam_app TEXT,
        ADD COLUMN system_requirements JSONB NOT NULL DEFAULT '[]',
        ADD COLUMN pinned TEXT[] NOT NULL DEFAULT '{}',
        ADD COLUMN low_stock_at INTEGER,
        ADD COLUMN hides_when_sold_out BOOLEAN NOT NULL DEFAULT false,
        ADD COLUMN facts_digest TEXT,
        ADD COLUMN supplier_updated_at TIMESTAMP WITH TIME ZONE,
        ADD CONSTRAINT products_metacritic CHECK (metacritic >= 0),
        ADD CONSTRAINT products_low_stock_at CHECK (low_stock_at >= 0)
    """,
    """
    ALTER TABLE products
        ALTER COLUMN genres DROP DEFAULT,
        ALTER COLUMN tags DROP DEFAULT,
        ALTER COLUMN languages DROP DEFAULT,
        ALTER COLUMN developers DROP DEFAULT,
        ALTER COLUMN publishers DROP DEFAULT,
        ALTER COLUMN system_requirements DROP DEFAULT,
        ALTER COLUMN pinned DROP DEFAULT,
        ALTER COLUMN hides_when_sold_out DROP DEFAULT
    """,
)

# A supplier that does not name its offers picks one for each product: those have no name at all.
OFFERS = (
    """
    ALTER TABLE product_offers
        ADD COLUMN supplier_updated_at TIMESTAMP WITH TIME ZONE,
        DROP CONSTRAINT product_offers_offer,
        ADD CONSTRAINT product_offers_offer UNIQUE (supplier, supplier_product_id, offer_id)
    """,
)

MOVED = (
    """
    INSERT INTO listings (id, version, is_listed, is_available, price, floor, is_loss_signed, rank,
        category, platform, region, source, updated_at)
    SELECT p.id, 1, p.is_published,
        EXISTS (SELECT 1 FROM product_offers o WHERE o.product_id = p.id AND o.stock > o.held)
        OR EXISTS (SELECT 1 FROM inventory_keys k WHERE k.product_id = p.id
                   AND k.state = 'available'),
        ceil(p.price * 100) / 100, 0, false, 0, NULL, p.platform, p.region, p.source, p.updated_at
    FROM products p
    """,
    """
    INSERT INTO pricing_rules (id, version, scope, subject, kind, value, cap, rounding, priority,
        is_enabled, loss_signed_by, created_at, updated_at)
    SELECT gen_random_uuid(), 1, 'product', p.id::text, 'override', p.price, NULL, 'cent', 0, true,
        NULL, p.updated_at, p.updated_at
    FROM products p WHERE p.source = 'custom' AND p.price > 0
    """,
    "ALTER TABLE products DROP COLUMN price",
)

RULES = (
    # Most changes of a listing touch none of its indexes.
    "ALTER TABLE listings SET (fillfactor = 85)",
    # Ids of rows that statements make themselves begin with the time, like all others.
    """
    CREATE FUNCTION bitloot_uuid7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
        SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
            PLACING substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3)
            FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
    $$
    """,
    """
    CREATE FUNCTION bitloot_listing_follows(followed uuid) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        -- Whoever takes the last of another offer at the same time waits, and sees what is left.
        PERFORM 1 FROM listings WHERE id = followed FOR NO KEY UPDATE;
        UPDATE listings SET is_available = p.available,
            is_listed = p.is_published AND (p.available OR NOT p.hides_when_sold_out),
            rank = p.popularity, category = p.category, platform = p.platform, region = p.region,
            source = p.source
        FROM (
            SELECT products.*, coalesce(floor(metacritic), 0)::integer AS popularity,
                EXISTS (SELECT 1 FROM product_offers o WHERE o.product_id = followed
                        AND o.stock > o.held)
                OR EXISTS (SELECT 1 FROM inventory_keys k WHERE k.product_id = followed
                           AND k.state = 'available') AS available
            FROM products WHERE products.id = followed
        ) p
        WHERE listings.id = p.id AND (listings.is_available, listings.is_listed, listings.rank,
            listings.category, listings.platform, listings.region, listings.source)
            IS DISTINCT FROM (p.available,
            p.is_published AND (p.available OR NOT p.hides_when_sold_out), p.popularity,
            p.category, p.platform, p.region, p.source);
    END $$
    """,
    """
    CREATE FUNCTION bitloot_products_listed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM bitloot_listing_follows(NEW.id);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER products_listed AFTER UPDATE ON products FOR EACH ROW
    WHEN ((OLD.is_published, OLD.hides_when_sold_out, OLD.metacritic, OLD.category, OLD.platform,
        OLD.region, OLD.source) IS DISTINCT FROM (NEW.is_published, NEW.hides_when_sold_out,
        NEW.metacritic, NEW.category, NEW.platform, NEW.region, NEW.source))
    EXECUTE FUNCTION bitloot_products_listed()
    """,
    """
    CREATE FUNCTION bitloot_offers_listed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM bitloot_listing_follows(NEW.product_id);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER product_offers_listed AFTER UPDATE ON product_offers FOR EACH ROW
    WHEN ((OLD.stock > OLD.held) IS DISTINCT FROM (NEW.stock > NEW.held))
    EXECUTE FUNCTION bitloot_offers_listed()
    """,
    """
    CREATE FUNCTION bitloot_keys_listed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        -- Far from the last one nobody has to wait for anybody.
        IF NEW.state <> 'available' AND (SELECT count(*) FROM (
            SELECT 1 FROM inventory_keys k WHERE k.product_id = NEW.product_id
            AND k.state = 'available' LIMIT 32) few) >= 32
        THEN
            RETURN NULL;
        END IF;
        PERFORM bitloot_listing_follows(NEW.product_id);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER inventory_keys_listed_new AFTER INSERT ON inventory_keys FOR EACH ROW
    WHEN (NEW.state = 'available') EXECUTE FUNCTION bitloot_keys_listed()
    """,
    """
    CREATE TRIGGER inventory_keys_listed AFTER UPDATE ON inventory_keys FOR EACH ROW
    WHEN ((OLD.state = 'available') IS DISTINCT FROM (NEW.state = 'available'))
    EXECUTE FUNCTION bitloot_keys_listed()
    """,
    """
    CREATE TRIGGER price_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price_history
    FOR EACH STATEMENT EXECUTE FUNCTION bitloot_append_only()
    """,
)


def upgrade() -> None:
    """Make the tables, move the prices, keep the copies."""
    for statement in TABLES + PRODUCTS + OFFERS + MOVED + RULES:
        op.execute(statement)
