"""Categories may be sections of the home page, in an order of their own.

Revision 0022, after 0021.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A place on the home page, where there is one."""
    op.execute("ALTER TABLE categories ADD COLUMN home_position INTEGER")
