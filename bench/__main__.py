"""`python -m bench`: measure, print the table, and write the report of a whole run."""

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bench.calm import Patience
from bench.figures import (
    authenticated_read,
    callback_intake,
    catalogue_cached,
    catalogue_growth,
    catalogue_list,
    catalogue_search,
    catalogue_sync,
    commit_to_start,
    list_during_sync,
    order_place,
    order_status,
    password_sign_in,
    relay,
    round_trips,
    starting,
    token_refresh,
    whole_shop,
    worker_overhead,
)
from bench.report import Findings, Report, table, write
from bench.stage import Stage, open_stage
from bitloot_web.logs import configure_logs

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "bench" / "results" / "latest.json"
PAGE: Final = ROOT / "docs" / "performance.md"
FIGURES: Final[Mapping[str, Callable[[Stage], Findings]]] = {
    "callback-intake": callback_intake.measure,
    "order-place": order_place.measure,
    "order-status": order_status.measure,
    "authenticated-read": authenticated_read.measure,
    "token-refresh": token_refresh.measure,
    "password-sign-in": password_sign_in.measure,
    "round-trips": round_trips.measure,
    "relay": relay.measure,
    "commit-to-start": commit_to_start.measure,
    "worker-overhead": worker_overhead.measure,
    "starting": starting.measure,
    "catalogue-list": catalogue_list.lists,
    "catalogue-detail": catalogue_list.details,
    "catalogue-cached": catalogue_cached.measure,
    "catalogue-search": catalogue_search.measure,
    "catalogue-growth": catalogue_growth.measure,
    "list-during-sync": list_during_sync.measure,
    "catalogue-sync": catalogue_sync.measure,
    "whole-shop": whole_shop.measure,
}


def main() -> int:
    """Exits with 1 when a figure misses its must."""
    asked = arguments()
    configure_logs(level="warning", form="console")
    names = asked.only or list(FIGURES)
    folder = Path(tempfile.mkdtemp(prefix="bitloot-bench-"))
    found: list[Findings] = []
    try:
        begun = time.monotonic()
        with open_stage(
            folder, rounds=asked.rounds, seconds=asked.seconds, orders=asked.orders
        ) as stage:
            say(f"servers and catalogue: {time.monotonic() - begun:.0f} s")
            for name in names:
                Patience().wait()
                begun = time.monotonic()
                found.append(FIGURES[name](stage))
                say(f"\n{name}: {time.monotonic() - begun:.0f} s")
                say(table(found[-1].rows))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report = Report(machine=machine(), rows=tuple(row for each in found for row in each.rows))
    say(table(report.rows))
    if not asked.only:
        notes = tuple(note for each in found for note in each.notes)
        command = (
            f"python -m bench --rounds {asked.rounds} --seconds {asked.seconds:g}"
            f" --orders {asked.orders}"
        )
        write(report, notes, command, results=RESULTS, page=PAGE)
    return 0 if all(row.holds for row in report.rows) else 1


def machine() -> str:
    """What the figures were measured on."""
    cores = len(os.sched_getaffinity(0))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.system()} {platform.machine()}, {cores} cores, {python}"


def say(text: str) -> None:
    """A line for whoever watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each comparison")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each side in a round")
    parser.add_argument("--orders", type=int, default=10_000, help="of the whole shop")
    parser.add_argument(
        "--only", nargs="*", choices=list(FIGURES), help="measure these and write nothing"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
