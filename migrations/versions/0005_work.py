"""What is to be done: jobs, ticks, breakers, differences found by reconciliation.

Revision 0005, after 0004.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE jobs (
        id UUID NOT NULL,
        kind TEXT NOT NULL,
        ref TEXT NOT NULL,
        state TEXT NOT NULL,
        fence INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        max_attempts INTEGER NOT NULL,
        wakes INTEGER NOT NULL,
        lease_until TIMESTAMP WITH TIME ZONE DEFAULT '-infinity' NOT NULL,
        available_at TIMESTAMP WITH TIME ZONE NOT NULL,
        published_at TIMESTAMP WITH TIME ZONE,
        last_error TEXT,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT jobs_pkey PRIMARY KEY (id),
        CONSTRAINT jobs_state CHECK ("state" IN ('pending', 'done', 'dead')),
        CONSTRAINT jobs_attempts CHECK (attempts >= 0 AND attempts <= max_attempts)
    )
    """,
    "CREATE INDEX jobs_dead ON jobs (id) WHERE state = 'dead'",
    "CREATE INDEX jobs_dead_work ON jobs (kind, ref) WHERE state = 'dead'",
    "CREATE INDEX jobs_due ON jobs (available_at) WHERE state = 'pending'",
    "CREATE INDEX jobs_due_of_kind ON jobs (kind, available_at) WHERE state = 'pending'",
    "CREATE UNIQUE INDEX jobs_pending ON jobs (kind, ref) WHERE state = 'pending'",
    """
    CREATE TABLE scheduler_ticks (
        name TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT scheduler_ticks_pkey PRIMARY KEY (name, at)
    )
    """,
    """
    CREATE TABLE breakers (
        provider TEXT NOT NULL,
        failures TIMESTAMP WITH TIME ZONE[] NOT NULL,
        opened_at TIMESTAMP WITH TIME ZONE,
        probe_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT breakers_pkey PRIMARY KEY (provider)
    )
    """,
    """
    CREATE TABLE reconciliation_breaks (
        id UUID NOT NULL,
        version INTEGER NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        ours TEXT NOT NULL,
        theirs TEXT NOT NULL,
        state TEXT NOT NULL,
        note TEXT NOT NULL,
        found_at TIMESTAMP WITH TIME ZONE NOT NULL,
        settled_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT reconciliation_breaks_pkey PRIMARY KEY (id),
        CONSTRAINT reconciliation_breaks_state CHECK ("state" IN ('open', 'settled'))
    )
    """,
    """
    CREATE UNIQUE INDEX reconciliation_breaks_open ON reconciliation_breaks (kind, subject) WHERE
        state = 'open'
    """,
)

RULES = (
    """
    ALTER TABLE jobs SET (fillfactor = 70)
    """,
    """
    CREATE FUNCTION bitloot_jobs_wake() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('jobs', '');
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER jobs_wake AFTER INSERT ON jobs
    FOR EACH STATEMENT EXECUTE FUNCTION bitloot_jobs_wake()
    """,
)


def upgrade() -> None:
    for statement in TABLES + RULES:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back over data: restore a backup instead."""
    raise NotImplementedError
