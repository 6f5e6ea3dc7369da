"""S6: a callback that its provider did not sign is refused, kept as such, and changes nothing."""

import base64
import hashlib
import hmac
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
from tests.promises.figures import Figures
from tests.promises.market import (
    GATEWAY_HOOK,
    IPN_SECRET,
    KINGUIN_SECRET,
    RESEND_SECRET,
    Market,
    Seen,
    open_doors,
    open_market,
)

from bitloot_web.devservices import ValkeyStore

Headers = Mapping[str, str]
SIGNATURE = "x-nowpayments-sig"
TEN_MEGABYTES = 10 * 1024 * 1024
# What is kept is counted first, and let go where the count comes too late: as one in a thousand
# does on a machine that has much else to do.
KEPT = 0.99
# Everything that a callback could change.
BOOKS = (
    *("orders", "order_items", "payments", "invoices", "ledger_lines", "fulfilments", "holds"),
    *("sealed_keys", "inventory_keys", "emails", "suppressions", "jobs", "events"),
)


def signed(body: bytes, secret: str = IPN_SECRET, kind: str = "sha512") -> str:
    return hmac.new(secret.encode(), body, kind).hexdigest()


async def books(market: Market) -> dict[str, str]:
    """A digest of each table."""
    found = {}
    for table in BOOKS:
        statement = (
            f"SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t"
        )
        found[table] = str((await market.sql(statement))[0][0])
    return found


def of_the_gateway(sent: Seen, changes: int) -> Iterator[tuple[Headers, bytes]]:
    """Headers and bodies that a stranger could send after having seen a good callback."""
    body, signature = sent["body"].encode(), sent["signature"]
    yield {}, body
    for text in (
        *("", " ", "0" * 128, "f" * 128, signature[:-1], signature[:64], signature + "0"),
        *(signature[::-1], "sha512=" + signature, f"{signature},{signature}", "é" * 128),
        *(signed(body, kind=kind) for kind in ("sha1", "sha256", "sha384", "md5", "sha3_512")),
        *(signed(body, secret) for secret in ("another", IPN_SECRET[:-1], IPN_SECRET.upper(), "0")),
        hashlib.sha512(body).hexdigest(),
        hashlib.sha512(body + IPN_SECRET.encode()).hexdigest(),
        base64.b64encode(bytes.fromhex(signature)).decode(),
    ):
        yield {SIGNATURE: text.encode("utf-8").decode("latin-1")}, body
    yield {"x-nowpayments-signature": signature}, body
    document = json.loads(body)
    for name, value in document.items():
        changed = {**document, name: f"{value}0" if isinstance(value, str) else 7}
        yield {SIGNATURE: signature}, json.dumps(changed).encode()
    chance = random.Random(6)
    for _ in range(changes):
        at = chance.randrange(len(body))
        flipped = body[:at] + bytes([body[at] ^ (1 << chance.randrange(8))]) + body[at + 1 :]
        yield {SIGNATURE: signature}, flipped


def unreadable(sent: Seen) -> Iterator[tuple[Headers, bytes]]:
    """Well signed, but two readers could understand it differently, or nobody can."""
    body = sent["body"].encode()
    for text in (
        body[:-1] + b',"payment_status":"finished"}',
        body[:-1] + b',"a":1,"a":1}',
        b'{"payment_id":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 100_000,
        b"[]",
        b"null",
        b'"finished"',
        b"{",
        b"",
        b"\xff" + body,
        body[:-1] + b',"x":NaN}',
        body[:-1] + b',"x":Infinity}',
    ):
        yield {SIGNATURE: signed(text)}, text


def of_the_supplier() -> Iterator[tuple[Headers, bytes]]:
    body = b'{"orderId":"AAAAAAAAAAA","orderExternalId":"BL00000000-1-1-1","status":"completed"}'
    name = "x-event-secret"
    for text in (
        "",
        KINGUIN_SECRET[:-1],
        KINGUIN_SECRET + "x",
        KINGUIN_SECRET.upper(),
        "null",
        "*",
    ):
        yield {name: text, "x-event-name": "order.complete"}, body
    yield {"x-event-name": "order.complete"}, body
    yield {"x-secret": KINGUIN_SECRET, "x-event-name": "order.complete"}, body
    yield {"authorization": f"Bearer {KINGUIN_SECRET}", "x-event-name": "order.status"}, body


def of_the_mailer() -> Iterator[tuple[Headers, bytes]]:
    body = b'{"type":"email.bounced","data":{"email_id":"x","to":["a@b.example"]}}'
    key = base64.b64decode(RESEND_SECRET.removeprefix("whsec_"))
    now = int(time.time())

    def made(of: bytes, at: int, secret: bytes = key, id_: str = "msg_1") -> str:
        text = f"{id_}.{at}.".encode() + of
        return base64.b64encode(hmac.digest(secret, text, "sha256")).decode()

    for at, signature in (
        (now, ""),
        (now, "v1,"),
        (now, "v1," + made(body, now)[:-4]),
        (now, "v2," + made(body, now)),
        (now, made(body, now)),
        (now, "v1," + made(body + b" ", now)),
        (now, "v1," + made(body, now, b"another")),
        (now, "v1," + made(body, now, id_="msg_2")),
        (now, "v1," + made(body, now - 1)),
        (now - 301, "v1," + made(body, now - 301)),
        (now + 330, "v1," + made(body, now + 330)),
    ):
        yield {"svix-id": "msg_1", "svix-timestamp": str(at), "svix-signature": signature}, body
    yield {}, body
    yield {"svix-id": "msg_1", "svix-signature": "v1," + made(body, now)}, body


