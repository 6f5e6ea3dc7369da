"""R28: a dump of the database and a copy of the objects, restored elsewhere, open every key."""

import asyncio
import random
import shutil
import subprocess
import time
from pathlib import Path

from tests.promises.figures import Figures
from tests.promises.market import Market, Order, open_doors, open_market

from bitloot_web.devservices import Databases, ValkeyStore, start_postgres
from bitloot_web.devservices.binaries import find_postgres

HALF_AN_HOUR = 30 * 60.0
PER_ORDER = 10


def run(program: str, *arguments: str) -> None:
    """A program of PostgreSQL, from the folder of the server that these tests run."""
    command = [str(find_postgres().folder / program), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 0, ended.stderr[-2000:]


async def sold(market: Market, orders: int) -> list[Order]:
    return [await market.bought(("own-game", PER_ORDER)) for _ in range(orders)]


async def test_r28_a_restored_shop_opens_its_keys_keeps_its_invariants_and_goes_on(
    shop_url: str,
    postgres_server: Databases,
    valkey_server: ValkeyStore,
    tmp_path: Path,
    figures: Figures,
) -> None:
    orders = 20 if figures.full else 3
    serials = {f"BACKED-UP-{number:04d}" for number in range(PER_ORDER * (orders + 2))}
    data, dump, copy = tmp_path / "data", tmp_path / "bitloot.dump", tmp_path / "copy"
    data.mkdir()
    valkey_server.flush()
    # pg_dump reads servers of its own version and older ones.
    assert postgres_server.version() <= find_postgres().major
    async with open_doors() as doors:
        async with open_market(shop_url, valkey_server.url, data, doors) as market:
            await market.own("own-game", *(serial.encode() for serial in sorted(serials)))
            placed = await sold(market, orders)
            # Paid, but not worked on when the dump is taken.
            waiting = await market.paid(("own-game", PER_ORDER))
            selling = asyncio.create_task(sold(market, 1))
            await asyncio.to_thread(
                run, "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={shop_url}"
            )
            await selling
            await asyncio.to_thread(shutil.copytree, data, copy)
        valkey_server.flush()
        began = time.monotonic()
        with start_postgres(tmp_path / "elsewhere", durable=False) as fresh:
            url = await asyncio.to_thread(fresh.create_database, "bitloot")
            await asyncio.to_thread(
                run, "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={url}", str(dump)
            )
            async with open_market(url, valkey_server.url, copy, doors) as market:
                breaches = await market.breaches()
                chosen = random.Random(28).sample(placed, min(len(placed), 10))
                opened = [key["key"] for order in chosen for key in await market.keys(order)]
                seconds = time.monotonic() - began
                await market.work()
                late = [key["key"] for key in await market.keys(waiting)]
                afterwards = await market.breaches()
    good = len(set(opened) & serials)
    wanted = PER_ORDER * len(chosen)
    figures.note(
        "R28",
        "a restored shop opens its keys, keeps its invariants, and goes on with what was paid",
        figure=f"{good} of {wanted} random keys, {len(breaches) + len(afterwards)} invariants"
        f" broken, back after {seconds:.0f} s; the order in flight got {len(set(late))} of"
        f" {PER_ORDER} keys",
        scale="full (a dump loses what came after it: archive the log for 5 minutes)"
        if figures.full
        else "÷ 3",
        holds=good == wanted == len(opened)
        and not breaches
        and not afterwards
        and len(set(late) & serials) == PER_ORDER
        and seconds < HALF_AN_HOUR,
    )
