"""What sweeps look for: work that lost its job, and records whose time is over."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol


class Upkeep(Protocol):
    """Reads and deletions of housekeeping, outside of business transactions."""

    async def fulfilments_without_job(self, *, before: datetime, limit: int) -> Sequence[str]:
        """Ids of fulfilments that a machine should be working on and that no job is for.

        Neither pending nor dead: a dead one waits for a person. Of orders `paid`,
        `partially_fulfilled`, `fulfilled` or `refunded`; not `delivered`, `failed_terminal` or at
        an end; untouched since `before`; oldest first.
        """
        ...

    async def expire_idempotency(self, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` idempotency records started before then; gives how many."""
        ...
