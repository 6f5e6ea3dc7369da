"""The outermost layer: faults, lost connections and rate limits, before and after the real work."""

import asyncio
from http import HTTPStatus

import httpx
import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from bitloot_adapters.sandbox.kinguin.answers import Answers
from bitloot_adapters.sandbox.kinguin.errors import EsaError
from bitloot_adapters.sandbox.kinguin.faults import Fault, operation
from bitloot_adapters.sandbox.kinguin.state import Store

KIND_STATUSES = {"HttpClient": 503}
MAX_LEFT_OVER = 1000
"""The most parts of an unread body that are passed over before the end of a dropped call."""
WRITES = frozenset({"order.create", "keys.return"})


class Gate:
    """Stands around the application and lets faults happen to its calls.

    A dropped connection is closed without a byte when uvicorn serves the application; in one
    process with the client it is `httpx.ReadError`, what httpx makes of a closed socket.
    """

    def __init__(self, inner: ASGIApp, store: Store, answers: Answers) -> None:
        self._inner = inner
        self._store = store
        self._answers = answers
        self._window = (0, 0, 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._inner(scope, receive, send)
            return
        name = operation(scope["method"], scope["path"])
        if name is None:
            await self._inner(scope, receive, send)
        elif self._too_many(write=name in WRITES):
            await self._reply_429(send)
        elif (fault := self._take(name)) is not None:
            await self._misbehave(fault, scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    async def _misbehave(
        self,
        fault: Fault,
        scope: HTTPScope,
        receive: Receive,
        send: Send,
    ) -> None:
        name = fault.fault
        if name == "drop_before":
            await _hang_up(receive, send)
        elif name == "429":
            await self._reply_429(send)
        elif name == "slow":
            await asyncio.sleep(fault.seconds)
            await self._inner(scope, receive, send)
        elif name in {"drop_after", "slow_after", "garbage"} or name.endswith("_after"):
            kept: list[Message] = []

            async def keep(message: Message) -> None:
                kept.append(message)

            await self._inner(scope, receive, keep)
            if name == "drop_after":
                await _hang_up(receive, send)
            elif name == "slow_after":
                await asyncio.sleep(fault.seconds)
                for message in kept:
                    await send(message)
            elif name == "garbage":
                await _reply(send, 200, b'{"orderId": "\xff\xfe<html>', b"application/json")
            else:
                await self._reply_fault(fault, scope, send)
        else:
            await self._reply_fault(fault, scope, send)

    async def _reply_fault(self, fault: Fault, scope: HTTPScope, send: Send) -> None:
        name = fault.fault.removesuffix("_after").removesuffix("_before")
        if name in {"500", "503"}:
            error = EsaError("Error" if name == "500" else "HttpClient", "Something went wrong.")
            error.status = fault.status or int(name)
        else:
            status = fault.status or KIND_STATUSES.get(name)
            is_sold_out = name == "HttpClient" and status == HTTPStatus.NOT_FOUND
            detail = None if is_sold_out else "The stand-in was told to answer so."
            error = EsaError(name, detail, status=status)
        path, method = scope["path"], str(scope["method"])
        status, body = self._answers.error(error, path, method)
        await _reply(send, status, body, b"application/json")

    async def _reply_429(self, send: Send) -> None:
        body = msgspec.json.encode({"message": "API rate limit exceeded"})
        await _reply(send, 429, body, b"application/json", (b"retry-after", b"1"))

    def _take(self, name: str) -> Fault | None:
        faults = self._store.switches.faults
        for position, fault in enumerate(faults):
            if fault.op not in {"*", name}:
                continue
            left = (
                () if fault.times <= 1 else (msgspec.structs.replace(fault, times=fault.times - 1),)
            )
            with self._store.acting():
                self._store.switch(faults=(*faults[:position], *left, *faults[position + 1 :]))
            return fault
        return None

    def _too_many(self, *, write: bool) -> bool:
        config = self._store.config
        minute = int(self._store.now().timestamp() // 60)
        window, reads, writes = self._window
        if window != minute:
            reads, writes = 0, 0
        reads, writes = (reads, writes + 1) if write else (reads + 1, writes)
        self._window = (minute, reads, writes)
        most = config.writes_per_minute if write else config.reads_per_minute
        return most is not None and (writes if write else reads) > most


async def _hang_up(receive: Receive, send: Send) -> None:
    """Close the connection without an answer."""
    cycle: object = getattr(send, "__self__", None)
    transport: object = getattr(cycle, "transport", None)
    abort = getattr(transport, "abort", None)
    if abort is None:
        raise httpx.ReadError("the stand-in closed the connection without an answer")
    abort()
    for _ in range(MAX_LEFT_OVER):
        message = await receive()
        if message["type"] == "http.disconnect":
            return


async def _reply(
    send: Send, status: int, body: bytes, media: bytes, *headers: tuple[bytes, bytes]
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", media),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
