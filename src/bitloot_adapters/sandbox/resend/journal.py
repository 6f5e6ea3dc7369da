"""Keeps rows in SQLite so that a stand-in that is killed comes back with what it had accepted."""

import sqlite3
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bitloot_adapters.sandbox.resend.records import Row

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS rows (kind TEXT, id TEXT, body BLOB, PRIMARY KEY (kind, id))"
)

R = TypeVar("R", bound=msgspec.Struct)


class Journal:
    """Write-through copy of the state; with no directory it remembers nothing.

    Writes are grouped: nothing is durable before `commit`, so that a mail and the idempotency
    row that guards it are on disk together or not at all.
    """

    def __init__(self, state_dir: str | None) -> None:
        self._db: sqlite3.Connection | None = None
        if state_dir is not None:
            folder = Path(state_dir)
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(folder / "resend.sqlite3", check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(_SCHEMA)

    def load(self, row_type: type[R]) -> list[R]:
        """All rows of one type, in the order in which they were first written."""
        if self._db is None:
            return []
        found = self._db.execute(
            "SELECT body FROM rows WHERE kind = ? ORDER BY rowid", (row_type.__name__,)
        )
        return [msgspec.json.decode(body, type=row_type) for (body,) in found]

    def put(self, row: Row) -> None:
        if self._db is not None:
            self._db.execute(
                "INSERT INTO rows (kind, id, body) VALUES (?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                (type(row).__name__, row.id, msgspec.json.encode(row)),
            )

    def drop(self, row: Row) -> None:
        if self._db is not None:
            self._db.execute(
                "DELETE FROM rows WHERE kind = ? AND id = ?", (type(row).__name__, row.id)
            )

    def clear(self) -> None:
        if self._db is not None:
            self._db.execute("DELETE FROM rows")

    def commit(self) -> None:
        if self._db is not None:
            self._db.commit()

    def close(self) -> None:
        if self._db is not None:
            self._db.commit()
            self._db.close()
            self._db = None
