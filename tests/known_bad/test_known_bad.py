"""Bugs that real shops had, planted in a copy of the tree: each turns its named test red."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COPIED = ("src", "tests", "migrations", "pyproject.toml", "README.md")
NAMES = sorted(path.stem for path in HERE.glob("*.toml"))
LEAST = 20
TESTS_FAILED = 1
ANOTHER_SECOND = 10.0
# A variant that cannot even run proves nothing about the test that it stops.
BROKEN_VARIANT = re.compile(
    r"^E +(\w+\.)*(Import|ModuleNotFound|Name|UnboundLocal|Attribute|Syntax|Indentation|Type)Error",
    re.MULTILINE,
)


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


def is_caught(told: str, caught_by: str) -> bool:
    """Whether the named test itself said no, by what it asserts."""
    return f"FAILED {caught_by}" in told and BROKEN_VARIANT.search(told) is None


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project that variants spoil one after another; compiled once for all."""
    copy = tmp_path_factory.mktemp("tree")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("known_bad"))
        else:
            shutil.copy(source, copy / name)
    return copy


@contextlib.contextmanager
def planted(tree: Path, bug: Variant) -> Iterator[None]:
    """The tree with the bug in it."""
    spoiled = tree / bug.file
    sound, stamp = spoiled.read_text(), spoiled.stat().st_mtime
    assert sound.count(bug.old) == 1, f"{bug.file} has moved on: mend {bug.why}"
    spoiled.write_text(sound.replace(bug.old, bug.new))
    # Compiled code is told apart by whole seconds and size: never by luck.
    os.utime(spoiled, (stamp + ANOTHER_SECOND, stamp + ANOTHER_SECOND))
    try:
        yield
    finally:
        spoiled.write_text(sound)
        os.utime(spoiled, (stamp, stamp))


@pytest.mark.parametrize("name", NAMES)
def test_the_planted_bug_is_caught_by_its_test(tree: Path, name: str) -> None:
    bug = variant(name)
    told = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": ""}
    with planted(tree, bug):
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", bug.caught_by],
            cwd=tree,
            env=told,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert ran.returncode == TESTS_FAILED, f"{bug.why}\n{ran.stdout}{ran.stderr}"
    assert is_caught(ran.stdout, bug.caught_by), f"{bug.why}\n{ran.stdout}"


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
