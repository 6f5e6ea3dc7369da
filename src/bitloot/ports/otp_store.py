"""One-time codes, kept hashed, for minutes."""

from datetime import timedelta
from typing import Literal, Protocol


class OtpStore(Protocol):
    """Raises StoreUnavailable: nothing about codes ever fails open."""

    async def open(self, challenge: str, digest: str, *, life: timedelta, tries: int) -> None:
        """Store the digest of a code under a challenge, replacing an older one."""
        ...

    async def verify(self, challenge: str, digest: str) -> Literal["right", "wrong", "gone"]:
        """Compare, atomically: a right one is used up, the last wrong try burns the code."""
        ...
