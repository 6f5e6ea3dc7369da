"""What alembic runs: migrations on one connection of its own, in one transaction, one at a time."""

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from bitloot_adapters.postgres.migrate import MIGRATION_LOCK, connect
from bitloot_adapters.postgres.tables import METADATA


def run() -> None:
    """Migrate the database of the option `url`. Both timeouts are set by `connect`."""
    url = context.config.get_main_option("url")
    if url is None:
        message = (
            "migrations are run by bitloot_adapters.postgres.migrate, which names the database"
        )
        raise SystemExit(message)
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect(url), poolclass=NullPool
    )
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
        with context.begin_transaction():
            # Two processes that start together migrate one after the other.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            context.run_migrations()


run()
