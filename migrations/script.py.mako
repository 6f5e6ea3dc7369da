"""${message}.

Revision ${up_revision}, after ${down_revision or "nothing"}.
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """There is no way back over data: restore a backup instead."""
    raise NotImplementedError
