"""How many signed callbacks are checked, stored with their job, and answered (P9)."""

from itertools import count
from typing import Final

from bench.limits.statements import CALLBACK
from bench.load import Requests
from bench.report import Findings, Note
from bench.requests import callbacks
from bench.rounds import Comparison, in_turns
from bench.speed import speed
from bench.stage import Stage

FASTEST: Final = 8000
WARM_UP: Final = 0.5


def measure(stage: Stage) -> Findings:
    """With Valkey and without it."""
    database = stage.fresh_database("callbacks")
    with stage.serving(database), stage.limit_serving(database):
        made = count()
        with_valkey = _compared(stage, made)
        stage.valkey.stop()
        try:
            without = _compared(stage, made)
        finally:
            stage.valkey.restart()
    rows = tuple(
        row
        for name, found in (
            ("callback-intake", with_valkey),
            ("callback-intake-without-valkey", without),
        )
        for row in speed(
            name,
            "callbacks/s",
            found.ours,
            found.limit,
            must=0.5,
            moonshot=0.75,
            p99=(25, 10),
        )
    )
    text = "The limit checks the signature, reads the body and runs this one statement:"
    return Findings(
        rows=rows, notes=(Note(title="Limit of `callback-intake`", text=text, statement=CALLBACK),)
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
