"""The audit log of a database that somebody wrote to by hand is told from one that is whole."""

import asyncio
from pathlib import Path

import psycopg
from tests.integration.commands import Commands
from tests.integration.goods_shop import open_goods_shop

from bitloot.domain.decision import AuditEntry, Decision
from bitloot_web.devservices import ValkeyStore


async def test_a_line_that_was_changed_past_the_rules_is_named(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path
) -> None:
    shop = Commands(shop_url, valkey_server.url, tmp_path)
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path) as it:
        before = (await it.shop.views.desk.audit_chain(after=0, limit=1)).head.seq
        for n in range(3):
            entry = AuditEntry(at=it.near.clock(), actor="ann", action="look", subject=f"x/{n}")
            async with it.near.uow.begin() as tx:
                await tx.record(Decision(audit=(entry,)))
        head = (await it.shop.views.desk.audit_chain(after=0, limit=1)).head
    whole = await asyncio.to_thread(shop.run, "audit", "verify")
    told = f"{before + 3} lines hold together; the last is {head.digest.hex()}\n"
    assert (whole.returncode, whole.stdout) == (0, told), whole.stderr
    async with await psycopg.AsyncConnection.connect(shop_url) as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("UPDATE audit_logs SET actor = 'bob' WHERE subject = 'x/1'")
    changed = await asyncio.to_thread(shop.run, "audit", "verify")
    assert (changed.returncode, changed.stdout) == (1, "")
    assert changed.stderr == f"line {before + 2} is not what was written\n"
