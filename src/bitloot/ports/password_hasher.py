"""The seam to what turns passwords into something that may be stored.

A password counts by its NFKC form (`domain.password.normal_form`): the same characters typed on
another keyboard are the same password. No error and no text of any kind holds one.
"""

from typing import Protocol


class PasswordHasher(Protocol):
    """Raises Busy where as many wait for a hash as may: nothing was hashed."""

    async def hash(self, password: str) -> str:
        """What is stored: with a salt of its own, so that two of one password differ."""
        ...

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password is behind what was stored.

        For None (nobody by that name, or nobody who set a password) and for what is no hash the
        same work is done as for a wrong password: the time taken tells nothing.
        """
        ...

    def is_outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than today's, or cannot be read."""
        ...
