"""The decorators of our routes: those of Litestar, but for two things.

Litestar hands every guard a copy of the handler, in case it is written to. Ours only read, and the
copy is a twentieth of the work of a small request. And what a function takes and gives is read once
in a process, not at each making of an application: a test shop has one of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypedDict, Unpack

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import Guard
from litestar.utils.signature import ParsedSignature

_SIGNATURES: Final[dict[Callable[..., object], ParsedSignature]] = {}


class Options(TypedDict, total=False):
    """What our routes say of themselves, as `HTTPRouteHandler` takes it."""

    guards: Sequence[Guard]
    include_in_schema: bool
    operation_id: str
    opt: Mapping[str, object]
    request_max_body_size: int | None
    responses: Mapping[int, ResponseSpec]
    security: Sequence[dict[str, list[str]]]
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


def get(path: str, **options: Unpack[Options]) -> Route:
    """A route for reading."""
    return Route(path, http_method="GET", **options)


def post(path: str, **options: Unpack[Options]) -> Route:
    """A route for doing."""
    return Route(path, http_method="POST", **options)


def put(path: str, **options: Unpack[Options]) -> Route:
    """A route for writing a whole."""
    return Route(path, http_method="PUT", **options)


def patch(path: str, **options: Unpack[Options]) -> Route:
    """A route for changing a part."""
    return Route(path, http_method="PATCH", **options)


def delete(path: str, **options: Unpack[Options]) -> Route:
    """A route for taking away."""
    return Route(path, http_method="DELETE", **options)
