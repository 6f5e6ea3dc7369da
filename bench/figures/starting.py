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
from bench.report import Findings, Note, at_most
from bench.stage import Stage
from bitloot_web.testing import shop

IN_A_TEST: Final = 30
WARM: Final = 3
IN_A_TEST_NOTE: Final = (
    "`shop-in-a-test` ends with a shop whose use cases, jobs, clock and neighbours a test can use."
    " `with-routes` goes on until its HTTP application is there. The routes are made once in a"
    " process: the first shop, which is not counted, pays for them."
)
MOST_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.005


def measure(stage: Stage) -> Findings:
    """Each shop with its application; each process a fresh one whose files were read before."""
    in_a_test = asyncio.run(_shops(IN_A_TEST + WARM))[WARM:]
    alone = statistics.median(shop for shop, _ in in_a_test)
    with_routes = statistics.median(shop + routes for shop, routes in in_a_test)
    database = stage.fresh_database("starting")
    starts = [_start(stage, database) for _ in range(stage.rounds + 1)][1:]
    return Findings(
        rows=(
            at_most("shop-in-a-test-p50", "ms", alone, must=50),
            at_most("shop-in-a-test-with-routes-p50", "ms", with_routes),
            at_most("start-to-ready", "s", statistics.median(starts), must=2, moonshot=1),
        ),
        notes=(Note(title="A shop in a test", text=IN_A_TEST_NOTE),),
    )


async def _shops(count: int) -> list[tuple[float, float]]:
    """Milliseconds until there is a shop, and from there until there are its routes."""
    took: list[tuple[float, float]] = []
    for seed in range(count):
        begun = time.perf_counter()
        async with shop(seed) as it:
            opened = time.perf_counter()
            assert it.app
            routed = time.perf_counter()
        took.append(((opened - begun) * 1000, (routed - opened) * 1000))
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
