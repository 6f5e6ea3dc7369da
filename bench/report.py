"""The report: `latest.json` and the table of the document, made of the same rows."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

BEGIN: Final = "<!-- bench: begin -->"
END: Final = "<!-- bench: end -->"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A figure. With a `ratio` the goals are shares of the limit, else the most that it may be.

    A time has the limit's own time beside it where that was measured. A figure without a goal is
    there to be seen, and always holds.
    """

    id: str
    figure: float
    unit: str
    limit: float | None
    ratio: float | None
    must: float | None
    moonshot: float | None
    holds: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is written to `latest.json`."""

    machine: str
    rows: tuple[Row, ...]


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What is told below the table about a figure: a limit's statement, how it was measured."""

    title: str
    text: str
    statement: str | None = None


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What one measurement brings."""

    rows: tuple[Row, ...]
    notes: tuple[Note, ...] = ()


def against(
    name: str,
    unit: str,
    figure: float,
    limit: float,
    *,
    must: float | None,
    moonshot: float | None = None,
) -> Row:
    """A figure that has to reach a share of its limit, or only to be seen beside it."""
    figure, limit = _round(figure), _round(limit)
    ratio = round(figure / limit, 3)
    return Row(
        id=name,
        figure=figure,
        unit=unit,
        limit=limit,
        ratio=ratio,
        must=must,
        moonshot=moonshot,
        holds=must is None or ratio >= must,
    )


def at_most(
    name: str,
    unit: str,
    figure: float,
    *,
    limit: float | None = None,
    must: float | None = None,
    moonshot: float | None = None,
) -> Row:
    """A figure that has to stay below something, or only to be seen; the limit's own beside it."""
    figure = _round(figure)
    return Row(
        id=name,
        figure=figure,
        unit=unit,
        limit=None if limit is None else _round(limit),
        ratio=None,
        must=must,
        moonshot=moonshot,
        holds=must is None or figure <= must,
    )


def _round(value: float) -> float:
    return float(round(value)) if value >= 1000 else float(f"{value:.3g}")


def encoded(report: Report) -> bytes:
    """The text of `latest.json`."""
    return (json.dumps(msgspec.to_builtins(report), indent=2) + "\n").encode()


def decoded(text: bytes) -> Report:
    """The report that such a text holds. Raises msgspec.ValidationError."""
    return msgspec.json.decode(text, type=Report)


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| figure | reached | limit | ratio | must | moonshot | holds |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row.id}` | {_number(row.figure)} {row.unit} | {_number(row.limit)} |"
        f" {_share(row.ratio)} | {_goal(row, row.must)} | {_goal(row, row.moonshot)} |"
        f" {'yes' if row.holds else '**no**'} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _goal(row: Row, goal: float | None) -> str:
    if goal is None:
        return ""
    return f"≥ {goal:.0%}" if row.ratio is not None else f"≤ {goal:g}"


def section(report: Report, notes: Sequence[Note], command: str) -> str:
    """What stands between the markers of the document."""
    parts = [f"{report.machine}\n\nCommand: `{command}`\n", table(report.rows)]
    for note in notes:
        parts.append(f"### {note.title}\n\n{note.text}\n")
        if note.statement is not None:
            parts.append(f"```sql\n{note.statement.strip()}\n```\n")
    return "\n".join(parts)


def placed(document: str, text: str) -> str:
    """The document with that text between its markers. Raises ValueError without them."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def write(
    report: Report, notes: Sequence[Note], command: str, *, results: Path, page: Path
) -> None:
    """Write both."""
    results.parent.mkdir(exist_ok=True)
    results.write_bytes(encoded(report))
    page.write_text(placed(page.read_text(), section(report, notes, command)))
