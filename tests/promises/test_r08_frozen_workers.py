"""R8: a worker stands still for five leases in the middle of its work, and then goes on."""

import json
import os
import subprocess
import sys

from tests.promises.figures import Figures

PATIENCE_SECONDS = 1_800


def test_r8_workers_that_stood_still_commit_nothing_stale_and_buy_nothing_twice(
    figures: Figures,
) -> None:
    arguments = (
        ["--times", "15", "--scale", "60", "--minutes", "25"]
        if figures.full
        else ["--times", "1", "--scale", "60", "--boundaries", "4"]
    )
    ended = subprocess.run(
        [sys.executable, "-m", "tests.promises.frozen", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        # Servers of its own, whatever the other tests use.
        env={name: text for name, text in os.environ.items() if not name.startswith("BITLOOT_")},
    )
    assert ended.stdout, ended.stderr[-6000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    found = ", ".join(f"{count} {name}" for name, count in told["found"].items() if count)
    figures.note(
        "R8",
        "a worker that stood still commits nothing stale and buys nothing twice",
        figure=f"{told['stood']} stood still for five leases at {told['boundaries']} boundaries,"
        f" {told['taken_over']} of them were taken over meanwhile; {told['orders']} paid orders:"
        f" {found or '0 lost, 0 bought twice, 0 delivered twice, 0 extra mails, 0 stuck'},"
        f" {len(told['faults'])} broken invariants",
        scale="windows ÷ 60",
        holds=ended.returncode == 0 and told["holds"] and told["taken_over"] > 0,
    )
