"""Answers kept in Redis for a while. A lost, slow or full server is a miss, never an error."""

import logging
from datetime import timedelta
from typing import Final

from redis.asyncio import Redis

from bitloot.ports.errors import StoreUnavailable
from bitloot_adapters.redis.connection import HINT_SECONDS, reached

PREFIX: Final = "bitloot:cache"
# A larger answer costs more to fetch than it saves, and would crowd the others out.
MAX_VALUE: Final = 512 * 1024

_log = logging.getLogger(__name__)


class RedisCache:
    """Every entry has an end, so a server that evicts nothing does not fill up."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, key: str) -> bytes | None:
        """The stored bytes, None when absent, over, or out of reach."""
        try:
            async with reached(HINT_SECONDS):
                found = await self._redis.get(_key(key))
        except StoreUnavailable as error:
            _log.info("cache lost: %s", error)
            return None
        return found if isinstance(found, bytes) else None

    async def put(self, key: str, value: bytes, *, life: timedelta) -> None:
        """Store bytes for that long; what is too large or already over is not kept."""
        milliseconds = round(life.total_seconds() * 1000)
        if len(value) > MAX_VALUE or milliseconds <= 0:
            # An older answer must not outlive the one that replaces it.
            await self.forget(key)
            return
        try:
            async with reached(HINT_SECONDS):
                await self._redis.set(_key(key), value, px=milliseconds)
        except StoreUnavailable as error:
            _log.info("cache lost: %s", error)

    async def forget(self, key: str) -> None:
        """Drop one entry."""
        try:
            async with reached(HINT_SECONDS):
                await self._redis.delete(_key(key))
        except StoreUnavailable as error:
            _log.info("cache lost: %s", error)


def _key(key: str) -> str:
    return f"{PREFIX}:{key}"
