"""Running one job: lease, handler, outcome.

A handler ends its job itself, in its last transaction. What is written here is only what happens
when it could not: the job waits with back-off and jitter, and after its last attempt it is dead.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final, TypeAlias

import structlog

from bitloot.domain.limits import Limits
from bitloot.ports.errors import Conflict, LeaseLost, StoreUnavailable, Unavailable
from bitloot.ports.jobs import Again, Dead, Jobs, Lease

log = structlog.get_logger(__name__)

Handler: TypeAlias = Callable[[Lease], Awaitable[None]]
# Gives a number from 0 up to but not including 1.
Jitter: TypeAlias = Callable[[], float]
# Told the kind, how it ended and how many seconds it took.
Observe: TypeAlias = Callable[[str, str, float], None]

MAX_DOUBLINGS: Final = 20


def back_off(attempts: int, limits: Limits, jitter: float) -> timedelta:
    """Full jitter: anything from nothing to the doubled wait, never above the cap."""
    doublings = max(0, min(attempts - 1, MAX_DOUBLINGS))
    doubled: timedelta = limits.job_backoff_first * (1 << doublings)
    return min(limits.job_backoff_cap, doubled) * jitter


class JobRunner:
    """Runs jobs by id. Ringing twice is harmless: the second finds the job leased or done."""

    def __init__(
        self,
        jobs: Jobs,
        handlers: Mapping[str, Handler],
        *,
        limits: Limits,
        jitter: Jitter,
        observe: Observe,
    ) -> None:
        self._jobs = jobs
        self._handlers = handlers
        self._limits = limits
        self._jitter = jitter
        self._observe = observe

    async def run(self, job_id: str) -> None:
        """One attempt. Never raises: what is not written now is taken up again by its lease."""
        try:
            lease = await self._jobs.lease(job_id)
        except StoreUnavailable:
            log.warning("job_not_leased_database_away", job=job_id)
            return
        if lease is None:
            return
        started = time.monotonic()
        with structlog.contextvars.bound_contextvars(job=job_id, kind=lease.kind, ref=lease.ref):
            ended = await self._attempt(lease)
        self._observe(lease.kind, ended, time.monotonic() - started)

    async def _attempt(self, lease: Lease) -> str:
        handler = self._handlers.get(lease.kind)
        if handler is None:
            # A newer release wrote it: its own workers will know the kind.
            return await self._again(lease, "unknown_kind")
        ended = "done"
        try:
            await handler(lease)
        except LeaseLost:
            ended = "lease_lost"
            log.info("lease_lost")
        except StoreUnavailable:
            ended = "database_away"
            log.warning("job_interrupted_database_away")
        except Unavailable as error:
            word = f"{error.provider}_{error.reason}"
            ended = await self._again(lease, word, at_least=error.retry_after)
        except Conflict:
            ended = await self._again(lease, "conflict")
        except Exception as error:
            # A bug must not take the worker down: the job waits, and ends as a dead letter.
            log.exception("job_failed")
            ended = await self._again(lease, type(error).__name__)
        return ended

    async def _again(self, lease: Lease, error: str, *, at_least: float | None = None) -> str:
        """Wait for another attempt; the last one leaves a dead letter."""
        wait = back_off(lease.attempts, self._limits, self._jitter())
        if at_least is not None:
            wait = max(wait, timedelta(seconds=at_least))
        is_last = lease.attempts >= lease.max_attempts
        outcome = Dead(error) if is_last else Again(wait, progressed=False, error=error)
        try:
            await self._jobs.finish(lease, outcome)
        except (LeaseLost, StoreUnavailable):
            return "not_written"
        log.warning("job_dead" if is_last else "job_waits", error=error, attempts=lease.attempts)
        return "dead" if is_last else "again"
