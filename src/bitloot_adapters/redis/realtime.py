"""Wake-ups between processes by publish and subscribe.

Each process listens on one connection, however many watch in it, and only while somebody does. All
orders share one channel: a message is some fifty bytes, and dropping those that nobody here watches
is cheaper than subscribing and unsubscribing for every page that is opened.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Final

from redis.asyncio import Redis

from bitloot.ports.errors import StoreUnavailable
from bitloot_adapters.redis.connection import CALL_SECONDS, HINT_SECONDS, LOST, reached

CHANNEL: Final = "bitloot:events"
# A watcher who is slower than this loses the oldest hints; the newest say all that counts.
HINTS_KEPT: Final = 64

_log = logging.getLogger(__name__)


class _Watcher:
    """The sequence numbers of one order as they come; None ends it."""

    def __init__(self) -> None:
        self._hints: asyncio.Queue[int | None] = asyncio.Queue(HINTS_KEPT)

    def tell(self, seq: int | None) -> None:
        if self._hints.full():
            self._hints.get_nowait()
        self._hints.put_nowait(seq)

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        seq = await self._hints.get()
        if seq is None:
            raise StopAsyncIteration
        return seq


class RedisRealtime:
    """`watch` may be entered by any number of tasks of one event loop."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._watchers: dict[str, set[_Watcher]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()

    async def publish(self, order_id: str, seq: int) -> None:
        """Tell the watchers of an order, in every process. A lost server is not their trouble."""
        try:
            async with reached(HINT_SECONDS):
                await self._redis.publish(CHANNEL, f"{seq} {order_id}")
        except StoreUnavailable as error:
            _log.info("wake-up lost: %s", error)

    def watch(self, order_id: str) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        """The sequence numbers of an order from now on, until the server is lost."""
        return self._watch(order_id)

    @asynccontextmanager
    async def _watch(self, order_id: str) -> AsyncIterator[AsyncIterator[int]]:
        watcher = _Watcher()
        try:
            await self._enter(order_id, watcher)
            yield watcher
        finally:
            self._leave(order_id, watcher)
            await self._stop()

    async def _enter(self, order_id: str, watcher: _Watcher) -> None:
        """On return what is published is heard, or the watcher was told that nothing will come."""
        async with self._changing:
            if self._listener is None or self._listener.done():
                settled = asyncio.Event()
                self._listener = asyncio.create_task(self._listen(settled))
                await settled.wait()
            if self._listener.done():
                watcher.tell(None)
            else:
                self._watchers.setdefault(order_id, set()).add(watcher)

    def _leave(self, order_id: str, watcher: _Watcher) -> None:
        watchers = self._watchers.get(order_id, set())
        watchers.discard(watcher)
        if not watchers:
            self._watchers.pop(order_id, None)

    async def _stop(self) -> None:
        async with self._changing:
            if self._watchers or self._listener is None:
                return
            self._listener.cancel()
            await asyncio.wait({self._listener})
            self._listener = None

    async def _listen(self, settled: asyncio.Event) -> None:
        try:
            async with aclosing(self._redis.pubsub()) as pubsub:
                async with asyncio.timeout(CALL_SECONDS):
                    await pubsub.subscribe(CHANNEL)
                    # The server's word that it listens; nothing else can come before it.
                    await pubsub.get_message(timeout=None)
                settled.set()
                while True:
                    message = await pubsub.get_message(timeout=None)
                    if message is not None and message["type"] == "message":
                        self._hand_out(message["data"])
        except LOST as error:
            _log.info("wake-ups lost: %s", type(error).__name__)
        finally:
            # Nothing is awaited after this: whoever waits finds the task done.
            settled.set()
            self._tell_off()

    def _hand_out(self, data: object) -> None:
        seq, _, order_id = (data.decode() if isinstance(data, bytes) else "").partition(" ")
        if seq.isdecimal():
            for watcher in tuple(self._watchers.get(order_id, ())):
                watcher.tell(int(seq))

    def _tell_off(self) -> None:
        """Nothing more will come: those who watch look by themselves, or watch anew."""
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.tell(None)
        self._watchers.clear()
