"""The bare routes: `python -m bench.limits.server DATABASE PORT`.

A thin Litestar handler each, one statement through one psycopg pool, no middleware; the same server
program with the same loop and parser as `bitloot serve`.
"""

import hashlib
import hmac
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import msgspec
import uuid_utils
import uvicorn
from litestar import Litestar, Response, get, post
from litestar.params import FromPath

from bench.limits import catalogue_routes, session_routes
from bench.limits.bare_token import bare_token
from bench.limits.pool import Bare, open_pool, pool_of
from bench.limits.statements import CALLBACK, ORDER, STATUS
from bench.shop_settings import IPN_SECRET

KEY: Final = IPN_SECRET.encode()
_CALLBACK: Final = CALLBACK.encode()
_ORDER: Final = ORDER.encode()
_STATUS: Final = STATUS.encode()


class Report(msgspec.Struct, frozen=True):
    """What the intake reads of a callback."""

    payment_id: int
    payment_status: str
    order_id: str


class NewOrder(msgspec.Struct, frozen=True, rename="camel"):
    """What an order is placed with."""

    quote_id: str
    email: str


_REPORT: Final = msgspec.json.Decoder(Report)
_NEW_ORDER: Final = msgspec.json.Decoder(NewOrder)


@get("/ready")
async def ready() -> str:
    """Up."""
    return "ok"


@post("/v1/webhooks/nowpayments", status_code=200)
async def callback(request: Bare) -> Response[bytes]:
    """Check the signature, read the body, one statement."""
    body = await request.body()
    signature = hmac.new(KEY, body, hashlib.sha512).hexdigest()
    if not hmac.compare_digest(signature, request.headers["x-nowpayments-sig"]):
        return Response(b"", status_code=401)
    report = _REPORT.decode(body)
    async with pool_of(request).connection() as connection:
        await connection.execute(
            _CALLBACK,
            (
                str(uuid_utils.uuid7()),
                hashlib.sha256(body).hexdigest(),
                str(report.payment_id),
                report.payment_status,
                report.order_id,
                body,
                str(uuid_utils.uuid7()),
            ),
        )
    return Response(b"", media_type="text/plain")


@post("/v1/orders")
async def order(request: Bare) -> Response[bytes]:
    """One statement, and a token."""
    body = await request.body()
    given = _NEW_ORDER.decode(body)
    ids = [str(uuid_utils.uuid7()) for _ in range(6)]
    async with pool_of(request).connection() as connection:
        cursor = await connection.execute(
            _ORDER,
            (
                given.quote_id,
                *ids,
                "BL-" + ids[0].replace("-", "")[-12:].upper(),
                given.email,
                request.headers["x-forwarded-for"],
                request.headers["idempotency-key"],
                hashlib.sha256(body).hexdigest(),
            ),
        )
        row = await cursor.fetchone()
    assert row is not None, "the quote was used or the product is gone"
    document = str(row[0]).encode()
    # As long as an order's token.
    token = bare_token({"sub": ids[0], "type": "order_session", "pad": "0" * 180})
    end = b',"orderSessionToken":"' + token + b'","orderSessionExpiresAt":"2030-01-01T00:00:00Z"}'
    return Response(document[:-1] + end, status_code=201, media_type="application/json")


@get("/v1/orders/{order_id:uuid}")
async def status(request: Bare, order_id: FromPath[UUID]) -> Response[bytes]:
    """One statement whose JSON is the answer."""
    async with pool_of(request).connection() as connection:
        cursor = await connection.execute(_STATUS, (str(order_id),))
        row = await cursor.fetchone()
    assert row is not None
    return Response(str(row[0]).encode(), media_type="application/json")


def app(database_url: str) -> Litestar:
    """The application; its pool opens with it."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_pool(database_url) as pool:
            app.state.pool, app.state.kept = pool, {}
            yield

    return Litestar(
        [ready, callback, order, status, *catalogue_routes.ROUTES, *session_routes.ROUTES],
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
    )


def main() -> None:
    """Serve until told to stop."""
    database_url, port = sys.argv[1:]
    uvicorn.run(
        app(database_url),
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
    )


if __name__ == "__main__":
    main()
