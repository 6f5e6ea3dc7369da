"""R19: the database's disk has no room left, and later it has again."""

import json
import os
import subprocess
import sys

from tests.promises.figures import Figures

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


def test_r19_a_full_disk_brings_no_false_success_and_needs_no_hand_afterwards(
    figures: Figures,
) -> None:
    orders, seconds = (40, 30.0) if figures.full else (3, 3.0)
    ended = subprocess.run(
        [
            *namespace(),
            *(sys.executable, "-m", "tests.promises.full_disk"),
            *("--orders", str(orders), "--seconds", str(seconds)),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env={name: text for name, text in os.environ.items() if not name.startswith("BITLOOT_")},
    )
    assert ended.returncode == 0, ended.stderr[-6000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    answers = ", ".join(f"{count} of {word}" for word, count in sorted(told["answers"].items()))
    server = "ended and was started by its supervisor" if told["ended"] else "went on"
    figures.note(
        "R19",
        "a full disk of the database brings no false success and no hand is needed afterwards",
        figure=f"full for {seconds:g} s, statements refused with {told['refused']};"
        f" answers meanwhile: {answers}; {told['placed']} orders called placed,"
        f" {told['false']} of them missing; the server {server}; ready {told['ready']:.1f} s after"
        f" there was room; {told['audit']}",
        scale=f"{told['scale']}; a disk of 256 MB",
        holds=told["clean"]
        and told["programs"]
        and told["false"] == 0
        and "503" in told["answers"]
        and set(told["answers"]) <= {"200", "201", "503"},
    )
