"""What surrounds every request: its id, its line in the log, its time, the headers of its answer.

A HEAD is asked inside as the GET that it stands for, and answered without the content (RFC 9110,
section 9.3.2): no route has to know of it. A preflight that the framework refuses in plain words
is refused with a problem document like everything else.

Pure ASGI, outermost inside the server: answers that no handler gave pass through here too.
"""

import copy
import re
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from bitloot_web.logs import tell_request
from bitloot_web.metrics import UNMATCHED
from bitloot_web.problems import MEDIA_TYPE, ProblemError, problem
from bitloot_web.request_checks import HEAD_ONLY
from bitloot_web.security.rate_limits import headers_of
from bitloot_web.shop import Shop

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_CSP: Final = b"default-src 'none'; frame-ancestors 'none'"
_HSTS: Final = b"max-age=31536000; includeSubDomains"
_NO_PREFLIGHT: Final = "A page of that origin may not ask for this, or not in this way."
_OF_BODY: Final = frozenset({b"content-type", b"content-length"})
ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
# Kept when the answer brings its own: pages have another policy, static files may be cached.
DEFAULTS: Final = (
    (b"content-security-policy", _CSP),
    (b"cache-control", b"no-store"),
)


class Envelope:
    """`app` is everything inside."""

    def __init__(self, app: ASGIApp, shop: Shop) -> None:
        self._app = app
        self._shop = shop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or a socket on."""
        request_id = self._request_id(scope)
        method = str(scope.get("method", scope["type"]))
        scope, send = as_get(scope, send)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.monotonic()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._headers(scope, request_id, message["headers"])
                self._shop.metrics.request_ended(
                    method, _route(scope), status, time.monotonic() - started
                )
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, as_problem(scope, answer, request_id))
        finally:
            structlog.contextvars.reset_contextvars(**bound)
            # The template, not the path: a path may carry the token of a download link.
            tell_request(
                __name__,
                request_id=request_id,
                method=method[:16],
                route=_route(scope),
                status=status,
                ms=round((time.monotonic() - started) * 1000, 1),
            )

    def _request_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _SANE_ID.fullmatch(value):
                return value.decode()
        return self._shop.new_id()

    def _headers(
        self, scope: Scope, request_id: str, given: Iterable[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        headers = [*given]
        names = {name.lower() for name, _ in headers}
        headers += ((b"x-request-id", request_id.encode()), *ALWAYS, *headers_of(scope))
        headers += [default for default in DEFAULTS if default[0] not in names]
        if self._shop.edge.is_production:
            headers.append((b"strict-transport-security", _HSTS))
        return headers


def as_get(scope: Scope, send: Send) -> tuple[Scope, Send]:
    """A HEAD as the GET that it stands for, whose answer ends with its headers.

    The server keeps the scope as it was: from its method it knows that no content follows. Streams
    end too, as servers tell them that nobody listens once the answer is complete.
    """
    if scope["type"] != ScopeType.HTTP or scope["method"] != HttpMethod.HEAD:
        return scope, send
    inner = copy.copy(scope)
    inner["method"] = HttpMethod.GET
    inner["state"] = {**scope.get("state", {}), HEAD_ONLY: True}

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return inner, send_head


def as_problem(scope: Scope, send: Send, instance: str) -> Send:
    """The refusal of a preflight as a problem document; every other answer as it is."""
    if scope["type"] != ScopeType.HTTP or scope["method"] != HttpMethod.OPTIONS:
        return send
    body: bytes | None = None

    async def send_problem(message: Message) -> None:
        nonlocal body
        if message["type"] == "http.response.start" and _is_plain_no(message):
            refusal = ProblemError("invalid-request", _NO_PREFLIGHT)
            body = msgspec.json.encode(problem(refusal, instance=instance))
            kept = [each for each in message["headers"] if each[0].lower() not in _OF_BODY]
            message["headers"] = [
                *kept,
                (b"content-type", MEDIA_TYPE.encode()),
                (b"content-length", str(len(body)).encode()),
            ]
        elif message["type"] == "http.response.body" and body is not None:
            message["body"] = body
        await send(message)

    return send_problem


def _is_plain_no(message: HTTPResponseStartEvent) -> bool:
    kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
    is_plain = any(kind.startswith(b"text/plain") for kind in kinds)
    return is_plain and message["status"] >= HTTPStatus.BAD_REQUEST


def _route(scope: Scope) -> str:
    return str(scope.get("path_template") or UNMATCHED)
