"""Rows in the text format of COPY, written in one go: a row costs a fraction of one sent by itself.

PostgreSQL 15 manual, COPY, "Text Format", and 8.15.2, "Array Value Input".
"""

from collections.abc import Iterable, Sequence
from typing import Final

NOTHING: Final = "\\N"
_ESCAPED: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_IN_ARRAYS: Final = str.maketrans({"\\": "\\\\", '"': '\\"'})


def line(values: Iterable[object]) -> str:
    """One row, with the end of its line. Tuples are arrays of text."""
    return "\t".join([_column(value) for value in values]) + "\n"


def _column(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value.translate(_ESCAPED)
    if isinstance(value, tuple):
        return array(value).translate(_ESCAPED)
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)


def array(values: Sequence[str]) -> str:
    """An array of text as a literal."""
    return "{" + ",".join([f'"{value.translate(_IN_ARRAYS)}"' for value in values]) + "}"
