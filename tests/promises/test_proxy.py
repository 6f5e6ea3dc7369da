"""The failing network itself: what it passes, keeps, cuts and loses."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.promises.commits import Commits
from tests.promises.proxy import Proxies, Proxy, open_proxies

from bitloot_web.devservices import Databases, ValkeyStore

SOON = 0.3


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    with open_proxies() as opened:
        yield opened


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(1024):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def is_refused(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return True
    try:
        return await said(reader) == b""
    except ConnectionError:
        return True
    finally:
        writer.close()


async def said(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SOON):
        return await reader.read(1024)


async def test_it_passes_delays_keeps_closes_by_half_and_cuts(proxies: Proxies) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = await asyncio.to_thread(proxies.open, server.sockets[0].getsockname()[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"one")
    assert await said(reader) == b"one"

    await asyncio.to_thread(proxy.turn, "delay", 0.05)
    begun = time.monotonic()
    writer.write(b"two")
    assert await said(reader) == b"two"
    assert time.monotonic() - begun >= 0.1, "there and back"

    await asyncio.to_thread(proxy.turn, "stall")
    writer.write(b"three")
    with pytest.raises(TimeoutError):
        await said(reader)
    await asyncio.to_thread(proxy.turn, "pass")
    assert await said(reader) == b"three"

    await asyncio.to_thread(proxy.turn, "half-close")
    assert await said(reader) == b""
    writer.write(b"still heard")
    await writer.drain()

    await asyncio.to_thread(proxy.turn, "pass")
    first = writer
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"four")
    assert await said(reader) == b"four"
    await asyncio.to_thread(proxy.turn, "cut")
    with pytest.raises(ConnectionError):
        await said(reader)
    for each in (first, writer):
        each.close()
    assert await is_refused(proxy.port)
    server.close()
    await server.wait_closed()


def through(proxy: Proxy, url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        url, host="127.0.0.1", port=proxy.port, sslmode="disable", gssencmode="disable"
    )


def socket_of(url: str) -> Path:
    told = psycopg.conninfo.conninfo_to_dict(url)
    return Path(str(told["host"])) / f".s.PGSQL.{told.get('port') or 5432}"


def test_a_commit_whose_answer_is_lost_was_carried_out(
    proxies: Proxies, postgres_server: Databases, shop_url: str
) -> None:
    proxy = proxies.open(socket_of(shop_url), reads_commits=True)
    with psycopg.connect(shop_url, autocommit=True) as direct:
        direct.execute("CREATE TABLE told (word text)")
        for number in range(12):
            with through(proxy, shop_url) as connection:
                connection.prepare_threshold = 0
                connection.execute("SELECT count(*) FROM told")
                connection.execute("INSERT INTO told VALUES (%s)", [f"in {number}"])
                proxy.lose_commits(lambda text: "INSERT INTO told" in text)
                with pytest.raises(psycopg.OperationalError):
                    connection.commit()
                connection.close()
            proxy.lose_commits(None)
        with through(proxy, shop_url) as alone:
            alone.autocommit = True
            alone.execute("SELECT word FROM told FOR UPDATE")
            proxy.lose_commits(lambda text: True)
            alone.execute("SELECT word FROM told FOR UPDATE")
            with pytest.raises(psycopg.OperationalError):
                alone.execute("UPDATE told SET word = %s WHERE word = %s", ["alone", "in 0"])
            alone.close()
        rows = direct.execute("SELECT word FROM told ORDER BY word").fetchall()
    assert len(rows) == 12
    assert rows[0] == ("alone",)
    assert len(proxy.lost) == 13


def test_commits_are_told_by_name_when_statements_are_prepared() -> None:
    def message(kind: bytes, body: bytes) -> bytes:
        return kind + (len(body) + 4).to_bytes(4) + body

    reading = Commits()
    assert reading.asked((8).to_bytes(4) + b"\0\3\0\0") == []
    prepare = message(b"P", b"c\0COMMIT\0\0\0") + message(b"P", b"b\0BEGIN\0\0\0")
    assert reading.asked(prepare + message(b"S", b"")) == []
    begun = message(b"B", b"\0b\0") + message(b"E", b"") + message(b"S", b"")
    assert reading.asked(begun) == []
    reading.heard(message(b"Z", b"I") * 2 + message(b"Z", b"T"))
    assert reading.is_answered
    ended = message(b"B", b"\0c\0") + message(b"E", b"") + message(b"S", b"")
    # However the network cuts it up.
    assert [text for byte in ended for text in reading.asked(bytes([byte]))] == ["BEGIN\nCOMMIT"]
    assert not reading.is_answered


def test_it_stands_before_valkey_too(proxies: Proxies, valkey_server: ValkeyStore) -> None:
    proxy = proxies.open(Path(urlsplit(valkey_server.url).path))
    retry = Retry(NoBackoff(), 0)
    with redis.Redis(host="127.0.0.1", port=proxy.port, socket_timeout=SOON, retry=retry) as client:
        assert client.ping()
        proxy.turn("stall")
        with pytest.raises(redis.RedisError):
            client.ping()
        proxy.turn("pass")
