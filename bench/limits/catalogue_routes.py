"""The bare routes of the catalogue: one statement whose JSON is the answer, or bytes at hand."""

from hashlib import blake2b
from typing import Final

from litestar import Response, get
from litestar.params import FromPath

from bench.limits.catalogue_statements import (
    DETAIL,
    LIST,
    SEARCH_BY_POPULARITY,
    SEARCH_BY_TS_RANK,
)
from bench.limits.pool import Bare, pool_of

_LIST: Final = LIST.encode()
_DETAIL: Final = DETAIL.encode()
_SEARCHES: Final = {
    "ts-rank": SEARCH_BY_TS_RANK.encode(),
    "popularity": SEARCH_BY_POPULARITY.encode(),
}


@get("/list/{rank:int}/{product_id:str}")
async def page(request: Bare, rank: FromPath[int], product_id: FromPath[str]) -> Response[bytes]:
    """The page after that product."""
    return _json(await _asked(request, _LIST, rank, product_id))


@get("/products/{slug:str}")
async def details(request: Bare, slug: FromPath[str]) -> Response[bytes]:
    """One product."""
    return _json(await _asked(request, _DETAIL, slug))


@get("/search/{way:str}/{word:str}")
async def search(request: Bare, way: FromPath[str], word: FromPath[str]) -> Response[bytes]:
    """The first page of what has that word."""
    return _json(await _asked(request, _SEARCHES[way], f"'{word}':*"))


@get("/kept/list/{rank:int}/{product_id:str}")
async def kept_page(
    request: Bare, rank: FromPath[int], product_id: FromPath[str]
) -> Response[bytes]:
    """The page, asked for once."""
    return await _kept(request, f"{rank}|{product_id}", _LIST, rank, product_id)


@get("/kept/products/{slug:str}")
async def kept_details(request: Bare, slug: FromPath[str]) -> Response[bytes]:
    """The product, asked for once."""
    return await _kept(request, slug, _DETAIL, slug)


async def _kept(request: Bare, name: str, statement: bytes, *values: object) -> Response[bytes]:
    """What was answered before, or 304 for whoever has it."""
    found: dict[str, tuple[bytes, str]] = request.app.state.kept
    if name not in found:
        body = await _asked(request, statement, *values)
        found[name] = (body, f'"{blake2b(body, digest_size=16).hexdigest()}"')
    body, etag = found[name]
    if request.headers.get("if-none-match") == etag:
        return Response(b"", status_code=304, headers={"etag": etag})
    return Response(body, media_type="application/json", headers={"etag": etag})


async def _asked(request: Bare, statement: bytes, *values: object) -> bytes:
    async with pool_of(request).connection() as connection:
        row = await (await connection.execute(statement, values)).fetchone()
    assert row is not None
    return str(row[0]).encode()


def _json(body: bytes) -> Response[bytes]:
    return Response(body, media_type="application/json")


ROUTES: Final = (page, details, search, kept_page, kept_details)
