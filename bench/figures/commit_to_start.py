"""How long after the commit of a job its handler begins (P13), on an idle worker."""

import time
from typing import Final

import psycopg

from bench import stamps
from bench.programs import Program, running
from bench.report import Findings, Row, at_most
from bench.rounds import percentile
from bench.stage import Stage

A_ROUND: Final = 60
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
        committed = _commit(database, A_ROUND * stage.rounds)
        began = wait_for(worker, len(committed))
    waited = [(began[ref] - at) / 1e6 for ref, at in committed.items()]
    return Findings(rows=_rows(waited[A_ROUND // 6 :]))


def _rows(waited: list[float]) -> tuple[Row, ...]:
    return (
        at_most("commit-to-start-p50", "ms", percentile(waited, 0.5)),
        at_most("commit-to-start-p99", "ms", percentile(waited, 0.99), must=20, moonshot=8),
    )


def _commit(database: str, count: int) -> dict[str, int]:
    """When each job was committed, in nanoseconds of the monotonic clock."""
    committed: dict[str, int] = {}
    with psycopg.connect(database, autocommit=True) as connection:
        for number in range(count):
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


def wait_for(worker: Program, count: int) -> dict[str, int]:
    """The beginnings of so many jobs."""
    deadline = time.monotonic() + PATIENCE
    while len(found := stamps.read(worker.log)) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(found)} of {count} jobs began: {worker.tail()}")
        time.sleep(0.1)
    return found
