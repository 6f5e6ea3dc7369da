"""R22: very many paid orders at once. Every queue, pool and process keeps within its bounds."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests.e2e.town import ROLES
from tests.promises.audit import audited, until_quiet
from tests.promises.buyers import Crowd, open_crowd
from tests.promises.figures import Figures
from tests.promises.plain_http import posted
from tests.promises.stage import Stage, open_stage

from bitloot_adapters.redis.connection import open_redis
from bitloot_adapters.redis.doorbell import STREAM

RSS_MB = 350.0
# One batch may be under way when the stream is asked how long it is.
OVER = 1.1
ANSWER_SECONDS = 10.0
DRAINED_SECONDS = {False: 90.0, True: 2_400.0}
# A look at ten thousand orders and their jobs takes half a second of a core.
LOOK_PAUSE = {False: 0.2, True: 10.0}
LIFTED = 1_000_000
# The listener for wake-ups has a connection of its own.
LISTENERS = 1


@dataclass
class Bounds:
    """The most that was ever seen."""

    stream: int = 0
    connections: Counter[str] = field(default_factory=Counter)
    megabytes: dict[str, float] = field(default_factory=dict)

    async def watch(self, stage: Stage, redis: Redis) -> None:
        while True:
            self.stream = max(self.stream, int(await redis.xlen(STREAM)))
            for role, proxy in stage.database.items():
                self.connections[role] = max(self.connections[role], len(proxy.links))
            for role in ROLES:
                running = stage.town.programs[role].running
                if running is not None and running.alive():
                    self.megabytes[role] = max(self.megabytes.get(role, 0.0), peak(running.pid))
            await asyncio.sleep(0.05)


def peak(pid: int) -> float:
    """The most memory that a process ever held, in MB (proc(5), VmHWM)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


async def flood(stage: Stage, slug: str, requests: int) -> tuple[Counter[str], float]:
    """So many requests in one moment: the answers, and after how long the last one came."""
    statuses: Counter[str] = Counter()
    url = stage.town.url("shop")
    body = json.dumps({"lines": [{"product": slug, "quantity": 1}]}).encode()
    begun = time.monotonic()

    async def one() -> None:
        answer = await posted(url, "/v1/quotes", body, {})
        word = answer.status
        if word == "503" and not answer.headers.get("retry-after", "").isdigit():
            word += " no Retry-After"
        statuses[word] += 1

    await asyncio.gather(*(one() for _ in range(requests)))
    return statuses, time.monotonic() - begun


@pytest.fixture
def busy_stage(services_folder: Path, figures: Figures) -> Iterator[Stage]:
    """Its own: at the full scale with the real windows, so that what waits for its turn is not
    asked for again and again meanwhile; at a small one with a stream that is full soon.
    """
    folder = services_folder / "busy"
    folder.mkdir()
    bounds = {"orders_per_10_minutes": LIFTED} if figures.full else {"stream_length": 60}
    factor = 1.0 if figures.full else None
    with open_stage(folder, is_full=figures.full, factor=factor, **bounds) as stage:
        yield stage


async def test_r22_very_many_paid_orders_at_once_stay_within_every_bound(
    busy_stage: Stage, figures: Figures
) -> None:
    async with open_crowd(busy_stage) as crowd:
        await crowded(busy_stage, crowd, figures)


async def crowded(stage: Stage, crowd: Crowd, figures: Figures) -> None:
    """All the orders while the worker is away; then the flood while it catches up."""
    orders, requests = (10_000, 1_000) if figures.full else (40, 200)
    await asyncio.to_thread(stage.town.programs["worker"].stop)
    redis = open_redis(stage.town.valkey.url)
    bounds = Bounds()
    watching = asyncio.create_task(bounds.watch(stage, redis))
    await crowd.many(orders, "custom", at_once=8)
    waiting = await stage.count(
        "SELECT count(*)::int FROM jobs WHERE state = 'pending' AND available_at <= now()"
    )
    await asyncio.to_thread(stage.town.programs["worker"].start)
    statuses, seconds = await flood(stage, await crowd.pick("custom"), requests)
    begun = time.monotonic()
    full = figures.full
    await until_quiet(stage, stage.paid, seconds=DRAINED_SECONDS[full], pause=LOOK_PAUSE[full])
    drained = time.monotonic() - begun
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await redis.aclose()
    audit = await audited(stage, stage.paid)
    pool = stage.limits.database_pool + LISTENERS
    linked = max(bounds.connections.values())
    most, length = max(bounds.megabytes.values()), stage.limits.stream_length
    figures.note(
        "R22",
        "very many paid orders at once stay within every bound",
        figure=f"{orders} paid orders, {waiting} jobs at once, drained in {drained:.0f} s;"
        f" stream at most {bounds.stream} of {length}; connections at most {linked} of {pool} a"
        f" process; memory at most {most:.0f} MB a process; {requests} requests in one moment:"
        f" {dict(statuses)} within {seconds:.1f} s; {audit.text()}",
        scale=f"{stage.scale}; stream {length}",
        holds=audit.is_clean
        and waiting > length
        and bounds.stream <= length * OVER
        and linked <= pool
        and most < RSS_MB
        and set(statuses) <= {"200", "201", "503"}
        and seconds < ANSWER_SECONDS,
    )
