"""Which sweep a job `sweep` is: its ref begins with the name of the tick that asked for it."""

from collections.abc import Mapping
from typing import Final

import structlog

from bitloot.domain.reconciliation import BREAKS
from bitloot.ports.jobs import Dead, Jobs, Lease
from bitloot.ports.views.invariants import INVARIANTS
from bitloot.usecases.invariants import Findings
from bitloot_web.job_runner import Handler
from bitloot_web.metrics import Metrics

log = structlog.get_logger(__name__)

# In place of what is named after the dash, such as a supplier.
ANY: Final = "*"


def by_name(jobs: Jobs, sweeps: Mapping[str, Handler]) -> Handler:
    """The handler of the job `sweep`, ref `<name>/<time>`; `reconcile-*` takes every supplier."""

    async def sweep(lease: Lease) -> None:
        name = lease.ref.partition("/")[0]
        family = f"{name.partition('-')[0]}-{ANY}"
        handler = sweeps.get(name) or sweeps.get(family)
        if handler is None:
            await jobs.finish(lease, Dead("unknown sweep"))
        else:
            await handler(lease)

    return sweep


class Watchman:
    """What a look at the invariants does to logs and metrics: fits `usecases.invariants.Observe`.

    A breach is logged by its name and the id of what was found, nothing else of it.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, findings: Findings) -> None:
        """Every rule has its gauge, also those that found nothing."""
        counted = dict.fromkeys((*INVARIANTS, *BREAKS), 0)
        for breach in findings.breaches:
            counted[breach.name] += 1
            log.error("invariant_breached", rule=breach.name, subject=breach.subject)
        for row in findings.breaks:
            counted[row.kind] += 1
        for rule, count in counted.items():
            self._metrics.breaches.labels(rule).set(count)
        self._metrics.dead_jobs.set(findings.dead_jobs)
