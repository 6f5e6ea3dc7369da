"""Rows in the text format of COPY, written in one go: a row costs a fraction of one sent by itself.

PostgreSQL 15 manual, COPY, "Text Format", and 8.15.2, "Array Value Input".
"""

from collections.abc import Iterable, Sequence
from typing import Final

NOTHING: Final = "\\N"


def line(values: Iterable[object]) -> str:
    """One row, with the end of its line. Tuples are arrays of text."""
    row = tuple(values)
    columns = [each if isinstance(each, str) else _column(each) for each in row]
    joined = "\t".join(columns)
    # Hardly any row holds what has to be escaped, and to look at a whole one costs next to nothing.
    if joined.count("\\") != row.count(None) or joined.count("\t") != len(row) - 1:
        joined = "\t".join(
            NOTHING if each is None else column.replace("\\", "\\\\").replace("\t", "\\t")
            for each, column in zip(row, columns, strict=True)
        )
    return joined.replace("\n", "\\n").replace("\r", "\\r") + "\n"


def _column(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, tuple):
        return array(value)
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)


def array(values: Sequence[str]) -> str:
    """An array of text as a literal."""
    if not values:
        return "{}"
    # `str.translate` looks each character up, which takes tens of times as long.
    quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(quoted) + '"}'
