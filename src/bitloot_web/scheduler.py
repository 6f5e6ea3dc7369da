"""Ticks: work that is due by the clock rather than by an event.

A tick is a row with a unique (name, time), so any number of schedulers may run, and one that was
away makes up for the last tick it missed of each kind.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog

from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.jobs import Jobs

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 5.0
START_EVERY: Final[Mapping[str, timedelta]] = {
    "redrive": timedelta(seconds=10),
    "reconcile": timedelta(minutes=10),
}
_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)


class Tick(msgspec.Struct, frozen=True):
    """A sweep named `name`, due at every multiple of `every`, and `later` than that (UTC)."""

    name: str
    every: timedelta
    later: timedelta = timedelta(0)


def ticks(limits: Limits, suppliers: Sequence[str]) -> tuple[Tick, ...]:
    """All sweeps of the shop; one reconciliation for each supplier, and its catalogue: all of it
    and, more often, what changed.
    """
    bought = [name for name in suppliers if name != OWN_STOCK]
    return (
        Tick("redrive", timedelta(minutes=1)),
        Tick("invariants", timedelta(minutes=5)),
        Tick("housekeeping", timedelta(hours=1)),
        Tick("deletions", timedelta(days=1), later=timedelta(hours=2)),
        Tick("objects", limits.reconcile_interval),
        *(Tick(f"reconcile-{name}", limits.reconcile_interval) for name in suppliers),
        *(Tick(f"catalogue-{name}", limits.catalogue_full) for name in bought),
        *(Tick(f"news-{name}", limits.catalogue_news) for name in bought),
    )


def at_start(limits: Limits, suppliers: Sequence[str]) -> tuple[Tick, ...]:
    """Sweeps that a starting worker asks for without waiting for a scheduler.

    What was lost while nobody ran is found at once. However many workers start, and however often,
    one sweep of a name in each `every` is enough.
    """
    return tuple(
        Tick(tick.name, START_EVERY[tick.name.partition("-")[0]])
        for tick in ticks(limits, suppliers)
        if tick.name.partition("-")[0] in START_EVERY
    )


def last_due(tick: Tick, at: datetime) -> datetime:
    """The latest time at or before `at` at which the tick was due."""
    return at - (at - _EPOCH - tick.later) % tick.every


class Scheduler:
    """Inserts the job of each tick once, whoever comes first."""

    def __init__(self, jobs: Jobs, clock: Clock, plan: Sequence[Tick]) -> None:
        self._jobs = jobs
        self._clock = clock
        self._plan = plan
        self._done: dict[str, datetime] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        while not stop.is_set():
            try:
                await self.step()
            except StoreUnavailable:
                log.warning("scheduler_waits_for_database")
            try:
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
            except TimeoutError:
                continue

    async def once(self, stop: asyncio.Event) -> None:
        """One step, as soon as the database is there."""
        while not stop.is_set():
            try:
                await self.step()
            except StoreUnavailable:
                log.warning("scheduler_waits_for_database")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
            else:
                return

    async def step(self) -> int:
        """Insert what is due and not yet inserted by this process. Gives how many were new."""
        new = 0
        for tick in self._plan:
            due = last_due(tick, self._clock())
            if self._done.get(tick.name) == due:
                continue
            ref = f"{tick.name}/{due:%Y-%m-%dT%H:%M:%SZ}"
            new += await self._jobs.tick(tick.name, due, "sweep", ref)
            self._done[tick.name] = due
        return new
