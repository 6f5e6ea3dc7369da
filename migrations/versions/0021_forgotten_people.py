"""Timelines tell no addresses, names of keys are unique, and what was told of a mail is found.

Revision 0021, after 0020.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Who bought an order stands in its row alone, where it can be forgotten.
    "ALTER TABLE events DISABLE TRIGGER events_append_only",
    """
    UPDATE events SET changes = jsonb_set(changes, ARRAY['order/' || order_id],
        (changes -> ('order/' || order_id)) - ARRAY['email', 'email_key', 'email_person',
            'placed_from'])
    WHERE (changes -> ('order/' || order_id)) ?| ARRAY['email', 'email_key', 'email_person',
        'placed_from']
    """,
    "ALTER TABLE events ENABLE TRIGGER events_append_only",
    """
    CREATE INDEX webhook_logs_mail_events ON webhook_logs (subject)
        WHERE signature_ok AND order_number IS NULL
    """,
    # Of several keys of one name the newest keeps it.
    """
    UPDATE api_keys SET name = name || ' (' || prefix || ')', version = version + 1
    WHERE revoked_at IS NULL AND EXISTS (SELECT 1 FROM api_keys newer
        WHERE newer.created_by = api_keys.created_by AND newer.name = api_keys.name
            AND newer.revoked_at IS NULL AND newer.id > api_keys.id)
    """,
    "CREATE UNIQUE INDEX api_keys_name ON api_keys (created_by, name) WHERE revoked_at IS NULL",
    # Orders of those who were forgotten before.
    """
    INSERT INTO jobs (id, kind, ref, state, fence, attempts, max_attempts, wakes, available_at,
        created_at)
    SELECT gen_random_uuid(), 'forget_orders', id::text, 'pending', 0, 0, 12, 1, now(), now()
    FROM users WHERE state = 'deleted' AND email = 'deleted+' || id || '@invalid'
    """,
)


def upgrade() -> None:
    """Take addresses out of timelines, and keep names of keys apart."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back over data: restore a backup instead."""
    raise NotImplementedError
