"""What the benchmarks make of what they measure: medians, dropped rounds, report, table."""

from pathlib import Path

import msgspec
import pytest
from bench.calm import MOST_STOLEN, PAUSE_SECONDS, Patience, stolen_when_busy
from bench.report import (
    BEGIN,
    END,
    Note,
    Report,
    Row,
    against,
    at_most,
    decoded,
    encoded,
    placed,
    table,
    write,
)
from bench.rounds import (
    MOST_APART,
    Round,
    Sample,
    Watch,
    in_turns,
    median,
    percentile,
    settled,
)

ROOT = Path(__file__).parents[2]
LATEST = ROOT / "bench" / "results" / "latest.json"
PAGE = ROOT / "docs" / "performance.md"
REPORT = Report(
    machine="a machine",
    rows=(
        against("fast", "jobs/s", 812.345, 1000.0, must=0.6, moonshot=0.85),
        against("slow", "jobs/s", 12345.6, 40000.0, must=0.5, moonshot=0.75),
        at_most("waiting", "ms", 30.0, must=25, moonshot=10),
        at_most("seen", "ms", 3.14159),
    ),
)


def sample(per_second: float, p50: float = 1.0, p99: float = 2.0) -> Sample:
    return Sample(per_second=per_second, p50=p50, p99=p99)


def measured(ours: float, limit: float, *spins: float) -> Round:
    return Round(ours=sample(ours), limit=sample(limit), spins=spins or (1.0, 1.0, 1.0))


# --- rounds ----------------------------------------------------------------------------------


def test_the_median_is_taken_of_each_figure_by_itself() -> None:
    found = median([sample(10, 5, 30), sample(30, 1, 20), sample(20, 3, 10)])
    assert found == sample(20, 3, 20)


def test_the_ratio_is_that_of_the_medians() -> None:
    found = settled([measured(50, 100), measured(90, 200), measured(10, 50)])
    assert (found.ours.per_second, found.limit.per_second) == (50, 100)
    assert found.ratio == pytest.approx(0.5)


def test_a_round_in_which_the_machine_had_other_work_is_dropped() -> None:
    found = settled([measured(50, 100), measured(1, 1000, 1.0, 1.6, 1.0), measured(60, 100)])
    assert (found.kept, found.dropped) == (2, 1)
    assert found.ours.per_second == 55


def test_a_round_is_disturbed_when_its_spins_are_too_far_apart_and_not_before() -> None:
    assert not measured(1, 1, 1.0, MOST_APART, 1.2).is_disturbed
    assert measured(1, 1, 1.0, MOST_APART + 0.01, 1.2).is_disturbed


def test_a_round_is_disturbed_when_the_host_took_more_than_its_share_and_not_before() -> None:
    calm = measured(1, 1)
    assert not msgspec.structs.replace(calm, stolen=MOST_STOLEN).is_disturbed
    assert msgspec.structs.replace(calm, stolen=MOST_STOLEN + 0.001).is_disturbed


def test_a_watch_tells_of_each_look_and_of_no_more_than_all_the_time_there_was() -> None:
    watch = Watch()
    watch.look()
    watch.look()
    assert len(watch.spins) == 2
    assert min(watch.spins) > 0
    assert 0 <= watch.stolen <= 1


def test_where_no_round_was_calm_all_count_and_none_is_kept() -> None:
    found = settled([measured(10, 100, 1.0, 9.0, 1.0), measured(30, 100, 9.0, 1.0, 1.0)])
    assert (found.kept, found.dropped) == (0, 2)
    assert found.ours.per_second == 20


def test_both_sides_are_measured_in_turns() -> None:
    turns: list[str] = []

    def side(name: str) -> Sample:
        turns.append(name)
        return sample(1)

    found = in_turns(lambda: side("A"), lambda: side("B"), 3, patience=Patience(0))
    assert "".join(turns).startswith("ABABAB")
    assert found.kept + found.dropped == len(turns) / 2 <= 6


