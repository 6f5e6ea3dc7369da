"""Builds the stand-in as an ASGI application, for one process or as a server of its own."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

import httpx
import msgspec
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.enums import MediaType, ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from bitloot_adapters.sandbox.hanging_up import hang_up
from bitloot_adapters.sandbox.turnstile import control, siteverify
from bitloot_adapters.sandbox.turnstile.config import TurnstileSandboxConfig
from bitloot_adapters.sandbox.turnstile.control import ControlError
from bitloot_adapters.sandbox.turnstile.faults import AFTER, Fault
from bitloot_adapters.sandbox.turnstile.stand_in import StandIn
from bitloot_adapters.sandbox.turnstile.tokens import refusal

MAX_BODY_BYTES: Final = 64 * 1024
_GARBAGE: Final = b"<html><body>error code: 1200</body></html>"
_log = logging.getLogger(__name__)


def build_app(
    config: TurnstileSandboxConfig, *, clock: Callable[[], datetime] | None = None
) -> Litestar:
    """One stand-in. ``clock`` gives aware UTC time (default: the machine's)."""
    stand_in = StandIn(config, clock)

    async def provide_stand_in() -> StandIn:
        return stand_in

    app = Litestar(
        route_handlers=[siteverify.siteverify, *control.ROUTES],
        dependencies={"stand_in": Provide(provide_stand_in)},
        exception_handlers={
            ControlError: _written_control_error,
            HTTPException: _written_http_error,
            Exception: _written_failure,
        },
        state=State({"stand_in": stand_in}),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_BODY_BYTES,
    )
    app.asgi_handler = _Gate(app.asgi_handler, stand_in)
    return app


class _Gate:
    """Lets the armed faults happen; the control door passes untouched."""

    def __init__(self, inner: ASGIApp, stand_in: StandIn) -> None:
        self._inner = inner
        self._stand_in = stand_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_call = scope["type"] == ScopeType.HTTP and scope["path"] == siteverify.PATH
        fault = self._stand_in.faults.take() if is_call else None
        if fault is None:
            await self._inner(scope, receive, send)
            return
        await asyncio.sleep(fault.seconds)
        if fault.fault == "slow":
            await self._inner(scope, receive, send)
            return
        if fault.fault in AFTER:
            await self._inner(scope, receive, _swallow)
        await _fail(fault, receive, send)


async def _fail(fault: Fault, receive: Receive, send: Send) -> None:
    match fault.fault:
        case "refused" if getattr(getattr(receive, "__self__", None), "transport", None) is None:
            raise httpx.ConnectError("All connection attempts failed")
        case "refused" | "drop_before" | "drop_after":
            await hang_up(receive)
        case "garbage":
            await _write(send, 200, MediaType.HTML, _GARBAGE)
        case "503":
            await _write(send, 503, MediaType.TEXT, b"error code: 1200")
        case _:
            body = msgspec.json.encode(refusal(*fault.codes))
            await _write(send, 200, MediaType.JSON, body)


async def _swallow(_: Message) -> None:
    """Whatever was to be answered."""


async def _write(send: Send, status: int, media_type: MediaType, body: bytes) -> None:
    headers = [
        (b"content-type", media_type.value.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _written(status: int, body: object) -> Response[bytes]:
    return Response(msgspec.json.encode(body), status_code=status, media_type=MediaType.JSON)


def _written_control_error(
    _: Request[object, object, State], error: ControlError
) -> Response[bytes]:
    return _written(400, {"error": str(error)})


def _written_http_error(
    request: Request[object, object, State], error: HTTPException
) -> Response[bytes]:
    if request.scope["path"] == siteverify.PATH:
        return _written(error.status_code, refusal("bad-request"))
    return _written(error.status_code, {"error": error.detail})


def _written_failure(_: Request[object, object, State], error: Exception) -> Response[bytes]:
    _log.error("the stand-in failed", exc_info=error)
    return _written(500, refusal("internal-error"))
