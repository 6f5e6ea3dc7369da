"""Who is asking: nobody in particular, the holder of an order's token, or the admin."""

import hashlib
import hmac
from typing import Final
from uuid import UUID

from litestar.handlers import BaseRouteHandler

from bitloot_web.order_session import InvalidToken
from bitloot_web.problems import ProblemError
from bitloot_web.security.client_address import client_of, counted
from bitloot_web.security.rate_limits import Connection, count, shop_of
from bitloot_web.shop import Shop

ADMIN: Final = "admin"
ORDER_SESSION: Final = "order_session"
MAX_TOKEN: Final = 4096


def bearer(connection: Connection) -> str:
    """The token of the request. Raises ProblemError `unauthenticated` without exactly one."""
    given = connection.headers.getall("authorization", [])
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN:
        raise ProblemError("unauthenticated")
    return token


def opens(shop: Shop, token: str, order_id: str) -> None:
    """Check an order's token. Raises `unauthenticated`, or `not-found` for another order's."""
    try:
        own = shop.sessions.order_id(token, at=shop.clock())
    except InvalidToken:
        raise ProblemError("unauthenticated") from None
    if own != order_id:
        raise ProblemError("not-found")


async def order_session(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: only the holder of the token of the order in the path.

    A coroutine, although it waits for nothing: other functions are sent to a thread.
    """
    token = bearer(connection)
    order_id: UUID = connection.path_params["order_id"]
    opens(shop_of(connection), token, str(order_id))


def is_admin(shop: Shop, token: str) -> bool:
    """Whether it is the admin's token, compared in constant time by digest."""
    digest = hashlib.sha256(token.encode()).digest()
    return hmac.compare_digest(digest, shop.edge.admin_token_digest)


async def admin(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: only the holder of the admin token, and not too often."""
    shop = shop_of(connection)
    address = client_of(connection.scope, shop.edge.trusted_proxies)
    await count(shop, connection.scope, "admin", counted(address))
    if not is_admin(shop, bearer(connection)):
        raise ProblemError("unauthenticated")
