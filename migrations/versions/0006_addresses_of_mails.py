"""Mails know the key that their address is compared by, so that codes to it can be counted.

Revision 0006, after 0005.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE emails ADD COLUMN to_key TEXT",
    """
    UPDATE emails SET to_key = coalesce(
        (SELECT email_key FROM orders WHERE orders.id = emails.order_id), lower(emails."to"))
    """,
    "ALTER TABLE emails ALTER COLUMN to_key SET NOT NULL",
    "DROP INDEX emails_codes",
    "CREATE INDEX emails_codes ON emails (to_key, created_at) WHERE kind = 'reentry-code'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back over data: restore a backup instead."""
    raise NotImplementedError
