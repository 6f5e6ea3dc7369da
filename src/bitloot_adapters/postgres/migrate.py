"""Bringing a database to the schema of this release.

The migrations lie beside the source tree, and inside the package of an installed wheel.
"""

from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from bitloot.ports.errors import StoreUnavailable

MIGRATION_LOCK: Final = 7_301_554_021
CONNECT_SECONDS: Final = 3
LOCK_MILLISECONDS: Final = 5_000
STATEMENT_MILLISECONDS: Final = 600_000


def migrations_folder() -> Path:
    """The folder of the migrations. Raises FileNotFoundError for a broken installation."""
    here = Path(__file__).resolve().parent
    for folder in (here / "migrations", here.parents[2] / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise FileNotFoundError("the migrations are not part of this installation")


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection that gives up on locks and runaway statements instead of blocking the shop.

    Raises StoreUnavailable.
    """
    try:
        return psycopg.connect(
            url,
            connect_timeout=CONNECT_SECONDS,
            options=(
                f"-c lock_timeout={LOCK_MILLISECONDS}"
                f" -c statement_timeout={STATEMENT_MILLISECONDS} -c timezone=UTC"
            ),
        )
    except psycopg.OperationalError as fault:
        raise StoreUnavailable from fault


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at this libpq URL. Nothing happens where it is up to date."""
    command.upgrade(_config(url), revision)


def current(url: str) -> str | None:
    """The revision that the database is at, None where it was never migrated."""
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect(url), poolclass=NullPool
    )
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The revision that this release needs."""
    revision = ScriptDirectory(str(migrations_folder())).get_current_head()
    assert revision is not None
    return revision


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    # Alembic's options are written with "%" doubled, as in ini files.
    config.set_main_option("url", url.replace("%", "%%"))
    return config
