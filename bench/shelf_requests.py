"""What visitors of the catalogue ask, and the same asked of the bare routes."""

import http.client
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
import psycopg

from bench.load import Requests
from bench.requests import client, get
from bench.shelves import SLUG, common_words
from bench.shop_settings import SECRET_KEY
from bench.stage import Stage
from bitloot.domain.search_text import plain_text
from bitloot.ports.views.catalog import ShelfQuery
from bitloot.ports.views.shelf import ShelfKey, key_text
from bitloot_web import derived_keys as keys
from bitloot_web.api.catalog import list_name
from bitloot_web.paging import Cursors

PAGE: Final = 20
SLUGS: Final = 5_000
# Far from its neighbour, so that two products in a row touch no page in common.
STRIDE: Final = 7919
VISITORS: Final = 64
LISTS: Final = "/v1/catalog/products"
# Where no kept answer is to be met, none is kept for longer.
KEEPS_NOTHING: Final = {"BITLOOT_LIMIT_ANSWER_LIFE": "1ms"}
_ENDS: Final = """
SELECT rank, id::text FROM (
    SELECT rank, id, row_number() OVER (ORDER BY rank DESC, id DESC) AS place
    FROM listings WHERE is_listed
) each
WHERE place = ANY(%s) ORDER BY place
"""
_TITLES: Final = "SELECT title FROM products WHERE slug LIKE '%7' ORDER BY slug LIMIT 200"


class PageKey(msgspec.Struct, frozen=True):
    """The product that a page comes after."""

    rank: int
    id: str


def page_keys(database: str, pages: Iterable[int]) -> list[PageKey]:
    """Of pages by their numbers; the second is 2, the first comes after none."""
    ends = [(number - 1) * PAGE for number in pages]
    with psycopg.connect(database) as connection:
        return [PageKey(rank, each) for rank, each in connection.execute(_ENDS, (ends,))]


def list_path(key: PageKey) -> str:
    """A page of the shop's."""
    cursors = Cursors(keys.derive(SECRET_KEY, keys.CURSOR), list_name(ShelfQuery()))
    after = key_text(ShelfKey(way="walk", id=key.id, rank=key.rank))
    return f"{LISTS}?{urlencode({'cursor': cursors.write(after)})}"


def bare_list_path(key: PageKey) -> str:
    """The same page of the bare route's."""
    return f"/list/{key.rank}/{key.id}"


def slugs(products: int) -> list[str]:
    """Products all over the catalogue."""
    return [f"{SLUG}-{n * STRIDE % products:06}" for n in range(min(SLUGS, products))]


def search_path(text: str) -> str:
    """A search in the shop."""
    return f"{LISTS}?{urlencode({'q': text})}"


def bare_search_path(way: str, word: str) -> str:
    """The same, sorted in one way."""
    return f"/search/{way}/{quote(plain_text(word))}"


def words() -> tuple[str, ...]:
    """Each is in one title of sixty."""
    return common_words()


def beginnings(database: str) -> list[str]:
    """The first two words of some titles."""
    with psycopg.connect(database) as connection:
        found = connection.execute(_TITLES).fetchall()
    return [" ".join(str(title).split()[:2]) for (title,) in found]


def from_visitors(
    stage: Stage, name: str, paths: Sequence[str], headers: Mapping[str, str] | None = None
) -> Requests:
    """The paths over and over, asked by some dozens of visitors in turn."""
    many = [path for path in paths for _ in range(max(1, VISITORS // len(paths)))]
    visitors = cycle(range(VISITORS))
    return Requests(
        stage.folder / f"{name}.requests",
        [
            get(path, {"X-Forwarded-For": client(next(visitors)), **(headers or {})})
            for path in many
        ],
        is_cycled=True,
    )


def etag(port: int, path: str) -> str:
    """The tag of an answer. Raises RuntimeError when it has none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    found = connection.getresponse().getheader("etag")
    connection.close()
    if found is None:
        raise RuntimeError(f"{path} has no ETag")
    return found