async def test_s6_no_forged_callback_is_taken_and_none_changes_anything(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    changes = 500 if figures.full else 40
    valkey_server.flush()
    limits = {"FORGED_WEBHOOKS_STORED_PER_MINUTE": "100000"}
    async with (
        open_doors() as doors,
        open_market(shop_url, valkey_server.url, tmp_path, doors, limits=limits) as market,
    ):
        await market.own("own-game", b"AAAA-1")
        order = await market.payable("own-game")
        await market.work()
        sent = (await market.pay(order))[-1]
        before, answers = await books(market), Counter[int]()
        stored = "SELECT count(*) FROM webhook_logs WHERE NOT signature_ok"
        forged = [
            *((GATEWAY_HOOK, *each) for each in of_the_gateway(sent, changes)),
            *((GATEWAY_HOOK, *each) for each in unreadable(sent)),
            (GATEWAY_HOOK, {SIGNATURE: "0" * 128}, b'{"a":"' + b"x" * TEN_MEGABYTES + b'"}'),
            *(("/v1/webhooks/kinguin", *each) for each in of_the_supplier()),
            *(("/v1/webhooks/resend", *each) for each in of_the_mailer()),
        ]
        for path, headers, body in forged:
            wire = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
            answer = await market.client.post(path, content=body, headers=list(wire.items()))
            answers[answer.status_code] += 1
        events = await market.count(stored)
        await market.work()
        unchanged = await books(market) == before
        ids = [str(one) for (one,) in await market.sql("SELECT id::text FROM webhook_logs")]
        replays = Counter[int]()
        for id_ in ids:
            path = f"/v1/admin/webhooks/{id_}/replay"
            answer = await market.client.post(
                path, json={"reason": "test"}, headers=await market.admin()
            )
            replays[answer.status_code] += 1
        unchanged &= await books(market) == before
    figures.note(
        "S6",
        "forged and unreadable callbacks are refused, stored as such, and change nothing",
        figure=f"{len(forged)} sent: {dict(answers)} by status, 0 taken; {events} stored,"
        f" {replays[409]} replays refused; books unchanged: {unchanged}",
        scale="full" if figures.full else f"{changes} of 500 flips",
        holds=sum(answers[code] for code in (400, 401, 413)) == len(forged)
        and answers[413] == 1
        and KEPT * len(forged) <= events <= len(forged)
        and events == len(ids)
        and replays == {409: len(ids)}
        and unchanged,
    )


def with_accents(body: str) -> tuple[str, str]:
    """The same callback with another description: as it is signed, and as it may be written."""
    plain, changed = re.subn(r'"order_description":"[^"]*"', '"order_description":"Café ☕"', body)
    assert changed == 1, body
    return plain, "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in plain)


async def test_s6_every_way_in_which_a_good_callback_may_be_written_is_accepted(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    valkey_server.flush()
    padded = {"BITLOOT_NOWPAYMENTS_IPN_SECRET": f"  {IPN_SECRET} "}
    taken: Counter[int] = Counter()
    ways = 0
    async with open_doors() as doors:
        for settings in ({}, padded):
            async with open_market(
                shop_url, valkey_server.url, tmp_path, doors, settings=settings
            ) as market:
                slug = f"own-game-{len(settings)}"
                await market.own(slug, *(f"{slug}-{n}".encode() for n in range(8)))
                order = await market.payable(slug)
                sent = (await market.pay(order))[-1]
                document: Seen = json.loads(sent["body"])
                order_of_keys = list(document)
                random.Random(8).shuffle(order_of_keys)
                shuffled = {name: document[name] for name in order_of_keys}
                plain, escaped = with_accents(sent["body"])
                own = json.dumps(shuffled)
                for body, signature in (
                    (sent["body"], sent["signature"]),
                    (sent["body"], sent["signature"].upper()),
                    (sent["body"], f" {sent['signature']} "),
                    (json.dumps(shuffled, indent=2), sent["signature"]),
                    (own, signed(own.encode())),
                    (escaped, signed(plain.encode())),
                    (plain, signed(plain.encode()).upper()),
                ):
                    headers = {SIGNATURE: signature}
                    answer = await market.client.post(
                        GATEWAY_HOOK, content=body.encode(), headers=headers
                    )
                    taken[answer.status_code] += 1
                    ways += 1
                await market.work()
                assert (await market.see(order))["status"] == "fulfilled"
    figures.note(
        "S6",
        "good callbacks are accepted: upper case, blanks, keys in another order, padded secret",
        figure=f"{taken[200]} of {ways} accepted",
        scale="full",
        holds=taken == {httpx.codes.OK: ways},
    )
