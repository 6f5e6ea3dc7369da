"""Getting and keeping the goods: fulfilments, attempts, sealed keys, stock, grants.

Revision 0003, after 0002.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE fulfilments (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        order_id UUID NOT NULL,
        order_item_id UUID NOT NULL,
        item_no INTEGER NOT NULL,
        part INTEGER NOT NULL,
        slots INTEGER[] NOT NULL,
        supplier TEXT NOT NULL,
        own_stock BOOLEAN NOT NULL,
        supplier_product_id TEXT,
        offer_id TEXT,
        max_unit_price NUMERIC(20, 8) NOT NULL,
        state TEXT NOT NULL,
        round INTEGER NOT NULL,
        gen INTEGER NOT NULL,
        rebuys INTEGER NOT NULL,
        waits_in TEXT,
        blocked_reason TEXT,
        blocked_since TIMESTAMP WITH TIME ZONE,
        tried_offers TEXT[] NOT NULL,
        replaces UUID,
        last_error TEXT,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT fulfilments_pkey PRIMARY KEY (id),
        CONSTRAINT fulfilments_item_part UNIQUE (order_item_id, part),
        CONSTRAINT fulfilments_state CHECK ("state" IN ('pending', 'reserving', 'reserved',
            'awaiting_release', 'keys_ready', 'sealed', 'vaulted', 'delivered', 'retry_wait',
            'blocked', 'supplier_refunded', 'failed_terminal', 'returned', 'replaced',
            'cancelled')),
        CONSTRAINT fulfilments_waits_in CHECK ("waits_in" IN ('pending', 'reserving', 'reserved',
            'awaiting_release', 'keys_ready', 'sealed', 'vaulted', 'delivered', 'retry_wait',
            'blocked', 'supplier_refunded', 'failed_terminal', 'returned', 'replaced',
            'cancelled')),
        CONSTRAINT fulfilments_blocked_reason CHECK ("blocked_reason" IN ('balance',
            'credentials', 'breaker', 'price', 'stock')),
        CONSTRAINT fulfilments_slots CHECK (cardinality(slots) > 0),
        CONSTRAINT fulfilments_part CHECK (part > 0),
        CONSTRAINT fulfilments_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id),
        CONSTRAINT fulfilments_order_item_id_fkey FOREIGN KEY(order_item_id) REFERENCES
            order_items (id),
        CONSTRAINT fulfilments_replaces_fkey FOREIGN KEY(replaces) REFERENCES fulfilments (id)
    )
    """,
    """
    CREATE INDEX fulfilments_open ON fulfilments (updated_at, id) WHERE state NOT IN ('delivered',
        'failed_terminal', 'returned', 'replaced', 'cancelled')
    """,
    "CREATE INDEX fulfilments_order_id ON fulfilments (order_id)",
    "CREATE INDEX fulfilments_replaces ON fulfilments (replaces)",
    """
    CREATE TABLE supplier_attempts (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        fulfilment_id UUID NOT NULL,
        order_id UUID NOT NULL,
        gen INTEGER NOT NULL,
        supplier TEXT NOT NULL,
        external_id TEXT NOT NULL,
        supplier_product_id TEXT NOT NULL,
        offer_id TEXT,
        quantity INTEGER NOT NULL,
        max_price NUMERIC(20, 8) NOT NULL,
        state TEXT NOT NULL,
        supplier_order_id TEXT,
        supplier_updated_at TIMESTAMP WITH TIME ZONE,
        balance_before NUMERIC(20, 8),
        refusal TEXT,
        checks INTEGER NOT NULL,
        intent_at TIMESTAMP WITH TIME ZONE NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE,
        next_check_at TIMESTAMP WITH TIME ZONE,
        cost NUMERIC(20, 8),
        "returning" TEXT NOT NULL,
        CONSTRAINT supplier_attempts_pkey PRIMARY KEY (fulfilment_id, gen),
        CONSTRAINT supplier_attempts_id UNIQUE (id),
        CONSTRAINT supplier_attempts_supplier_order UNIQUE (supplier, supplier_order_id),
        CONSTRAINT supplier_attempts_state CHECK ("state" IN ('intent', 'created', 'rejected',
            'unknown', 'absent', 'completed', 'canceled', 'refunded')),
        CONSTRAINT supplier_attempts_returning CHECK ("returning" IN ('none', 'wanted', 'asked',
            'refused')),
        CONSTRAINT supplier_attempts_quantity CHECK (quantity > 0),
        CONSTRAINT supplier_attempts_gen CHECK (gen > 0),
        CONSTRAINT supplier_attempts_fulfilment_id_fkey FOREIGN KEY(fulfilment_id) REFERENCES
            fulfilments (id),
        CONSTRAINT supplier_attempts_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id)
    )
    """,
    "CREATE INDEX supplier_attempts_external_id ON supplier_attempts (supplier, external_id)",
    "CREATE INDEX supplier_attempts_intent_at ON supplier_attempts (supplier, intent_at)",
    """
    CREATE UNIQUE INDEX supplier_attempts_one_live ON supplier_attempts (fulfilment_id) WHERE
        state IN ('intent', 'unknown', 'created')
    """,
    "CREATE INDEX supplier_attempts_order_id ON supplier_attempts (order_id)",
    """
    CREATE TABLE sealed_keys (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        order_id UUID,
        order_item_id UUID,
        slot INTEGER,
        fulfilment_id UUID,
        product_id UUID,
        supplier TEXT NOT NULL,
        supplier_key_id TEXT,
        content_type TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        wrapped_dek BYTEA NOT NULL,
        kek_id TEXT NOT NULL,
        nonce BYTEA NOT NULL,
        ciphertext BYTEA,
        sha256 TEXT NOT NULL,
        size INTEGER NOT NULL,
        object_name TEXT NOT NULL,
        uploaded_at TIMESTAMP WITH TIME ZONE,
        state TEXT NOT NULL,
        first_download_at TIMESTAMP WITH TIME ZONE,
        last_download_at TIMESTAMP WITH TIME ZONE,
        downloads INTEGER NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT sealed_keys_pkey PRIMARY KEY (id),
        CONSTRAINT sealed_keys_object_name UNIQUE (object_name),
        CONSTRAINT sealed_keys_supplier_key UNIQUE (supplier, supplier_key_id),
        CONSTRAINT sealed_keys_state CHECK ("state" IN ('live', 'quarantined', 'replaced',
            'returned', 'shredded')),
        CONSTRAINT sealed_keys_size CHECK (size >= 0),
        CONSTRAINT sealed_keys_slot CHECK (slot > 0),
        CONSTRAINT sealed_keys_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id),
        CONSTRAINT sealed_keys_order_item_id_fkey FOREIGN KEY(order_item_id) REFERENCES
            order_items (id),
        CONSTRAINT sealed_keys_fulfilment_id_fkey FOREIGN KEY(fulfilment_id) REFERENCES
            fulfilments (id),
        CONSTRAINT sealed_keys_product_id_fkey FOREIGN KEY(product_id) REFERENCES products (id)
    )
    """,
    """
    CREATE UNIQUE INDEX sealed_keys_fingerprint ON sealed_keys (fingerprint) WHERE state <>
        'quarantined'
    """,
    "CREATE INDEX sealed_keys_fulfilment_id ON sealed_keys (fulfilment_id)",
    "CREATE INDEX sealed_keys_kek_id ON sealed_keys (kek_id, id)",
    "CREATE INDEX sealed_keys_known ON sealed_keys (fingerprint)",
    "CREATE INDEX sealed_keys_order_id ON sealed_keys (order_id)",
    "CREATE INDEX sealed_keys_order_item_id ON sealed_keys (order_item_id)",
    "CREATE INDEX sealed_keys_product_id ON sealed_keys (product_id)",
    """
    CREATE UNIQUE INDEX sealed_keys_slot ON sealed_keys (order_item_id, slot) WHERE state = 'live'
    """,
    """
    CREATE TABLE inventory_keys (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        product_id UUID NOT NULL,
        batch TEXT NOT NULL,
        cost NUMERIC(20, 8) NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE,
        state TEXT NOT NULL,
        reservation_id UUID,
        order_item_id UUID,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT inventory_keys_pkey PRIMARY KEY (id),
        CONSTRAINT inventory_keys_state CHECK ("state" IN ('available', 'reserved', 'sold',
            'burned', 'expired')),
        CONSTRAINT inventory_keys_cost CHECK (cost >= 0),
        CONSTRAINT inventory_keys_free CHECK (state <> 'available' OR (reservation_id IS NULL AND
            order_item_id IS NULL)),
        CONSTRAINT inventory_keys_id_fkey FOREIGN KEY(id) REFERENCES sealed_keys (id),
        CONSTRAINT inventory_keys_product_id_fkey FOREIGN KEY(product_id) REFERENCES products
            (id),
        CONSTRAINT inventory_keys_reservation_id_fkey FOREIGN KEY(reservation_id) REFERENCES
            reservations (id),
        CONSTRAINT inventory_keys_order_item_id_fkey FOREIGN KEY(order_item_id) REFERENCES
            order_items (id)
    )
    """,
    """
    CREATE INDEX inventory_keys_available ON inventory_keys (product_id, cost, id) WHERE state =
        'available'
    """,
    """
    CREATE INDEX inventory_keys_expiry ON inventory_keys (expires_at, id) WHERE state =
        'available' AND expires_at IS NOT NULL
    """,
    "CREATE INDEX inventory_keys_order_item_id ON inventory_keys (order_item_id)",
    "CREATE INDEX inventory_keys_product_id ON inventory_keys (product_id)",
    "CREATE INDEX inventory_keys_reservation_id ON inventory_keys (reservation_id)",
    """
    CREATE TABLE grants (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        order_id UUID NOT NULL,
        order_item_id UUID NOT NULL,
        granted_to TEXT NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        downloads INTEGER NOT NULL,
        revoked_at TIMESTAMP WITH TIME ZONE,
        revoked_reason TEXT,
        CONSTRAINT grants_pkey PRIMARY KEY (id),
        CONSTRAINT grants_downloads CHECK (downloads >= 0),
        CONSTRAINT grants_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id),
        CONSTRAINT grants_order_item_id_fkey FOREIGN KEY(order_item_id) REFERENCES order_items
            (id)
    )
    """,
    "CREATE INDEX grants_order_id ON grants (order_id)",
    "CREATE INDEX grants_order_item_id ON grants (order_item_id)",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back over data: restore a backup instead."""
    raise NotImplementedError
