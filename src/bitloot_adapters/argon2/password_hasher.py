"""The password port by argon2id (RFC 9106), off the event loop, bounded in CPU and memory.

Each hash runs in a thread of its own pool, which has as many threads as may hash at once: so much
of memory (`password_hash_bytes` each) can passwords take. Before the pool stands a waiting room of
bounded size, in which the next waits until the share of the processor that passwords may take
(`password_cpu_share`) allows it to begin. The threads give way to the one that answers requests.

Source: OWASP Password Storage Cheat Sheet, "Argon2id"; argon2-cffi 25.1; nice(2).
"""

import asyncio
import os
import secrets
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeAlias, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from bitloot.domain.limits import Limits
from bitloot.domain.password import normal_form
from bitloot_adapters.argon2.waiting_room import WaitingRoom

T = TypeVar("T")
# What a job gave, and how many seconds of the processor it took.
Timed: TypeAlias = tuple[T, float]

THREADS: Final = "password-hashing"
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
# Against a thread of the usual priority such a one gets a quarter of a processor.
NICENESS: Final = 5
# A stored hash that asks for more work than so many of today's is taken for damaged.
MOST_WORK: Final = 32


class Argon2PasswordHasher:
    """`open_password_hasher` gives one. Belongs to the event loop that it was opened in."""

    def __init__(
        self, pool: ThreadPoolExecutor, limits: Limits, *, now: Callable[[], float]
    ) -> None:
        """`now` in seconds, never set back."""
        self._pool = pool
        self._argon2 = argon2.PasswordHasher(
            time_cost=limits.password_hash_passes,
            memory_cost=limits.password_hash_bytes // 1024,
            parallelism=limits.password_hash_lanes,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
        )
        self._nobodys = _of_nobody(self._argon2)
        self._room = WaitingRoom(limits, now=now)

    async def hash(self, password: str) -> str:
        """The encoded hash, with its parameters and its salt in it. Raises Busy."""
        job = partial(self._argon2.hash, _bytes(password))
        return await self._work(job, self._argon2.parallelism)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """By the parameters that the hash was made with; its own words are not trusted. Raises
        Busy.
        """
        lanes = 0 if hashed is None else self._lanes(hashed)
        stored = hashed if hashed is not None and lanes else self._nobodys
        job = partial(self._matches, stored, password)
        matches = await self._work(job, lanes or self._argon2.parallelism)
        return matches and lanes > 0

    def is_outdated(self, hashed: str) -> bool:
        """Compares parameters only: costs nothing."""
        return not self._lanes(hashed) or self._argon2.check_needs_rehash(hashed)

    def _lanes(self, hashed: str) -> int:
        """In how many lanes it was hashed; 0 for what cannot be read."""
        if not hashed.isascii():
            return 0
        try:
            found = argon2.extract_parameters(hashed)
        except InvalidHashError:
            return 0
        most = MOST_WORK * self._argon2.memory_cost * self._argon2.time_cost
        work = found.memory_cost * found.time_cost
        is_readable = found.type is argon2.Type.ID and 0 < work <= most
        return found.parallelism if is_readable else 0

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._argon2.verify(hashed, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _work(self, job: Callable[[], T], lanes: int) -> T:
        """Wait for a turn and let a thread work. Who is cancelled while waiting leaves the room;
        what a thread has begun cannot be stopped, and goes on to count until it ends.
        """
        begun = await self._room.enter()
        future = asyncio.wrap_future(self._pool.submit(_timed, job, lanes))
        future.add_done_callback(partial(self._leave, begun))
        result, _ = await asyncio.shield(future)
        return result

    def _leave(self, begun: float, done: "asyncio.Future[Timed[T]]") -> None:
        failed = done.cancelled() or done.exception() is not None
        self._room.leave(begun, 0.0 if failed else done.result()[1])


def _timed(job: Callable[[], T], lanes: int) -> Timed[T]:
    """The work of this thread alone. Lanes are threads of the library's own: while they run, each
    is taken to work all the time.
    """
    begun, worked = time.perf_counter(), time.thread_time()
    result = job()
    if lanes == 1:
        return result, time.thread_time() - worked
    return result, (time.perf_counter() - begun) * lanes


def _give_way() -> None:
    """Answering requests goes before hashing. On Linux alone a thread has a priority of its own."""
    if sys.platform == "linux":
        os.nice(NICENESS)


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
    pool = ThreadPoolExecutor(limits.password_hashing_at_once, THREADS, _give_way)
    try:
        yield Argon2PasswordHasher(pool, limits, now=time.monotonic)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
