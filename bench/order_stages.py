"""Where the time from the callback to the key went, from the commit times of the order's events."""

import statistics
from collections.abc import Sequence
from typing import Final, TypeAlias

import psycopg

from bench.rounds import percentile

# When the `finished` callback came in, and when each event could be seen by everybody.
TIMES: Final = """
SELECT e.order_id::text, e.kind,
    extract(epoch FROM pg_xact_commit_timestamp(e.xact::text::xid) - w.at) * 1000
FROM events e JOIN (
    SELECT l.order_id, least(min(l.received_at), min(j.created_at)) AS at
    FROM webhook_logs l JOIN jobs j ON j.ref = l.id::text AND j.kind = 'apply_payment'
    WHERE l.provider = 'nowpayments' AND l.order_id = ANY(%s)
    GROUP BY l.order_id
) w ON w.order_id = e.order_id
WHERE e.order_id = ANY(%s)
ORDER BY e.order_id, e.seq
"""
# The first event of each kind ends a stage; kinds that an order never meets are left out.
STAGES: Final = {
    "paid": "order_paid",
    "intended": "attempt_intended",
    "bought": "attempt_resolved",
    "sealed": "keys_sealed",
    "revealable": "order_fulfilled",
}

Milliseconds: TypeAlias = dict[str, float]


class Stages:
    """Orders of one run."""

    def __init__(self, database: str, order_ids: Sequence[str]) -> None:
        self._orders: dict[str, Milliseconds] = {}
        ids = list(order_ids)
        with psycopg.connect(database, autocommit=True) as connection:
            for order_id, kind, after in connection.execute(TIMES, (ids, ids)):
                self._orders.setdefault(str(order_id), {}).setdefault(str(kind), float(after))

    def times(self) -> list[float]:
        """From the callback to the key, of each order."""
        return [times[STAGES["revealable"]] for times in self._orders.values()]

    def median(self) -> float:
        """Of the times."""
        return percentile(self.times(), 0.5)

    def slowest(self) -> float:
        """What 99 of 100 orders do not exceed."""
        return percentile(self.times(), 0.99)

    def shares(self) -> dict[str, float]:
        """Each stage's part of the whole, in percent, the mean of all orders."""
        parts: dict[str, list[float]] = {}
        for times in self._orders.values():
            before, whole = 0.0, times[STAGES["revealable"]]
            for stage, kind in STAGES.items():
                if kind in times:
                    parts.setdefault(stage, []).append(100 * (times[kind] - before) / whole)
                    before = times[kind]
        return {stage: statistics.fmean(each) for stage, each in parts.items()}
