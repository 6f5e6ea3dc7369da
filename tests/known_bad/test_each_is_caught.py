"""Bugs that real shops had, planted in a copy of the tree: each turns its named test red."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.known_bad.variants import NAMES, ROOT, Variant, is_caught, variant

COPIED = ("src", "tests", "migrations", "pyproject.toml", "README.md")
TESTS_FAILED = 1
ANOTHER_SECOND = 10.0


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
