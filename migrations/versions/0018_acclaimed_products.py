"""A search by popularity looks among the acclaimed products first.

Their words have an index of their own, a fraction of the other: what it finds for a common word
mostly fills a page.

Revision 0018, after 0017.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The index of their words."""
    op.execute(
        "CREATE INDEX search_index_acclaimed ON search_index USING gin (document) WHERE rank >= 85"
    )
