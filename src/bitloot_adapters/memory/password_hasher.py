"""Passwords hashed too fast for anything but tests, under the same rules as real ones."""

import asyncio
import hashlib
from hmac import compare_digest
from typing import Final

import msgspec

from bitloot.domain.limits import Limits
from bitloot.domain.password import normal_form
from bitloot.ports.clock import RandomBytes
from bitloot.ports.errors import Busy

RETRY_AFTER: Final = 2.0
SCHEME: Final = "memory"


class _Stored(msgspec.Struct, frozen=True):
    """`memory$<parameters>$<salt>$<digest>`, the last two in hex."""

    parameters: str
    salt: str
    digest: str


class MemoryPasswordHasher:
    """`hashed` counts how often work was done, for whomever."""

    def __init__(self, *, limits: Limits, random_bytes: RandomBytes) -> None:
        self._parameters = (
            f"{limits.password_hash_bytes},{limits.password_hash_passes},"
            f"{limits.password_hash_lanes}"
        )
        self._random_bytes = random_bytes
        self._places = asyncio.Semaphore(limits.password_hashing_at_once)
        self._most = limits.password_hashing_at_once + limits.password_hashing_waiting
        self._inside = 0
        self.hashed = 0

    async def hash(self, password: str) -> str:
        """A salted digest. Raises Busy."""
        salt = self._random_bytes(16).hex()
        digest = await self._work(password, self._parameters, salt)
        return f"{SCHEME}${self._parameters}${salt}${digest}"

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Nobody's password is wrong after the same work. Raises Busy."""
        stored = _parsed(hashed) or _Stored(self._parameters, "", "")
        digest = await self._work(password, stored.parameters, stored.salt)
        return compare_digest(digest, stored.digest)

    def is_outdated(self, hashed: str) -> bool:
        """Whether today's parameters are others."""
        stored = _parsed(hashed)
        return stored is None or stored.parameters != self._parameters

    async def _work(self, password: str, parameters: str, salt: str) -> str:
        if self._inside >= self._most:
            raise Busy("password_hashing", retry_after=RETRY_AFTER)
        self._inside += 1
        try:
            async with self._places:
                await asyncio.sleep(0)
                self.hashed += 1
                told = normal_form(password).encode("utf-8", "surrogatepass")
                salted = f"{parameters}${salt}$".encode() + told
                return hashlib.blake2b(salted, digest_size=32).hexdigest()
        finally:
            self._inside -= 1


def _parsed(hashed: str | None) -> _Stored | None:
    parts = (hashed or "").split("$")
    if len(parts) != 4 or parts[0] != SCHEME or not all(part.isascii() for part in parts):
        return None
    return _Stored(*parts[1:])
