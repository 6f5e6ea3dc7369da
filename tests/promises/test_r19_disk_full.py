"""R19: the database's disk, or that of the logs, has no room left, and later it has again."""

import os
import subprocess
import sys
from typing import TypeVar

import msgspec
from tests.promises.figures import Figures

T = TypeVar("T")

PATIENCE_SECONDS = 600
# A small file system that only the test's own processes see: as an ordinary user in a user
# namespace, as root without one where the kernel forbids those.
NAMESPACES = (
    ("unshare", "--user", "--map-root-user", "--mount"),
    ("unshare", "--mount"),
)


def namespace() -> tuple[str, ...]:
    """The first way in which a file system can be mounted here."""
    refused = []
    for prefix in NAMESPACES:
        probe = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
        tried = subprocess.run([*prefix, *probe], check=False, capture_output=True, text=True)
        if tried.returncode == 0:
            return prefix
        refused.append(f"{' '.join(prefix)}: {tried.stderr.strip()}")
    raise AssertionError(f"this machine mounts no file system for a test: {'; '.join(refused)}")


class Told(msgspec.Struct, kw_only=True):
    """What both programs say: answers by status, and whether the audit found anything amiss."""

    answers: dict[str, int]
    programs: bool
    audit: str
    clean: bool
    scale: str


class FullDisk(Told, kw_only=True):
    refused: dict[str, int]
    placed: int
    false: int
    ended: bool
    ready: float
    quiet: float


class FullLogs(Told, kw_only=True):
    """Bytes of logs that were written."""

    meanwhile: int
    after: int


def told_by(shape: type[T], module: str, *arguments: str) -> T:
    """What a program of these tests says in its last line, run where it may mount."""
    ended = subprocess.run(
        [*namespace(), sys.executable, "-m", f"tests.promises.{module}", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env={name: text for name, text in os.environ.items() if not name.startswith("BITLOOT_")},
    )
    assert ended.returncode == 0, ended.stderr[-6000:]
    return msgspec.json.decode(ended.stdout.splitlines()[-1], type=shape)


def test_r19_a_full_disk_brings_no_false_success_and_needs_no_hand_afterwards(
    figures: Figures,
) -> None:
    orders, seconds = (40, 30.0) if figures.full else (3, 3.0)
    told = told_by(FullDisk, "full_disk", "--orders", str(orders), "--seconds", str(seconds))
    answers = ", ".join(f"{count} of {word}" for word, count in sorted(told.answers.items()))
    server = "ended and was started by its supervisor" if told.ended else "went on"
    figures.note(
        "R19",
        "a full disk of the database brings no false success and no hand is needed afterwards",
        figure=f"full for {seconds:g} s, statements refused with {told.refused};"
        f" answers meanwhile: {answers}; {told.placed} orders called placed,"
        f" {told.false} of them missing; the server {server}; ready {told.ready:.1f} s after"
        f" there was room, nothing left to do after {told.quiet:.0f} s more; {told.audit}",
        scale=f"{told.scale}; a disk of 256 MB",
        holds=told.clean
        and told.programs
        and told.false == 0
        and "503" in told.answers
        and set(told.answers) <= {"200", "201", "503"},
    )


def test_r19_full_logs_stop_no_order_and_end_no_program(figures: Figures) -> None:
    orders = 40 if figures.full else 2
    told = told_by(FullLogs, "full_logs", "--orders", str(orders))
    figures.note(
        "R19",
        "logs without room stop no order and end no program; with room they are written again",
        figure=f"{told.audit}; answers meanwhile {told.answers}; {told.meanwhile} bytes of"
        f" logs written meanwhile, {told.after} afterwards",
        scale=f"{told.scale}; logs on 4 MB",
        holds=told.clean
        and told.programs
        and set(told.answers) == {"200"}
        and told.meanwhile < 8192
        and told.after > 0,
    )
