"""One purchase, walked through the public HTTP API as a guest with a crypto wallet would.

One product comes from the supplier's stand-in, one from the shop's own stock. The wallet is the
control door of the gateway's stand-in; everything else is what any client may call.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from bitloot_web.composition.walking import Ambiguous, Answer, HttpClient, NotSent
from bitloot_web.demo.services import DemoError

BUYER: Final = "guest@example.org"
ASSET: Final = "ltc"
PATIENCE_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.25

T = TypeVar("T")


class Shelf(msgspec.Struct, frozen=True, rename="camel"):
    slug: str
    title: str
    price: str
    available: int
    is_preorder: bool


class Shelves(msgspec.Struct, frozen=True):
    items: tuple[Shelf, ...]


class QuoteMade(msgspec.Struct, frozen=True):
    id: str
    total: str


class OrderMade(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    number: str
    order_session_token: str


class PayTo(msgspec.Struct, frozen=True, rename="camel"):
    pay_amount: str
    pay_currency: str
    pay_address: str


class Line(msgspec.Struct, frozen=True):
    id: str
    title: str


class OrderSeen(msgspec.Struct, frozen=True):
    status: str
    items: tuple[Line, ...]


class Link(msgspec.Struct, frozen=True):
    url: str


class Key(msgspec.Struct, frozen=True):
    key: str


class KeysSeen(msgspec.Struct, frozen=True):
    keys: tuple[Key, ...]


class Bought(msgspec.Struct, frozen=True):
    """What the walk ended with: (title, key) of each line."""

    number: str
    order_id: str
    keys: tuple[tuple[str, str], ...]
    seconds_to_key: float


async def buy(
    shop: HttpClient,
    gateway: HttpClient,
    *,
    fresh_key: Callable[[], str],
    told: Callable[[str], None],
) -> Bought:
    """Order two products, pay, wait for the keys, reveal both. Raises DemoError."""
    picked = [await _pick(shop, source) for source in ("kinguin", "custom")]
    told("picked " + " and ".join(f"“{each.title}” for {each.price} EUR" for each in picked))
    wanted = [{"product": each.slug, "quantity": 1} for each in picked]
    quote = await _post(shop, "/v1/quotes", {"lines": wanted, "asset": ASSET}, QuoteMade)
    told(f"quoted {quote.total} EUR, frozen")
    body = {"quoteId": quote.id, "email": BUYER}
    order = await _post(shop, "/v1/orders", body, OrderMade, key=fresh_key())
    told(f"ordered {order.number}")
    bearer = {"authorization": f"Bearer {order.order_session_token}"}
    here = f"/v1/orders/{order.id}"
    asked = await _post(
        shop, f"{here}/payments", {"asset": ASSET}, PayTo, key=fresh_key(), headers=bearer
    )
    told(f"asked to pay {asked.pay_amount} {asked.pay_currency} to {asked.pay_address}")
    await _pay(gateway, order.number)
    paid_at = time.monotonic()
    told("paid from the wallet; the gateway calls back")
    seen = await _until_fulfilled(shop, here, bearer, told)
    seconds = time.monotonic() - paid_at
    keys = [
        (line.title, await _reveal(shop, here, line, bearer, fresh_key())) for line in seen.items
    ]
    return Bought(order.number, order.id, tuple(keys), seconds)


async def _pick(shop: HttpClient, source: str) -> Shelf:
    query = {"source": source, "inStock": "true", "limit": "50"}
    shelves = await _get(shop, "/v1/catalog/products", Shelves, query=query)
    for each in shelves.items:
        if not each.is_preorder and each.available > 0:
            return each
    raise DemoError(f"nothing of {source} is on sale")


async def _pay(gateway: HttpClient, order_number: str) -> None:
    """What a wallet does: the stand-in's control door sends the money on its way."""
    found = await _get(gateway, "/_control/payments", object, query={"order_id": order_number})
    payment = msgspec.convert(found, _Payments).payments[-1]
    await _post(gateway, f"/_control/payments/{payment.payment_id}/pay", {}, object)


class _Payment(msgspec.Struct, frozen=True):
    payment_id: str | int


class _Payments(msgspec.Struct, frozen=True):
    payments: tuple[_Payment, ...]


async def _until_fulfilled(
    shop: HttpClient, here: str, bearer: Mapping[str, str], told: Callable[[str], None]
) -> OrderSeen:
    deadline, before = time.monotonic() + PATIENCE_SECONDS, ""
    while time.monotonic() < deadline:
        seen = await _get(shop, here, OrderSeen, headers=bearer)
        if seen.status != before:
            told(f"order is {seen.status.replace('_', ' ')}")
            before = seen.status
        if seen.status == "fulfilled":
            return seen
        if seen.status in {"failed", "expired", "cancelled", "refunded"}:
            raise DemoError(f"the order ended as {seen.status}")
        await asyncio.sleep(LOOK_SECONDS)
    raise DemoError(f"the order was still {before} after {PATIENCE_SECONDS:.0f} s")


async def _reveal(
    shop: HttpClient, here: str, line: Line, bearer: Mapping[str, str], key: str
) -> str:
    link = await _post(shop, f"{here}/items/{line.id}/reveal", None, Link, key=key, headers=bearer)
    path = link.url[link.url.index("/v1/downloads/") :]
    shown = await _get(shop, path, KeysSeen)
    return shown.keys[0].key


async def _get(
    client: HttpClient,
    path: str,
    shape: type[T],
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> T:
    return _read(await _send(client, "GET", path, query=query, headers=headers), path, shape)


async def _post(
    client: HttpClient,
    path: str,
    body: object,
    shape: type[T],
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> T:
    given = {**(headers or {}), **({"idempotency-key": key} if key else {})}
    encoded = None if body is None else msgspec.json.encode(body)
    return _read(await _send(client, "POST", path, body=encoded, headers=given), path, shape)


async def _send(
    client: HttpClient,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    try:
        return await client.send(method, path, query=query, body=body, headers=headers)
    except (NotSent, Ambiguous) as error:
        raise DemoError(f"{method} {path} got no answer: {error.reason}") from None


def _read(answer: Answer, path: str, shape: type[T]) -> T:
    if answer.status >= 400:
        raise DemoError(f"{path} answered {answer.status}: {answer.body[:500].decode()}")
    try:
        return msgspec.json.decode(answer.body, type=shape)
    except msgspec.DecodeError as error:
        raise DemoError(f"{path} answered something else than expected: {error}") from None
