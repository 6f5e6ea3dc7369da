"""S1, S19: keys and secrets leave through the body of a download, and lie nowhere else.

Marked keys of every kind go through a shop on servers of its own: own stock sold and unsold, text
and image keys of the supplier, keys that were held back and keys that were replaced. Then every
file of PostgreSQL with its log of changes, Valkey's dump and append-only file, both stores of
objects, logs, mails, answers, metrics and what a dying process prints is searched for them.
"""

import asyncio
import base64
import contextlib
import io
import os
import re
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import structlog
from redis import Redis
from tests.promises.figures import Figures
from tests.promises.leaks import MARK, Premises, bucket, forms, hits, marked, marking
from tests.promises.market import (
    KEK,
    MAIL_KEY,
    PEPPER,
    SECRETS,
    Market,
    Order,
    good,
    once,
    open_doors,
    open_market,
)

from bitloot.ports.supplier import SuppliedKey
from bitloot_adapters.kinguin.client import Kinguin
from bitloot_adapters.postgres.migrate import upgrade
from bitloot_web.composition.neighbours import Neighbours
from bitloot_web.devservices import start_postgres, start_valkey
from bitloot_web.logs import configure_logs

PER_ORDER = 9
MOMENT = timedelta(seconds=10)
GARBAGE = {"op": "keys.get", "fault": "garbage", "times": 1}
NUMBER = re.compile(rb"BL[0-9A-HJKMNP-TV-Z]{8}")


class Talkative(Kinguin):
    """The supplier, whose first keys are lost in an error that quotes them."""

    has_failed = False

    async def keys(self, supplier_order_id: str) -> Sequence[SuppliedKey]:
        found = await super().keys(supplier_order_id)
        if not self.has_failed:
            self.has_failed = True
            raise RuntimeError(f"cannot parse {[key.serial for key in found]!r}")
        return found


def talkative(near: Neighbours) -> Neighbours:
    talker = Talkative.__new__(Talkative)
    talker.__dict__.update(near.suppliers["kinguin"].__dict__)
    return replace(near, suppliers={**near.suppliers, "kinguin": talker})


@dataclass
class Seen:
    """What went through: keys that were read, kinds of them, and tokens that were given."""

    read: set[bytes] = field(default_factory=set)
    kept: int = 0
    tokens: list[bytes] = field(default_factory=list)


@contextlib.asynccontextmanager
async def open_premises(folder: Path) -> AsyncIterator[Premises]:
    """Servers of this run alone: their whole folders are searched."""
    logs = io.StringIO()
    configure_logs(level="debug", stream=logs, secrets=SECRETS)
    data = folder / "data"
    data.mkdir()
    with (
        start_postgres(folder / "postgres", durable=False) as postgres,
        start_valkey(folder / "valkey", durable=True) as valkey,
    ):
        database = await asyncio.to_thread(postgres.create_database, "bitloot")
        await asyncio.to_thread(upgrade, database)
        async with bucket() as objects:
            yield Premises(
                postgres=postgres,
                valkey=valkey,
                bucket=objects,
                database=database,
                folder=data,
                logs=logs,
            )
    configure_logs()


async def plan(market: Market, times: int, **delivery: object) -> None:
    body = {"delivery": "immediate", "times": times, **delivery}
    (await market.supplier.post("/_control/next-order", json=body)).raise_for_status()


async def read_all(market: Market, order: Order, seen: Seen) -> None:
    for line in range(len((await market.see(order))["items"])):
        link = await market.reveal(order, line)
        for key in good(await market.client.get(link))["keys"]:
            is_text = key["encoding"] == "utf-8"
            seen.read.add(key["key"].encode() if is_text else base64.b64decode(key["key"]))
        seen.tokens.append(link.rpartition("/")[2].encode())
    seen.tokens.append(order.token["authorization"].removeprefix("Bearer ").encode())


