"""Prices that were moved into listings have no floor yet: the rules make them anew, once.

Revision 0013, after 0012.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Ask for it where there are such prices."""
    op.execute(
        """
        INSERT INTO jobs (id, kind, ref, state, fence, attempts, max_attempts, wakes, available_at,
            created_at)
        SELECT gen_random_uuid(), 'reprice', 'all', 'pending', 0, 0, 12, 0, now(), now()
        WHERE EXISTS (SELECT 1 FROM listings WHERE floor = 0 AND price > 0)
        ON CONFLICT (kind, ref) WHERE state = 'pending' DO NOTHING
        """
    )
