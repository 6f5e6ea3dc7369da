"""Connections go from hand to hand, and home to the pool within a second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import Integer, literal_column, select
from tests.promises.proxy import open_proxies

from bitloot.domain.limits import Limits
from bitloot.ports.errors import StoreUnavailable
from bitloot_adapters.postgres.lending import HOME_AFTER_SECONDS, Connection, Lending
from bitloot_adapters.postgres.pool import open_database
from bitloot_adapters.postgres.statements import ask, compiled


@asynccontextmanager
async def lending(
    url: str, most: int, *, patience: float = 5.0
) -> AsyncIterator[tuple[Lending, AsyncConnectionPool[Connection]]]:
    pool = AsyncConnectionPool[Connection](
        url,
        min_size=0,
        max_size=most,
        timeout=patience,
        kwargs={"autocommit": True},
        open=False,
    )
    async with pool:
        lent = Lending(pool)
        try:
            yield lent, pool
        finally:
            await lent.close()


async def taken(lent: Lending) -> Connection:
    connection = await lent.take()
    assert connection is not None
    return connection


async def test_the_next_user_gets_what_the_last_one_gave_back_without_asking_the_pool(
    shop_url: str,
) -> None:
    async with lending(shop_url, 2) as (lent, pool):
        first = await taken(lent)
        await lent.give(first, is_sound=True)
        assert await taken(lent) is first
        assert pool.get_stats()["requests_num"] == 1
        await lent.give(first, is_sound=True)


async def test_what_nobody_uses_goes_home_within_a_second(shop_url: str) -> None:
    async with lending(shop_url, 2) as (lent, pool):
        await lent.give(await taken(lent), is_sound=True)
        assert pool.get_stats()["pool_available"] == 0
        await asyncio.sleep(HOME_AFTER_SECONDS + 0.2)
        assert pool.get_stats()["pool_available"] == 1


async def test_what_is_used_all_the_time_goes_home_too(shop_url: str) -> None:
    async with lending(shop_url, 2) as (lent, pool):
        await lent.give(await taken(lent), is_sound=True)
        busy = await taken(lent)
        await asyncio.sleep(HOME_AFTER_SECONDS + 0.2)
        await lent.give(busy, is_sound=True)
        assert pool.get_stats()["pool_available"] == 1


async def test_no_more_are_lent_than_the_pool_may_have(shop_url: str) -> None:
    async with lending(shop_url, 1, patience=0.2) as (lent, _):
        only = await taken(lent)
        with pytest.raises(PoolTimeout):
            await lent.take()
        waiting = asyncio.create_task(taken(lent))
        await asyncio.sleep(0)
        await lent.give(only, is_sound=True)
        assert await waiting is only
        await lent.give(only, is_sound=True)


async def test_who_gives_up_waiting_leaves_the_turn_to_the_next(
    shop_url: str,
) -> None:
    async with lending(shop_url, 1) as (lent, _):
        only = await taken(lent)
        impatient = asyncio.create_task(taken(lent))
        patient = asyncio.create_task(taken(lent))
        await asyncio.sleep(0)
        impatient.cancel()
        await lent.give(only, is_sound=True)
        assert await patient is only
        await lent.give(only, is_sound=True)


async def test_who_is_called_off_in_the_moment_of_his_turn_passes_it_on(shop_url: str) -> None:
    async with lending(shop_url, 1) as (lent, _):
        only = await taken(lent)
        called_off = asyncio.create_task(taken(lent))
        patient = asyncio.create_task(taken(lent))
        await asyncio.sleep(0)
        await lent.give(only, is_sound=True)
        called_off.cancel()
        assert await patient is only
        await lent.give(only, is_sound=True)


async def test_who_waited_too_long_takes_no_turn_from_anybody(shop_url: str) -> None:
    async with lending(shop_url, 1, patience=0.1) as (lent, _):
        only = await taken(lent)
        for waiting in [asyncio.create_task(taken(lent)) for _ in range(3)]:
            with pytest.raises(PoolTimeout):
                await waiting
        await lent.give(only, is_sound=True)
        assert await taken(lent) is only
        await lent.give(only, is_sound=True)


async def test_a_connection_that_the_server_closed_meanwhile_is_not_lent(
    shop_url: str,
) -> None:
    async with lending(shop_url, 1) as (lent, _):
        first = await taken(lent)
        await lent.give(first, is_sound=True)
        with psycopg.connect(shop_url, autocommit=True) as other:
            other.execute(b"SELECT pg_terminate_backend(%s)", (first.info.backend_pid,))
        await asyncio.sleep(0.1)
        second = await taken(lent)
        assert second is not first
        await lent.give(second, is_sound=True)


async def test_after_an_outage_the_database_is_used_again_at_once(shop_url: str) -> None:
    server = conninfo_to_dict(shop_url)
    port, host = int(server.get("port") or 5432), str(server["host"])
    question = ask(compiled(select(literal_column("1", Integer))))
    with open_proxies() as proxies:
        proxy = proxies.open(Path(host) / f".s.PGSQL.{port}" if host.startswith("/") else port)
        through = psycopg.conninfo.make_conninfo(
            shop_url, host="127.0.0.1", port=proxy.port, sslmode="disable", gssencmode="disable"
        )
        async with open_database(through, Limits()) as database:
            await database.read(question)
            proxy.turn("cut")
            for _ in range(2):
                # Each waits its two seconds in vain.
                with pytest.raises(StoreUnavailable):
                    await database.read(question)
            proxy.turn("pass")
            assert await database.read(question) == [[(1,)]]
