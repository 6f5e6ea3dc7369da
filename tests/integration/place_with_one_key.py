"""A process of its own in which several clients place one order with one idempotency key.

`python -m tests.integration.place_with_one_key URL QUOTE KEY CLIENTS` prints an order id a line.
"""

import asyncio
import sys
from hashlib import sha256

from tests.integration.till import open_till

from bitloot.domain.idempotency import Once


async def place(url: str, quote_id: str, key: str, clients: int) -> list[str]:
    once = Once(
        route="orders",
        caller="192.0.2.7",
        key=key,
        request_hash=sha256(quote_id.encode()).hexdigest(),
    )
    async with open_till(url) as till:
        placed = await asyncio.gather(*(till.place(quote_id, once=once) for _ in range(clients)))
    return [facts.order_id for facts in placed]


if __name__ == "__main__":
    _, address, quote, one_key, count = sys.argv
    sys.stdout.write("\n".join(asyncio.run(place(address, quote, one_key, int(count)))))
