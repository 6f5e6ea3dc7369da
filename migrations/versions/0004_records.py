"""What happened: webhooks, mails, idempotency, events, the audit chain.

Revision 0004, after 0003.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE webhook_logs (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        provider TEXT NOT NULL,
        dedupe_key TEXT NOT NULL,
        signature_ok BOOLEAN NOT NULL,
        classification TEXT NOT NULL,
        subject TEXT,
        status TEXT,
        order_number TEXT,
        body BYTEA NOT NULL,
        attempts INTEGER NOT NULL,
        note TEXT NOT NULL,
        order_id UUID,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        handled_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT webhook_logs_pkey PRIMARY KEY (id),
        CONSTRAINT webhook_logs_classification CHECK ("classification" IN ('received', 'applied',
            'duplicate', 'stale', 'early', 'linked', 'unmatched', 'unknown_status', 'ignored',
            'invalid_signature', 'malformed')),
        CONSTRAINT webhook_logs_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id)
    )
    """,
    """
    CREATE UNIQUE INDEX webhook_logs_dedupe_key ON webhook_logs (provider, dedupe_key) WHERE
        signature_ok
    """,
    "CREATE INDEX webhook_logs_order_id ON webhook_logs (order_id)",
    "CREATE INDEX webhook_logs_received_at ON webhook_logs (received_at, id)",
    """
    CREATE TABLE emails (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        key TEXT NOT NULL,
        kind TEXT NOT NULL,
        order_id UUID,
        "to" TEXT NOT NULL,
        subject TEXT,
        html TEXT,
        text TEXT,
        state TEXT NOT NULL,
        provider TEXT NOT NULL,
        provider_key TEXT NOT NULL,
        provider_id TEXT,
        provider_event TEXT,
        refusal TEXT,
        first_try_at TIMESTAMP WITH TIME ZONE NOT NULL,
        sent_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT emails_pkey PRIMARY KEY (id),
        CONSTRAINT emails_key UNIQUE (key),
        CONSTRAINT emails_provider_id UNIQUE (provider, provider_id),
        CONSTRAINT emails_kind CHECK ("kind" IN ('order-created', 'order-underpaid',
            'order-overpaid', 'order-failed', 'order-refunded', 'order-expired', 'payment-held',
            'hold-rejected', 'order-ready', 'order-partly-ready', 'order-delayed',
            'reentry-code')),
        CONSTRAINT emails_state CHECK ("state" IN ('sending', 'sent', 'refused', 'suppressed')),
        CONSTRAINT emails_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id)
    )
    """,
    """
    CREATE INDEX emails_codes ON emails (lower("to"), created_at) WHERE kind = 'reentry-code'
    """,
    "CREATE INDEX emails_order_id ON emails (order_id)",
    "CREATE INDEX emails_sending ON emails (first_try_at) WHERE state = 'sending'",
    """
    CREATE TABLE suppressions (
        id TEXT NOT NULL,
        version INTEGER NOT NULL,
        reason TEXT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT suppressions_pkey PRIMARY KEY (id),
        CONSTRAINT suppressions_reason CHECK ("reason" IN ('bounce', 'complaint', 'manual'))
    )
    """,
    """
    CREATE TABLE idempotency_keys (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        route TEXT NOT NULL,
        caller TEXT NOT NULL,
        key TEXT NOT NULL,
        request_hash TEXT NOT NULL,
        state TEXT NOT NULL,
        answer BYTEA,
        started_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT idempotency_keys_pkey PRIMARY KEY (id),
        CONSTRAINT idempotency_keys_key UNIQUE (route, caller, key),
        CONSTRAINT idempotency_keys_state CHECK ("state" IN ('running', 'done'))
    )
    """,
    "CREATE INDEX idempotency_keys_started_at ON idempotency_keys (started_at)",
    """
    CREATE TABLE events (
        order_id UUID NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        subject TEXT NOT NULL,
        facts JSONB NOT NULL,
        due TIMESTAMP WITH TIME ZONE,
        changes JSONB NOT NULL,
        xact BIGINT NOT NULL,
        CONSTRAINT events_pkey PRIMARY KEY (order_id, seq),
        CONSTRAINT events_seq CHECK (seq > 0),
        CONSTRAINT events_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id)
    )
    """,
    "CREATE INDEX events_feed ON events (xact, order_id, seq)",
    """
    CREATE TABLE audit_logs (
        seq BIGSERIAL NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        reason TEXT NOT NULL,
        facts JSONB NOT NULL,
        payload BYTEA NOT NULL,
        hash BYTEA NOT NULL,
        CONSTRAINT audit_logs_pkey PRIMARY KEY (seq)
    )
    """,
    "CREATE INDEX audit_logs_actor ON audit_logs (actor, seq)",
    "CREATE INDEX audit_logs_subject ON audit_logs (subject, seq)",
    """
    CREATE TABLE audit_head (
        id SMALLINT NOT NULL,
        seq BIGINT NOT NULL,
        hash BYTEA NOT NULL,
        CONSTRAINT audit_head_pkey PRIMARY KEY (id),
        CONSTRAINT audit_head_only_one CHECK (id = 1)
    )
    """,
)

RULES = (
    """
    ALTER TABLE events ALTER COLUMN xact SET DEFAULT pg_current_xact_id()::text::bigint
    """,
    """
    CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION bitloot_append_only()
    """,
    """
    CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION bitloot_append_only()
    """,
    """
    INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, sha256(''::bytea))
    """,
    """
    CREATE FUNCTION bitloot_audit_chained() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        head audit_head;
    BEGIN
        SELECT * INTO STRICT head FROM audit_head WHERE id = 1 FOR UPDATE;
        NEW.seq := head.seq + 1;
        NEW.hash := sha256(head.hash || NEW.payload);
        UPDATE audit_head SET seq = NEW.seq, hash = NEW.hash WHERE id = 1;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER audit_logs_chained BEFORE INSERT ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION bitloot_audit_chained()
    """,
)


def upgrade() -> None:
    for statement in TABLES + RULES:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back over data: restore a backup instead."""
    raise NotImplementedError
