"""The stand-in put together: one store, its engine, its webhooks and its two sets of routes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec
from litestar import Litestar, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from bitloot_adapters.sandbox.kinguin.answers import Answers, Call
from bitloot_adapters.sandbox.kinguin.config import KinguinSandboxConfig
from bitloot_adapters.sandbox.kinguin.control import PREFIX, control_routes
from bitloot_adapters.sandbox.kinguin.control_call import ControlError
from bitloot_adapters.sandbox.kinguin.delivery import DeliveryEngine
from bitloot_adapters.sandbox.kinguin.errors import EsaError
from bitloot_adapters.sandbox.kinguin.gate import Gate
from bitloot_adapters.sandbox.kinguin.routes import (
    dictionary_routes,
    key_routes,
    order_routes,
    product_routes,
)
from bitloot_adapters.sandbox.kinguin.state import Store
from bitloot_adapters.sandbox.kinguin.webhooks import Deliver, Outbox

TICK_SECONDS = 0.1


def build_app(
    config: KinguinSandboxConfig,
    *,
    clock: Callable[[], datetime] | None = None,
    deliver: Deliver | None = None,
) -> Litestar:
    """A Kinguin stand-in as an ASGI application.

    `clock` replaces the real UTC clock; the control door's `advance` comes on top of it.
    `deliver` replaces the HTTP client that posts webhooks. Served with a lifespan, the
    application does what falls due by itself; without one (`httpx.ASGITransport`) deliveries
    happen when they are looked at and webhooks leave on `POST /_control/advance`.
    """
    store = Store(config, clock)
    outbox = Outbox(store, deliver)
    engine = DeliveryEngine(store, outbox)
    answers = Answers(store, engine.run_due)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        ticking = asyncio.create_task(_tick(store, engine, outbox))
        try:
            yield
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking
            await outbox.close()
            store.close()

    app = Litestar(
        route_handlers=[
            *product_routes(store, answers),
            *dictionary_routes(answers),
            *order_routes(store, answers, engine),
            *key_routes(store, answers, engine),
            *control_routes(store, engine, outbox),
        ],
        exception_handlers=_exception_handlers(answers),
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=config.max_body_bytes,
    )
    app.asgi_handler = Gate(app.asgi_handler, store, answers)
    return app


async def _tick(store: Store, engine: DeliveryEngine, outbox: Outbox) -> None:
    while True:
        with store.acting():
            engine.run_due()
        await outbox.send_due()
        await asyncio.sleep(TICK_SECONDS)


def _exception_handlers(answers: Answers) -> ExceptionHandlersMap:
    """Unknown routes, wrong methods and large bodies are `Http`; the unforeseen is `Error`."""

    def http(request: Call, error: HTTPException) -> Response[bytes]:
        if request.url.path.startswith(PREFIX):
            return _control_refusal(error.status_code, error.detail)
        refusal = EsaError("Http", error.detail, status=error.status_code)
        return answers.refused(request, refusal)

    def control(_: Call, error: ControlError) -> Response[bytes]:
        return _control_refusal(error.status, str(error))

    def unforeseen(request: Call, error: Exception) -> Response[bytes]:
        if request.url.path.startswith(PREFIX):
            return _control_refusal(500, repr(error))
        return answers.refused(request, EsaError("Error", "An unexpected error occurred."))

    return {HTTPException: http, ControlError: control, Exception: unforeseen}


def _control_refusal(status: int, detail: str) -> Response[bytes]:
    body = msgspec.json.encode({"error": detail})
    return Response(body, status_code=status, media_type=MediaType.JSON)
