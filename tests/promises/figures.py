"""What a promise's test reached, and the table of all of them in a Markdown file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

BEGIN: Final = "<!-- promises: begin -->"
END: Final = "<!-- promises: end -->"
HEAD: Final = ("id", "promise", "figure", "holds", "scale", "test")
PROPERTY: Final = "promise"


@dataclass(frozen=True)
class Row:
    """One line of the table. `scale` says what the times and amounts were divided by."""

    id: str
    promise: str
    figure: str
    holds: str
    scale: str
    test: str

    def text(self) -> str:
        cells = (self.id, self.promise, self.figure, self.holds, self.scale, f"`{self.test}`")
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    @property
    def place(self) -> tuple[str, int, str, str]:
        """R2 comes before R10, and R before S."""
        digits = self.id[1:]
        return self.id[:1], int(digits) if digits.isdigit() else 0, self.test, self.promise


class Figures:
    """Where a test writes down what it reached; `full` says at which scale it should run."""

    def __init__(self, item: pytest.Item, *, full: bool) -> None:
        self._item = item
        self.full = full

    def note(self, id_: str, promise: str, *, figure: str, scale: str, holds: bool) -> None:
        """Write a figure down, then fail if the promise does not hold."""
        test = self._item.name.partition("[")[0]
        row = (id_, promise, figure, "yes" if holds else "**no**", scale, test)
        self._item.user_properties.append((PROPERTY, row))
        assert holds, f"{id_} {promise}: {figure}"


class Table:
    """A plugin that gathers the rows of a run, shows them, and writes them into a file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: list[Row] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._rows += [
                Row(*map(str, value))
                for name, value in report.user_properties
                if name == PROPERTY and isinstance(value, list | tuple)
            ]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for row in sorted(self._rows, key=lambda row: row.place):
            terminalreporter.write_line(f"{row.id} {row.promise}: {row.figure} ({row.scale})")
        if self._path is not None and self._rows:
            written = replaced(self._path.read_text(encoding="utf-8"), self._rows)
            self._path.write_text(written, encoding="utf-8")


def replaced(text: str, rows: Iterable[Row]) -> str:
    """The document with these rows in its table; rows of tests that did not run stay.

    Raises ValueError when the document has no place for the table.
    """
    before, begin, rest = text.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END} to write between")
    fresh = list(rows)
    ran = {row.test for row in fresh}
    kept = [row for row in map(parsed, old.splitlines()) if row is not None and row.test not in ran]
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    lines += [row.text() for row in sorted([*kept, *fresh], key=lambda row: row.place)]
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}"


def parsed(line: str) -> Row | None:
    """A row of the table, None for its head and for anything else."""
    cells = [cell.strip().replace("\\|", "|") for cell in line.strip().strip("|").split(" | ")]
    if len(cells) != len(HEAD) or not cells[-1].startswith("`"):
        return None
    cells[-1] = cells[-1].strip("`")
    return Row(*cells)
