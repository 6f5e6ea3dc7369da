"""A provider that does what it is told: one scripted answer for each call, every call remembered.

For answers that no stand-in would give: hostile, cut short, or never seen of the vendor.
"""

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the provider saw it. Header names are lower-case."""

    method: str
    path: str
    query: Mapping[str, str]
    raw_query: bytes
    headers: Mapping[str, str]
    body: bytes


class Scripted:
    """An ASGI application. Each answer is a status with bytes or anything that JSON can say.

    An exception among the answers is raised instead, as a transport would raise it. `headers` go
    with every answer.
    """

    def __init__(
        self,
        *answers: tuple[int, object] | Exception,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._answers = list(answers)
        self._headers = {"content-type": "application/json", **(headers or {})}
        self.asked: list[Asked] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Remember the call and give the next answer."""
        assert scope["type"] == ScopeType.HTTP
        body = bytearray()
        while True:
            message = await receive()
            assert message["type"] == "http.request"
            body += message["body"]
            if not message["more_body"]:
                break
        raw = scope["query_string"]
        self.asked.append(
            Asked(
                method=scope["method"],
                path=scope["path"],
                query=dict(parse_qsl(raw.decode(), strict_parsing=True)) if raw else {},
                raw_query=raw,
                headers={name.decode().lower(): text.decode() for name, text in scope["headers"]},
                body=bytes(body),
            )
        )
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, said = answer
        headers = [(name.encode(), text.encode()) for name, text in self._headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        await send({"type": "http.response.body", "body": content, "more_body": False})
