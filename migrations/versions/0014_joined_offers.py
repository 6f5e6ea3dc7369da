"""Offers of several suppliers are sold as one product: listings follow an offer that moves.

Revision 0014, after 0013.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE OR REPLACE FUNCTION bitloot_offers_listed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.product_id <> NEW.product_id THEN
            PERFORM bitloot_listing_follows(OLD.product_id);
        END IF;
        PERFORM bitloot_listing_follows(NEW.product_id);
        RETURN NULL;
    END $$
    """,
    "DROP TRIGGER product_offers_listed ON product_offers",
    """
    CREATE TRIGGER product_offers_listed AFTER UPDATE ON product_offers FOR EACH ROW
    WHEN ((OLD.stock > OLD.held, OLD.product_id)
        IS DISTINCT FROM (NEW.stock > NEW.held, NEW.product_id))
    EXECUTE FUNCTION bitloot_offers_listed()
    """,
)


def upgrade() -> None:
    """Follow both products."""
    for statement in STATEMENTS:
        op.execute(statement)
