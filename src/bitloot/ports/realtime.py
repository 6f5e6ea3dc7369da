"""A wake-up for those who watch an order. A hint only: the events are in the database."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Realtime(Protocol):
    """Losing a message is harmless: watchers also look by themselves."""

    async def publish(self, order_id: str, seq: int) -> None:
        """Tell watchers that the order has events up to `seq`. Never raises for a lost store."""
        ...

    def watch(self, order_id: str) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        """The sequence numbers as they are published; ends quietly when the store is lost."""
        ...
