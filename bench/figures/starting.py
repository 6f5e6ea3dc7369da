"""How long it takes until there is a shop: in a test, and as `bitloot serve` (P18)."""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Final

from bench.programs import BITLOOT, bytecode
from bench.report import Findings, at_most
from bench.stage import Stage
from bitloot_web.testing import shop

IN_A_TEST: Final = 30
WARM: Final = 3
MOST_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.005


def measure(stage: Stage) -> Findings:
    """Each shop with its application; each process a fresh one whose files were read before."""
    in_a_test = sorted(asyncio.run(_shops(IN_A_TEST + WARM))[WARM:])
    database = stage.fresh_database("starting")
    starts = [_start(stage, database) for _ in range(stage.rounds + 1)][1:]
    return Findings(
        rows=(
            at_most("shop-in-a-test-p50", "ms", statistics.median(in_a_test), must=50),
            at_most("start-to-ready", "s", statistics.median(starts), must=2, moonshot=1),
        )
    )


async def _shops(count: int) -> list[float]:
    took: list[float] = []
    for seed in range(count):
        begun = time.perf_counter()
        async with shop(seed) as it:
            assert it.app
            took.append((time.perf_counter() - begun) * 1000)
    return took


def _start(stage: Stage, database: str) -> float:
    """Seconds until `/readyz` is answered with 200."""
    variables = {**os.environ, **stage.variables(database), **bytecode(stage.folder)}
    begun = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, *BITLOOT, "serve"], env=variables, stderr=subprocess.DEVNULL
    )
    try:
        while time.perf_counter() - begun < MOST_SECONDS:
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(stage.url("shop") + "/readyz", timeout=5).close()
                return time.perf_counter() - begun
            time.sleep(LOOK_SECONDS)
    finally:
        server.terminate()
        server.wait()
    raise RuntimeError("bitloot serve did not get ready")
