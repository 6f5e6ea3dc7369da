"""Wake-ups between tasks of one process."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

# A watcher who is slower than this loses the oldest hints; the newest say all that counts.
HINTS_KEPT: Final = 64


class _Watcher:
    """The sequence numbers of one order as they come."""

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


class MemoryRealtime:
    """`lose` plays a lost store: watches end, what is published meanwhile is heard by nobody."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[_Watcher]] = defaultdict(set)
        self._is_down = False

    async def publish(self, order_id: str, seq: int) -> None:
        """Tell the watchers of an order."""
        for watcher in tuple(self._watchers.get(order_id, ())):
            watcher.tell(seq)

    def watch(self, order_id: str) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        """The sequence numbers of an order from now on."""
        return self._watch(order_id)

    def lose(self) -> None:
        """The store is lost."""
        self._is_down = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.tell(None)
        self._watchers.clear()

    def come_back(self) -> None:
        """The store is there again, for those who watch anew."""
        self._is_down = False

    @asynccontextmanager
    async def _watch(self, order_id: str) -> AsyncIterator[AsyncIterator[int]]:
        watcher = _Watcher()
        if self._is_down:
            watcher.tell(None)
        else:
            self._watchers[order_id].add(watcher)
        try:
            yield watcher
        finally:
            watchers = self._watchers.get(order_id, set())
            watchers.discard(watcher)
            if not watchers:
                self._watchers.pop(order_id, None)
