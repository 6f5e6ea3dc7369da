"""The search of the supplier over a shelf that changes between two requests."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta

import httpx
import msgspec

from bitloot.domain.limits import Limits
from bitloot.ports.supplier import CataloguePage
from bitloot_adapters.http import HttpClient
from bitloot_adapters.kinguin.catalogue import KeyType
from bitloot_adapters.kinguin.client import Kinguin

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def product(number: int, at: datetime = START, **changes: object) -> dict[str, object]:
    """A product as the vendor writes it."""
    return {
        "kinguinId": number,
        "productId": product_id(number),
        "name": f"Game {number}",
        "price": 5,
        "qty": 3,
        "isPreorder": False,
        "updatedAt": at.isoformat(timespec="seconds"),
    } | changes


def product_id(number: int) -> str:
    return f"{number:024x}"


def number_of(identity: str) -> int:
    return int(identity, 16)


class Shelf(httpx.AsyncBaseTransport):
    """Products by number and time of change; `meanwhile` happens before each answer.

    `text` makes each of them longer. `write` gives their numbers. `asked` are the queries so far.
    """

    def __init__(self, *numbers: int, text: str = "", write: Callable[[int], object] = int) -> None:
        self.times: dict[int, datetime] = {n: START + n * SECOND for n in numbers}
        self.now = START + timedelta(days=1)
        self.text = text
        self.write = write
        self.asked: list[httpx.QueryParams] = []
        self.meanwhile: Callable[[int], None] = _nothing

    def touch(self, number: int) -> None:
        """The product changes now, a second after the change before."""
        self.now += SECOND
        self.times[number] = self.now

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params
        self.asked.append(query)
        self.meanwhile(len(self.asked))
        found = list(self.times)
        if "updatedSince" in query:
            since = datetime.fromisoformat(query["updatedSince"])
            found = [n for n in found if self.times[n] >= since]
        found.sort(key=lambda n: (self.times[n], n) if query["sortBy"] == "updatedAt" else n)
        limit = int(query["limit"])
        start = (int(query["page"]) - 1) * limit
        listed = [
            product(n, self.times[n], description=self.text, kinguinId=self.write(n))
            for n in found[start : start + limit]
        ]
        body = {"results": listed, "item_count": len(found)}
        return httpx.Response(200, content=msgspec.json.encode(body))


def _nothing(call: int) -> None:
    del call


def kinguin(
    transport: httpx.AsyncBaseTransport,
    *,
    key_type: KeyType = "text",
    preorders: bool = False,
    limits: Limits | None = None,
) -> Kinguin:
    """The client over a transport that holds nothing open."""
    http = HttpClient(
        "http://kinguin/esa/api",
        limits=limits or Limits(),
        in_transaction=lambda: False,
        headers={"x-api-key": "key"},
        transport=lambda: transport,
    )
    return Kinguin(
        http, webhook_secret="secret", limits=Limits(), key_type=key_type, preorders=preorders
    )


async def read(pages: AsyncIterator[CataloguePage]) -> list[CataloguePage]:
    return [page async for page in pages]


def numbers(pages: Sequence[CataloguePage]) -> list[int]:
    """The products in the order in which they came."""
    return [number_of(each.supplier_product_id) for page in pages for each in page.products]
