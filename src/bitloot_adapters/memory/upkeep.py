"""What sweeps look for, in memory."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.idempotency import IdempotencyRecord
from bitloot.domain.order import Order
from bitloot_adapters.memory.unit_of_work import MemoryStore

_AT_REST: Final = frozenset({"delivered", "failed_terminal", "returned", "replaced", "cancelled"})
_OWED: Final = frozenset({"paid", "partially_fulfilled", "fulfilled", "refunded"})


class MemoryUpkeep:
    """The port `Upkeep` over the memory store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def fulfilments_without_job(self, *, before: datetime, limit: int) -> Sequence[str]:
        """Fulfilments at work that no job is for, pending or dead; oldest first."""
        store = self._store
        worked_on = {
            job.ref for job in store.jobs.all() if job.kind == "fulfil" and job.state != "done"
        }
        owed = {order.id for order in store.rows(Order) if order.status in _OWED}
        found = [
            row
            for row in store.rows(Fulfilment)
            if row.order_id in owed
            and row.state not in _AT_REST
            and row.updated_at < before
            and row.id not in worked_on
        ]
        return [row.id for row in sorted(found, key=lambda row: (row.updated_at, row.id))][:limit]

    async def expire_idempotency(self, *, before: datetime, limit: int) -> int:
        """Forget idempotency records started before then; gives how many."""
        records = self._store.rows(IdempotencyRecord)
        over = [row for row in records if row.started_at < before][:limit]
        for row in over:
            self._store.tables.drop(row)
        return len(over)
