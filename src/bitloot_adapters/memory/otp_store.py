"""One-time codes by challenge, hashed, on the clock that was passed in."""

from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Literal

import msgspec

from bitloot.ports.clock import Clock
from bitloot.ports.errors import StoreUnavailable


class _Code(msgspec.Struct):
    digest: str
    ends_at: datetime
    tries_left: int


class MemoryOtpStore:
    """`is_down` plays a lost store: everything raises StoreUnavailable then."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._codes: dict[str, _Code] = {}
        self.is_down = False

    async def open(self, challenge: str, digest: str, *, life: timedelta, tries: int) -> None:
        """Store the digest of a code, replacing an older one of the challenge."""
        self._reach()
        self._codes[challenge] = _Code(digest, self._clock() + life, tries)

    async def verify(self, challenge: str, digest: str) -> Literal["right", "wrong", "gone"]:
        """Compare; the code is gone after a right one and after the last wrong one."""
        self._reach()
        code = self._codes.get(challenge)
        if code is None:
            return "gone"
        if self._clock() >= code.ends_at:
            del self._codes[challenge]
            return "gone"
        if compare_digest(code.digest.encode(), digest.encode()):
            del self._codes[challenge]
            return "right"
        code.tries_left -= 1
        if code.tries_left <= 0:
            del self._codes[challenge]
        return "wrong"

    def _reach(self) -> None:
        if self.is_down:
            raise StoreUnavailable
