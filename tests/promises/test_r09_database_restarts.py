"""R9: PostgreSQL is restarted, crashes, or stands still while orders are placed and fulfilled."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import httpx
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Integer, literal_column, select
from tests.promises.audit import audited, until_quiet
from tests.promises.buyers import Crowd
from tests.promises.figures import Figures
from tests.promises.proxy import open_proxies
from tests.promises.stage import Stage

from bitloot.domain.limits import Limits
from bitloot.ports.errors import StoreUnavailable
from bitloot_adapters.postgres.pool import open_database
from bitloot_adapters.postgres.statements import ask, compiled

ERRORS_END_AFTER = 5.0
LOOK_EVERY = 0.1
ONE = compiled(select(literal_column("1", Integer)))


@dataclass
class Watch:
    """Asks the shop for something that needs the database, all the time."""

    crowd: Crowd
    seen: list[tuple[float, bool]] = field(default_factory=list)

    async def look(self) -> None:
        body = {"lines": [{"product": await self.crowd.pick("custom"), "quantity": 1}]}
        while True:
            try:
                answer = await self.crowd.shop.post("/v1/quotes", json=body)
                is_good = answer.is_success
            except httpx.TransportError:
                is_good = False
            self.seen.append((time.monotonic(), is_good))
            await asyncio.sleep(LOOK_EVERY)

    def bad_until(self, begin: float, end: float) -> float:
        """The last failure between two moments, in seconds after the first."""
        return max(
            (at - begin for at, good in self.seen if begin <= at < end and not good), default=0
        )


async def hurt(stage: Stage, how: str) -> None:
    """Restart the server in good order, or kill its postmaster by its own id."""
    stage.own()
    if how == "killed":
        await asyncio.to_thread(stage.town.postgres.kill)
    await asyncio.to_thread(stage.town.postgres.restart)


async def test_r9_restarts_and_crashes_of_the_database_lose_no_order(
    stage: Stage, crowd: Crowd, figures: Figures
) -> None:
    orders, times, pause = (250, 8, 15.0) if figures.full else (20, 2, 2.5)
    before, programs = len(stage.paid), stage.pids()
    watch = Watch(crowd)
    watching = asyncio.create_task(watch.look())
    sources = [("custom",), ("custom", "kinguin")] if figures.full else [("custom",)]
    turns: Iterator[tuple[str, ...]] = cycle(sources)
    room = asyncio.Semaphore(4)

    async def one() -> None:
        async with room:
            await crowd.buy(*next(turns))
            await asyncio.sleep(pause * times / orders * 3)

    buying = asyncio.gather(*(one() for _ in range(orders)))
    back: list[float] = []
    for _, how in zip(range(times), cycle(["restarted", "killed"]), strict=False):
        await asyncio.sleep(pause)
        await hurt(stage, how)
        back.append(time.monotonic())
    await buying
    await asyncio.sleep(1.0)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    ends = [*back[1:], time.monotonic()]
    # What fails before the next restart begins is the fault of this one.
    bad = [watch.bad_until(at, min(end, at + pause)) for at, end in zip(back, ends, strict=True)]
    await until_quiet(stage, stage.paid[before:], seconds=300 if figures.full else 60)
    audit = await audited(stage, stage.paid[before:])
    figures.note(
        "R9",
        "restarts and crashes of PostgreSQL lose no order and end no program",
        figure=f"{times} restarts, every other by SIGKILL; the last error {max(bad):.1f} s after"
        f" the server was back; {audit.text()}; 0 of {len(programs)} programs ended",
        scale=f"{stage.scale}; every {pause:g} s",
        holds=audit.is_clean and max(bad) < ERRORS_END_AFTER and stage.pids() == programs,
    )


SHORT = Limits(database_statement=timedelta(seconds=0.5), database_silence=timedelta(seconds=0.5))


async def test_r9_whoever_waits_for_a_database_that_stands_still_is_let_go(
    figures: Figures, shop_url: str
) -> None:
    with open_proxies() as proxies:
        told = conninfo_to_dict(shop_url)
        proxy = proxies.open(Path(str(told["host"])) / f".s.PGSQL.{told.get('port') or 5432}")
        through = make_conninfo(
            shop_url, host="127.0.0.1", port=proxy.port, sslmode="disable", gssencmode="disable"
        )
        async with open_database(through, SHORT) as database:
            await database.read(ask(ONE))
            proxy.turn("stall")
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await database.write(ask(ONE))
            waited = time.monotonic() - begun
            proxy.turn("pass")
            await database.read(ask(ONE))
    figures.note(
        "R9",
        "whoever waits for a database that stands still is let go",
        figure=f"{waited:.2f} s, when statements may take 0.5 s and silence another 0.5 s",
        scale="7 s in earnest",
        holds=waited < 5.0,
    )
