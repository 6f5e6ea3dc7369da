"""Failures of other shops that need many clients, or more than one process, to show themselves.

The list of all of them is in `tests/unit/test_regressions.py`.
"""

import asyncio
import sys
from pathlib import Path

from tests.integration.till import open_till

from bitloot_adapters.clock import new_id

HERE = Path(__file__).parents[2]
CLIENTS = 4


async def test_one_idempotency_key_from_eight_clients_over_two_processes_gives_one_order(
    shop_url: str,
) -> None:
    async with open_till(shop_url) as till:
        quote, key = await till.quote(await till.own(5)), new_id()
        command = ("-m", "tests.integration.place_with_one_key", shop_url, quote, key, str(CLIENTS))
        both = [
            await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=HERE, stdout=asyncio.subprocess.PIPE
            )
            for _ in range(2)
        ]
        told = [(await process.communicate())[0].decode().split() for process in both]
        assert [process.returncode for process in both] == [0, 0]
        orders = [order for lines in told for order in lines]
        assert (len(orders), len(set(orders))) == (2 * CLIENTS, 1)
        assert await till.count("SELECT count(*) FROM orders") == 1
        assert await till.count("SELECT count(*) FROM idempotency_keys") == 1
        await till.assert_in_order(orders[0])
