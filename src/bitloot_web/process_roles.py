"""The roles of a process: web, worker, scheduler; one can run all of them, or each its own.

A signal to stop is told to every role at once: the web server ends open streams and finishes what
it is answering, the worker lets running jobs end, and then the neighbours are closed.
"""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from math import ceil
from typing import Final, Literal, TypeAlias

import structlog
import uvicorn
from litestar.handlers import BaseRouteHandler

from bitloot.domain.limits import Limits
from bitloot_web.asgi import build_app
from bitloot_web.composition.opening import OpenShop, open_shop
from bitloot_web.plugins import Configuration
from bitloot_web.scheduler import Scheduler, at_start, ticks

log = structlog.get_logger(__name__)

Role: TypeAlias = Literal["web", "worker", "scheduler"]
ALL_ROLES: Final = frozenset[Role]({"web", "worker", "scheduler"})
BACKLOG: Final = 2048


class CannotListenError(Exception):
    """The address to serve at is taken or not ours; the text says which."""


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing to capture."""
        yield


async def run_roles(configuration: Configuration, roles: frozenset[Role]) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_shop(configuration) as opened, running(opened, roles, stop):
        await stop.wait()


@contextlib.asynccontextmanager
async def running(
    opened: OpenShop, roles: frozenset[Role], stop: asyncio.Event
) -> AsyncIterator[None]:
    """The roles, while the block runs; `stop` is set when it is left, or when a role ends early."""
    starting = {"web": web, "worker": _worker, "scheduler": _scheduler}
    tasks = [
        asyncio.create_task(start(opened, stop), name=role)
        for role, start in starting.items()
        if role in roles
    ]
    for task in tasks:
        task.add_done_callback(lambda _: stop.set())
    log.info("roles_running", roles=sorted(roles))
    end_metrics = _metrics_apart(opened, roles)
    try:
        yield
    finally:
        stop.set()
        end_metrics()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException):
            raise error


def _metrics_apart(opened: OpenShop, roles: frozenset[Role]) -> Callable[[], None]:
    """Metrics of a process that serves no HTTP otherwise. Gives the call that ends it."""
    settings = opened.configuration.settings
    if "web" in roles or not settings.metrics_port:
        return lambda: None
    try:
        return opened.shop.metrics.serve(settings.host, settings.metrics_port)
    except OSError as error:
        where = f"{settings.host}:{settings.metrics_port}"
        raise CannotListenError(f"cannot serve metrics on {where}: {error.strerror}") from None


async def web(
    opened: OpenShop, stop: asyncio.Event, *, more: Sequence[BaseRouteHandler] = ()
) -> None:
    """Serve the shop until `stop` is set; `more` are routes beside those of the API."""
    settings = opened.configuration.settings
    app = build_app(opened.shop, more=more)
    _keep_what_is_loaded()
    server = Server(
        uvicorn.Config(
            app,
            loop="none",
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=settings.limits.body_bytes,
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_grace_seconds(settings.limits),
        )
    )
    listening = _listen(settings.host, settings.port)
    async with opened.following_catalogue():
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        # The server waits for open event streams, so they are told to end first.
        app.watchers.stop()
        server.should_exit = True
        stopping.cancel()
        await serving


def _grace_seconds(limits: Limits) -> int:
    """How long requests may take to end: as long as jobs and their broker have together."""
    return ceil((limits.stop_wait_tasks + limits.stop_shutdown).total_seconds())


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListenError(f"cannot listen on {host}:{port}: {error.strerror}") from None


async def _worker(opened: OpenShop, stop: asyncio.Event) -> None:
    from bitloot_web.worker import work  # with Taskiq, which no other role needs

    _keep_what_is_loaded()
    settings = opened.configuration.settings
    plan = at_start(settings.limits, settings.suppliers)
    starting = Scheduler(opened.neighbours.jobs, opened.neighbours.clock, plan)
    async with opened.workroom() as room, asyncio.TaskGroup() as group:
        group.create_task(starting.once(stop), name="starting sweeps")
        await work(
            room.broker,
            room.relay,
            room.runner.run,
            limits=settings.limits,
            concurrency=settings.worker_concurrency,
            stop=stop,
        )


async def _scheduler(opened: OpenShop, stop: asyncio.Event) -> None:
    _keep_what_is_loaded()
    settings = opened.configuration.settings
    plan = ticks(settings.limits, settings.suppliers)
    await Scheduler(opened.neighbours.jobs, opened.neighbours.clock, plan).run(stop)


def _keep_what_is_loaded() -> None:
    """Begin to collect garbage, but never again look for it among what was there at the start.

    Going through all modules and statements takes tens of milliseconds in which nobody is answered.
    """
    gc.freeze()
    gc.enable()
