"""The short way to an answer that is at hand: past routing, parameters and handlers.

A request that is to the letter like one that was answered a moment ago has the same answer, so
nothing of it needs to be understood again. It is counted like every other. Whatever is not plain
goes the long way, and so does whoever asked too often: the long way tells them.
"""

from collections.abc import Callable
from typing import Final

from litestar.enums import HttpMethod, ScopeType
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED
from litestar.types import ASGIApp, HTTPResponseStartEvent, Receive, Scope, Send

from bitloot_web.answers import Answer, Answers, asked_of, is_among
from bitloot_web.problems import ProblemError
from bitloot_web.security.client_address import client_of, counted
from bitloot_web.security.rate_limits import RateName, count
from bitloot_web.shop import Shop

MOST_TAGS: Final = 1024
_JSON: Final = (b"content-type", b"application/json")


class Shortcut:
    """`app` is the long way. The answers are those of routes whose requests count as `limit`;
    `version` says which of them are still good.
    """

    def __init__(
        self,
        app: ASGIApp,
        shop: Shop,
        answers: Answers,
        *,
        limit: RateName,
        version: Callable[[], int],
    ) -> None:
        self._app = app
        self._shop = shop
        self._answers = answers
        self._limit: RateName = limit
        self._version = version
        self._has_cors = bool(shop.edge.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == ScopeType.HTTP and scope["method"] == HttpMethod.GET:
            known = self._answers.known(asked_of(scope), self._version())
            if known is not None and (tags := self._tags(scope)) is not None:
                scope["path_template"] = known.route
                if await self._is_within_limit(scope):
                    await _answered(send, known.answer, tags)
                    return
        await self._app(scope, receive, send)

    def _tags(self, scope: Scope) -> str | None:
        """What the request has already; None where it is not for us to say."""
        tags = ""
        for name, value in scope["headers"]:
            if name == b"if-none-match":
                if tags or len(value) > MOST_TAGS:
                    return None
                tags = value.decode("latin-1")
            elif name == b"origin" and self._has_cors:
                return None
        return tags

    async def _is_within_limit(self, scope: Scope) -> bool:
        address = client_of(scope, self._shop.edge.trusted_proxies)
        try:
            await count(self._shop, scope, self._limit, counted(address))
        except ProblemError:
            return False
        return True


async def _answered(send: Send, answer: Answer, tags: str) -> None:
    has_it = bool(tags) and is_among(answer.etag, tags)
    body = b"" if has_it else answer.body
    length = (b"content-length", str(len(body)).encode())
    own = [(name.encode(), value.encode()) for name, value in answer.headers().items()]
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": HTTP_304_NOT_MODIFIED if has_it else HTTP_200_OK,
        "headers": own if has_it else [_JSON, length, *own],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})
