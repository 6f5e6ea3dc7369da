"""The table of figures: each run replaces the rows of its own tests and leaves the others."""

import pytest
from tests.promises.figures import BEGIN, END, Row, parsed, replaced

TWO = Row("R2", "never twice", "0 of 9", "yes", "÷ 20", "test_r2_b")
TEN = Row("R10", "a | b", "1 ms", "yes", "none", "test_r10_a")
PAGE = f"# Page\n\nfirst\n{BEGIN}\n{END}\nlast\n<!-- other: begin -->\nx\n<!-- other: end -->\n"


def test_rows_are_written_between_the_markers_in_the_order_of_their_numbers() -> None:
    page = replaced(PAGE, [TEN, TWO])
    assert page.index("| R2 |") < page.index("| R10 |")
    assert page.startswith("# Page\n\nfirst\n")
    assert page.endswith("last\n<!-- other: begin -->\nx\n<!-- other: end -->\n")


def test_a_row_reads_back_as_it_was_written() -> None:
    assert parsed(TEN.text()) == TEN
    assert parsed("| id | promise | figure | holds | scale | test |") is None


def test_a_second_run_replaces_its_own_rows_and_leaves_the_others() -> None:
    again = Row("R2", "never twice, put otherwise", "0 of 10", "yes", "÷ 20", "test_r2_b")
    page = replaced(replaced(PAGE, [TEN, TWO]), [again])
    assert TEN.text() in page
    assert again.text() in page
    assert TWO.text() not in page


def test_a_page_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no <!-- promises: begin"):
        replaced("# Page\n", [TWO])
