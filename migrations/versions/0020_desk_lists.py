"""The lists of the desk are filtered along an index, however large the catalogue and the stock.

Revision 0020, after 0019.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE INDEX products_source ON products (source, id)",
    "CREATE INDEX products_published ON products (is_published, id)",
    # Only what is sold out is written into it: prices move far more often than stock ends.
    "CREATE INDEX listings_sold_out ON listings (id) WHERE NOT is_available",
    "DROP INDEX inventory_keys_product_id",
    "CREATE INDEX inventory_keys_product_id ON inventory_keys (product_id, id)",
    "CREATE INDEX inventory_keys_state ON inventory_keys (product_id, state, id)",
)


def upgrade() -> None:
    """Four indexes more, and one that gives its rows in the order of the list."""
    for statement in STATEMENTS:
        op.execute(statement)
