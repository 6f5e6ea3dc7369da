"""A stand-in behind a real socket of this machine, for what only a socket can show."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn

READY_SECONDS = 10.0


class _Announced(uvicorn.Server):
    """A server that says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def served(app: Callable[..., Awaitable[None]]) -> AsyncIterator[str]:
    """The application on a free port of the loopback, with its lifespan; gives the base address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", ws="none")
        server = _Announced(config)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        await asyncio.wait_for(server.ready.wait(), READY_SECONDS)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
