"""`python -m tests.promises.full_disk`: a shop whose database has no room left on its disk.

Runs in a mount namespace of its own, in which the database's folder is a small file system. It is
filled while orders are placed and paid, stays full for a while, and has room again. Prints one line
of JSON.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

import httpx
from tests.e2e.programs import until
from tests.promises.audit import audited, until_quiet
from tests.promises.buyers import Crowd, open_crowd
from tests.promises.stage import Stage, open_stage

MEGABYTE: Final = 1 << 20
SIZE: Final = 256 * MEGABYTE
# What is left to the database, which extends its tables by blocks of 8 kB.
LEFT: Final = 64 * 1024
BALLAST: Final = "ballast"
# Hundreds of jobs wait by then, and all roles, stand-ins and servers share the machine.
DRAINED_SECONDS: Final = 300.0


def mount(folder: Path, size: int) -> None:
    """A small file system, seen by this process and its children alone."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(folder)]
    subprocess.run(["mount", *options], check=True)


def fill(folder: Path, *, left: int = LEFT) -> None:
    """Take all the room there is, but for what is left."""
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    # The database takes room at the same time.
    with contextlib.suppress(OSError), (folder / BALLAST).open("ab", buffering=0) as ballast:
        ballast.write(bytes(max(0, free - left)))


async def keep_full(folder: Path, seconds: float, *, left: int = LEFT) -> None:
    """Take whatever becomes free."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        fill(folder, left=left)
        await asyncio.sleep(0.05)


async def hog(stage: Stage, seconds: float) -> Counter[str]:
    """Write as much as there is room for, so that the disk is truly full; how that was refused."""
    told: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await stage.sql(
                "INSERT INTO hog SELECT string_agg(md5(random()::text), '')"
                " FROM generate_series(1, 20000) g GROUP BY mod(g, 200)"
            )
            told["written"] += 1
        except Exception as error:  # noqa: BLE001 - whatever the server says, it is counted
            told[type(error).__name__] += 1
            await asyncio.sleep(0.2)
    return told


async def ask(crowd: Crowd, seconds: float) -> tuple[Counter[str], list[str]]:
    """Place orders without insisting; the answers, and the orders that were called placed."""
    answers: Counter[str] = Counter()
    placed: list[str] = []
    slug = await crowd.pick("custom")
    body = {"lines": [{"product": slug, "quantity": 1}]}
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        number += 1
        key = {"idempotency-key": f"full-disk-order-{number:08d}"}
        try:
            quote = await crowd.shop.post("/v1/quotes", json=body)
            answers[str(quote.status_code)] += 1
            if not quote.is_success:
                continue
            wanted = {"quoteId": quote.json()["id"], "email": f"full{number}@reader.example"}
            answer = await crowd.shop.post("/v1/orders", json=wanted, headers=key)
            answers[str(answer.status_code)] += 1
            if answer.is_success:
                placed.append(str(answer.json()["id"]))
        except httpx.TransportError as error:
            answers[type(error).__name__] += 1
        await asyncio.sleep(0.02)
    return answers, placed


async def pressed(stage: Stage, orders: int, seconds: float) -> dict[str, object]:
    """Fill, sell, make room, and count."""
    folder = stage.town.postgres.folder
    programs = stage.pids()
    async with open_crowd(stage) as crowd:
        before = await crowd.many(orders, "custom", ipn="delayed", delay_seconds=1)
        await stage.sql("CREATE TABLE hog (filling text)")
        fill(folder)
        filling = asyncio.create_task(keep_full(folder, seconds))
        hogging = asyncio.create_task(hog(stage, seconds / 2))
        answers, placed = await ask(crowd, seconds)
        refused = await hogging
        await filling
        ended = not stage.town.postgres.alive()
        (folder / BALLAST).unlink()
        if ended:
            # What a supervisor does with a server that ended.
            await asyncio.to_thread(stage.town.postgres.restart)
        begun = time.monotonic()

        async def answers_again() -> bool | None:
            try:
                return (await crowd.shop.get("/readyz")).is_success or None
            except httpx.TransportError:
                return None

        await until("the shop to be ready", answers_again)
        ready = time.monotonic() - begun
        await stage.sql("DROP TABLE hog")
        after = await crowd.many(orders, "custom")
    paid = [order.id for order in (*before, *after)]
    quiet = await until_quiet(stage, paid, seconds=DRAINED_SECONDS)
    found = await stage.count(
        "SELECT count(*)::int FROM orders WHERE id = ANY(%s::uuid[])", [placed]
    )
    audit = await audited(stage, paid)
    return {
        "answers": dict(answers),
        "refused": dict(refused),
        "placed": len(placed),
        "false": len(placed) - found,
        "ended": ended,
        "ready": ready,
        "quiet": quiet,
        "programs": stage.pids() == programs,
        "audit": audit.text() if audit.is_clean else audit.explain(),
        "clean": audit.is_clean,
        "scale": stage.scale,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bitloot-full-"))
    mount(folder / "postgres", SIZE)
    with open_stage(folder, is_full=False) as stage:
        told = asyncio.run(pressed(stage, asked.orders, asked.seconds))
    sys.stdout.write(json.dumps(told) + "\n")
    subprocess.run(["umount", str(folder / "postgres")], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
