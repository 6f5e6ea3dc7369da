"""Who confirmed that a supplier's goods vanished, where far more did than is believed.

Revision 0012, after 0011.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs that went before were not confirmed by anybody."""
    op.execute("ALTER TABLE catalogue_syncs ADD COLUMN confirmed_by TEXT")
