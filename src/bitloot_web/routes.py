"""The decorators of our routes: those of Litestar, but for three things.

Each declares who may call it, and is described by that. Litestar hands every guard a copy of the
handler, in case it is written to: ours only read, and the copy is a twentieth of the work of a
small request. And what a function takes and gives is read once in a process, not at each making of
an application: a test shop has one of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypedDict, Unpack

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import Guard, Method
from litestar.utils.signature import ParsedSignature

from bitloot_web.security.access import ACCESS, CSRF, PAGE, Access, Security
from bitloot_web.security.cookie_sessions import SAFE

_SIGNATURES: Final[dict[Callable[..., object], ParsedSignature]] = {}


class Options(TypedDict, total=False):
    """What our routes say of themselves, as `HTTPRouteHandler` takes it."""

    guards: Sequence[Guard]
    include_in_schema: bool
    operation_id: str
    opt: Mapping[str, object]
    request_max_body_size: int | None
    responses: Mapping[int, ResponseSpec]
    status_code: int


class Route(HTTPRouteHandler):
    """A handler whose guards are given the handler itself."""

    @property
    def parsed_fn_signature(self) -> ParsedSignature:
        """What the function takes and gives."""
        if self.fn not in _SIGNATURES:
            _SIGNATURES[self.fn] = super().parsed_fn_signature
        return _SIGNATURES[self.fn]

    async def authorize_connection(
        self, connection: ASGIConnection[BaseRouteHandler, None, None, State]
    ) -> None:
        """Each guard in turn; the first that raises decides."""
        for guard in self.resolve_guards():
            waiting = guard(connection, self)
            if waiting is not None:
                await waiting


def access_of(handler: BaseRouteHandler) -> Access:
    """Who may call it. Raises TypeError where the handler does not say."""
    found = handler.opt.get(ACCESS)
    if not isinstance(found, Access):
        raise TypeError(f"{handler} does not say who may call it")
    return found


async def admit(
    connection: ASGIConnection[BaseRouteHandler, None, None, State], handler: BaseRouteHandler
) -> None:
    """The first guard of every route: its access."""
    await access_of(handler).admit(connection)


def get(path: str, *, access: Access, **options: Unpack[Options]) -> Route:
    """A route for reading."""
    return _route("GET", path, access, options)


def post(path: str, *, access: Access, **options: Unpack[Options]) -> Route:
    """A route for doing."""
    return _route("POST", path, access, options)


def put(path: str, *, access: Access, **options: Unpack[Options]) -> Route:
    """A route for writing a whole."""
    return _route("PUT", path, access, options)


def patch(path: str, *, access: Access, **options: Unpack[Options]) -> Route:
    """A route for changing a part."""
    return _route("PATCH", path, access, options)


def delete(path: str, *, access: Access, **options: Unpack[Options]) -> Route:
    """A route for taking away."""
    return _route("DELETE", path, access, options)


def _route(method: Method, path: str, access: Access, options: Options) -> Route:
    options["opt"] = {**options.get("opt", {}), ACCESS: access}
    options["guards"] = (admit, *options.get("guards", ()))
    return Route(path, http_method=method, security=_asked(method, access.security), **options)


def _asked(method: Method, security: Security) -> Security:
    """What changes something by a cookie needs the CSRF token besides."""
    if method in SAFE:
        return security
    return [{**each, **CSRF} if each == PAGE else each for each in security]
