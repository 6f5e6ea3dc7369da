"""`python -m tests.promises.frozen`: workers that stand still in the middle of their work.

A worker stops (SIGSTOP) at a boundary of the selling path and goes on five leases later, when
others have long taken over what it held. Prints one line of JSON: how often at which boundary, how
often the work had been taken over, and what was found wrong.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from tests.crash.buying import buying
from tests.crash.checking import connect, rows
from tests.crash.children import Child, Inside, Job, Line, fork
from tests.crash.matrix import BUYERS, DUE_JOBS, IN_THE_WORKER, WORK_SECONDS, WORKERS, Matrix
from tests.crash.report import Report
from tests.crash.scale import STUCK_AFTER, scaled
from tests.crash.town import log_of, open_town
from tests.crash.working import working

from bitloot.domain.failpoints import (
    AFTER_INTENT_COMMIT,
    BEFORE_PAID_COMMIT,
    MAIL_ACCEPTED_BEFORE_SENT,
    SUPPLIER_DONE_NO_REPLY,
    UPLOADED_BEFORE_DELIVER,
)
from bitloot_web.plugins import Configuration

LEASES: Final = 5
# Frozen ones take memory and no time.
MOST_FROZEN: Final = 8
PATIENCE: Final = 120.0
FIRST: Final = (
    AFTER_INTENT_COMMIT,
    SUPPLIER_DONE_NO_REPLY,
    BEFORE_PAID_COMMIT,
    UPLOADED_BEFORE_DELIVER,
    MAIL_ACCEPTED_BEFORE_SENT,
)


@dataclass
class Standing(Inside):
    """At the armed boundary it stands still instead of dying, once."""

    def die(self, *, kind: object, refs: list[object]) -> None:
        self.tell({"stands": self.boundary, "kind": kind, "refs": refs})
        self.boundary = None
        os.kill(os.getpid(), signal.SIGSTOP)
        self.tell({"goes on": True})


def freezing(job: Job) -> Job:
    """The same child, which stands still where it would die."""

    async def freeze(inside: Inside) -> None:
        await job(Standing(inside.tell, inside.chance, inside.boundary, inside.warmth))

    return freeze


def fences(configuration: Configuration, refs: list[str]) -> Job:
    """A child that tells the holders' numbers of the jobs of these references."""

    async def look(inside: Inside) -> None:
        async with await connect(configuration) as connection:
            found = await rows(
                connection,
                "SELECT coalesce(sum(fence), 0)::int, count(*) FILTER (WHERE state = 'done')::int"
                " FROM jobs WHERE ref = ANY(%s) OR id::text = ANY(%s)",
                refs,
                refs,
            )
        inside.tell({"fence": found[0][0], "done": found[0][1]})

    return look


@dataclass
class Frozen(Matrix):
    """Until each boundary has seen its share of workers that stood still."""

    thaw_at: dict[int, float] = field(default_factory=dict)
    held_by: dict[int, tuple[list[str], int]] = field(default_factory=dict)
    taken_over: int = 0
    boundaries: tuple[str, ...] = IN_THE_WORKER

    def _fill(self, *, armed: bool = True) -> None:
        moving = [child for pid, child in self.running.items() if pid not in self.thaw_at]
        names = [child.name for child in moving]
        limits = self.configuration.settings.limits
        patience = PATIENCE + LEASES * limits.job_lease.total_seconds()
        for _ in range(WORKERS - names.count("worker")):
            # One of them always goes on, to take over.
            is_spared = all(child.boundary for child in moving if child.name == "worker")
            may_stand = armed and not is_spared and len(self.thaw_at) < MOST_FROZEN
            boundary = self._choose(self.boundaries) if may_stand else None
            job = freezing(working(self.configuration, WORK_SECONDS))
            child = fork(
                "worker",
                job,
                seed=self._seed(),
                log=log_of(self.town),
                boundary=boundary,
                patience=patience,
            )
            self.running[child.pid] = child
            moving.append(child)
        if armed:
            self._standing()
        if names.count("buyer") < BUYERS and (
            batch := self._batch(new=armed and self.due_jobs < DUE_JOBS)
        ):
            child = self._start("buyer", buying(self.configuration, self.town, batch), None)
            self.held[child.pid] = batch
        for pid, at in list(self.thaw_at.items()):
            if time.monotonic() >= at:
                self._thaw(pid)

    @property
    def _is_done(self) -> bool:
        return all(self.kills[name] >= self.goal for name in self.boundaries) and not self.thaw_at

    def _heard(self, child: Child, line: Line) -> None:
        if "stands" not in line:
            super()._heard(child, line)
            return
        boundary = str(line["stands"])
        refs = [str(ref) for ref in cast("list[object]", line["refs"]) if ref is not None]
        self.kills[boundary] += 1
        self.killed[boundary] |= set(refs)
        lease = self.configuration.settings.limits.job_lease.total_seconds()
        self.thaw_at[child.pid] = time.monotonic() + LEASES * lease
        self.held_by[child.pid] = (refs, self._fence(refs))

    def _thaw(self, pid: int) -> None:
        refs, before = self.held_by.pop(pid)
        self.taken_over += self._fence(refs) > before
        del self.thaw_at[pid]
        os.kill(pid, signal.SIGCONT)

    def _fence(self, refs: list[str]) -> int:
        (told,) = self._once("fences", fences(self.configuration, refs))
        return int(str(told["fence"]))

    def stop(self) -> None:
        for pid in self.thaw_at:
            os.kill(pid, signal.SIGCONT)
        super().stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1, help="at each boundary")
    parser.add_argument("--boundaries", type=int, default=len(IN_THE_WORKER), help="so many")
    parser.add_argument("--scale", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=5.0)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bitloot-frozen-"))
    limits = scaled(asked.scale)
    with open_town(
        folder, limits=limits, share=0.1, search_lag=0.2, seed=asked.seed, own_keys=400
    ) as (town, configuration):
        run = Frozen(town, configuration, asked.seed, asked.times, asked.scale, say)
        # Those at which most is at stake come first.
        run.boundaries = (*FIRST, *sorted(set(IN_THE_WORKER) - set(FIRST)))[: asked.boundaries]
        try:
            run.drive(asked.minutes * 60)
            patience = limits.settle_window * 2 + limits.job_backoff_cap + STUCK_AFTER / asked.scale
            run.recover(patience.total_seconds())
            report = Report.of(run, run.check())
        finally:
            run.stop()
    told = {
        "stood": run.kills.total(),
        "least": min(run.kills[name] for name in run.boundaries),
        "boundaries": len(run.boundaries),
        "taken_over": run.taken_over,
        "orders": len(run.paid),
        "found": dict(Counter({name: len(found) for name, found in report.found.items()})),
        "faults": report.faults,
        "holds": report.holds,
        "lease": limits.job_lease.total_seconds(),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    if report.holds:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        say(f"{report.text()}\nkept: {folder}")
    return 0 if report.holds else 1


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
