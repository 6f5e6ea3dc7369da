"""S3: no nonce and no data key is used twice, whoever seals and whoever dies while sealing."""

import asyncio
import sys
from pathlib import Path

from tests.promises.dying import KILLED, work_and_die
from tests.promises.figures import Figures
from tests.promises.market import Market
from tests.promises.sealing import seals

from bitloot.domain.failpoints import AFTER_SEAL, KEYS_READ_BEFORE_SEAL, UPLOADED_BEFORE_DELIVER

PARTS = ("data key", "nonce", "wrapping nonce", "ciphertext")


async def until_killed(lines: int) -> list[str]:
    """What a process sealed before it was killed in the middle of it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.promises.sealing"),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    found = [(await process.stdout.readline()).decode().strip() for _ in range(lines)]
    process.kill()
    rest = (await process.stdout.read()).decode().splitlines()
    assert await process.wait() == KILLED
    # The last line may be cut off in the middle.
    return found + rest[:-1]


async def test_s3_nothing_repeats_in_many_seals_of_many_processes(figures: Figures) -> None:
    count, processes = (100_000, 8) if figures.full else (4_000, 3)
    each = count // (2 * processes)
    gathered = await asyncio.gather(*(until_killed(each) for _ in range(processes)))
    sealed = [line.split() for lines in gathered for line in lines]
    sealed += [list(parts) for parts in seals(count - processes * each)]
    repeats = {
        part: len(sealed) - len({row[place] for row in sealed}) for place, part in enumerate(PARTS)
    }
    figures.note(
        "S3",
        "no data key, nonce or ciphertext repeats",
        figure=f"{len(sealed)} seals, {processes} processes killed while sealing: {repeats}",
        scale="full" if figures.full else "÷ 25",
        holds=len(sealed) >= count and not any(repeats.values()),
    )


async def test_s3_a_death_around_sealing_leaves_one_seal_to_each_key(
    market: Market, figures: Figures
) -> None:
    every = (AFTER_SEAL, KEYS_READ_BEFORE_SEAL, UPLOADED_BEFORE_DELIVER)
    points, rounds = (every, 10) if figures.full else (every[:1], 1)
    slug = (await market.supplied())[0]
    deaths, changed = 0, 0
    rows = (
        "SELECT id::text, slot, encode(nonce, 'hex'), sha256 FROM sealed_keys WHERE order_id = %s"
    )
    for _ in range(rounds):
        for point in points:
            order = await market.paid(slug)
            deaths += await work_and_die(market, point) == KILLED
            after_death = await market.sql(rows, [order.id])
            # The lease of the dead ends, and another goes on.
            await market.elapse(market.near.limits.job_lease)
            await market.work()
            at_last = await market.sql(rows, [order.id])
            changed += len(at_last) != 1 or not set(after_death) <= set(at_last)
            assert len(after_death) == (point != KEYS_READ_BEFORE_SEAL)
            assert (await market.see(order))["status"] == "fulfilled"
    repeated = await market.sql("SELECT nonce FROM sealed_keys GROUP BY nonce HAVING count(*) > 1")
    figures.note(
        "S3",
        "a process that dies around sealing leaves one seal to each key",
        figure=f"{deaths} deaths at {len(points)} boundaries: {changed} sealed again,"
        f" {len(repeated)} nonces twice",
        scale="full" if figures.full else "÷ 30",
        holds=deaths == rounds * len(points) and not changed and not repeated,
    )
    assert await market.breaches() == ()
