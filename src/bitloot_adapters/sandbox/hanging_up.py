"""Breaking a connection instead of answering on it."""

import asyncio
from typing import Final, Protocol, runtime_checkable

import httpx
from litestar.types import Receive

_HANG_UP_SECONDS: Final = 2.0


@runtime_checkable
class _Abortable(Protocol):
    def abort(self) -> None: ...


async def hang_up(receive: Receive) -> None:
    """Close the socket with nothing written; in one process, fail as a closed socket would.

    Raises:
        httpx.RemoteProtocolError: there is no socket (the application is called in-process).

    """
    owner: object = getattr(receive, "__self__", None)
    transport: object = getattr(owner, "transport", None)
    if not isinstance(transport, _Abortable):
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
    transport.abort()
    async with asyncio.timeout(_HANG_UP_SECONDS):
        while (await receive())["type"] != "http.disconnect":
            continue
