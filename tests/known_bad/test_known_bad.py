"""Bugs that real shops had, planted in a copy of the tree: each turns its named test red."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COPIED = ("src", "tests", "migrations", "pyproject.toml", "README.md")
TESTS_FAILED = 1


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`old` stands once in `file` and is replaced by `new`; then `caught_by` has to fail."""

    why: str
    file: str
    caught_by: str
    old: str
    new: str


def variant(name: str) -> Variant:
    read = tomllib.loads((HERE / f"{name}.toml").read_text())
    return msgspec.convert(read, Variant)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the project that a variant may spoil."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            left_out = shutil.ignore_patterns("__pycache__", "known_bad")
            shutil.copytree(source, tmp_path / name, ignore=left_out)
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", sorted(path.stem for path in HERE.glob("*.toml")))
def test_the_planted_bug_is_caught_by_its_test(tree: Path, name: str) -> None:
    bug = variant(name)
    spoiled = tree / bug.file
    text = spoiled.read_text()
    assert text.count(bug.old) == 1, f"{bug.file} has moved on: mend {name}.toml"
    spoiled.write_text(text.replace(bug.old, bug.new))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", bug.caught_by],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == TESTS_FAILED, f"{bug.why}\n{ran.stdout}{ran.stderr}"
    assert bug.caught_by in ran.stdout
