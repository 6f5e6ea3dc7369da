"""What machines gave up on is seen by a person and tried once more, by the command line."""

import asyncio
from pathlib import Path

import psycopg
from tests.integration.commands import Commands
from tests.integration.goods_shop import open_goods_shop

from bitloot_web.devservices import ValkeyStore

NO_JOB = "01920000-0000-7000-8000-000000000000"


async def asked(url: str, statement: bytes) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return await (await connection.execute(statement)).fetchall()


async def test_a_dead_job_is_listed_and_tried_once_more_under_a_persons_name(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path
) -> None:
    shop = Commands(shop_url, valkey_server.url, tmp_path)
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path) as it:
        await it.own_product("own-game", b"ONLY-KEY")
        none = await asyncio.to_thread(shop.run, "jobs", "dead")
        assert (none.returncode, none.stdout) == (0, "no job was given up on\n"), none.stderr
        await it.near.jobs.tick("a-sweep", it.near.clock(), "sweep", "no-such-sweep")
        await it.work()
    [(job_id, error)] = await asked(
        shop_url, b"SELECT id::text, last_error FROM jobs WHERE state = 'dead'"
    )
    listed = await asyncio.to_thread(shop.run, "jobs", "dead")
    assert listed.stdout.split() == [
        job_id,
        "sweep",
        "no-such-sweep",
        *f"tried 1 of 12: {error}".split(),
    ]
    again = await asyncio.to_thread(
        shop.run, "jobs", "replay", str(job_id), NO_JOB, "--reason", "it exists now"
    )
    assert again.returncode == 1
    assert again.stdout == f"{job_id} is tried once more\n"
    assert again.stderr == f"{NO_JOB} is not among the dead jobs\n"
    assert await asked(shop_url, b"SELECT attempts FROM jobs WHERE state = 'pending'") == [(0,)]
    audit = await asked(shop_url, b"SELECT actor, action, subject, reason FROM audit_logs")
    assert ("cli", "job.replay", job_id, "it exists now") in audit
