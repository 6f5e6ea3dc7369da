"""What a worker adds to the two statements of a job (P14): jobs that do nothing, in a row."""

from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import psycopg
import redis

from bench.figures.commit_to_start import wait_for, wait_until_ready
from bench.limits.statements import LEASE, OUTCOME
from bench.limits.taskiq_worker import STREAM, TASK
from bench.programs import running
from bench.report import Findings, Note, against
from bench.rounds import Sample, in_turns
from bench.stage import Stage
from bitloot_adapters.redis import doorbell

A_SECOND: Final = 1000
FEWEST: Final = 500
# Marked as rung for, so that the relay leaves them alone.
JOBS: Final = """
INSERT INTO jobs (id, kind, ref, state, fence, attempts, max_attempts, wakes, available_at,
    published_at, created_at)
SELECT gen_random_uuid(), 'push', %s || n, 'pending', 0, 0, 12, 0, now(), now(), now()
FROM generate_series(1, %s) n RETURNING id::text
"""


def measure(stage: Stage) -> Findings:
    """Both workers meet a full stream in a fresh process."""
    database = stage.fresh_database("overhead")
    many = max(FEWEST, int(A_SECOND * stage.seconds))
    numbers = count()

    def side(module: str, arguments: tuple[str, ...], stream: str, task: str) -> Sample:
        name = f"worker-{next(numbers)}"
        stage.valkey.flush()
        with running(
            name, ("-m", module, *arguments), stage.variables(database), stage.folder
        ) as worker:
            wait_until_ready(worker)
            _fill(stage, database, stream=stream, task=task, ref=f"{name}/", many=many)
            return _speed(sorted(wait_for(worker, many).values()), worker.log)

    limit = (database, stage.valkey.url)
    found = in_turns(
        lambda: side("bench.no_op_worker", (), doorbell.STREAM, doorbell.TASK),
        lambda: side("bench.limits.taskiq_worker", limit, STREAM, TASK),
        stage.rounds,
    )
    text = (
        "The limit is Taskiq with its own Redis stream broker and its defaults, in one process"
        " like ours; each task runs these two statements:"
    )
    return Findings(
        rows=(
            against(
                "worker-overhead",
                "jobs/s",
                found.ours.per_second,
                found.limit.per_second,
                must=0.6,
                moonshot=0.85,
            ),
        ),
        notes=(
            Note(
                title="Limit of `worker-overhead`",
                text=text,
                statement=f"{LEASE.strip()};\n{OUTCOME.strip()};",
            ),
        ),
    )


def _fill(stage: Stage, database: str, *, stream: str, task: str, ref: str, many: int) -> None:
    """Pending jobs, and a message for each, in the form that Taskiq writes."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("TRUNCATE jobs")
        made = connection.execute(JOBS, (ref, many)).fetchall()
        connection.execute("ANALYZE jobs")
    client = redis.Redis.from_url(stage.valkey.url)
    pipeline = client.pipeline(transaction=True)
    for (job_id,) in made:
        pipeline.xadd(stream, {b"data": _message(task, str(job_id))})
    pipeline.execute()
    client.close()


def _message(task: str, job_id: str) -> bytes:
    return msgspec.json.encode(
        {
            "task_id": job_id,
            "task_name": task,
            "labels": {},
            "labels_types": {},
            "args": [job_id],
            "kwargs": {},
        }
    )


def _speed(began: list[int], log: Path) -> Sample:
    """Over the middle of the run: neither its first messages nor the last few that end alone."""
    log.unlink()
    tenth = len(began) // 10
    middle = began[tenth:-tenth]
    return Sample(per_second=(len(middle) - 1) / ((middle[-1] - middle[0]) / 1e9))
