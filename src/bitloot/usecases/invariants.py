"""Looking for what must never be, and for what waits for a person; it is told, never mended."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from bitloot.domain.limits import Limits
from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.ports.jobs import Done, Jobs, Lease
from bitloot.ports.views.desk import DeskViews, InvariantBreach

# So many of each are told; more of the same would say nothing new.
TOLD: Final = 20


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """`dead_jobs` is counted up to a limit."""

    breaches: tuple[InvariantBreach, ...]
    breaks: tuple[ReconciliationBreak, ...]
    dead_jobs: int


# Told what was found, also when that is nothing.
Observe: TypeAlias = Callable[[Findings], None]


@dataclass(frozen=True, kw_only=True)
class InvariantWatch:
    """`observe` is told after each look of the job; who asks by hand is answered instead."""

    desk: DeskViews
    jobs: Jobs
    limits: Limits
    observe: Observe

    async def run(self, lease: Lease) -> None:
        """Job `sweep`, ref `invariants/<time>`."""
        self.observe(await self.look())
        await self.jobs.finish(lease, Done())

    async def look(self) -> Findings:
        """Everything that stands out now. Raises StoreUnavailable."""
        most = self.limits.count_exact
        return Findings(
            breaches=await self.desk.breaches(limit=TOLD),
            breaks=await self.desk.open_breaks(limit=most),
            dead_jobs=len(await self.jobs.dead(limit=most, after=None)),
        )
