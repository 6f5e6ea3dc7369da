"""R16: the store of objects is away for an hour."""

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from tests.promises.figures import Figures
from tests.promises.leaks import bucket
from tests.promises.market import KEK, PEPPER, Market, Order, open_doors, open_market

from bitloot_web.devservices import ValkeyStore

HOUR = timedelta(hours=1)
SEALED = """
SELECT id::text, object_name, encode(nonce, 'hex'), sha256 FROM sealed_keys
WHERE order_id IS NOT NULL ORDER BY id
"""
SHORT = {"OBJECT_STORE_CONNECT": "300ms", "OBJECT_STORE_READ": "300ms"}


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A port that takes connections and never says anything."""
    talks: set[asyncio.Task[None]] = set()

    def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def hear() -> None:
            with contextlib.suppress(OSError):
                while await reader.read(65536):
                    pass
            writer.close()

        task = asyncio.create_task(hear())
        talks.add(task)
        task.add_done_callback(talks.discard)

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def reveals(market: Market, order: Order) -> Counter[int]:
    """How downloads of a delivered order are answered now."""
    link = await market.reveal(order)
    return Counter([(await market.client.get(link)).status_code for _ in range(2)])


@pytest.mark.parametrize("way", ["refused", "stalled"])
async def test_r16_an_hour_without_the_store_of_objects_seals_once_and_uploads_after(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, way: str, figures: Figures
) -> None:
    orders = 20 if figures.full else 2
    limits = SHORT if figures.full else {**SHORT, "JOB_BACKOFF_FIRST": "1m"}
    valkey_server.flush()
    async with bucket() as store, silent() as port, open_doors() as doors:

        def opened(at: int | None) -> contextlib.AbstractAsyncContextManager[Market]:
            settings = store.settings(KEK, PEPPER, port=at)
            return open_market(
                shop_url, valkey_server.url, tmp_path, doors, limits=limits, settings=settings
            )

        async with opened(None) as market:
            await market.own("own-game", *(f"OWN-{n:03d}".encode() for n in range(orders)))
            slug = (await market.supplied())[0]
            early = await market.bought(slug)
            assert (await market.see(early))["status"] == "fulfilled"
        async with opened(9 if way == "refused" else port) as market:
            shut = await reveals(market, early)
            placed = [
                await market.bought(slug if turn % 2 else "own-game") for turn in range(orders)
            ]
            during = await market.sql(SEALED)
            await market.live(HOUR)
            after_an_hour = await market.sql(SEALED)
            uploaded = len(store.objects())
            waiting = [(await market.see(order))["status"] for order in placed]
        async with opened(None) as market:
            await market.live(timedelta(minutes=11))
            at_last = await market.sql(SEALED)
            statuses = Counter([(await market.see(order))["status"] for order in placed])
            keys = {key["key"] for order in placed for key in await market.keys(order)}
            breaches = await market.breaches()
        objects = await asyncio.to_thread(store.objects)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in objects.items()}
    same = sum(digests.get(str(name)) == sha256 for _, name, _, sha256 in at_last)
    again = len(set(during) ^ set(at_last)) + len(set(during) ^ set(after_an_hour))
    figures.note(
        "R16",
        f"the store of objects {way} for an hour: sealed once, uploaded after, not encrypted again",
        figure=f"{orders} orders: {again} encrypted again, {same} of {len(at_last)} objects with"
        f" the sealed digest, {statuses['fulfilled']} delivered after; downloads meanwhile"
        f" {dict(shut)}",
        scale=("full" if figures.full else "÷ 10") + "; real hour, time moved on",
        holds=again == 0
        and same == len(at_last) == len(digests) == orders + 1
        and uploaded == 1
        and statuses == {"fulfilled": orders}
        and len(keys) == orders
        and set(waiting) == {"paid"}
        and shut == {httpx.codes.SERVICE_UNAVAILABLE: 2},
    )
    assert breaches == ()
