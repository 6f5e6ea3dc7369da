"""A circuit breaker per provider, shared by all workers."""

from typing import Protocol


class Breakers(Protocol):
    """Kept in the database, so that every worker sees the same."""

    async def allows(self, provider: str) -> bool:
        """Whether a call may be tried: closed, or open and this caller is the probe."""
        ...

    async def failed(self, provider: str) -> bool:
        """Count a failure; True when this one opened the breaker."""
        ...

    async def trip(self, provider: str) -> bool:
        """Open it at once: a call was refused for a cause that no repetition mends, such as wrong
        credentials. True when this one opened it; open already, its next probe stays as it is.
        """
        ...

    async def succeeded(self, provider: str) -> None:
        """A call went through: close it."""
        ...
