"""A run with marked keys and secrets: they come out of the download, and of nothing else."""

import asyncio
import base64
import contextlib
import io
import logging
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
import structlog
from psycopg import sql
from tests.integration.goods_shop import (
    ADMIN_TOKEN,
    OLD_KEY,
    PEPPER,
    SECRET_KEY,
    GoodsShop,
    open_goods_shop,
)

from bitloot.ports.mailer import Message
from bitloot.ports.supplier import SuppliedKey
from bitloot_adapters.memory.supplier import MemorySupplier, NextOrder
from bitloot_adapters.redis.connection import open_redis
from bitloot_web.devservices import ValkeyStore
from bitloot_web.logs import configure_logs

# In every canary; eighteen random letters are met by chance nowhere.
MARK = "CANARY" + secrets.token_hex(6).upper()
OWN, TEXTS, IMAGES = 50, 27, 23
TABLES = """
SELECT table_name FROM information_schema.tables
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name
"""


def canaries(kind: str, number: int) -> list[bytes]:
    return [f"{MARK}-{kind}-{place:03d}".encode() for place in range(number)]


def forms(secret: bytes) -> list[bytes]:
    """How a secret may be written: raw, hex, base64 at each place, UTF-16."""
    found = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + secret)
        # Without the letters that also hold bits of what stands beside it.
        inner = encoded[(lead * 8 + 5) // 6 : -4]
        found += [inner, inner.replace(b"+", b"-").replace(b"/", b"_")]
    text = secret.decode("latin-1")
    return [*found, text.encode("utf-16-le"), text.encode("utf-16-be")]


def hits(places: Mapping[str, bytes], wanted: Iterable[bytes]) -> list[str]:
    """The places in which any of the secrets stands in any form."""
    needles = [form for secret in wanted for form in forms(secret)]
    return [name for name, content in places.items() if any(each in content for each in needles)]


class Talkative(MemorySupplier):
    """A supplier whose first delivery fails with an error that quotes the keys."""

    has_failed = False

    async def keys(self, supplier_order_id: str) -> Sequence[SuppliedKey]:
        found = await super().keys(supplier_order_id)
        if not self.has_failed:
            self.has_failed = True
            raise RuntimeError(f"cannot parse {[key.serial for key in found]!r}")
        return found


@dataclass(kw_only=True)
class Watched:
    """The shop, and everything that can be read of it but the downloads."""

    it: GoodsShop
    url: str
    redis_url: str
    logs: io.StringIO
    folder: Path

    async def places(self) -> dict[str, bytes]:
        return {
            **await self.tables(),
            "valkey": await self.valkey(),
            "vault": b"\n".join(p.read_bytes() for p in self.folder.rglob("*") if p.is_file()),
            "logs": self.logs.getvalue().encode(),
            "mails": "\n".join(repr(sent) for sent in self.it.mailer.mailbox).encode(),
            "answers": b"\n".join(_told(answer) for answer in self.it.answers),
            "metrics": self.it.shop.metrics.page(),
        }

    async def tables(self) -> dict[str, bytes]:
        """Every row of every table as a dump writes it."""
        found = {}
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            cursor = await connection.execute(TABLES)
            for (name,) in await cursor.fetchall():
                asked = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))
                async with cursor.copy(asked) as copied:
                    found[f"table {name}"] = b"".join([bytes(piece) async for piece in copied])
        return found

    async def valkey(self) -> bytes:
        """Every key with its value, whatever its type."""
        redis, told = open_redis(self.redis_url), bytearray()
        async with contextlib.aclosing(redis):
            async for key in redis.scan_iter():
                match str(await redis.type(key)):
                    case "b'string'":
                        value: object = await redis.get(key)
                    case "b'hash'":
                        value = await redis.hgetall(key)
                    case "b'list'":
                        value = await redis.lrange(key, 0, -1)
                    case "b'set'":
                        value = await redis.smembers(key)
                    case "b'zset'":
                        value = await redis.zrange(key, 0, -1)
                    case _:
                        value = await redis.xrange(key)
                told += key + repr(value).encode() + b"\n"
        return bytes(told)


def _told(answer: httpx.Response) -> bytes:
    """What an answer says; of a download that succeeded only its headers."""
    is_file = answer.request.url.path.startswith("/v1/downloads/") and answer.is_success
    return str(answer.headers).encode() + (b"" if is_file else answer.content)


@pytest.fixture
async def watched(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path
) -> AsyncIterator[Watched]:
    valkey_server.flush()
    logs = io.StringIO()
    configure_logs(level="debug", stream=logs, secrets=[SECRET_KEY, ADMIN_TOKEN, PEPPER])
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path, supplier=Talkative) as it:
        yield Watched(it=it, url=shop_url, redis_url=valkey_server.url, logs=logs, folder=tmp_path)
    configure_logs()


