"""How long after the commit of a job its handler begins (P13), on an idle worker."""

import time
from itertools import count
from typing import Final

import psycopg

from bench import stamps
from bench.programs import Program, running
from bench.report import Findings, at_most
from bench.rounds import Sample, laps, percentile
from bench.stage import Stage

A_ROUND: Final = 100
WARM_UP: Final = 10
PAUSE: Final = 0.04
PATIENCE: Final = 20.0
JOB: Final = """
INSERT INTO jobs (id, kind, ref, state, fence, attempts, max_attempts, wakes, available_at,
    created_at)
VALUES (gen_random_uuid(), 'push', %s, 'pending', 0, 0, 12, 0, now(), now())
"""


def measure(stage: Stage) -> Findings:
    """One job after another, each committed by itself: notified, marked, rung for, leased."""
    database = stage.fresh_database("starts")
    stage.valkey.flush()
    variables = stage.variables(database)
    with running("worker", ("-m", "bench.no_op_worker"), variables, stage.folder) as worker:
        wait_until_ready(worker)
        _round(database, worker, range(WARM_UP))
        firsts = count(WARM_UP, A_ROUND)

        def next_round() -> Sample:
            first = next(firsts)
            return _round(database, worker, range(first, first + A_ROUND))

        (found,) = laps([next_round], stage.rounds)
    return Findings(
        rows=(
            at_most("commit-to-start-p50", "ms", found.p50),
            at_most("commit-to-start-p99", "ms", found.p99, must=20, moonshot=8),
        )
    )


def _round(database: str, worker: Program, numbers: range) -> Sample:
    begun = time.perf_counter()
    committed = _commit(database, numbers)
    began = wait_for(worker, numbers.stop)
    waited = [(began[ref] - at) / 1e6 for ref, at in committed.items()]
    return Sample(
        per_second=len(numbers) / (time.perf_counter() - begun),
        p50=percentile(waited, 0.5),
        p99=percentile(waited, 0.99),
    )


def _commit(database: str, numbers: range) -> dict[str, int]:
    """When each job was committed, in nanoseconds of the monotonic clock."""
    committed: dict[str, int] = {}
    with psycopg.connect(database, autocommit=True) as connection:
        for number in numbers:
            connection.execute(JOB, (f"r{number}",))
            committed[f"r{number}"] = time.monotonic_ns()
            time.sleep(PAUSE)
    return committed


def wait_until_ready(worker: Program) -> None:
    """Until a worker says that it listens."""
    deadline = time.monotonic() + PATIENCE
    while not stamps.is_ready(worker.log):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the worker is not ready: {worker.tail()}")
        time.sleep(0.02)
    # Its first reads of the stream and its first connections are behind it then.
    time.sleep(1.0)


def wait_for(worker: Program, many: int) -> dict[str, int]:
    """The beginnings of so many jobs."""
    deadline = time.monotonic() + PATIENCE
    while len(found := stamps.read(worker.log)) < many:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(found)} of {many} jobs began: {worker.tail()}")
        time.sleep(0.1)
    return found
