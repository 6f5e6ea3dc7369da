"""Reads a whole request and writes a whole reply."""

import msgspec
from litestar.types import (
    ASGIApp,
    HTTPDisconnectEvent,
    HTTPReceiveMessage,
    HTTPRequestEvent,
    HTTPScope,
    Message,
    Receive,
    Send,
)

from bitloot_adapters.sandbox.resend.reply import Reply


class RequestTooLargeError(Exception):
    """The body is longer than the server takes."""


class Call(msgspec.Struct, frozen=True):
    """One request; header names are lower-case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


async def read_call(scope: HTTPScope, receive: Receive, limit: int) -> Call:
    """Raises:
    RequestTooLargeError: more than ``limit`` bytes came; the rest is not read.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message["body"]
        if len(body) > limit:
            raise RequestTooLargeError
        if not message["more_body"]:
            break
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }
    return Call(str(scope["method"]), scope["path"], headers, bytes(body))


async def ask(inner: ASGIApp, scope: HTTPScope, body: bytes) -> Reply:
    """Let the application answer, and keep its answer instead of sending it."""
    status = 500
    headers: dict[str, str] = {}
    content = bytearray()
    unread = [body]

    async def receive() -> HTTPReceiveMessage:
        if unread:
            return HTTPRequestEvent(type="http.request", body=unread.pop(), more_body=False)
        return HTTPDisconnectEvent(type="http.disconnect")

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            for name, value in message["headers"]:
                headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        elif message["type"] == "http.response.body":
            content.extend(message["body"])

    await inner(scope, receive, send)
    return Reply(status, headers, bytes(content))


async def write_reply(send: Send, reply: Reply) -> None:
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
            ],
        }
    )
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})
