"""What stands in front of the API: the per-address limiter and the injected faults."""

import asyncio
import re
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, Literal, TypeGuard, cast, get_args

import httpx
import msgspec
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import (
    HTTPScope,
    LifeSpanReceive,
    LifeSpanScope,
    LifeSpanSend,
    Message,
    Receive,
    Scope,
    Send,
)

from bitloot_adapters.sandbox.nowpayments.world import World

FaultKind = Literal[
    "500_before",
    "500_after",
    "502_html",
    "drop_before",
    "drop_after",
    "slow",
    "slow_after",
    "429",
    "403_html",
    "garbage",
]
FAULT_KINDS: Final = get_args(FaultKind)
_MOST_FAULTS: Final = 1_000
_REMEMBERED_ADDRESSES: Final = 10_000
_WINDOW: Final = timedelta(seconds=1)

_OPERATIONS: Final = tuple(
    (method, re.compile(pattern), operation)
    for method, pattern, operation in (
        ("GET", r"/v1/status/?", "status"),
        ("POST", r"/v1/auth/?", "auth"),
        ("GET", r"/v1/currencies/?", "currencies"),
        ("GET", r"/v1/full-currencies/?", "full_currencies"),
        ("GET", r"/v1/merchant/coins/?", "merchant_coins"),
        ("GET", r"/v1/min-amount/?", "min_amount"),
        ("GET", r"/v1/estimate/?", "estimate"),
        ("POST", r"/v1/payment/?", "create_payment"),
        ("POST", r"/v1/invoice/?", "create_invoice"),
        ("POST", r"/v1/invoice-payment/?", "create_invoice_payment"),
        ("POST", r"/v1/payment/[^/]+/update-merchant-estimate/?", "update_estimate"),
        ("GET", r"/v1/payment/?", "list_payments"),
        ("GET", r"/v1/payment/[^/]+/?", "get_payment"),
    )
)
OPERATIONS: Final = (*(operation for _, _, operation in _OPERATIONS), "*")

_JSON: Final = b"application/json; charset=utf-8"
_HTML: Final = b"text/html"
_SERVER_ERROR: Final = (
    b'{"status":false,"statusCode":500,"code":"INTERNAL_ERROR","message":"Internal server error"}'
)
_GARBAGE: Final = b'{"payment_id":"43009\xff\xfe<<<'


def _page(title: str) -> bytes:
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    ).encode()


class Fault(msgspec.Struct, kw_only=True):
    """`kind` happens to the next `times` calls of `op` (`*` is any)."""

    op: str
    kind: FaultKind
    times: int = 1
    seconds: float = 0.0


class ReplyLostError(httpx.RemoteProtocolError):
    """The connection ended without a response, seen from a client in the same process."""

    def __init__(self) -> None:
        super().__init__("Server disconnected without sending a response.")


class Gate:
    """Decides for each call of the API whether, and how, it goes wrong."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.faults: list[Fault] = []
        self.calls: dict[str, int] = {}
        self._seen: OrderedDict[tuple[str, str], deque[datetime]] = OrderedDict()

    def inject(self, fault: Fault) -> None:
        if len(self.faults) >= _MOST_FAULTS:
            raise OverflowError(f"more than {_MOST_FAULTS} faults")
        self.faults.append(fault)

    def reset(self) -> None:
        self.faults.clear()
        self.calls.clear()
        self._seen.clear()

    async def serve(self, app: "_Asgi", scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer one call of the API, through `app` unless a fault says otherwise."""
        operation = _operation(scope["method"], scope["path"])
        self.calls[operation] = self.calls.get(operation, 0) + 1
        if self._over_limit(scope, operation):
            await _answer(send, 429, _HTML, _page("429 Too Many Requests"))
            return
        fault = self._take(operation)
        if fault is None:
            await app(scope, receive, send)
            return
        await _fail(fault, app, scope, (receive, send))

    def _take(self, operation: str) -> Fault | None:
        for fault in self.faults:
            if fault.op in {operation, "*"}:
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    def _over_limit(self, scope: HTTPScope, operation: str) -> bool:
        """Counted per address, before any key is looked at."""
        config = self._world.config
        client = scope.get("client")
        address = client[0] if client else ""
        own = {"create_payment": config.create_per_second, "estimate": config.estimate_per_second}
        limits = (("*", config.any_per_second), (operation, own.get(operation)))
        over = [self._hit(address, name, limit) for name, limit in limits if limit is not None]
        return any(over)

    def _hit(self, address: str, name: str, limit: int) -> bool:
        now = self._world.clock.now()
        hits = self._seen.setdefault((address, name), deque())
        self._seen.move_to_end((address, name))
        if len(self._seen) > _REMEMBERED_ADDRESSES:
            self._seen.popitem(last=False)
        while hits and hits[0] <= now - _WINDOW:
            hits.popleft()
        if len(hits) >= limit:
            return True
        hits.append(now)
        return False


_Asgi = Callable[[HTTPScope, Receive, Send], Awaitable[None]]


class GatedApp(Litestar):
    """A Litestar application whose `/v1` calls pass the gate first."""

    gate: Gate

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        if _is_http(scope) and scope["path"].startswith("/v1/"):
            asgi = (cast("Receive", receive), cast("Send", send))
            await self.gate.serve(super().__call__, scope, *asgi)
        else:
            await super().__call__(scope, receive, send)


def _is_http(scope: Scope | LifeSpanScope) -> TypeGuard[HTTPScope]:
    return scope["type"] == ScopeType.HTTP


def _operation(method: str, path: str) -> str:
    for known, pattern, operation in _OPERATIONS:
        if method == known and pattern.fullmatch(path):
            return operation
    return "unknown"


async def _fail(fault: Fault, app: _Asgi, scope: HTTPScope, channel: tuple[Receive, Send]) -> None:
    receive, send = channel
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
        await app(scope, receive, send)
        return
    if fault.kind in {"500_after", "drop_after", "slow_after", "garbage"}:
        held = await _hold(app, scope, receive)
        if fault.kind == "slow_after":
            await asyncio.sleep(fault.seconds)
            for message in held:
                await send(message)
            return
    if fault.kind in {"drop_before", "drop_after"}:
        await _drop(receive, send)
    elif fault.kind in {"500_before", "500_after"}:
        await _answer(send, 500, _JSON, _SERVER_ERROR)
    elif fault.kind == "502_html":
        await _answer(send, 502, _HTML, _page("502 Bad Gateway"))
    elif fault.kind == "429":
        await _answer(send, 429, _HTML, _page("429 Too Many Requests"))
    elif fault.kind == "403_html":
        await _answer(send, 403, _HTML, _page("403 Forbidden"))
    else:
        await _answer(send, 200, _JSON, _GARBAGE)


async def _hold(app: _Asgi, scope: HTTPScope, receive: Receive) -> list[Message]:
    """Do the work and keep the reply back."""
    held: list[Message] = []

    async def keep(message: Message) -> None:
        held.append(message)

    await app(scope, receive, keep)
    return held


async def _drop(receive: Receive, send: Send) -> None:
    """Close the socket without a byte of a response.

    uvicorn offers no message for that: its `send` belongs to the request's cycle, which
    holds the transport. In one process there is no socket, so the caller's client gets the
    exception that it would raise for a closed one.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ReplyLostError
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, content_type: bytes, body: bytes) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
