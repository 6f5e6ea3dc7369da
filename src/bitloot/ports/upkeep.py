"""What sweeps ask of the store beside its views: records whose time is over, stored objects."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from bitloot.domain.reconciliation import ReconciliationBreak


class UploadedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A live key whose ciphertext was handed to the vault; `sha256` in hex."""

    id: str
    object_name: str
    sha256: str


class Upkeep(Protocol):
    """Reads and deletions of housekeeping, outside of business transactions.

    Each deletion takes up to `limit` rows, those of the longest ago first, skips what somebody
    else has locked, and gives how many it took. Raise StoreUnavailable.
    """

    async def expire_idempotency(self, *, before: datetime, limit: int) -> int:
        """Idempotency records started before then."""
        ...

    async def forget_done_jobs(self, *, before: datetime, limit: int) -> int:
        """Jobs made before then that are `done`; pending and dead ones stay for ever."""
        ...

    async def forget_ticks(self, *, before: datetime, limit: int) -> int:
        """Ticks of the scheduler due before then."""
        ...

    async def forget_quotes(self, *, before: datetime, limit: int) -> int:
        """Quotes frozen until before then that no order came of."""
        ...

    async def forget_sessions(self, *, before: datetime, limit: int) -> int:
        """Sessions that were over before then, whether they were revoked or not."""
        ...

    async def uploaded_keys(
        self, *, since: datetime, after: str | None, limit: int
    ) -> Sequence[UploadedKey]:
        """Live keys uploaded since then, by id, after the key with that id."""
        ...

    async def uploaded_key(self, key_id: str) -> UploadedKey | None:
        """One live uploaded key."""
        ...

    async def known_keys(self, ids: Sequence[str]) -> frozenset[str]:
        """Which of these ids of sealed keys have a row, in whatever state."""
        ...

    async def breaks_of(self, subject: str) -> Sequence[ReconciliationBreak]:
        """Every break ever found of a subject, open or settled."""
        ...
