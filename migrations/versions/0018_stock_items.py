"""Sealed keys say what they are: a key, an account, a code with its PIN, or a licence file.

Revision 0018, after 0017.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STATEMENTS = (
    # All that were sealed so far are keys.
    "ALTER TABLE sealed_keys ADD COLUMN kind TEXT NOT NULL DEFAULT 'key'",
    """
    ALTER TABLE sealed_keys ADD CONSTRAINT sealed_keys_kind
        CHECK (kind IN ('key', 'account', 'code-with-pin', 'licence-file'))
    """,
)


def upgrade() -> None:
    """Add the kind of a sealed key."""
    for statement in STATEMENTS:
        op.execute(statement)
