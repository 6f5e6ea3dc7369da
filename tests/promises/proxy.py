"""A network that fails on demand: a TCP proxy before PostgreSQL, Valkey or an HTTP server.

Proxies run in an event loop and a thread of their own, so that what a test waits for never stops
them. All calls of `Proxy` are made from other threads.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from tests.promises.commits import Commits

Mode: TypeAlias = Literal["pass", "cut", "stall", "delay", "half-close"]
# Told the statements of a commit; whether the answer to it is to be lost.
Fate: TypeAlias = Callable[[str], bool]
CHUNK: Final = 65_536
ANSWER_SECONDS: Final = 10.0
# struct linger: on, for no time.
AT_ONCE: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Address:
    """A path of a Unix socket, or a port of the loopback."""

    where: Path | int

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.where, int):
            return await asyncio.open_connection("127.0.0.1", self.where)
        return await asyncio.open_unix_connection(str(self.where))


def reset(side: asyncio.StreamWriter) -> None:
    """End a connection at once, so that the peer is told of a reset and not of a good end."""
    if not side.transport.is_closing() and side.get_extra_info("sockname"):
        side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    side.transport.abort()


@dataclass(eq=False)
class Link:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    commits: Commits | None
    is_doomed: bool = False

    def cut(self) -> None:
        for side in (self.client, self.server):
            reset(side)


@dataclass(eq=False)
class Proxy:
    """Passes everything on, until it is told otherwise.

    `cut` ends connections and refuses new ones; `stall` keeps every byte until it passes again;
    `delay` holds each chunk back for `seconds`; `half-close` tells clients that the server has said
    all, but goes on listening to them. `lost` counts commits that were carried out and whose answer
    nobody got, by the word that `fate` was given to judge.
    """

    target: Address
    loop: asyncio.AbstractEventLoop
    reads_commits: bool
    port: int = 0
    mode: Mode = "pass"
    seconds: float = 0.0
    fate: Fate | None = None
    lost: list[str] = field(default_factory=list)
    links: set[Link] = field(default_factory=set)
    flows: asyncio.Event = field(default_factory=asyncio.Event)

    # --- from other threads ---

    def turn(self, mode: Mode, seconds: float = 0.0) -> None:
        """Behave so from now on; on return it does."""
        asyncio.run_coroutine_threadsafe(self._turn(mode, seconds), self.loop).result()

    def lose_commits(self, fate: Fate | None) -> None:
        """Ask this of every commit from now on; None loses none."""
        self.fate = fate

    async def _turn(self, mode: Mode, seconds: float) -> None:
        self.mode, self.seconds = mode, seconds
        if mode == "stall":
            self.flows.clear()
        else:
            self.flows.set()
        for link in list(self.links):
            if mode == "cut":
                link.cut()
            elif mode == "half-close" and link.client.can_write_eof():
                link.client.write_eof()

    # --- in the loop ---

    async def serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        if self.mode == "cut":
            reset(client)
            return
        try:
            from_server, server = await self.target.open()
        except OSError:
            reset(client)
            return
        link = Link(client, server, Commits() if self.reads_commits else None)
        self.links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, reader, server, asked=True),
                self._pump(link, from_server, client, asked=False),
            )
        finally:
            self.links.discard(link)
            link.cut()

    async def _pump(
        self, link: Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asked: bool
    ) -> None:
        # Whoever hung up meanwhile cannot be told of an end: that is no ConnectionError.
        with contextlib.suppress(OSError, RuntimeError):
            while chunk := await source.read(CHUNK):
                await self.flows.wait()
                if self.mode == "delay":
                    await asyncio.sleep(self.seconds)
                if link.commits is not None and not self._read_along(link, chunk, asked=asked):
                    continue
                if not (self.mode == "half-close" and not asked):
                    sink.write(chunk)
                    await sink.drain()
            if sink.can_write_eof() and not sink.is_closing():
                sink.write_eof()
        if not asked:
            link.cut()

    def _read_along(self, link: Link, chunk: bytes, *, asked: bool) -> bool:
        """Whether the chunk is passed on. The whole answer to a doomed commit is awaited first, so
        that it is certain to have been carried out.
        """
        assert link.commits is not None
        if asked:
            for statements in link.commits.asked(chunk):
                if self.fate is not None and not link.is_doomed and self.fate(statements):
                    link.is_doomed = True
                    self.lost.append(statements)
            return True
        link.commits.heard(chunk)
        if link.is_doomed and link.commits.is_answered:
            link.cut()
        return not link.is_doomed


class Proxies:
    """Where proxies are opened."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._servers: list[asyncio.Server] = []

    def open(self, where: Path | int, *, reads_commits: bool = False) -> Proxy:
        """A proxy on a free port of the loopback, before a Unix socket or a port."""
        return asyncio.run_coroutine_threadsafe(
            self._open(Address(where), reads_commits=reads_commits), self._loop
        ).result()

    async def _open(self, target: Address, *, reads_commits: bool) -> Proxy:
        proxy = Proxy(target, self._loop, reads_commits)
        proxy.flows.set()
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        self._servers.append(server)
        return proxy

    async def end(self) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # Aborted transports close in the next round of the loop.
        await asyncio.sleep(0)


@contextlib.contextmanager
def open_proxies() -> Iterator[Proxies]:
    """Proxies, until the block is left."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxies", daemon=True)
    thread.start()
    proxies = Proxies(loop)
    try:
        yield proxies
    finally:
        asyncio.run_coroutine_threadsafe(proxies.end(), loop).result(ANSWER_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