async def walk(market: Market, half: int, units: int, seen: Seen) -> None:
    """So many units of each kind through one store of objects."""
    own = [marked(half * 10_000 + number) for number in range(4 * units)]
    slug = f"own-game-{half}"
    own_id = await market.own(slug, *own)
    seen.kept += 3 * units  # stay on the shelf
    supplied = (await market.supplied())[half * 3 : half * 3 + 3]
    orders = [await market.bought((slug, units))]
    batches = -(-units // PER_ORDER)
    await plan(market, batches, key_media="text/plain")
    orders.append(await market.bought((supplied[0], units)))
    await plan(market, batches, key_media="image/png")
    orders.append(await market.bought((supplied[1], units)))
    await market.live(MOMENT)
    orders.append(await other_items(market, half, seen))
    for order in orders:
        assert (await market.see(order))["status"] == "fulfilled", half
        await read_all(market, order, seen)
    await hold_back(market, supplied[2], seen)
    await replace_one(market, orders[0], seen)
    await go_wrong(market, own_id, own, orders[0])
    seen.tokens.append(market.key.rpartition("_")[2].encode())


async def other_items(market: Market, half: int, seen: Seen) -> Order:
    """An account, a code with its PIN and a licence file of each, sold and unsold."""
    slug = f"own-items-{half}"
    own_id = await market.own(slug, marked(half * 10_000 + 9_999))
    seen.kept += 4
    for number, sale in enumerate(("sold", "kept")):
        secret = f"{MARK}-{half}-{number}"
        file = base64.b64encode(f"licence {secret}".encode()).decode()
        for kind, table in (
            ("account", f"login,password,note\nplayer{number},{secret},was {secret}\n"),
            ("code-with-pin", f"code,pin\n{secret},{secret}\n"),
            ("licence-file", f"name,mediaType,content\na.lic,application/x-lic,{file}\n"),
        ):
            query = f"kind={kind}&batch={sale}&cost={number + 1}"
            path = f"/v1/admin/inventory/{own_id}/keys"
            headers = {**await market.admin(), **once(), "content-type": "text/csv"}
            good(await market.client.post(f"{path}/import?{query}", content=table, headers=headers))
    order = await market.bought((slug, 3))
    await market.live(MOMENT)
    items = good(await market.client.get(path, headers=await market.admin()))["items"]
    assert sorted(item["preview"] for item in items if item["preview"])[:1] == ["a.lic"]
    return order


async def hold_back(market: Market, slug: str, seen: Seen) -> None:
    """A key that the supplier sold before is kept aside."""
    await plan(market, 1, duplicate_serial=True)
    order = await market.bought(slug)
    desk = good(
        await market.client.get(f"/v1/admin/orders/{order.id}", headers=await market.admin())
    )
    assert [hold["state"] for hold in desk["holds"]] == ["open"]
    seen.kept += 1


async def replace_one(market: Market, order: Order, seen: Seen) -> None:
    item = (await market.see(order))["items"][0]["id"]
    path = f"/v1/admin/orders/{order.id}/items/{item}/replace-key"
    body = {"slot": 1, "reason": "the key was used already"}
    good(await market.client.post(path, json=body, headers=once(**await market.admin())))
    await market.work()
    await read_all(market, order, seen)


async def go_wrong(market: Market, own_id: str, own: list[bytes], order: Order) -> None:
    """Imports that are refused, forged callbacks and tokens, links that are none, a code."""
    path = f"/v1/admin/inventory/{own_id}/keys/import"
    odd = f"{MARK}-\0-ODD\n{MARK}-".encode() + b"\xff\xfe\n" + MARK.encode() * 500
    for body, query in (
        (b"\n".join(own), "?batch=b&cost=1"),
        (odd, "?batch=b&cost=1"),
        (b"\n".join(own), "?cost=x"),
    ):
        headers = {**await market.admin(), **once(), "content-type": "text/plain"}
        refused = await market.client.post(path + query, content=body, headers=headers)
        assert refused.is_client_error, refused.text
    for provider in ("nowpayments", "kinguin", "resend"):
        await market.client.post(f"/v1/webhooks/{provider}", content=b"{}", headers={"x": "y"})
    link = await market.reveal(order)
    await market.client.get(link + "x")
    await market.client.get("/v1/downloads/" + link.rpartition("/")[2][::-1])
    await market.client.get(order.path, headers={"authorization": f"Bearer {market.key}x"})
    await market.client.post(f"{order.path}/session/code", json={})
    await market.work()
    await market.client.post(
        f"{order.path}/session", json={"challengeId": order.id, "code": "000000"}
    )
    (await market.supplier.post("/_control/faults", json=GARBAGE)).raise_for_status()
    for suffix in ("", "/timeline", "/audit", "/ledger", "/webhooks"):
        await market.client.get(
            f"/v1/admin/orders/{order.id}{suffix}", headers=await market.admin()
        )


def die_with_keys(market: Market, folder: Path) -> bytes:
    """What the program prints that meets a lost database with a file of keys in its hands."""
    keys = folder.parent / "keys-to-import.txt"
    keys.write_bytes(b"\n".join(marked(90_000 + number) for number in range(20)))
    lost = {
        "BITLOOT_DATABASE_URL": "postgresql://bitloot@127.0.0.1:9/nowhere",
        "BITLOOT_LIMIT_DATABASE_WAIT": "2s",
    }
    arguments = ("keys", "import", "own-game-0", str(keys), "--cost", "7.50", "--batch", "x")
    ended = subprocess.run(
        [sys.executable, "-m", "bitloot_web.cli", *arguments],
        env={**os.environ, **market.variables, **lost},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode != 0
    return ended.stdout + ended.stderr


async def test_s1_s19_marked_keys_and_every_secret_leave_through_the_download_alone(
    tmp_path: Path, figures: Figures
) -> None:
    units = 90 if figures.full else 5
    seen = Seen()
    async with open_premises(tmp_path) as premises, open_doors({"kinguin": marking}) as doors:
        url, redis_url = premises.database, premises.valkey.url
        for half, settings in enumerate(({}, premises.bucket.settings(KEK, PEPPER))):
            async with open_market(
                url, redis_url, premises.folder, doors, settings=settings, changed=talkative
            ) as market:
                await walk(market, half, units, seen)
                premises.answers += market.answers
                premises.metrics.append(market.shop.metrics.page())
        async with open_market(url, redis_url, premises.folder, doors) as market:
            premises.exceptions.append(
                await asyncio.to_thread(die_with_keys, market, premises.folder)
            )
            places = await premises.places(market)
            objects = len(premises.bucket.objects())
        assert MARK.encode() in b"".join(seen.read)
        assert all(MARK.encode() in key for key in seen.read)
        # What was looked through is what there is.
        assert len(places["table sealed_keys"]) > 200 * len(seen.read)
        assert b"job_failed" in places["logs"]
        assert b"order" in places["mails"]
        assert objects >= len(seen.read) // 2 - units
        assert places["exceptions"]
        assert order_numbers(places["table orders"]) & order_numbers(places["PostgreSQL WAL"])
        found = hits(places, [MARK.encode(), MARK.lower().encode()])
        looked = sum(map(len, places.values())) / 1e6
        figures.note(
            "S1",
            "no key in the clear anywhere but in the download",
            figure=f"{len(seen.read) + seen.kept} marked keys, {len(places)} places,"
            f" {looked:.0f} MB, {len(forms(MARK.encode()))} forms: {len(found)} hits {found or ''}",
            scale="full" if figures.full else "÷ 18",
            holds=not found and len(seen.read) + seen.kept >= 12 * units,
        )
        secret = [text.encode() for text in SECRETS] + [base64.b64decode(KEK.partition(":")[2])]
        leaked = hits(places, secret)
        # Tokens are in the answers that give them, and nowhere else.
        given = set(hits(places, seen.tokens)) - {"answers"}
        figures.note(
            "S19",
            "no secret and no token in logs, labels, problems, tables, files or exceptions",
            figure=f"{len(secret)} secrets: {len(leaked)} hits {leaked or ''};"
            f" {len(seen.tokens)} tokens: {len(given)} hits {sorted(given) or ''}",
            scale="full" if figures.full else "÷ 18",
            holds=not leaked and not given,
        )


def order_numbers(content: bytes) -> set[bytes]:
    return set(NUMBER.findall(content))


# --- the search can fail ---------------------------------------------------------------------


@pytest.mark.parametrize("form", range(len(forms(b"x" * 18))))
def test_s1_the_search_finds_every_form(form: int) -> None:
    secret = secrets.token_urlsafe(18).encode()
    assert hits({"here": b"before " + forms(secret)[form] + b" after"}, [secret]) == ["here"]


@pytest.mark.parametrize("lead", range(6))
def test_s1_the_search_finds_base64_of_a_text_around_the_secret(lead: int) -> None:
    secret = secrets.token_urlsafe(18).encode()
    around = base64.b64encode(b"p" * lead + secret + b"q" * 7)
    assert hits({"here": around}, [secret]) == ["here"]


async def plant(premises: Premises, market: Market, place: str, leak: bytes) -> None:
    text = leak.decode("latin-1")
    match place:
        case "PostgreSQL files":
            await market.own("planted", b"PLAIN-KEY")
            async with await psycopg.AsyncConnection.connect(premises.database) as connection:
                await connection.execute("UPDATE products SET description = %s", [text])
        case "PostgreSQL WAL":
            async with await psycopg.AsyncConnection.connect(premises.database) as connection:
                await connection.execute("SELECT pg_logical_emit_message(true, 'x', %s)", [leak])
        case "PostgreSQL log":
            with contextlib.suppress(psycopg.Error):
                await market.sql(f"SELECT 1 / 0, '{text}'")
        case "Valkey files":
            with Redis.from_url(premises.valkey.url) as client:
                client.set("leak", leak)
        case "local vault":
            await asyncio.to_thread((premises.folder / "leak").write_bytes, leak)
        case "object store":
            await asyncio.to_thread(premises.bucket.put, "leak", leak)
        case "logs":
            structlog.get_logger("bitloot.leak").warning("planted", note=text)
        case "mails":
            body = {"from": "a@shop.example", "to": "b@c.example", "subject": text, "text": "x"}
            headers = {"authorization": f"Bearer {MAIL_KEY}", "user-agent": "test"}
            good(await market.mail.post("/emails", json=body, headers=headers))
        case "answers":
            lines = [{"product": text, "quantity": 1}]
            answer = await market.client.post("/v1/quotes", json={"lines": lines})
            answer._content += leak
        case "metrics":
            market.shop.metrics.job_ended(text, "done", 0.1)
        case _:
            premises.exceptions.append(b"Traceback: " + leak)


async def test_s1_a_leak_that_is_planted_in_any_place_is_found_there(
    tmp_path: Path, figures: Figures
) -> None:
    async with (
        open_premises(tmp_path) as premises,
        open_doors() as doors,
        open_market(premises.database, premises.valkey.url, premises.folder, doors) as market,
    ):
        before = await premises.places(market)
        assert hits(before, [MARK.encode()]) == []
        leaks = {
            place: f"{MARK}{number:03d}{secrets.token_hex(4).upper()}".encode()
            for number, place in enumerate(before)
            if not place.startswith("table ")
        }
        for place, leak in leaks.items():
            await plant(premises, market, place, leak)
        after = await premises.places(market)
    missed = [place for place, leak in leaks.items() if place not in hits(after, [leak])]
    figures.note(
        "S1",
        "a leak that is planted in any place is found there",
        figure=f"{len(leaks) - len(missed)} of {len(leaks)} found {missed or ''}",
        scale="full",
        holds=len(leaks) == 11 and not missed,
    )
