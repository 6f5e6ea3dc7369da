"""What the project says about itself: only of itself, and only what exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THIS = "tests/unit/test_tidy_prose.py"

FOLDERS = ("src", "tests", "docs", "migrations", "examples", ".ci", ".github")
SUFFIXES = frozenset(
    {
        *(".py", ".md", ".toml", ".yml", ".yaml", ".html", ".css", ".js", ".txt", ".sql"),
        *(".json", ".mako", ".svg", ".webmanifest"),
    }
)
NAMES = frozenset({"Makefile", "Dockerfile", "run"})
NOT_OURS = re.compile(r"/vendor/|^uv\.lock$|THIRD_PARTY")

ABOUT_ITS_MAKING = re.compile(
    r"\b(claude|anthropic|openai|chatgpt|copilot|llms?|language models?|sub-?agents?)\b"
    r"|\b(hidden tests?|this session|the brief|helper session)\b"
    r"|\bissues? #?\d+\b(?! of)"
    r"|/work/|/tmp/brief|\bshared/(spec|design|reference)"
    r"|\b(spec|design)/(states|glossary|http-api|decisions|features|house|stack|reliability"
    r"|performance)\b",
    re.IGNORECASE,
)
ARTIFICIAL = re.compile(r"\bAI\b")


def told_of_its_making(text: str) -> list[str]:
    return [
        f"{number}: {found[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern in (ABOUT_ITS_MAKING, ARTIFICIAL)
        if (found := pattern.search(line)) is not None
    ]


def prose_files() -> Iterator[Path]:
    inside = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")))
    for path in [*sorted(ROOT.iterdir()), *inside]:
        if path.is_file() and (path.suffix in SUFFIXES or path.name in NAMES):
            yield path


def test_the_project_speaks_of_itself_alone() -> None:
    faults = []
    for path in prose_files():
        name = path.relative_to(ROOT).as_posix()
        if name != THIS and NOT_OURS.search(name) is None:
            text = path.read_text(encoding="utf-8")
            faults += [f"{name}:{fault}" for fault in told_of_its_making(text)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "line",
    ["# as /work/main says", "see spec/states.md", "made for issue 2", "an AI wrote it", "Claude"],
)
def test_a_planted_word_about_the_making_is_found(line: str) -> None:
    assert told_of_its_making(line)


@pytest.mark.parametrize("line", ["issued 2 keys", "AIR", "user-agent", "issues 2 of 3", "rework/"])
def test_a_harmless_word_is_left_alone(line: str) -> None:
    assert not told_of_its_making(line)


# --- the list of features --------------------------------------------------------------------

CITED = re.compile(
    r"(?<![\w./-])((?:src|tests|docs|migrations|\.ci|\.github)/[\w./-]*[\w/]|Makefile|Dockerfile"
    r"|pyproject\.toml|docker-compose\.yml)(?:::(\w+))?"
)


def broken_rows(table: str, root: Path) -> list[str]:
    """Rows of a Markdown table that name no file, or a file or test which does not exist."""
    faults = []
    rows = [line for line in table.splitlines() if line.lstrip().startswith("|")]
    rules = [number for number, row in enumerate(rows) if set(row) <= set("|-: ")]
    headings = {*rules, *(number - 1 for number in rules)}
    for number, row in enumerate(rows):
        if number in headings:
            continue
        cited = CITED.findall(row)
        if not cited:
            faults.append(f"names no file: {row}")
        for name, test in cited:
            path = root / name
            if not path.exists():
                faults.append(f"{name} does not exist")
            elif test and f"def {test}(" not in path.read_text(encoding="utf-8"):
                faults.append(f"{name} has no test {test}")
    return faults


@pytest.mark.parametrize("document", ["features.md", "behaviour.md"])
def test_every_row_of_the_document_names_files_and_tests_that_exist(document: str) -> None:
    faults = broken_rows((ROOT / "docs" / document).read_text(encoding="utf-8"), ROOT)
    assert not faults, "\n".join(faults)


def test_a_row_with_a_missing_file_or_test_is_found() -> None:
    head = "| id | where | test |\n|---|---|---|\n"
    me = "test_a_row_with_a_missing_file_or_test_is_found"
    assert not broken_rows(f"{head}| A | `src/bitloot/` | `{THIS}::{me}` |", ROOT)
    assert broken_rows(f"{head}| A | `src/bitloot/nowhere.py` | `{THIS}::{me}` |", ROOT)
    assert broken_rows(f"{head}| A | `src/bitloot/` | `{THIS}::{me}_not` |", ROOT)
    assert broken_rows(f"{head}| A | somewhere | |", ROOT)
    assert broken_rows(f"{head}| A | Makefile | tests/unit/nothing.py |", ROOT)
