"""A purchase and its money: orders, lines, reservations, payments, holds, the ledger.

Revision 0002, after 0001.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE orders (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        number TEXT NOT NULL,
        quote_id UUID NOT NULL,
        email TEXT NOT NULL,
        email_key TEXT NOT NULL,
        email_person TEXT NOT NULL,
        placed_from TEXT NOT NULL,
        country TEXT,
        source TEXT NOT NULL,
        status TEXT NOT NULL,
        failure_reason TEXT,
        remarks TEXT[] NOT NULL,
        paid_over NUMERIC(20, 8),
        total NUMERIC(20, 8) NOT NULL,
        gateway_fee NUMERIC(20, 8) NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        window_ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
        paid_at TIMESTAMP WITH TIME ZONE,
        fulfilled_at TIMESTAMP WITH TIME ZONE,
        settled_by UUID,
        completion_mailed BOOLEAN NOT NULL,
        event_seq INTEGER NOT NULL,
        CONSTRAINT orders_pkey PRIMARY KEY (id),
        CONSTRAINT orders_number UNIQUE (number),
        CONSTRAINT orders_quote UNIQUE (quote_id),
        CONSTRAINT orders_status CHECK ("status" IN ('created', 'waiting', 'confirming', 'paid',
            'partially_fulfilled', 'fulfilled', 'failed', 'expired', 'cancelled', 'refunded')),
        CONSTRAINT orders_failure_reason CHECK ("failure_reason" IN ('underpaid', 'wrong_asset',
            'amount_mismatch', 'late_payment', 'provider_failed', 'fulfilment_failed')),
        CONSTRAINT orders_total CHECK (total >= 0),
        CONSTRAINT orders_event_seq CHECK (event_seq >= 0),
        CONSTRAINT orders_quote_id_fkey FOREIGN KEY(quote_id) REFERENCES quotes (id)
    )
    """,
    "CREATE INDEX orders_email_key ON orders (email_key, id)",
    "CREATE INDEX orders_status ON orders (status, id)",
    """
    CREATE INDEX orders_unpaid_from ON orders (placed_from) WHERE status IN ('created', 'waiting',
        'confirming')
    """,
    """
    CREATE INDEX orders_unpaid_person ON orders (email_person) WHERE status IN ('created',
        'waiting', 'confirming')
    """,
    """
    CREATE TABLE order_items (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        order_id UUID NOT NULL,
        item_no INTEGER NOT NULL,
        product_id UUID NOT NULL,
        title TEXT NOT NULL,
        source TEXT NOT NULL,
        supplier TEXT NOT NULL,
        supplier_product_id TEXT,
        offer_id TEXT,
        quantity INTEGER NOT NULL,
        unit_price NUMERIC(20, 8) NOT NULL,
        unit_cost NUMERIC(20, 8) NOT NULL,
        unit_floor NUMERIC(20, 8) NOT NULL,
        is_preorder BOOLEAN NOT NULL,
        is_wholesale BOOLEAN NOT NULL,
        instructions TEXT,
        CONSTRAINT order_items_pkey PRIMARY KEY (id),
        CONSTRAINT order_items_item_no UNIQUE (order_id, item_no),
        CONSTRAINT order_items_quantity CHECK (quantity > 0),
        CONSTRAINT order_items_cost CHECK (unit_cost >= 0),
        CONSTRAINT order_items_not_below_floor CHECK (unit_price >= unit_floor),
        CONSTRAINT order_items_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id),
        CONSTRAINT order_items_product_id_fkey FOREIGN KEY(product_id) REFERENCES products (id)
    )
    """,
    "CREATE INDEX order_items_product_id ON order_items (product_id)",
    """
    CREATE TABLE reservations (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        order_id UUID NOT NULL,
        order_item_id UUID NOT NULL,
        product_id UUID NOT NULL,
        supplier TEXT NOT NULL,
        offer_row_id UUID,
        quantity INTEGER NOT NULL,
        key_ids UUID[] NOT NULL,
        state TEXT NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT reservations_pkey PRIMARY KEY (id),
        CONSTRAINT reservations_state CHECK ("state" IN ('held', 'consumed', 'released',
            'expired')),
        CONSTRAINT reservations_quantity CHECK (quantity > 0),
        CONSTRAINT reservations_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id),
        CONSTRAINT reservations_order_item_id_fkey FOREIGN KEY(order_item_id) REFERENCES
            order_items (id),
        CONSTRAINT reservations_product_id_fkey FOREIGN KEY(product_id) REFERENCES products (id),
        CONSTRAINT reservations_offer_row_id_fkey FOREIGN KEY(offer_row_id) REFERENCES
            product_offers (id)
    )
    """,
    "CREATE INDEX reservations_offer_row_id ON reservations (offer_row_id)",
    "CREATE INDEX reservations_order_id ON reservations (order_id)",
    "CREATE INDEX reservations_order_item_id ON reservations (order_item_id)",
    "CREATE INDEX reservations_product_id ON reservations (product_id)",
    """
    CREATE TABLE invoices (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        order_id UUID NOT NULL,
        gateway TEXT NOT NULL,
        gateway_invoice_id TEXT,
        url TEXT,
        status TEXT NOT NULL,
        rejection TEXT,
        price_amount NUMERIC(20, 8) NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT invoices_pkey PRIMARY KEY (id),
        CONSTRAINT invoices_gateway_invoice UNIQUE (gateway, gateway_invoice_id),
        CONSTRAINT invoices_status CHECK ("status" IN ('created', 'rejected', 'open')),
        CONSTRAINT invoices_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id)
    )
    """,
    "CREATE INDEX invoices_order_id ON invoices (order_id)",
    """
    CREATE TABLE payments (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        order_id UUID NOT NULL,
        gateway TEXT NOT NULL,
        gateway_payment_id TEXT,
        invoice_id UUID,
        parent_payment_id TEXT,
        status TEXT NOT NULL,
        rank INTEGER NOT NULL,
        price_amount NUMERIC(20, 8) NOT NULL,
        price_currency TEXT NOT NULL,
        pay_currency TEXT NOT NULL,
        pay_amount NUMERIC(48, 18),
        pay_address TEXT,
        payin_extra_id TEXT,
        network TEXT,
        purchase_id TEXT,
        actually_paid NUMERIC(48, 18),
        outcome_amount NUMERIC(48, 18),
        outcome_currency TEXT,
        payin_hash TEXT,
        is_fixed_rate BOOLEAN NOT NULL,
        rejection TEXT,
        is_linked BOOLEAN NOT NULL,
        call_answered BOOLEAN NOT NULL,
        quote_ends_at TIMESTAMP WITH TIME ZONE,
        valid_until TIMESTAMP WITH TIME ZONE,
        last_seen_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT payments_pkey PRIMARY KEY (id),
        CONSTRAINT payments_gateway_payment UNIQUE (gateway, gateway_payment_id),
        CONSTRAINT payments_status CHECK ("status" IN ('created', 'rejected', 'waiting',
            'confirming', 'confirmed', 'sending', 'expired', 'failed', 'underpaid', 'finished',
            'refunded')),
        CONSTRAINT payments_rank CHECK (rank >= 0),
        CONSTRAINT payments_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id),
        CONSTRAINT payments_invoice_id_fkey FOREIGN KEY(invoice_id) REFERENCES invoices (id)
    )
    """,
    "CREATE INDEX payments_invoice_id ON payments (invoice_id)",
    "CREATE INDEX payments_order_id ON payments (order_id)",
    """
    CREATE TABLE holds (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        order_id UUID NOT NULL,
        subject TEXT NOT NULL,
        subject_id UUID NOT NULL,
        reason TEXT NOT NULL,
        state TEXT NOT NULL,
        opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
        decided_at TIMESTAMP WITH TIME ZONE,
        decided_by TEXT,
        decision_reason TEXT,
        CONSTRAINT holds_pkey PRIMARY KEY (id),
        CONSTRAINT holds_subject CHECK ("subject" IN ('order', 'item', 'payment')),
        CONSTRAINT holds_reason CHECK ("reason" IN ('amount_mismatch', 'wrong_asset', 'paid_late',
            'paid_after_end', 'gateway_refund', 'fulfilment', 'duplicate_payment', 'redeposit',
            'repeated_key', 'supplier_refund')),
        CONSTRAINT holds_state CHECK ("state" IN ('open', 'accepted', 'rejected')),
        CONSTRAINT holds_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id)
    )
    """,
    "CREATE INDEX holds_open ON holds (opened_at, id) WHERE state = 'open'",
    "CREATE INDEX holds_order_id ON holds (order_id)",
    """
    CREATE TABLE ledger_lines (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        order_id UUID NOT NULL,
        entry TEXT NOT NULL,
        account TEXT NOT NULL,
        amount NUMERIC(20, 8) NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT ledger_lines_pkey PRIMARY KEY (id),
        CONSTRAINT ledger_lines_entry_account UNIQUE (entry, account),
        CONSTRAINT ledger_lines_account CHECK ("account" IN ('gateway', 'fee', 'sale', 'surplus',
            'inventory', 'supplier', 'cost', 'refund', 'rounding')),
        CONSTRAINT ledger_lines_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id)
    )
    """,
    "CREATE INDEX ledger_lines_at ON ledger_lines (at)",
    "CREATE INDEX ledger_lines_order_id ON ledger_lines (order_id)",
)

