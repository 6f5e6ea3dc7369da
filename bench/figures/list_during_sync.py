"""How slow the slow pages are while the whole catalogue is synchronised (P16)."""

import subprocess
import sys
from typing import Final, Self

from bench.report import Findings, Note, at_most
from bench.rounds import Sample, in_turns
from bench.shelf_requests import KEEPS_NOTHING, from_visitors, list_path, page_keys
from bench.stage import Stage

PAGES: Final = range(2, 4_900, 3)
WARM_UP: Final = 0.5
NAME: Final = "list-during-sync"
TEXT: Final = (
    "Beside the shop a process of its own merges batches of 5,000 products without a pause, each"
    " of which has a new text, a new price and a new stock. The limit is the same shop while"
    " nothing is merged, in turns."
)


def measure(stage: Stage) -> Findings:
    """The same pages while batches are merged, and while none are."""
    database = stage.fresh_database("syncing")
    asked = from_visitors(stage, NAME, [list_path(key) for key in page_keys(database, PAGES)])
    shop = stage.ports["shop"]
    with stage.serving(database, settings=KEEPS_NOTHING), _Syncing(database) as syncing:
        stage.load.run(asked, shop, WARM_UP)

        def during() -> Sample:
            syncing.begin(stage.seconds)
            found = stage.load.sample(asked, shop, stage.seconds)
            syncing.end()
            return found

        found = in_turns(
            during, lambda: stage.load.sample(asked, shop, stage.seconds), stage.rounds
        )
    stage.postgres.drop_database("syncing")
    return Findings(
        rows=(
            at_most(f"{NAME}-p50", "ms", found.ours.p50, limit=found.limit.p50),
            at_most(f"{NAME}-p99", "ms", found.ours.p99, limit=found.limit.p99),
            at_most(
                f"{NAME}-slower",
                "x p99 idle",
                found.ours.p99 / found.limit.p99,
                must=3,
                moonshot=1.5,
            ),
        ),
        notes=(Note(title=f"Sync of `{NAME}`", text=TEXT),),
    )


class _Syncing:
    """The process that merges when it is told to."""

    def __init__(self, database: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.syncing", database],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        self.end()
        return self

    def begin(self, seconds: float) -> None:
        """Merge for so long."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Wait for the end of it. Raises RuntimeError when it failed."""
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError("the synchronisation failed")

    def __exit__(self, *_exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
