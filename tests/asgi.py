"""Calling an application without a server between."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeAlias

import httpx
import msgspec

Fields: TypeAlias = dict[str, object]


def transport(
    app: Callable[..., Awaitable[None]], client: tuple[str, int] = ("127.0.0.1", 123)
) -> httpx.ASGITransport:
    """Litestar and httpx write one interface in different types: here they meet."""
    return httpx.ASGITransport(app, client=client)


class Socket:
    """A WebSocket client that speaks ASGI with the application, without a server between.

    It takes up to `room` messages before it reads them; 0 is any number.
    """

    def __init__(
        self,
        app: Callable[..., Coroutine[object, object, None]],
        path: str,
        origin: str | None = None,
        *,
        query: str = "",
        room: int = 0,
    ) -> None:
        headers = [(b"host", b"shop.example")]
        if origin is not None:
            headers.append((b"origin", origin.encode()))
        self._scope: dict[str, object] = {
            "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1",
            "scheme": "wss", "path": path, "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "", "headers": headers, "subprotocols": [], "state": {},
            "client": ("203.0.113.7", 4711), "server": ("shop.example", 443), "extensions": {},
        }  # fmt: skip
        self._inbox: asyncio.Queue[Fields] = asyncio.Queue()
        self._outbox: asyncio.Queue[Fields] = asyncio.Queue(room)
        self._app = app
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> Fields:
        self._task = asyncio.create_task(self._app(self._scope, self._inbox.get, self._outbox.put))
        await self._inbox.put({"type": "websocket.connect"})
        return await self.message()

    async def send(self, value: object) -> None:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        await self._inbox.put({"type": "websocket.receive", "text": text})

    async def message(self) -> Fields:
        """The next message of the application."""
        return await asyncio.wait_for(self._outbox.get(), 10)

    async def event(self) -> Fields:
        message = await self.message()
        assert message["type"] == "websocket.send", message
        return msgspec.json.decode(str(message["text"]), type=Fields)

    async def closed(self) -> int:
        message = await self.message()
        assert message["type"] == "websocket.close", message
        code = message["code"]
        assert isinstance(code, int)
        return code

    async def leave(self) -> None:
        await self._inbox.put({"type": "websocket.disconnect", "code": 1000})
        assert self._task is not None
        await asyncio.wait_for(self._task, 10)
