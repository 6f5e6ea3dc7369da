"""Sealed keys say what they are, and what their buyer said of them.

Revision 0019, after 0018.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

STATEMENTS = (
    # All that were sealed so far are keys.
    "ALTER TABLE sealed_keys ADD COLUMN kind TEXT NOT NULL DEFAULT 'key'",
    "ALTER TABLE sealed_keys ADD COLUMN reported_at TIMESTAMP WITH TIME ZONE",
    "ALTER TABLE sealed_keys ADD COLUMN report_reason TEXT",
    "ALTER TABLE sealed_keys ADD COLUMN report_note TEXT",
    """
    ALTER TABLE sealed_keys ADD CONSTRAINT sealed_keys_kind
        CHECK (kind IN ('key', 'account', 'code-with-pin', 'licence-file'))
    """,
    """
    ALTER TABLE sealed_keys ADD CONSTRAINT sealed_keys_report_reason
        CHECK (report_reason IN ('already-used', 'invalid', 'wrong-product', 'wrong-region',
            'other'))
    """,
    """
    CREATE INDEX sealed_keys_reported ON sealed_keys (reported_at, id)
        WHERE reported_at IS NOT NULL
    """,
)


def upgrade() -> None:
    """Add the kind of a sealed key and the report of its buyer."""
    for statement in STATEMENTS:
        op.execute(statement)
