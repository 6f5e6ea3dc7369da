"""Marked keys on their way through a shop, and a look into every place where one could lie."""

import asyncio
import base64
import contextlib
import io
import json
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from minio import Minio
from moto.server import ThreadedMotoServer
from psycopg import sql
from redis import Redis
from tests.promises.market import Market

from bitloot_web.devservices import PostgresServer, ValkeyServer

# In every canary; letters that are met by chance nowhere.
MARK = "CANARY" + secrets.token_hex(6).upper()
TABLES = """
SELECT table_name FROM information_schema.tables
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name
"""


def forms(secret: bytes) -> list[bytes]:
    """How a secret may be written: raw, hex, base64 at each place, UTF-16 in both orders."""
    found = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + secret)
        # Without the letters that also hold bits of what stands beside it.
        inner = encoded[(lead * 8 + 5) // 6 : -4]
        found += [inner, inner.replace(b"+", b"-").replace(b"/", b"_")]
    text = secret.decode("latin-1")
    return [*dict.fromkeys([*found, text.encode("utf-16-le"), text.encode("utf-16-be")])]


def hits(places: Mapping[str, bytes], wanted: Iterable[bytes]) -> list[str]:
    """The places in which any of the secrets stands in any form."""
    needles = [form for secret in wanted for form in forms(secret)]
    return [name for name, content in places.items() if any(each in content for each in needles)]


def marked(number: int) -> bytes:
    """A key of our own."""
    return f"{MARK}-OWN-{number:05d}".encode()


def marking(app: ASGIApp) -> ASGIApp:
    """The supplier, with the mark in every key that it hands out, text or image."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope.get("path", "").endswith("/keys"):
            await app(scope, receive, send)
            return
        body = bytearray()

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                plain = [pair for pair in message["headers"] if pair[0] != b"content-length"]
                await send({**message, "headers": plain})
            elif message["type"] == "http.response.body":
                body.extend(message["body"])
                if not message["more_body"]:
                    await send({**message, "body": _all_marked(bytes(body))})

        await app(scope, receive, keep)

    return answer


def _all_marked(body: bytes) -> bytes:
    keys = json.loads(body)
    return json.dumps(list(map(_marked, keys))).encode() if isinstance(keys, list) else body


def _marked(key: dict[str, str]) -> dict[str, str]:
    if key["type"] == "text/plain":
        return {**key, "serial": f"{MARK}-{key['serial']}"}
    image = base64.b64decode(key["serial"]) + MARK.encode()
    return {**key, "serial": base64.b64encode(image).decode()}


class Bucket:
    """An S3 server on a loopback port with one bucket."""

    def __init__(self) -> None:
        self.name = f"keys-{secrets.token_hex(6)}"
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        _, self.port = self._server.get_host_and_port()
        self.client = Minio(f"127.0.0.1:{self.port}", "test", "test", secure=False, region="auto")
        self.client.make_bucket(bucket_name=self.name)

    def stop(self) -> None:
        listening = self._server._server
        self._server.stop()
        assert listening is not None
        listening.server_close()

    def settings(self, keks: str, pepper: str, *, port: int | None = None) -> dict[str, str]:
        return {
            "BITLOOT_KEY_VAULT": "r2",
            "BITLOOT_R2_ENDPOINT": f"http://127.0.0.1:{port or self.port}",
            "BITLOOT_R2_BUCKET": self.name,
            "BITLOOT_R2_ACCESS_KEY": "test",
            "BITLOOT_R2_SECRET_KEY": "test",
            "BITLOOT_R2_KEKS": keks,
            "BITLOOT_R2_PEPPER": pepper,
        }

    def objects(self) -> dict[str, bytes]:
        found = {}
        for each in self.client.list_objects(bucket_name=self.name, recursive=True):
            assert each.object_name is not None
            answer = self.client.get_object(bucket_name=self.name, object_name=each.object_name)
            found[each.object_name] = answer.read()
            answer.close()
            answer.release_conn()
        return found

    def put(self, name: str, content: bytes) -> None:
        self.client.put_object(
            bucket_name=self.name, object_name=name, data=io.BytesIO(content), length=len(content)
        )


def told(answer: httpx.Response) -> bytes:
    """What an answer says; of a download that succeeded only its headers."""
    is_file = answer.request.url.path.startswith("/v1/downloads/") and answer.is_success
    return str(answer.headers).encode() + (b"" if is_file else answer.content)


@dataclass(kw_only=True)
class Premises:
    """Servers of the shop's own, and everything that can be read of them but the downloads."""

    postgres: PostgresServer
    valkey: ValkeyServer
    bucket: Bucket
    database: str
    folder: Path
    logs: io.StringIO
    answers: list[httpx.Response] = field(default_factory=list)
    exceptions: list[bytes] = field(default_factory=list)
    metrics: list[bytes] = field(default_factory=list)

    async def places(self, market: Market) -> dict[str, bytes]:
        mailbox = (await market.mail.get("/_control/mailbox")).raise_for_status()
        return {
            **await self._tables(),
            **await asyncio.to_thread(self._files),
            "object store": b"\n".join((await asyncio.to_thread(self.bucket.objects)).values()),
            "logs": self.logs.getvalue().encode(),
            "mails": mailbox.content,
            "answers": b"\n".join(map(told, self.answers + market.answers)),
            "metrics": b"\n".join([*self.metrics, market.shop.metrics.page()]),
            "exceptions": b"\n".join(self.exceptions),
        }

    async def _tables(self) -> dict[str, bytes]:
        """Every row of every table as a dump writes it: also what its file keeps compressed."""
        found = {}
        async with await psycopg.AsyncConnection.connect(self.database) as connection:
            cursor = await connection.execute(TABLES)
            for (name,) in await cursor.fetchall():
                asked = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))
                async with cursor.copy(asked) as copied:
                    found[f"table {name}"] = b"".join([bytes(piece) async for piece in copied])
        return found

    def _files(self) -> dict[str, bytes]:
        """What lies on disk, with everything written out that the servers still hold."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        with Redis.from_url(self.valkey.url) as client:
            client.config_set("rdbcompression", "no")
            client.save()
        cluster = self.postgres.folder / "cluster"
        return {
            "PostgreSQL WAL": _read(cluster / "pg_wal"),
            "PostgreSQL files": _read(cluster, but="pg_wal"),
            "PostgreSQL log": (self.postgres.folder / "server.log").read_bytes(),
            "Valkey files": _read(self.valkey.folder),
            "local vault": _read(self.folder),
        }


def _read(folder: Path, *, but: str = "") -> bytes:
    """Every file of a folder, one after the other."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not (but and but in path.parts):
            with contextlib.suppress(FileNotFoundError):
                found.append(path.read_bytes())
    return b"\n".join(found)


@contextlib.asynccontextmanager
async def bucket() -> AsyncIterator[Bucket]:
    opened = await asyncio.to_thread(Bucket)
    try:
        yield opened
    finally:
        await asyncio.to_thread(opened.stop)
