"""Mails know since when it is in doubt whether the provider took them.

Revision 0007, after 0006.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE emails ADD COLUMN doubtful_since TIMESTAMP WITH TIME ZONE",
    "UPDATE emails SET doubtful_since = first_try_at WHERE state = 'sending'",
    "ALTER TABLE emails DROP CONSTRAINT emails_state",
    """
    ALTER TABLE emails ADD CONSTRAINT emails_state
    CHECK ("state" IN ('sending', 'sent', 'refused', 'suppressed', 'unknown'))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """There is no way back over data: restore a backup instead."""
    raise NotImplementedError
