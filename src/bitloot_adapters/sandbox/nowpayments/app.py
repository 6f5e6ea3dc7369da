"""The NOWPayments stand-in as an ASGI application.

It runs in the caller's process (`httpx.ASGITransport(app=build_app(config))`) or as a server
of its own (`uvicorn.run(build_app(config))`). With the ASGI lifespan started, callbacks leave
on their own in real time; without it, each call of the control door sends what is due before
it answers, so that tests on a virtual clock are deterministic.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from bitloot_adapters.sandbox.nowpayments.api import api_error, api_router, http_error
from bitloot_adapters.sandbox.nowpayments.clock import system_time
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig
from bitloot_adapters.sandbox.nowpayments.control import control_router
from bitloot_adapters.sandbox.nowpayments.errors import ApiError
from bitloot_adapters.sandbox.nowpayments.gate import Gate, GatedApp
from bitloot_adapters.sandbox.nowpayments.hosted_page import page_router
from bitloot_adapters.sandbox.nowpayments.outbox import Deliver, HttpSender, Outbox
from bitloot_adapters.sandbox.nowpayments.transitions import apply_due, next_due
from bitloot_adapters.sandbox.nowpayments.world import World

LARGEST_BODY: Final = 64 * 1024
_LONGEST_SLEEP: Final = 0.5
_SHORTEST_SLEEP: Final = 0.01


def build_app(
    config: NowPaymentsSandboxConfig | None = None,
    *,
    clock: Callable[[], datetime] | None = None,
    deliver: Deliver | None = None,
) -> Litestar:
    """Make one stand-in server.

    `clock` is the base that the control door's time offset is added to; `deliver` sends the
    callbacks (url, headers, body → status and body), by default over plain HTTP.
    """
    world = World.open(config or NowPaymentsSandboxConfig(), clock or system_time)
    sender = HttpSender()
    outbox = Outbox(world, deliver or sender)
    gate = Gate(world)

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        task = asyncio.create_task(_deliver_forever(world, outbox))
        world.runner_active = True
        try:
            yield
        finally:
            world.runner_active = False
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await sender.close()
            world.store.close()

    app = GatedApp(
        route_handlers=[api_router(), control_router(), page_router()],
        state=State({"world": world, "outbox": outbox, "gate": gate}),
        exception_handlers={ApiError: api_error, HTTPException: http_error},
        lifespan=[running],
        request_max_body_size=LARGEST_BODY,
        openapi_config=None,
        logging_config=None,
    )
    app.gate = gate
    return app


async def _deliver_forever(world: World, outbox: Outbox) -> None:
    async with asyncio.TaskGroup() as sends:
        while True:
            world.wake.clear()
            apply_due(world)
            world.wake.clear()
            sends.create_task(outbox.run_due())
            due = next_due(world)
            gap = _LONGEST_SLEEP if due is None else (due - world.clock.now()).total_seconds()
            with suppress(TimeoutError):
                pause = min(max(gap, _SHORTEST_SLEEP), _LONGEST_SLEEP)
                await asyncio.wait_for(world.wake.wait(), pause)