RULES = (
    """
    CREATE FUNCTION bitloot_require(actual bigint, expected bigint, code text)
    RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        IF actual IS DISTINCT FROM expected THEN
            RAISE EXCEPTION 'a guard did not hold' USING ERRCODE = code;
        END IF;
        RETURN true;
    END $$
    """,
    """
    CREATE FUNCTION bitloot_reservations_counted() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        offers uuid[];
        helds bigint[];
        stocks bigint[];
        guards boolean[];
        counted integer;
    BEGIN
        IF TG_OP = 'INSERT' THEN
            SELECT array_agg(m.offer), array_agg(m.held), array_agg(m.stock), array_agg(m.guarded)
            INTO offers, helds, stocks, guards
            FROM (
                SELECT a.offer_row_id AS offer,
                       sum((a.state = 'held')::int * a.quantity) AS held,
                       -sum((a.state = 'consumed')::int * a.quantity) AS stock,
                       true AS guarded
                FROM after_rows a
                WHERE a.offer_row_id IS NOT NULL AND a.state IN ('held', 'consumed')
                GROUP BY 1
            ) m;
        ELSE
            SELECT array_agg(m.offer), array_agg(m.held), array_agg(m.stock), array_agg(m.guarded)
            INTO offers, helds, stocks, guards
            FROM (
                SELECT a.offer_row_id AS offer,
                       sum(((a.state = 'held')::int - (b.state = 'held')::int) * a.quantity)
                           AS held,
                       sum(((b.state = 'consumed')::int - (a.state = 'consumed')::int) * a.quantity)
                           AS stock,
                       bool_or(b.state <> 'held' AND a.state IN ('held', 'consumed')) AS guarded
                FROM after_rows a JOIN before_rows b USING (id)
                WHERE a.offer_row_id IS NOT NULL AND a.state <> b.state
                GROUP BY 1
            ) m;
        END IF;
        IF offers IS NULL THEN
            RETURN NULL;
        END IF;
        PERFORM 1 FROM product_offers WHERE id = ANY (offers) ORDER BY id FOR NO KEY UPDATE;
        UPDATE product_offers o
        SET held = greatest(o.held + m.held, 0), stock = greatest(o.stock + m.stock, 0)
        FROM unnest(offers, helds, stocks, guards) AS m (offer, held, stock, guarded)
        WHERE o.id = m.offer AND (NOT m.guarded OR o.stock + m.stock >= o.held + m.held);
        GET DIAGNOSTICS counted = ROW_COUNT;
        IF counted <> cardinality(offers) THEN
            RAISE EXCEPTION 'not enough units are left' USING ERRCODE = 'BL002';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER reservations_counted_new AFTER INSERT ON reservations
    REFERENCING NEW TABLE AS after_rows
    FOR EACH STATEMENT EXECUTE FUNCTION bitloot_reservations_counted()
    """,
    """
    CREATE TRIGGER reservations_counted_changed AFTER UPDATE ON reservations
    REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows
    FOR EACH STATEMENT EXECUTE FUNCTION bitloot_reservations_counted()
    """,
    """
    CREATE FUNCTION bitloot_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'BL004';
    END $$
    """,
    """
    CREATE TRIGGER ledger_lines_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_lines
    FOR EACH STATEMENT EXECUTE FUNCTION bitloot_append_only()
    """,
)


def upgrade() -> None:
    for statement in TABLES + RULES:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back over data: restore a backup instead."""
    raise NotImplementedError
