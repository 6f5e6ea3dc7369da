"""Accounts: people, their sessions, machine keys, whose an order is, and what is under way.

Mails about accounts are new kinds of mails; codes are counted over all kinds that have one.

Revision 0016, after 0015.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE users (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        email TEXT NOT NULL,
        email_key TEXT NOT NULL,
        name TEXT,
        roles TEXT[] NOT NULL,
        state TEXT NOT NULL,
        suspended_reason TEXT,
        password_hash TEXT,
        password_set_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        deleted_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT users_pkey PRIMARY KEY (id),
        CONSTRAINT users_state CHECK ("state" IN ('active', 'suspended', 'deleted')),
        CONSTRAINT users_deleted_at CHECK ((state = 'deleted') = (deleted_at IS NOT NULL)),
        CONSTRAINT users_password
            CHECK ((password_hash IS NULL) = (password_set_at IS NULL))
    )
    """,
    "CREATE INDEX users_any_email_key ON users (email_key)",
    "CREATE UNIQUE INDEX users_email_key ON users (email_key) WHERE state <> 'deleted'",
    "CREATE INDEX users_staff ON users (id) WHERE roles <> '{}'::text[]",
    "CREATE INDEX users_state ON users (state, id)",
    """
    CREATE TABLE sessions (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        user_id UUID NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        generation INTEGER NOT NULL,
        rotated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        revoked_at TIMESTAMP WITH TIME ZONE,
        revoked_reason TEXT,
        user_agent TEXT NOT NULL,
        address TEXT NOT NULL,
        CONSTRAINT sessions_pkey PRIMARY KEY (id),
        CONSTRAINT sessions_revoked_reason
            CHECK ("revoked_reason" IN ('logout', 'reuse', 'password', 'suspended', 'deleted',
                'admin', 'role', 'email', 'crowded')),
        CONSTRAINT sessions_generation CHECK (generation > 0),
        CONSTRAINT sessions_revoked CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL)),
        CONSTRAINT sessions_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    "CREATE INDEX sessions_expires_at ON sessions (expires_at)",
    "CREATE INDEX sessions_live ON sessions (user_id, id) WHERE revoked_at IS NULL",
    "CREATE INDEX sessions_user_id ON sessions (user_id, id)",
    """
    CREATE TABLE api_keys (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        name TEXT NOT NULL,
        prefix TEXT NOT NULL,
        digest TEXT NOT NULL,
        scopes TEXT[] NOT NULL,
        created_by UUID NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE,
        last_used_at TIMESTAMP WITH TIME ZONE,
        revoked_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT api_keys_pkey PRIMARY KEY (id),
        CONSTRAINT api_keys_digest UNIQUE (digest),
        CONSTRAINT api_keys_created_by_fkey FOREIGN KEY(created_by) REFERENCES users (id)
    )
    """,
    "CREATE INDEX api_keys_created_by ON api_keys (created_by, id)",
    """
    CREATE TABLE order_claims (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        user_id UUID NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT order_claims_pkey PRIMARY KEY (id),
        CONSTRAINT order_claims_id_fkey FOREIGN KEY(id) REFERENCES orders (id),
        CONSTRAINT order_claims_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    "CREATE INDEX order_claims_user_id ON order_claims (user_id, id)",
    """
    CREATE TABLE email_changes (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        user_id UUID NOT NULL,
        new_email TEXT NOT NULL,
        new_key TEXT NOT NULL,
        current_challenge UUID NOT NULL,
        new_challenge UUID NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        state TEXT NOT NULL,
        CONSTRAINT email_changes_pkey PRIMARY KEY (id),
        CONSTRAINT email_changes_state CHECK ("state" IN ('open', 'done', 'stopped')),
        CONSTRAINT email_changes_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    """
    CREATE UNIQUE INDEX email_changes_one_open ON email_changes (user_id)
        WHERE state = 'open'
    """,
    "CREATE INDEX email_changes_user_id ON email_changes (user_id, id)",
    """
    CREATE TABLE account_deletions (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        user_id UUID NOT NULL,
        requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
        due_at TIMESTAMP WITH TIME ZONE NOT NULL,
        state TEXT NOT NULL,
        done_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT account_deletions_pkey PRIMARY KEY (id),
        CONSTRAINT account_deletions_state
            CHECK ("state" IN ('requested', 'cancelled', 'done')),
        CONSTRAINT account_deletions_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    """
    CREATE INDEX account_deletions_due ON account_deletions (due_at, id)
        WHERE state = 'requested'
    """,
    """
    CREATE UNIQUE INDEX account_deletions_one_open ON account_deletions (user_id)
        WHERE state = 'requested'
    """,
    "CREATE INDEX account_deletions_user_id ON account_deletions (user_id, id)",
    """
    CREATE TABLE recoveries (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        user_id UUID NOT NULL,
        new_email TEXT NOT NULL,
        new_key TEXT NOT NULL,
        proofs JSONB NOT NULL,
        opened_by TEXT NOT NULL,
        opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
        ready_at TIMESTAMP WITH TIME ZONE NOT NULL,
        state TEXT NOT NULL,
        CONSTRAINT recoveries_pkey PRIMARY KEY (id),
        CONSTRAINT recoveries_state
            CHECK ("state" IN ('open', 'stopped', 'completed', 'cancelled')),
        CONSTRAINT recoveries_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    "CREATE UNIQUE INDEX recoveries_one_open ON recoveries (user_id) WHERE state = 'open'",
    "CREATE INDEX recoveries_user_id ON recoveries (user_id, id)",
    "ALTER TABLE emails DROP CONSTRAINT emails_kind",
    """
    ALTER TABLE emails ADD CONSTRAINT emails_kind CHECK ("kind" IN (
            'order-created', 'order-underpaid', 'order-overpaid', 'order-failed',
        'order-refunded', 'order-expired', 'payment-held', 'hold-rejected',
        'order-ready', 'order-partly-ready', 'order-delayed', 'reentry-code',
        'sign-in-code', 'password-reset-code', 'email-change-code',
        'email-changed', 'password-changed', 'deletion-requested',
        'deletion-done', 'recovery-started', 'recovery-done'))
    """,
    "CREATE INDEX emails_to_key ON emails (to_key, id)",
    "DROP INDEX emails_codes",
    """
    CREATE INDEX emails_codes ON emails (to_key, created_at)
        WHERE kind IN ('reentry-code', 'sign-in-code', 'password-reset-code', 'email-change-code')
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
