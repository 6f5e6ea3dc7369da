"""Every role at work: the time from the callback to the key, and the memory of each role."""

import asyncio
import time
from typing import Final

from bench.buyers import Buyers, open_buyers
from bench.memory import megabytes
from bench.order_stages import Stages
from bench.report import Findings, Note, Row, at_most
from bench.stage import Stage
from bench.town import Town, open_town

SOURCES: Final = {"own-stock": "custom", "kinguin": "kinguin"}
SLOW: Final = 1
FAST: Final = 20
SLOW_SECONDS: Final = 20
FAST_SECONDS: Final = 10
SETTLE_SECONDS: Final = 3.0
# At once in the hands of the worker, so that buyers do not run away from it.
A_BATCH: Final = 250
OWN_PRODUCTS: Final = 3
MEMORY_MUST: Final = 150
MEMORY_MOONSHOT: Final = 110


def measure(stage: Stage) -> Findings:
    """Idle memory first, then orders at two paces from two sources, then the many."""
    keys = stage.orders // OWN_PRODUCTS + SLOW * SLOW_SECONDS + FAST * FAST_SECONDS
    with open_town(stage, keys) as town:
        time.sleep(SETTLE_SECONDS)
        idle = _memory(town, "idle")
        timed, many = asyncio.run(_sold(town))
        full = _memory(town, "after-orders")
    text = (
        "Each stage ends when the first of its events is committed: `paid` (the callback taken in,"
        " the gateway asked, the payment settled), at a supplier `intended` and `bought` (the"
        " intent written, the order placed there), `sealed` (the keys encrypted), `revealable`"
        " (stored and delivered). The providers are stand-ins on this machine, without delay; all"
        " roles, stand-ins and servers share its cores."
    )
    after = f"`after-orders` is after {many:,} orders, each placed, paid and delivered."
    return Findings(
        rows=(*timed, *idle, *full),
        notes=(
            Note(title="Stages of `time-to-key`", text=text),
            Note(title="Orders of `memory`", text=after),
        ),
    )


def _memory(town: Town, when: str) -> tuple[Row, ...]:
    return tuple(
        at_most(
            f"memory-{role}-{when}",
            "MB",
            megabytes(program.pid),
            must=MEMORY_MUST,
            moonshot=MEMORY_MOONSHOT,
        )
        for role, program in town.roles.items()
    )


async def _sold(town: Town) -> tuple[tuple[Row, ...], int]:
    rows: list[Row] = []
    sold = 0
    async with open_buyers(town) as buyers:
        # Connections, statements and code paths are warm after a few.
        for source in SOURCES.values():
            sold += len(await _buy(buyers, source, 10, None))
        for name, source in SOURCES.items():
            for pace, seconds in ((SLOW, SLOW_SECONDS), (FAST, FAST_SECONDS)):
                orders = await _buy(buyers, source, pace * seconds, pace)
                sold += len(orders)
                rows += _rows(f"time-to-key-{name}-{pace}-per-s", pace, town, orders)
        while sold < town.stage.orders:
            sold += len(await _buy(buyers, "custom", A_BATCH, None))
    return tuple(rows), sold


async def _buy(buyers: Buyers, source: str, many: int, pace: float | None) -> list[str]:
    orders = await buyers.orders(source, many)
    if pace is not None:
        await buyers.until_rested()  # what was before is none of these orders' time
    await buyers.pay(orders, pace)
    await buyers.until_fulfilled(orders)
    return orders


def _rows(name: str, pace: int, town: Town, orders: list[str]) -> list[Row]:
    stages = Stages(town.database, orders)
    goals = {"must": 150.0, "moonshot": 50.0} if pace == SLOW else {}
    return [
        at_most(f"{name}-p50", "ms", stages.median(), **goals),
        at_most(f"{name}-p99", "ms", stages.slowest()),
        *(
            at_most(f"{name}-share-{stage}", "% of the time", share)
            for stage, share in stages.shares().items()
        ),
    ]
