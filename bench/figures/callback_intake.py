"""How many signed callbacks are checked, stored with their job, and answered (P9)."""

from itertools import count
from typing import Final

import psycopg

from bench.limits.statements import CALLBACK
from bench.load import Requests
from bench.report import Findings, Note, Row
from bench.requests import callbacks
from bench.rounds import Comparison, in_turns
from bench.speed import speed
from bench.stage import Stage

FASTEST: Final = 8000
WARM_UP: Final = 0.5
NO_WAIT: Final = "ALTER DATABASE unwaited SET synchronous_commit = off"
TEXT: Final = (
    "The limit checks the signature, reads the body and runs this one statement. To see what the"
    " disk takes, `callback-intake-unwaited` is measured over a database that answers before what"
    " it was told lies on the disk; a shop never runs so."
)


def measure(stage: Stage) -> Findings:
    """With Valkey, without it, and without the wait for the disk."""
    database = stage.fresh_database("callbacks")
    with stage.serving(database), stage.limit_serving(database):
        made = count()
        with_valkey = _compared(stage, made)
        stage.valkey.stop()
        try:
            without = _compared(stage, made)
        finally:
            stage.valkey.restart()
    rows = (
        *_rows("callback-intake", with_valkey, is_waited=True),
        *_rows("callback-intake-without-valkey", without, is_waited=True),
        *_rows("callback-intake-unwaited", _unwaited(stage, made), is_waited=False),
    )
    note = Note(title="Limit of `callback-intake`", text=TEXT, statement=CALLBACK)
    return Findings(rows=rows, notes=(note,))


def _unwaited(stage: Stage, made: "count[int]") -> Comparison:
    database = stage.fresh_database("unwaited")
    with psycopg.connect(stage.postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(NO_WAIT)
    with stage.serving(database), stage.limit_serving(database):
        return _compared(stage, made)


def _rows(name: str, found: Comparison, *, is_waited: bool) -> tuple[Row, ...]:
    return speed(
        name,
        "callbacks/s",
        found.ours,
        found.limit,
        must=0.5 if is_waited else None,
        moonshot=0.75 if is_waited else None,
        p99=(25, 10) if is_waited else None,
    )


def _compared(stage: Stage, made: "count[int]") -> Comparison:
    def requests(seconds: float) -> Requests:
        many = int(FASTEST * seconds)
        first = next(made) * 10_000_000
        return Requests(stage.folder / "callbacks.requests", callbacks(first, many))

    for port in (stage.ports["shop"], stage.ports["limit"]):
        stage.load.run(requests(WARM_UP), port, WARM_UP)
    return in_turns(
        lambda: stage.load.sample(requests(stage.seconds), stage.ports["shop"], stage.seconds),
        lambda: stage.load.sample(requests(stage.seconds), stage.ports["limit"], stage.seconds),
        stage.rounds,
    )
