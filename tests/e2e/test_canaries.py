"""What was sold is looked for wherever the running shop keeps, sends or says anything."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from redis import Redis
from tests.e2e.buyer import Buyer
from tests.e2e.town import ROLES, Town


def rows(database_url: str) -> Iterator[str]:
    """Every row of every table, as text; bytes come in hex."""
    with psycopg.connect(database_url) as connection:
        found = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        tables = [str(name) for (name,) in connection.execute(found)]
        assert len(tables) > 15
        for table in tables:
            every = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))
            yield from (str(text) for (text,) in connection.execute(every))


def entries(town: Town) -> Iterator[str]:
    """Every entry of Valkey with its name."""
    with Redis.from_url(town.valkey.url) as client:
        readers = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1),
            b"list": lambda key: client.lrange(key, 0, -1),
            b"stream": client.xrange,
        }
        for key in client.scan_iter():
            yield repr((key, readers[client.type(key)](key)))


def files(*folders: Path) -> Iterator[str]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                yield path.read_bytes().decode("latin-1")


def forms(secret: str) -> tuple[str, ...]:
    """A text as itself, as PostgreSQL shows bytes, and in base64 wherever it begins."""
    raw = secret.encode()
    return (secret, raw.hex(), base64.b64encode(raw).decode().rstrip("=")[:-1])


async def test_no_key_that_was_sold_lies_anywhere_but_in_the_download(buyer: Buyer) -> None:
    order = await buyer.paid("kinguin", "custom")
    await buyer.until_status(order, "fulfilled")
    sold = await buyer.keys(order)
    assert len(set(sold)) == 2
    town = buyer.town
    token = order.token["authorization"].removeprefix("Bearer ")
    mails = [str(mail) for mail in await buyer.mails(order.email)]
    assert mails
    answers = [str(await buyer.see(order)), str(await buyer.desk(order))]
    stored = await asyncio.to_thread(lambda: list(rows(town.variables["BITLOOT_DATABASE_URL"])))
    assert any(order.number in row for row in stored)
    logs = [town.programs[role].log.read_text(errors="replace") for role in ROLES]
    assert any('"route"' in log for log in logs)
    places = {
        "PostgreSQL": stored,
        "Valkey": await asyncio.to_thread(lambda: list(entries(town))),
        "the logs": logs,
        "the mails": mails,
        "the answers": answers,
        "the files": await asyncio.to_thread(lambda: list(files(town.folder / "data"))),
    }
    assert places["the files"]
    for place, texts in places.items():
        for secret in (*sold, token):
            for form in forms(secret):
                assert not any(form in text for text in texts), place
