"""`python -m tests.crash`: kill the shop at every boundary of the selling path, then count.

Exits with 1 when an order was lost, bought twice, delivered twice, told twice or is stuck, or when
an invariant, the ledger or a timeline does not hold.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.crash.matrix import Matrix
from tests.crash.report import Report
from tests.crash.scale import STUCK_AFTER, scaled, windows
from tests.crash.town import open_town

BEGIN = "<!-- crash matrix: begin -->"
END = "<!-- crash matrix: end -->"
FAULT_SHARE = 0.2
OWN_KEYS_PER_KILL = 20


def main() -> int:
    asked = arguments()
    folder = Path(tempfile.mkdtemp(prefix="bitloot-crash-"))
    is_good = False
    try:
        report = run(asked, folder)
        is_good = report.holds
    finally:
        if is_good and not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"kept: {folder} (every child logs to {folder / 'children.log'})")
    if asked.write:
        write(asked.write, report)
    return 0 if is_good else 1


def run(asked: argparse.Namespace, folder: Path) -> Report:
    """Kill, recover, count, print."""
    limits = scaled(asked.scale)
    settle = limits.settle_window.total_seconds()
    lag = settle * asked.search_lag
    for name, real, here in windows(asked.scale):
        say(f"{name:<28} {real:>34}  here {here}")
    say(f"supplier search lag {lag:g} s, settle window {settle:g} s\n")
    with contextlib.ExitStack() as stack:
        begun = time.monotonic()
        town, configuration = stack.enter_context(
            open_town(
                folder,
                limits=limits,
                share=FAULT_SHARE,
                search_lag=lag,
                seed=asked.seed,
                own_keys=max(100, asked.kills_per_boundary * OWN_KEYS_PER_KILL),
            )
        )
        matrix = Matrix(town, configuration, asked.seed, asked.kills_per_boundary, asked.scale, say)
        stack.callback(matrix.stop)
        say(f"open after {time.monotonic() - begun:.0f} s")
        begun = time.monotonic()
        matrix.drive(asked.minutes * 60)
        say(f"{matrix.kills.total()} kills in {time.monotonic() - begun:.0f} s")
        patience = 2 * settle + limits.job_backoff_cap.total_seconds()
        matrix.recover(patience + STUCK_AFTER.total_seconds() / asked.scale)
        report = Report.of(matrix, matrix.check())
    say(report.text())
    return report


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/crash/run.py", description=__doc__)
    parser.add_argument("--kills-per-boundary", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=40.0, help="what the windows are divided by")
    parser.add_argument("--minutes", type=float, default=45.0, help="give up after so long")
    parser.add_argument(
        "--search-lag",
        type=float,
        default=0.25,
        help="how long the supplier's search does not show an order, in settle windows;"
        " above 1 the search is slower than the protocol allows for",
    )
    parser.add_argument("--write", type=Path, help="a Markdown file whose section is replaced")
    parser.add_argument("--keep", action="store_true", help="keep the run's folder")
    return parser.parse_args()


def write(path: Path, report: Report) -> None:
    """Replace the generated section of the file, or append it."""
    command = "python tests/crash/run.py " + " ".join(sys.argv[1:])
    section = report.markdown(command, f"{datetime.now(UTC):%Y-%m-%d}")
    text = path.read_text() if path.exists() else "# Reliability\n\n## Crash matrix\n\n"
    before, mark, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if mark else "\n"
    path.write_text(f"{before}{BEGIN}\n{section}{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
