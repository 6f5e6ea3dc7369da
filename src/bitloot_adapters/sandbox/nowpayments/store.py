"""The stand-in's memory, written through to one SQLite file when it must survive a crash."""

import sqlite3
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bitloot_adapters.sandbox.nowpayments.records import (
    Delivery,
    Invoice,
    Move,
    Payment,
    Record,
)

_KINDS: Final[tuple[type[Record], ...]] = (Payment, Invoice, Move, Delivery)
KEPT_PAYMENTS: Final = 200_000
KEPT_DELIVERIES: Final = 500_000
_FILE: Final = "nowpayments.sqlite3"

T = TypeVar("T")


class StoreFullError(RuntimeError):
    """More payments than a stand-in is meant to hold: reset it."""


class Store:
    """Dictionaries by id, each change also a row: `(kind, id) → JSON`.

    A row is in the file before the call that caused it is answered. The file is not synced
    to the disk: it survives the death of the process, not a power failure.
    """

    def __init__(self, state_dir: str | None) -> None:
        self.payments: dict[int, Payment] = {}
        self.invoices: dict[int, Invoice] = {}
        self.moves: dict[int, Move] = {}
        self.deliveries: dict[int, Delivery] = {}
        self.pending: dict[int, Delivery] = {}
        """The deliveries that are still to be tried."""
        self._settings: dict[str, bytes] = {}
        self._database = None if state_dir is None else _open(Path(state_dir))
        if self._database is not None:
            self._load(self._database)

    def put(self, record: Record) -> None:
        """Keep a new record, or the new form of a known one."""
        if isinstance(record, Payment) and len(self.payments) >= KEPT_PAYMENTS:
            raise StoreFullError(f"more than {KEPT_PAYMENTS} payments")
        self._place(record)
        self._write(type(record).__name__, str(record.id), record)

    def drop_move(self, move: Move) -> None:
        del self.moves[move.id]
        self._erase("Move", move.id)

    def remember(self, name: str, value: msgspec.Struct | dict[str, str] | dict[str, bool]) -> None:
        """Keep a named setting (clock offset, rates, configuration) across restarts."""
        self._settings[name] = msgspec.json.encode(value)
        self._write("Setting", name, msgspec.Raw(self._settings[name]))

    def recall(self, name: str, kind: type[T]) -> T | None:
        kept = self._settings.get(name)
        return None if kept is None else msgspec.json.decode(kept, type=kind)

    def next_id(self, sequence: str, start: int) -> int:
        """The next number of a sequence; numbers go on after a restart and after `clear`."""
        kept = self.recall("sequences", dict[str, str]) or {}
        number = max(start, int(kept.get(sequence, "0")))
        self.remember("sequences", kept | {sequence: str(number + 1)})
        return number

    def clear(self) -> None:
        """Forget everything but the sequences: an id is never given out twice."""
        sequences = self.recall("sequences", dict[str, str])
        for table in (self.payments, self.invoices, self.moves, self.deliveries, self.pending):
            table.clear()
        self._settings.clear()
        if self._database is not None:
            self._database.execute("DELETE FROM record")
        if sequences is not None:
            self.remember("sequences", sequences)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _erase(self, kind: str, number: int) -> None:
        if self._database is not None:
            self._database.execute(
                "DELETE FROM record WHERE kind = ? AND id = ?", (kind, str(number))
            )

    def _write(self, kind: str, name: str, value: Record | msgspec.Raw) -> None:
        if self._database is not None:
            body = msgspec.json.encode(value)
            self._database.execute("REPLACE INTO record VALUES (?, ?, ?)", (kind, name, body))

    def _load(self, database: sqlite3.Connection) -> None:
        for name, body in database.execute("SELECT id, body FROM record WHERE kind = 'Setting'"):
            self._settings[name] = body
        database_rows = database.execute("SELECT kind, body FROM record WHERE kind != 'Setting'")
        kinds = {kind.__name__: kind for kind in _KINDS}
        tables: dict[str, dict[int, Record]] = {name: {} for name in kinds}
        for kind, body in database_rows:
            record: Record = msgspec.json.decode(body, type=kinds[kind])
            tables[kind][record.id] = record
        for table in tables.values():
            for _, record in sorted(table.items()):
                self._place(record)

    def _place(self, record: Record) -> None:
        if isinstance(record, Payment):
            self.payments[record.id] = record
        elif isinstance(record, Invoice):
            self.invoices[record.id] = record
        elif isinstance(record, Move):
            self.moves[record.id] = record
        else:
            self._place_delivery(record)

    def _place_delivery(self, delivery: Delivery) -> None:
        self.deliveries[delivery.id] = delivery
        if delivery.state == "pending":
            self.pending[delivery.id] = delivery
            return
        self.pending.pop(delivery.id, None)
        if len(self.deliveries) > KEPT_DELIVERIES:
            oldest = next(number for number in self.deliveries if number not in self.pending)
            del self.deliveries[oldest]
            self._erase("Delivery", oldest)


def _open(folder: Path) -> sqlite3.Connection:
    folder.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(folder / _FILE, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = OFF")
    database.execute(
        "CREATE TABLE IF NOT EXISTS record"
        " (kind TEXT, id TEXT, body BLOB, PRIMARY KEY (kind, id)) WITHOUT ROWID"
    )
    return database
