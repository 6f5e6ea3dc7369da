"""Attempts know what came of a return, what money came back, and since when a key is missing.

Revision 0008, after 0007.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE supplier_attempts ADD COLUMN balance_at TIMESTAMP WITH TIME ZONE",
    "ALTER TABLE supplier_attempts ADD COLUMN units_back INTEGER",
    "ALTER TABLE supplier_attempts ADD COLUMN back_at TIMESTAMP WITH TIME ZONE",
    "ALTER TABLE supplier_attempts ADD COLUMN short_since TIMESTAMP WITH TIME ZONE",
    # Those that were lost were booked in all when that was seen; where units of one moved on, each
    # was booked with the move.
    """
    UPDATE supplier_attempts SET units_back = CASE
        WHEN state IN ('canceled', 'refunded') AND refusal IS DISTINCT FROM 'surplus' THEN quantity
        WHEN state IN ('created', 'completed') THEN greatest(quantity - coalesce(
            (SELECT cardinality(slots) FROM fulfilments
             WHERE fulfilments.id = supplier_attempts.fulfilment_id), quantity), 0)
        ELSE 0 END
    """,
    "ALTER TABLE supplier_attempts ALTER COLUMN units_back SET NOT NULL",
    """
    ALTER TABLE supplier_attempts
        ADD CONSTRAINT supplier_attempts_units_back CHECK (units_back >= 0)
    """,
    "ALTER TABLE supplier_attempts DROP CONSTRAINT supplier_attempts_returning",
    """
    ALTER TABLE supplier_attempts
        ADD CONSTRAINT supplier_attempts_returning CHECK ("returning" IN ('none', 'wanted',
            'sending', 'asked', 'refused', 'unknown'))
    """,
    "CREATE INDEX supplier_attempts_created_at ON supplier_attempts (supplier, created_at)",
    "CREATE INDEX supplier_attempts_back_at ON supplier_attempts (supplier, back_at)",
)


def upgrade() -> None:
    """Add what an attempt has to remember, and the words of a return."""
    for statement in STATEMENTS:
        op.execute(statement)