async def walked(watched: Watched) -> tuple[set[bytes], list[bytes]]:
    """Import, purchases, reveals and what goes wrong on the way; keys read, and links given."""
    it = watched.it
    own = canaries("OWN", OWN)
    own_id = await it.own_product("own-game", *own)
    await it.bought_product("text-game")
    await it.bought_product("image-game")
    texts, images = canaries("TEXT", TEXTS), canaries("IMAGE", IMAGES)
    for start in range(0, TEXTS, 9):
        it.supplier.next_order(NextOrder(serials=tuple(texts[start : start + 9])))
    orders = [await it.buy("own-game", OWN), await it.buy("text-game", TEXTS)]
    pictures = [b"\x89PNG\r\n\x1a\n" + each + b"\xff\xfe" for each in images]
    for start in range(0, IMAGES, 9):
        serials = tuple(pictures[start : start + 9])
        it.supplier.next_order(NextOrder(serials=serials, content_type="image/png"))
    orders.append(await it.buy("image-game", IMAGES))
    read: set[bytes] = set()
    links: list[str] = []
    for order in orders:
        links.append(await it.reveal(*order))
        for key in (await it.client.get(links[-1])).json()["keys"]:
            is_text = key["encoding"] == "utf-8"
            read.add(key["key"].encode() if is_text else base64.b64decode(key["key"])[8:-2])
    await _go_wrong(watched, own_id, links)
    tokens = [order[1]["authorization"].removeprefix("Bearer ") for order in orders]
    held = [link.rpartition("/")[2] for link in links]
    assert read == {*own, *texts, *images}
    return read, [text.encode() for text in (*tokens, *held)]


async def _go_wrong(watched: Watched, own_id: str, links: Sequence[str]) -> None:
    """Repeats, keys that are none, forged callbacks and links, objects that are not right."""
    it = watched.it
    admin = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    path = f"/v1/admin/inventory/{own_id}/keys/import"
    known = b"\n".join(canaries("OWN", OWN))
    odd = f"{MARK}-\0-ODD\n{MARK}-".encode() + b"\xff\xfe\n" + MARK.encode() * 500
    for body, query in ((known, "?batch=b&cost=1"), (odd, "?batch=b&cost=1"), (known, "?cost=x")):
        headers = {**admin, **it.once(), "content-type": "text/plain"}
        refused = await it.client.post(path + query, content=body, headers=headers)
        assert refused.is_client_error, refused.text
    for provider in ("nowpayments", "kinguin", "resend"):
        await it.client.post(f"/v1/webhooks/{provider}", content=b"{}", headers={"x": "y"})
    await it.client.get(links[0] + "x")
    await it.client.get("/v1/downloads/" + links[0].rpartition("/")[2][::-1])
    stored = next(p for p in it.vault_folder.rglob("*-*-*") if p.is_file())
    content = stored.read_bytes()
    stored.write_bytes(content[::-1])
    for link in links:
        await it.client.get(link)
    stored.write_bytes(content)
    refusals = [answer for answer in it.answers if answer.status_code == 503]
    assert len(refusals) == 1


async def test_a_hundred_canaries_and_every_secret_leave_through_the_download_alone(
    watched: Watched,
) -> None:
    read, tokens = await walked(watched)
    assert len(read) == 100
    places = await watched.places()
    # What was looked through is what there is.
    assert len(places["table sealed_keys"]) > 10_000
    assert b"job_failed" in places["logs"]
    assert b"order-ready" in places["mails"]
    assert places["valkey"]
    assert hits(places, [MARK.encode()]) == []
    keys = [SECRET_KEY.encode(), ADMIN_TOKEN.encode(), PEPPER.encode()]
    keys += [base64.b64decode(OLD_KEY.partition(":")[2]), OLD_KEY.partition(":")[2].encode()]
    assert hits(places, keys) == []
    # Tokens are in the answers that give them, and nowhere else.
    assert set(hits(places, tokens)) <= {"answers"}


@pytest.mark.parametrize("form", range(len(forms(b"x" * 18))))
def test_the_search_finds_every_form(form: int) -> None:
    secret = secrets.token_urlsafe(18).encode()
    assert hits({"here": b"before " + forms(secret)[form] + b" after"}, [secret]) == ["here"]


@pytest.mark.parametrize("lead", range(6))
def test_the_search_finds_base64_of_a_text_around_the_secret(lead: int) -> None:
    secret = secrets.token_urlsafe(18).encode()
    around = base64.b64encode(b"p" * lead + secret + b"q" * 7)
    assert hits({"here": around}, [secret]) == ["here"]


async def _plant(watched: Watched, place: str) -> None:
    it, canary = watched.it, f"{MARK} in the clear"
    match place:
        case "table products":
            async with await psycopg.AsyncConnection.connect(watched.url) as connection:
                await connection.execute("UPDATE products SET description = %s", [canary])
        case "table sealed_keys":
            async with await psycopg.AsyncConnection.connect(watched.url) as connection:
                await connection.execute("UPDATE sealed_keys SET nonce = %s", [canary.encode()])
        case "valkey":
            await it.near.cache.put("leak", canary.encode(), life=timedelta(minutes=1))
        case "vault":
            await asyncio.to_thread((watched.folder / "leak").write_text, canary)
        case "logs":
            structlog.get_logger("bitloot.leak").warning("planted", note=canary)
            logging.getLogger("bitloot.leak").debug("planted %s", canary)
        case "mails":
            message = Message(to="a@b.example", subject=canary, html="", text="", kind="leak")
            await it.mailer.send(message, idempotency_key="leak/1")
        case "answers":
            request = httpx.Request("GET", "https://shop.example/v1/orders")
            it.answers.append(httpx.Response(409, text=canary, request=request))
        case _:
            it.shop.metrics.job_ended(canary, "done", 0.1)


@pytest.mark.parametrize(
    "place",
    [
        *("table products", "table sealed_keys", "valkey", "vault"),
        *("logs", "mails", "answers", "metrics"),
    ],
)
async def test_a_planted_leak_is_found(watched: Watched, place: str) -> None:
    await watched.it.own_product("own-game", b"PLAIN-KEY")
    assert hits(await watched.places(), [MARK.encode()]) == []
    await _plant(watched, place)
    assert hits(await watched.places(), [MARK.encode()]) == [place]
