"""Sessions of pages: their tokens in cookies that no script reads, and what keeps those safe.

A browser sends cookies along with whatever any page has it ask. So a request that changes something
and is carried by a cookie has to come from a page of ours, as the browser says (`Sec-Fetch-Site`,
`Origin`), and to bring the CSRF token of its session in a header: other sites can neither read that
token nor set the header. Whoever shows an `Authorization` header is known by that alone.

Sources: RFC 6265bis (prefixes of cookies, SameSite), OWASP's "Cross-Site Request Forgery
Prevention" (a signed token, fetch metadata).
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import msgspec
from litestar import Response
from litestar.datastructures import Cookie

from bitloot.domain.session import Session
from bitloot_web.problems import ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.security.callers import MAX_TOKEN, Caller, signed_in
from bitloot_web.security.rate_limits import Connection, shop_of
from bitloot_web.shop import Shop

Asking: TypeAlias = Connection | EdgeRequest

HEADER: Final = "X-CSRF-Token"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# The only addresses that exchange a refresh token: no other is sent it.
REFRESH_PATH: Final = "/v1/auth"
# In the state of a request: its refresh token was in a cookie.
_SHOWN: Final = "refresh_cookie"
# So many shops are in one process, each under an address of its own.
_SHOPS: Final = 16
_SAME_ORIGIN: Final = "same-origin"
_PORTS: Final = {"http": ":80", "https": ":443"}
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class CookieNames(msgspec.Struct, frozen=True):
    """What the cookies are called; the prefixes have browsers keep other hosts from setting them.

    `csrf` is read by pages, and sent back in the header; the others are read by no script.
    """

    access: str = "__Host-bitloot-access"
    refresh: str = "__Secure-bitloot-refresh"
    csrf: str = "__Host-bitloot-csrf"


SECURE: Final = CookieNames()
# Browsers keep no cookie of a prefixed name that came without TLS.
_PLAIN: Final = CookieNames("bitloot-access", "bitloot-refresh", "bitloot-csrf")


@lru_cache(_SHOPS)
def names_at(public_url: str) -> CookieNames:
    """The names of the cookies of a shop: plain ones on one's own machine without TLS only."""
    url = urlsplit(public_url)
    return _PLAIN if url.scheme == "http" and url.hostname in _LOCAL else SECURE


@lru_cache(_SHOPS)
def own_origin(public_url: str) -> str:
    """The origin of the shop's own pages, as browsers write it (RFC 6454, section 6.1)."""
    url = urlsplit(public_url.lower())
    return f"{url.scheme}://{url.netloc.removesuffix(_PORTS.get(url.scheme, ''))}"


def cookies_of(shop: Shop, session: Session) -> tuple[Cookie, ...]:
    """What a page keeps of its session: each as long as what it holds is good."""
    names, pair, at = names_at(shop.edge.public_url), shop.tokens.pair(session), shop.clock()

    def kept(name: str, value: str, ends: datetime, *, path: str = "/") -> Cookie:
        left = max(0, int((ends - at).total_seconds()))
        return _cookie(names, name, value, left, path)

    return (
        kept(names.access, pair.access, pair.access_ends),
        kept(names.refresh, pair.refresh, pair.refresh_ends, path=REFRESH_PATH),
        kept(names.csrf, shop.tokens.csrf(session.id), pair.refresh_ends),
    )


def signed_out(request: EdgeRequest, shop: Shop) -> Response[None]:
    """Nothing to say; a page that was known by its cookies loses them."""
    if not is_by_cookie(request) and not request.scope["state"].get(_SHOWN):
        return Response(None)
    return Response(None, cookies=_taken_away(shop))


def lost(request: EdgeRequest) -> tuple[Cookie, ...]:
    """Takes the cookies of a page away whose session has ended: no script of it could."""
    shown = request.scope["state"].get(_SHOWN)
    return _taken_away(shop_of(request)) if shown else ()


async def by_cookie(connection: Connection) -> Caller | None:
    """Who is signed in by a cookie; None where there is none, or another token is shown.

    Raises ProblemError `unauthenticated`, and `csrf-failed` for what may have been forged;
    StoreUnavailable.
    """
    if not is_by_cookie(connection):
        return None
    shop = shop_of(connection)
    caller = await signed_in(shop, _kept(connection, names_at(shop.edge.public_url).access))
    assert caller.session_id is not None
    check_unforged(connection, caller.session_id)
    return caller


def is_by_cookie(connection: Asking) -> bool:
    """Whether nothing but a cookie says who asks."""
    if "authorization" in connection.headers or "cookie" not in connection.headers:
        return False
    return bool(_values(connection, names_at(shop_of(connection).edge.public_url).access))


def refresh_token_of(request: EdgeRequest) -> str | None:
    """The refresh token that a page keeps; None where there is none, or another token is shown.

    Raises ProblemError `unauthenticated`.
    """
    name = names_at(shop_of(request).edge.public_url).refresh
    if "authorization" in request.headers or not _values(request, name):
        return None
    request.scope["state"][_SHOWN] = True
    return _kept(request, name)


def check_unforged(connection: Asking, session_id: str) -> None:
    """Raises ProblemError `csrf-failed` for what changes something, unless a page of ours asks it
    with the CSRF token of its session.
    """
    if connection.scope.get("method") in SAFE:
        return
    check_own_page(connection)
    given = connection.headers.getall(HEADER, [])
    if len(given) != 1 or not shop_of(connection).tokens.is_csrf(session_id, given[0]):
        raise ProblemError("csrf-failed")


def check_own_page(connection: Asking) -> None:
    """Raises ProblemError `csrf-failed` unless the browser says that one of our pages asks.

    Either header will do, since not every browser sends both; what one of them denies is refused.
    """
    origin = own_origin(shop_of(connection).edge.public_url)
    sites = connection.headers.getall("sec-fetch-site", [])
    origins = connection.headers.getall("origin", [])
    if not {*sites} <= {_SAME_ORIGIN} or not {*origins} <= {origin} or not (sites or origins):
        raise ProblemError("csrf-failed")


def _taken_away(shop: Shop) -> tuple[Cookie, ...]:
    names = names_at(shop.edge.public_url)
    return (
        _cookie(names, names.access, "", 0, "/"),
        _cookie(names, names.refresh, "", 0, REFRESH_PATH),
        _cookie(names, names.csrf, "", 0, "/"),
    )


def _cookie(names: CookieNames, name: str, value: str, seconds: int, path: str) -> Cookie:
    return Cookie(
        key=name,
        value=value,
        path=path,
        max_age=seconds,
        secure=names is SECURE,
        httponly=name != names.csrf,
        samesite="lax",
    )


def _kept(connection: Asking, name: str) -> str:
    """The one cookie of that name. Raises ProblemError `unauthenticated`."""
    values = _values(connection, name)
    if len(values) != 1 or not 0 < len(values[0]) <= MAX_TOKEN:
        raise ProblemError("unauthenticated")
    return values[0]


def _values(connection: Asking, name: str) -> Sequence[str]:
    """Every cookie of that name: a browser that sends two was set one by somebody else."""
    pairs = (
        pair.strip().partition("=")
        for header in connection.headers.getall("cookie", [])
        for pair in header.split(";")
    )
    return [value for key, _, value in pairs if key == name]
