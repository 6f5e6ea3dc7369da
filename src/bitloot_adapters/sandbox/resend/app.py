"""Builds the stand-in as an ASGI application, for one process or as a server of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from bitloot_adapters.sandbox.resend import control, emails, endpoints, mailbox, suppressions
from bitloot_adapters.sandbox.resend.config import ResendSandboxConfig
from bitloot_adapters.sandbox.resend.edge import Edge
from bitloot_adapters.sandbox.resend.errors import WireError
from bitloot_adapters.sandbox.resend.stand_in import StandIn
from bitloot_adapters.sandbox.resend.webhooks import Deliver

_log = logging.getLogger(__name__)


def build_app(
    config: ResendSandboxConfig,
    *,
    clock: Callable[[], datetime] | None = None,
    deliver: Deliver | None = None,
) -> Litestar:
    """One stand-in, reachable as ``app.state.stand_in`` too.

    ``clock`` gives aware UTC time (default: the machine's). ``deliver`` posts webhooks (default:
    over HTTP). Under a server, the lifespan sends what is due in real time; mounted without
    lifespan, nothing is sent until ``POST /_control/advance`` or ``/_control/run``.
    """
    stand_in = StandIn(config, clock=clock, deliver=deliver)

    async def provide_stand_in() -> StandIn:
        return stand_in

    app = Litestar(
        route_handlers=[
            *emails.ROUTES,
            *suppressions.ROUTES,
            *endpoints.ROUTES,
            *control.ROUTES,
            *mailbox.ROUTES,
        ],
        dependencies={"stand_in": Provide(provide_stand_in)},
        exception_handlers={
            WireError: _written_refusal,
            HTTPException: _written_http_error,
            Exception: _written_failure,
        },
        lifespan=[_lifespan(stand_in)],
        state=State({"stand_in": stand_in}),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    app.asgi_handler = Edge(app.asgi_handler, stand_in)
    return app


def _lifespan(
    stand_in: StandIn,
) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def run(_app: Litestar) -> AsyncIterator[None]:
        running = asyncio.create_task(stand_in.schedule.run_forever())
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            stand_in.state.close()

    return run


def _written(error: WireError) -> Response[bytes]:
    reply = error.reply()
    return Response(reply.body, status_code=reply.status, media_type=reply.headers["content-type"])


def _written_refusal(_request: Request[object, object, State], error: WireError) -> Response[bytes]:
    return _written(error)


def _written_http_error(
    _request: Request[object, object, State], error: HTTPException
) -> Response[bytes]:
    if error.status_code == 404:
        return _written(WireError("not_found", "The requested endpoint does not exist."))
    if error.status_code == 405:
        return _written(
            WireError("method_not_allowed", "Method is not allowed for the requested path.")
        )
    return _written(WireError("validation_error", error.detail, status=error.status_code))


def _written_failure(_request: Request[object, object, State], error: Exception) -> Response[bytes]:
    _log.error("the stand-in failed", exc_info=error)
    return _written(WireError("application_error", "An unexpected error occurred."))
