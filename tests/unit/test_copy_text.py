"""Rows for COPY: what PostgreSQL would read as something else is escaped, wherever it stands."""

import pytest

from bitloot_adapters.postgres.copy_text import line


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (("plain", None, 5), "plain\t\\N\t5\n"),
        (("\\N", None), "\\\\N\t\\N\n"),
        (("\\N",), "\\\\N\n"),
        ((None, "a\\"), "\\N\ta\\\\\n"),
        (("a\tb", "c"), "a\\tb\tc\n"),
        (("a\nb\r", True), "a\\nb\\r\tt\n"),
        ((("a", 'say "hi"'),), '{"a","say \\\\"hi\\\\""}\n'),
        ((("back\\slash", "tab\t"), None), '{"back\\\\\\\\slash","tab\\t"}\t\\N\n'),
        (((), False), "{}\tf\n"),
    ],
)
def test_a_row_reads_back_as_what_it_was(values: tuple[object, ...], written: str) -> None:
    assert line(iter(values)) == written
