"""Everything one stand-in remembers, as tables of rows that are written through to the journal."""

from collections.abc import Callable, Collection, Iterator
from typing import Final, Generic, TypeVar

from bitloot_adapters.sandbox.resend.journal import Journal
from bitloot_adapters.sandbox.resend.records import (
    Endpoint,
    Mail,
    Mode,
    Notice,
    PlannedEvent,
    Remembered,
    Scenario,
    Suppression,
    Usage,
)

R = TypeVar(
    "R", Mail, PlannedEvent, Endpoint, Notice, Suppression, Remembered, Usage, Scenario, Mode
)

MAX_ROWS: Final = 100_000
"""Rows of one table; beyond it the oldest is forgotten."""


def _never(_row: object) -> bool:
    return False


class Table(Generic[R]):
    """Rows of one type by id, oldest first; apart from the others those of which `waits` is true
    when they are put.
    """

    def __init__(
        self, row_type: type[R], journal: Journal, waits: Callable[[R], bool] = _never
    ) -> None:
        self._journal = journal
        self._waits: Callable[[R], bool] = waits
        self._rows: dict[str, R] = {row.id: row for row in journal.load(row_type)}
        self._waiting: dict[str, R] = {
            row_id: row for row_id, row in self._rows.items() if waits(row)
        }

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._rows.values()))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def waiting(self) -> Collection[R]:
        """Few of all that there ever were."""
        return self._waiting.values()

    def get(self, row_id: str) -> R | None:
        return self._rows.get(row_id)

    def put(self, row: R) -> None:
        if row.id not in self._rows and len(self._rows) >= MAX_ROWS:
            self.drop(next(iter(self._rows.values())))
        self._rows[row.id] = row
        if self._waits(row):
            self._waiting[row.id] = row
        else:
            self._waiting.pop(row.id, None)
        self._journal.put(row)

    def drop(self, row: R) -> None:
        self._rows.pop(row.id, None)
        self._waiting.pop(row.id, None)
        self._journal.drop(row)

    def forget(self) -> None:
        self._rows.clear()
        self._waiting.clear()


class State:
    """The tables of one stand-in. Changes are durable after `commit`."""

    def __init__(self, state_dir: str | None) -> None:
        self._journal = Journal(state_dir)
        self.mails = Table(
            Mail, self._journal, lambda mail: not mail.released and mail.scheduled_at is not None
        )
        self.planned = Table(PlannedEvent, self._journal)
        self.endpoints = Table(Endpoint, self._journal)
        self.notices = Table(Notice, self._journal, lambda notice: notice.next_at is not None)
        self.suppressions = Table(Suppression, self._journal)
        self.remembered = Table(Remembered, self._journal)
        self.usage = Table(Usage, self._journal)
        self.scenarios = Table(Scenario, self._journal)
        self.modes = Table(Mode, self._journal)
        self._last_number = max(
            (
                row.number
                for table in (self.mails, self.planned, self.notices, self.suppressions)
                for row in table
            ),
            default=0,
        )

    @property
    def mode(self) -> Mode:
        return self.modes.get("mode") or Mode()

    def next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def commit(self) -> None:
        self._journal.commit()

    def reset(self) -> None:
        """Forget everything, on disk too."""
        for table in (
            self.mails,
            self.planned,
            self.endpoints,
            self.notices,
            self.suppressions,
            self.remembered,
            self.usage,
            self.scenarios,
            self.modes,
        ):
            table.forget()
        self._journal.clear()
        self._journal.commit()

    def close(self) -> None:
        self._journal.close()
