"""How often who may do what: one table, one limit for all processes together.

A limit is counted by the client's network address unless its row says otherwise. Limits on codes
fail closed: without their store nobody can guess. All others let requests through.

A repetition of a request under its `Idempotency-Key` places no second order, so it is no second hit
of the limits on orders as long as the first counts; repetitions have a limit of their own.
"""

from collections.abc import Mapping
from datetime import timedelta
from math import ceil
from typing import Final, Literal, TypeAlias

import msgspec
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.types import AsyncAnyCallable, Scope

from bitloot.domain.limits import Limits
from bitloot.ports.rate_limiter import Quota, Verdict
from bitloot_web.once import HEADER
from bitloot_web.problems import ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.security.client_address import client_of, counted
from bitloot_web.shop import Shop

RateName: TypeAlias = Literal[
    "catalogue",
    "quotes",
    "orders-by-ip",
    "orders-by-address",
    "order-repeats",
    "reveals",
    "downloads",
    "codes-by-ip",
    "code-tries-by-ip",
    "code-tries-by-order",
    "sign-ins-by-ip",
    "sign-ins-by-address",
    "refreshes",
    "admin",
]
Connection: TypeAlias = ASGIConnection[BaseRouteHandler, None, None, State]


class Row(msgspec.Struct, frozen=True):
    """Which named limit in which window."""

    limit: str
    window: timedelta
    fails_closed: bool = False


_MINUTE: Final = timedelta(minutes=1)
RATE_LIMITS: Final[Mapping[RateName, Row]] = {
    "catalogue": Row("catalogue_per_minute", _MINUTE),
    "quotes": Row("quotes_per_minute", _MINUTE),
    "orders-by-ip": Row("orders_per_10_minutes", 10 * _MINUTE),
    "orders-by-address": Row("orders_per_10_minutes", 10 * _MINUTE),  # by e-mail address
    "order-repeats": Row("order_repeats_per_10_minutes", 10 * _MINUTE),
    "reveals": Row("reveals_per_hour", 60 * _MINUTE),  # by order
    "downloads": Row("catalogue_per_minute", _MINUTE),
    "codes-by-ip": Row("otp_requests_per_15_minutes", 15 * _MINUTE, fails_closed=True),
    "code-tries-by-ip": Row(
        "otp_verifications_per_ip_per_15_minutes", 15 * _MINUTE, fails_closed=True
    ),
    "code-tries-by-order": Row("session_tries_per_15_minutes", 15 * _MINUTE, fails_closed=True),
    "sign-ins-by-ip": Row("sign_ins_per_15_minutes", 15 * _MINUTE, fails_closed=True),
    # By e-mail address: a code by mail lets in who was locked out.
    "sign-ins-by-address": Row("sign_ins_per_15_minutes", 15 * _MINUTE, fails_closed=True),
    "refreshes": Row("refreshes_per_minute", _MINUTE),
    "admin": Row("admin_per_minute", _MINUTE),
}
_VERDICT: Final = "rate_limit"


class Counted(msgspec.Struct, frozen=True):
    """A hit that was counted, for the headers of the answer."""

    quota: Quota
    verdict: Verdict


def quota(name: RateName, limits: Limits) -> Quota:
    """The quota of a row, with the number that the settings give it."""
    row = RATE_LIMITS[name]
    return Quota(
        scope=name,
        limit=getattr(limits, row.limit),
        window=row.window,
        fails_closed=row.fails_closed,
    )


async def count(
    shop: Shop, scope: Scope, name: RateName, subject: str, *, mark: str | None = None
) -> Verdict:
    """Count one hit of a subject; those of one `mark` are one hit.

    Raises ProblemError `rate-limited`, and StoreUnavailable.
    """
    own = quota(name, shop.limits)
    verdict = await shop.rate_limiter.hit(own, subject, mark=mark)
    scope["state"][_VERDICT] = Counted(own, verdict)
    if not verdict.allowed:
        raise ProblemError("rate-limited", retry_after=max(1, ceil(verdict.retry_after)))
    return verdict


def limited(name: RateName) -> AsyncAnyCallable:
    """A guard that counts requests by the client's address."""

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        shop = shop_of(connection)
        address = client_of(connection.scope, shop.edge.trusted_proxies)
        await count(shop, connection.scope, name, counted(address))

    return guard


def limited_once(name: RateName, repeats: RateName) -> AsyncAnyCallable:
    """A guard that counts a request under one idempotency key once, and apart how often it came."""

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        shop, scope = shop_of(connection), connection.scope
        address = counted(client_of(scope, shop.edge.trusted_proxies))
        key = connection.headers.get(HEADER)
        if (await count(shop, scope, name, address, mark=key)).repeated:
            await count(shop, scope, repeats, address)

    return guard


def shop_of(connection: Connection | EdgeRequest) -> Shop:
    """The shop that the request was sent to."""
    shop = connection.scope["state"]["shop"]
    assert isinstance(shop, Shop)
    return shop


def headers_of(scope: Scope) -> tuple[tuple[bytes, bytes], ...]:
    """What the answer says of the last counted limit (IETF draft "RateLimit header fields")."""
    found = scope["state"].get(_VERDICT)
    if not isinstance(found, Counted):
        return ()
    own, verdict = found.quota, found.verdict
    window = int(own.window.total_seconds())
    policy = f'"{own.scope}";q={own.limit};w={window}'
    left = f'"{own.scope}";r={max(0, verdict.remaining)}'
    if not verdict.allowed:
        left += f";t={max(1, ceil(verdict.retry_after))}"
    return (b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())
