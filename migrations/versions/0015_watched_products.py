"""What is looked for among all products without reading them: those of a category, those watched.

Revision 0015, after 0014.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two indexes."""
    op.execute("CREATE INDEX products_category ON products (category, id)")
    op.execute(
        """
        CREATE INDEX products_watched ON products (id)
            WHERE low_stock_at IS NOT NULL AND is_published
        """
    )
