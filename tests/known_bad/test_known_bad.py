"""Bugs that real shops had fit the code as it is; `make variants` plants them, one by one."""

import pytest
from tests.known_bad.variants import NAMES, ROOT, is_caught, variant

LEAST = 20


@pytest.mark.parametrize("name", NAMES)
def test_the_bug_fits_the_code_and_names_a_test_that_exists(name: str) -> None:
    bug = variant(name)
    assert (ROOT / bug.file).read_text().count(bug.old) == 1, f"the code has moved on: mend {name}"
    assert bug.old != bug.new
    file, _, test = bug.caught_by.partition("::")
    last = test.rpartition("::")[2].partition("[")[0]
    # Contract tests are inherited from the kit, that of a state machine from Hypothesis.
    places = [ROOT / file, *(ROOT / "src/bitloot/testing").glob("*.py")]
    assert last == "runTest" or any(f"def {last}(" in place.read_text() for place in places)


def test_so_many_bugs_are_planted_and_each_is_told_once() -> None:
    assert len(NAMES) >= LEAST
    assert len({variant(name).why for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize(
    ("told", "caught"),
    [
        ("E       assert 2 == 1\nFAILED tests/a.py::test_x[y] - assert 2 == 1", True),
        ("E       Failed: DID NOT RAISE Refused\nFAILED tests/a.py::test_x[y] - Failed", True),
        ("E   NameError: name 'x' is not defined\nFAILED tests/a.py::test_x[y] - N", False),
        ("E   builtins.ImportError: no\nFAILED tests/a.py::test_x[y] - I", False),
        ("E       assert 2 == 1\nFAILED tests/a.py::test_z - assert 2 == 1", False),
        ("ERROR tests/a.py::test_x[y] - assert 2 == 1", False),
    ],
)
def test_only_what_a_test_asserts_counts_as_caught(told: str, caught: bool) -> None:
    assert is_caught(told, "tests/a.py::test_x[y]") is caught
