"""`python -m tests.promises.poisoned`: a worker among whose jobs are poisonous ones.

A warm parent forks workers and starts another when one dies, as a supervisor does. Of the jobs in
its table some kill the process that runs them, some always raise, the others only count. Prints one
line of JSON when all of them are over.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from tests.crash.children import Child, Inside, Job, fork
from tests.crash.scale import scaled

from bitloot.domain.limits import Limits
from bitloot.ports.jobs import Done, Lease
from bitloot_adapters import clock
from bitloot_adapters.postgres.jobs import PostgresJobs
from bitloot_adapters.postgres.listener import open_listener
from bitloot_adapters.postgres.migrate import upgrade
from bitloot_adapters.postgres.pool import open_database
from bitloot_adapters.redis.doorbell import Doorbell
from bitloot_web.devservices import start_postgres, start_valkey
from bitloot_web.job_runner import JobRunner
from bitloot_web.relay import Relay
from bitloot_web.worker import work

WORKERS: Final = 2
CONCURRENCY: Final = 4
INSERTED: Final = """
    INSERT INTO jobs (id, kind, ref, state, fence, attempts, max_attempts, wakes, available_at,
      created_at)
    SELECT gen_random_uuid(), %s, %s || n, 'pending', 0, 0, %s, 0, now(), now()
    FROM generate_series(1, %s) n
"""
STANDING: Final = """
    SELECT kind, state, count(*), max(attempts), min(attempts), max(last_error) FROM jobs
    GROUP BY kind, state ORDER BY kind, state
"""


def worker(database_url: str, redis_url: str, limits: Limits) -> Job:
    """A worker with the shop's own relay, doorbell, receiver and runner."""

    async def be_worker(inside: Inside) -> None:
        async with (
            open_database(database_url, limits) as database,
            open_listener(database_url, clock.boot_seconds) as wake_up,
        ):
            jobs = PostgresJobs(
                database, limits=limits, new_id=clock.new_id, boot_clock=clock.boot_seconds
            )

            async def good(lease: Lease) -> None:
                await jobs.finish(lease, Done())

            async def kills(_lease: Lease) -> None:
                os.kill(os.getpid(), signal.SIGKILL)

            async def raises(_lease: Lease) -> None:
                raise ZeroDivisionError

            doorbell = Doorbell(redis_url, limits=limits)
            runner = JobRunner(
                jobs,
                {"good": good, "kills": kills, "raises": raises},
                limits=limits,
                jitter=clock.jitter,
                observe=lambda _kind, _ending, _seconds: None,
            )
            relay = Relay(
                jobs, doorbell, wake_up, runner.run, limits=limits, concurrency=CONCURRENCY
            )
            await work(
                doorbell,
                relay,
                runner.run,
                limits=limits,
                concurrency=CONCURRENCY,
                stop=asyncio.Event(),
            )

    return be_worker


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--good", type=int, default=500)
    parser.add_argument("--poison", type=int, default=1, help="of each sort")
    parser.add_argument("--scale", type=float, default=120.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bitloot-poisoned-"))
    limits = msgspec.structs.replace(
        scaled(asked.scale), stop_wait_tasks=timedelta(seconds=1), relay_poll=timedelta(seconds=0.2)
    )
    with (
        start_postgres(folder / "postgres", durable=False) as postgres,
        start_valkey(folder / "valkey") as valkey,
    ):
        url = postgres.create_database("bitloot")
        upgrade(url)
        told = driven(asked, url, worker(url, valkey.url, limits), folder, limits)
    sys.stdout.write(json.dumps(told) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def driven(
    asked: argparse.Namespace, url: str, job: Job, folder: Path, limits: Limits
) -> dict[str, object]:
    """Until nothing is pending: how long the good ones took, what became of the others."""
    running: list[Child] = []
    deaths = 0
    good_after = 0.0
    chance = random.Random(1)
    with psycopg.connect(url, autocommit=True) as looking:
        amounts = {"kills": asked.poison, "raises": asked.poison, "good": asked.good}
        for kind, amount in amounts.items():
            looking.execute(INSERTED, [kind, f"{kind}-", limits.job_attempts, amount])
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < asked.seconds:
                for child in list(running):
                    child.look()
                    if child.status is not None:
                        running.remove(child)
                        deaths += 1
                while len(running) < WORKERS:
                    seed = str(chance.random())
                    running.append(fork("worker", job, seed=seed, log=folder / "log", patience=600))
                rows = looking.execute(STANDING).fetchall()
                left = {str(kind): count for kind, state, count, *_ in rows if state == "pending"}
                if "good" not in left and not good_after:
                    good_after = time.monotonic() - begun
                if not left:
                    break
                time.sleep(0.02)
        finally:
            for child in running:
                child.end()
        return {
            "jobs": [[str(value) for value in row] for row in rows],
            "deaths": deaths,
            "good_after": good_after,
            "all_after": time.monotonic() - begun,
            "attempts": limits.job_attempts,
            "lease": limits.job_lease.total_seconds(),
        }


if __name__ == "__main__":
    sys.exit(main())
