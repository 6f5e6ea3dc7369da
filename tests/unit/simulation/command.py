"""`make simulate SEEDS=n`: so many seeds, one after the other; a failing one tells its story."""

import argparse
import gc
import logging
import sys
import time

import structlog
from tests.unit.simulation.simulation import simulate

TELL_EVERY = 1000


def main() -> int:
    parser = argparse.ArgumentParser(description="Simulate the whole shop, seed by seed.")
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--stories", type=int, default=3, help="how many failures are told")
    parser.add_argument("--long", action="store_true", help="more buyers, longer storms")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    # Each run leaves cycles behind that live no longer than it: collected by the thousand.
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    failed: list[int] = []
    steps = deaths = orders = fulfilled = 0
    started = time.perf_counter()
    for number, seed in enumerate(range(given.first, given.first + given.seeds), 1):
        run = simulate(seed, is_long=given.long)
        steps, deaths = steps + run.steps, deaths + run.deaths
        orders, fulfilled = orders + run.orders, fulfilled + run.fulfilled
        if run.broken:
            failed.append(seed)
            if len(failed) <= given.stories:
                sys.stdout.write(run.story + "\n\n")
        if number % TELL_EVERY == 0:
            sys.stdout.write(f"{number} seeds, {len(failed)} failed\n")
    spent = time.perf_counter() - started
    sys.stdout.write(
        f"{given.seeds} seeds in {spent:.1f} s, {given.seeds / spent:.0f} seeds/s: {steps} steps, "
        f"{orders} orders, {fulfilled} fulfilled, {deaths} processes died, {len(failed)} failed"
        f"{' ' + str(failed[:20]) if failed else ''}\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
