"""The crash matrix, a little of it in every run of the tests; `make crash` is the whole."""

import os
import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).with_name("run.py")
# What a run of a minute may take on a machine that is busy with something else.
PATIENCE_SECONDS = 600


def test_r1_r2_no_kill_at_any_boundary_loses_an_order_or_does_anything_twice() -> None:
    arguments = ["--kills-per-boundary", "2", "--seed", "7", "--scale", "60", "--minutes", "5"]
    ended = subprocess.run(
        [sys.executable, RUN, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        # Servers of its own, whatever the other tests use.
        env={k: v for k, v in os.environ.items() if not k.startswith("BITLOOT_")},
    )
    assert ended.returncode == 0, f"{ended.stdout[-6000:]}\n{ended.stderr[-4000:]}"
