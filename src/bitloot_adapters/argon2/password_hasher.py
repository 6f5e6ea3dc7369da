"""The password port by argon2id (RFC 9106), off the event loop, bounded in CPU and memory.

Each hash runs in a thread of its own pool, which has as many threads as may hash at once: that is
the share of the processors and of memory (`password_hash_bytes` each) that passwords can take.
Before the pool stands a waiting room of bounded size.

Source: OWASP Password Storage Cheat Sheet, "Argon2id"; argon2-cffi 25.1.
"""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from bitloot.domain.limits import Limits
from bitloot.domain.password import normal_form
from bitloot.ports.errors import Busy

T = TypeVar("T")

THREADS: Final = "password-hashing"
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
# Seconds, after which most of a full waiting room has been served.
RETRY_AFTER: Final = 2.0
# A stored hash that asks for more work than so many of today's is taken for damaged.
MOST_WORK: Final = 32


class Argon2PasswordHasher:
    """`open_password_hasher` gives one. Belongs to the event loop that it was opened in."""

    def __init__(self, pool: ThreadPoolExecutor, limits: Limits) -> None:
        self._pool = pool
        self._argon2 = argon2.PasswordHasher(
            time_cost=limits.password_hash_passes,
            memory_cost=limits.password_hash_bytes // 1024,
            parallelism=limits.password_hash_lanes,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
        )
        self._nobodys = _of_nobody(self._argon2)
        self._most = limits.password_hashing_at_once + limits.password_hashing_waiting
        self._inside = 0

    async def hash(self, password: str) -> str:
        """The encoded hash, with its parameters and its salt in it. Raises Busy."""
        return await self._work(partial(self._argon2.hash, _bytes(password)))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """By the parameters that the hash was made with; its own words are not trusted. Raises
        Busy.
        """
        readable = hashed if hashed is not None and self._is_readable(hashed) else None
        matches = await self._work(partial(self._matches, readable or self._nobodys, password))
        return matches and readable is not None

    def is_outdated(self, hashed: str) -> bool:
        """Compares parameters only: costs nothing."""
        if not self._is_readable(hashed):
            return True
        return self._argon2.check_needs_rehash(hashed)

    def _is_readable(self, hashed: str) -> bool:
        if not hashed.isascii():
            return False
        try:
            found = argon2.extract_parameters(hashed)
        except InvalidHashError:
            return False
        most = MOST_WORK * self._argon2.memory_cost * self._argon2.time_cost
        work = found.memory_cost * found.time_cost
        return found.type is argon2.Type.ID and 0 < work <= most

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._argon2.verify(hashed, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _work(self, job: Callable[[], T]) -> T:
        """Wait for a thread and let it work. Who is cancelled while waiting leaves the room."""
        if self._inside >= self._most:
            raise Busy("password_hashing", retry_after=RETRY_AFTER)
        self._inside += 1
        running = self._pool.submit(job)
        future = asyncio.wrap_future(running)
        future.add_done_callback(self._leave)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # What a thread has begun cannot be stopped, and goes on to count until it ends.
            if not running.cancel():
                future.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    def _leave(self, _: object) -> None:
        self._inside -= 1


def _bytes(password: str) -> bytes:
    """Every text has bytes: an error that quotes what could not be encoded would quote it all."""
    return normal_form(password).encode("utf-8", "surrogatepass")


def _of_nobody(hasher: argon2.PasswordHasher) -> str:
    """What no password gives, with today's parameters: random bytes in place of a hash."""
    salt, digest = (
        b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()
        for size in (SALT_BYTES, HASH_BYTES)
    )
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"


@asynccontextmanager
async def open_password_hasher(limits: Limits) -> AsyncIterator[Argon2PasswordHasher]:
    """A hasher with threads of its own. Leaving the block waits for the hashes that have begun."""
    pool = ThreadPoolExecutor(limits.password_hashing_at_once, THREADS)
    try:
        yield Argon2PasswordHasher(pool, limits)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
