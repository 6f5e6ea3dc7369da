"""The migrated schema is what the tables say, and its own rules hold against anyone."""

import subprocess
import sys
from typing import get_args, get_type_hints

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from bitloot.domain.decision import Row
from bitloot.ports.errors import StoreUnavailable
from bitloot_adapters.postgres.migrate import connect, current, head, upgrade
from bitloot_adapters.postgres.tables import METADATA, TABLES
from bitloot_web.devservices import Databases

COLUMNS = """
SELECT table_name, column_name, data_type, udt_name, numeric_precision, numeric_scale, is_nullable
FROM information_schema.columns
WHERE table_schema = 'public' AND table_name <> 'alembic_version'
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
      AND conrelid::regclass::text <> 'alembic_version'
"""
INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""
# Foreign keys whose columns are not the first columns of any index.
UNINDEXED = """
SELECT c.conname FROM pg_constraint c
WHERE c.contype = 'f' AND NOT EXISTS (
    SELECT 1 FROM pg_index i
    WHERE i.indrelid = c.conrelid AND i.indpred IS NULL
          AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] = c.conkey
)
"""

MIGRATE = """
import sys
from bitloot_adapters.postgres.migrate import upgrade
upgrade(sys.argv[1])
"""


def answers(url: str, statement: str) -> set[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return set(connection.execute(statement.encode()).fetchall())


def test_migrating_again_changes_nothing(shop_url: str) -> None:
    assert current(shop_url) == head()
    upgrade(shop_url)
    assert current(shop_url) == head()


def test_a_database_that_was_never_migrated_says_so(postgres_server: Databases) -> None:
    url = postgres_server.create_database("never_migrated")
    assert current(url) is None
    postgres_server.drop_database("never_migrated")


def test_a_server_that_is_away_is_told_as_such(postgres_server: Databases) -> None:
    with pytest.raises(StoreUnavailable):
        upgrade(postgres_server.url("no_such_database"))


def test_alembic_finds_no_difference_to_the_tables(shop_url: str) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect(shop_url), poolclass=NullPool
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": False}
        )
        assert compare_metadata(context, METADATA) == []


def test_tables_made_from_the_metadata_have_the_same_columns_rules_and_indexes(
    shop_url: str, postgres_server: Databases
) -> None:
    other = postgres_server.create_database("from_metadata")
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect(other), poolclass=NullPool
    )
    METADATA.create_all(engine)
    for question in (COLUMNS, CONSTRAINTS, INDEXES):
        assert answers(shop_url, question) == answers(other, question)
    postgres_server.drop_database("from_metadata")


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_every_field_of_a_noun_has_its_column(kind: type[Row]) -> None:
    columns = TABLES[kind].c
    assert set(columns.keys()) == set(kind.__struct_fields__)
    hints = get_type_hints(kind)
    for name in kind.__struct_fields__:
        assert columns[name].nullable == (type(None) in get_args(hints[name])), name


def test_every_foreign_key_has_an_index(shop_url: str) -> None:
    assert answers(shop_url, UNINDEXED) == set()


@pytest.mark.parametrize("table", ["events", "audit_logs", "ledger_lines", "price_history"])
@pytest.mark.parametrize("doing", ["DELETE FROM", "TRUNCATE"])
def test_what_is_append_only_cannot_be_taken_away(shop_url: str, table: str, doing: str) -> None:
    with psycopg.connect(shop_url) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute(f"{doing} {table}".encode())
    assert refused.value.sqlstate == "BL004"


@pytest.mark.parametrize(
    "doing",
    [
        "UPDATE events SET kind = 'x'",
        "UPDATE audit_logs SET reason = 'x'",
        "UPDATE ledger_lines SET amount = 0",
        "UPDATE price_history SET price = 0",
    ],
)
def test_what_is_append_only_cannot_be_changed(shop_url: str, doing: str) -> None:
    with psycopg.connect(shop_url) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute(doing.encode())
    assert refused.value.sqlstate == "BL004"


def test_migrations_that_start_together_run_one_after_the_other(
    postgres_server: Databases,
) -> None:
    url = postgres_server.create_database("migrated_twice")
    migrating = [subprocess.Popen([sys.executable, "-c", MIGRATE, url]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in migrating] == [0, 0]
    assert current(url) == head()
    postgres_server.drop_database("migrated_twice")
