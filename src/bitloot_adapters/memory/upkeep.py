"""What sweeps ask of the memory store beside its views."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from bitloot.domain.decision import Row
from bitloot.domain.idempotency import IdempotencyRecord
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.quote import Quote
from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.domain.session import Session
from bitloot.ports.upkeep import UploadedKey
from bitloot_adapters.memory.unit_of_work import MemoryStore


class MemoryUpkeep:
    """The port `Upkeep` over the memory store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def expire_idempotency(self, *, before: datetime, limit: int) -> int:
        """Forget idempotency records started before then."""
        records = self._store.rows(IdempotencyRecord)
        return self._drop((row for row in records if row.started_at < before), limit)

    async def forget_done_jobs(self, *, before: datetime, limit: int) -> int:
        """Forget jobs made before then that are done."""
        self._store.reach()
        return self._store.jobs.forget_done(before, limit)

    async def forget_ticks(self, *, before: datetime, limit: int) -> int:
        """Forget ticks due before then."""
        self._store.reach()
        return self._store.jobs.forget_ticks(before, limit)

    async def forget_quotes(self, *, before: datetime, limit: int) -> int:
        """Forget quotes frozen until before then that no order came of."""
        over = (
            row
            for row in self._store.rows(Quote)
            if row.used_by is None and row.frozen_until < before
        )
        return self._drop(over, limit)

    async def forget_sessions(self, *, before: datetime, limit: int) -> int:
        """Forget sessions that were over before then."""
        rows = self._store.rows(Session)
        return self._drop((row for row in rows if row.expires_at < before), limit)

    async def uploaded_keys(
        self, *, since: datetime, after: str | None, limit: int
    ) -> Sequence[UploadedKey]:
        """Live keys uploaded since then, by id."""
        self._store.reach()
        found = (
            _uploaded(row)
            for row in self._store.rows(SealedKey)
            if row.state == "live" and row.uploaded_at is not None and row.uploaded_at >= since
        )
        later = [key for key in found if after is None or key.id > after]
        return sorted(later, key=lambda key: key.id)[:limit]

    async def uploaded_key(self, key_id: str) -> UploadedKey | None:
        """One live uploaded key."""
        self._store.reach()
        row = self._store.tables.get(SealedKey, key_id)
        is_there = row is not None and row.state == "live" and row.uploaded_at is not None
        return _uploaded(row) if row is not None and is_there else None

    async def known_keys(self, ids: Sequence[str]) -> frozenset[str]:
        """Which of these have a row."""
        self._store.reach()
        return frozenset(ids) & {row.id for row in self._store.rows(SealedKey)}

    async def breaks_of(self, subject: str) -> Sequence[ReconciliationBreak]:
        """Every break ever found of a subject."""
        self._store.reach()
        return [row for row in self._store.rows(ReconciliationBreak) if row.subject == subject]

    def _drop(self, over: Iterable[Row], limit: int) -> int:
        self._store.reach()
        gone = sorted(over, key=lambda row: row.id)[:limit]
        for row in gone:
            self._store.tables.drop(row)
        return len(gone)


def _uploaded(row: SealedKey) -> UploadedKey:
    return UploadedKey(id=row.id, object_name=row.object_name, sha256=row.sha256)
