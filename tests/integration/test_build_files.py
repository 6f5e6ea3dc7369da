"""The files that build, check and ship the project agree with each other."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as if nothing had been made yet, and as if no other make had started the tests."""
    outer = {"MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", "ONCE", "ARGS", "PYTHON"}
    return subprocess.run(
        ["make", "--no-print-directory", "--always-make", *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in outer},
        capture_output=True,
        text=True,
        check=False,
    )


def would_run(*arguments: str) -> str:
    """The commands of a target, printed and not run."""
    told = make("--dry-run", *arguments)
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_the_same_uv_installs_everywhere() -> None:
    pinned = re.findall(r"UV_VERSION := (\S+)", text("Makefile"))
    assert pinned
    assert re.findall(r"uv==(\S+)", text("Dockerfile")) == pinned


@pytest.mark.parametrize(("variable", "once"), [("ONCE=1", True), ("ONCE=", False)])
def test_once_is_passed_on_to_the_demo(variable: str, *, once: bool) -> None:
    demo = would_run("demo", variable).splitlines()[-1].split()
    assert demo[:2] == [".venv/bin/bitloot", "demo"]
    assert ("--once" in demo) is once


def test_a_target_installs_what_the_lock_file_names_before_it_runs() -> None:
    for target in ("demo", "test", "check"):
        assert "uv sync --frozen" in would_run(target)


def test_the_check_covers_lint_format_types_and_imports() -> None:
    commands = would_run("check")
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports"):
        assert f".venv/bin/{tool}" in commands


def test_a_missing_python_is_told_in_one_line() -> None:
    told = make("venv", "PYTHON=")
    assert told.returncode != 0
    assert told.stderr.startswith("no Python 3.11 or newer with venv found")


def test_the_gate_runs_the_check_and_the_tests_and_the_workflow_runs_the_gate() -> None:
    gate = ROOT / ".ci" / "run"
    assert os.access(gate, os.X_OK)
    subprocess.run(["bash", "-n", gate], check=True)
    script = text(".ci/run")
    assert "set -euo pipefail" in script
    assert script.index("make check") < script.index("make test")
    jobs = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]
    assert {"run": ".ci/run"} in [step for job in jobs.values() for step in job["steps"]]


def test_the_image_runs_as_an_ordinary_user_and_reports_its_health() -> None:
    last = re.split(r"^FROM ", text("Dockerfile"), flags=re.MULTILINE)[-1]
    assert re.search(r"^USER (?!root|0)\w+$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    assert "/healthz" in last


def test_the_image_is_sent_every_file_that_it_copies_and_nothing_else() -> None:
    allowed = {line[1:] for line in text(".dockerignore").splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text("Dockerfile"), re.MULTILINE)
    assert {name for line in copied for name in line.split()} == allowed
    assert all((ROOT / name).exists() for name in allowed)