def test_a_round_waits_for_calm() -> None:
    stolen, slept = iter([0.4, MOST_STOLEN + 0.01, MOST_STOLEN]), list[float]()
    Patience(60, stolen=lambda: next(stolen), sleep=slept.append).wait()
    assert slept == [PAUSE_SECONDS, PAUSE_SECONDS]
    assert next(stolen, None) is None


def test_patience_has_an_end_for_all_rounds_together() -> None:
    slept: list[float] = []
    patience = Patience(PAUSE_SECONDS + 1, stolen=lambda: 0.4, sleep=slept.append)
    for _ in range(3):
        patience.wait()
    assert slept == [PAUSE_SECONDS, 1]


def test_what_is_stolen_is_a_share() -> None:
    assert 0 <= stolen_when_busy() <= 1


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 201)]
    assert percentile(values, 0.5) == 100
    assert percentile(values, 0.99) == 198
    assert percentile([7.0], 0.99) == 7
    assert percentile([], 0.99) == 0


# --- the report ------------------------------------------------------------------------------


def test_a_figure_beside_its_limit_holds_when_its_share_reaches_the_must() -> None:
    fast, slow, *_ = REPORT.rows
    assert (fast.figure, fast.limit, fast.ratio, fast.holds) == (812.0, 1000.0, 0.812, True)
    assert (slow.figure, slow.ratio, slow.holds) == (12346.0, 0.309, False)


def test_a_figure_without_a_limit_holds_when_it_stays_below_the_must() -> None:
    *_, waiting, seen = REPORT.rows
    assert (waiting.limit, waiting.ratio, waiting.holds) == (None, None, False)
    assert at_most("x", "ms", 25.0, must=25).holds
    assert (seen.figure, seen.must, seen.holds) == (3.14, None, True)


def test_the_report_has_the_shape_that_its_readers_expect() -> None:
    document = msgspec.json.decode(encoded(REPORT))
    assert set(document) == {"machine", "rows"}
    names = ["id", "figure", "unit", "limit", "ratio", "must", "moonshot", "holds"]
    assert all(list(row) == names for row in document["rows"])
    assert decoded(encoded(REPORT)) == REPORT


def test_the_table_has_a_line_for_each_row_with_its_goals_and_what_misses_stands_out() -> None:
    lines = table(REPORT.rows).splitlines()
    assert len(lines) == 2 + len(REPORT.rows)
    assert lines[2] == "| `fast` | 812 jobs/s | 1,000 | 81% | ≥ 60% | ≥ 85% | yes |"
    assert lines[3] == "| `slow` | 12,346 jobs/s | 40,000 | 31% | ≥ 50% | ≥ 75% | **no** |"
    assert lines[4] == "| `waiting` | 30 ms |  |  | ≤ 25 | ≤ 10 | **no** |"
    assert lines[5] == "| `seen` | 3.14 ms |  |  |  |  | yes |"


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page, results = tmp_path / "page.md", tmp_path / "results" / "latest.json"
    page.write_text(f"before\n{BEGIN}\nof yesterday\n{END}\nafter\n")
    notes = (Note(title="Limit of `fast`", text="One statement:", statement="SELECT 1"),)
    for _ in range(2):
        write(REPORT, notes, "make bench", results=results, page=page)
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "of yesterday" not in text
    assert text.count(table(REPORT.rows)) == 1
    assert "```sql\nSELECT 1\n```" in text
    assert decoded(results.read_bytes()) == REPORT


def test_a_page_without_markers_is_left_alone() -> None:
    with pytest.raises(ValueError, match="no <!-- bench: begin -->"):
        placed("a page", "a table")


# --- what is in the tree ---------------------------------------------------------------------


def test_the_latest_report_and_the_table_of_the_page_agree() -> None:
    assert table(decoded(LATEST.read_bytes()).rows) in PAGE.read_text()


def test_every_row_of_the_latest_report_says_rightly_whether_it_holds() -> None:
    for row in decoded(LATEST.read_bytes()).rows:
        assert row.holds is rightly(row), row.id


def rightly(row: Row) -> bool:
    if row.must is None:
        return True
    if row.ratio is None:
        return row.figure <= row.must
    assert row.limit is not None
    assert row.ratio == round(row.figure / row.limit, 3)
    return row.ratio >= row.must
