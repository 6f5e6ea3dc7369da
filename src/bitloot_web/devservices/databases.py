"""A PostgreSQL server, ours or somebody else's, as a place where databases are made."""

import re
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from bitloot_web.devservices.faults import DevServiceError

DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
CONNECT_SECONDS = 10


class Databases:
    """Databases on one server, addressed by its maintenance URL (any database of the server)."""

    def __init__(self, maintenance_url: str) -> None:
        self._maintenance_url = maintenance_url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({urlsplit(self._maintenance_url).path.lstrip('/')!r})"

    def url(self, database: str) -> str:
        """The libpq URL of one database (PostgreSQL manual, "Connection URIs")."""
        return urlunsplit(urlsplit(self._maintenance_url)._replace(path=f"/{_checked(database)}"))

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make a database and give its URL; from a template it is copied file by file.

        Raises DevServiceError when it exists, or when the template is missing or in use.
        """
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_checked(name)))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(_checked(template))
            )
        self._run(statement)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, ending the connections to it; a no-op when there is none."""
        self._run(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                sql.Identifier(_checked(name))
            )
        )

    def has_database(self, name: str) -> bool:
        with self._connect() as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [_checked(name)]
            ).fetchone()
        return found is not None

    def version(self) -> int:
        """The major version of the server."""
        with self._connect() as connection:
            return connection.info.server_version // 10_000

    def _run(self, statement: sql.Composed) -> None:
        with self._connect() as connection:
            try:
                connection.execute(statement)
            except psycopg.Error as fault:
                raise DevServiceError(_one_line(fault)) from fault

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        try:
            return psycopg.connect(
                self._maintenance_url, autocommit=True, connect_timeout=CONNECT_SECONDS
            )
        except psycopg.Error as fault:
            raise DevServiceError(_one_line(fault)) from fault


def _checked(name: str) -> str:
    if DATABASE_NAME.fullmatch(name) is None:
        raise DevServiceError(
            f"{name!r} is no database name: use a-z, 0-9 and _, at most 63, no digit first"
        )
    return name


def _one_line(fault: psycopg.Error) -> str:
    return " ".join(str(fault).split())[:300]
