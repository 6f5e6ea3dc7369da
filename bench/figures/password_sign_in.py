"""What others notice of those who sign in with a password, and how much of a core that takes."""

import asyncio
import os
import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from bench import people
from bench.load import LoadGenerator, Requests
from bench.load_generator import Outcome
from bench.programs import Program
from bench.report import Findings, Note, Row, at_most
from bench.requests import client, post
from bench.rounds import Comparison, Sample, in_turns, median
from bench.shelf_requests import KEEPS_NOTHING, from_visitors, list_path, page_keys
from bench.stage import Stage
from bitloot.domain.limits import Limits
from bitloot_adapters.argon2.password_hasher import open_password_hasher

PAGES: Final = range(2, 4_900, 3)
CLIENTS: Final = 8
PEOPLE: Final = 64
PASSWORD: Final = "a lantern in the rain"
WARM_UP: Final = 0.5
# Sign-ins begin so much earlier than what is measured beside them, and end so much later.
AROUND: Final = 0.3
NAME: Final = "password-sign-in"
SHARE: Final = float(Limits().password_cpu_share)
# A hash more or less within the time that is looked at.
SHARE_MUST: Final = 1.1
SLOWER_MUST: Final = 1.5
TEXT: Final = (
    f"{CLIENTS} clients sign in with the passwords of {PEOPLE} accounts, each again as soon as it"
    " is signed in, while pages all over the catalogue, none of them kept, are read over 16"
    " connections. The limit of the reads is the same shop while nobody signs in, in turns."
    f" `{NAME}-cpu` is the processor time of all threads of the shop but the one that answers;"
    f" its limit is `BITLOOT_LIMIT_PASSWORD_CPU_SHARE` ({SHARE:.0%} of a core)."
)


def measure(stage: Stage) -> Findings:
    """The same pages while people sign in, and while nobody does."""
    database = stage.fresh_database("signing")
    people.signed_in(database, PEOPLE, password_hash=asyncio.run(_hashed()))
    asked = from_visitors(stage, "beside", [list_path(key) for key in page_keys(database, PAGES)])
    shop = stage.ports["shop"]
    with (
        LoadGenerator() as crowd,
        stage.serving(database, settings=KEEPS_NOTHING) as program,
    ):
        signing = _SigningIn(stage, crowd, program)
        stage.load.run(asked, shop, WARM_UP)

        def during() -> Sample:
            signing.begin()
            found = stage.load.sample(asked, shop, stage.seconds)
            signing.end()
            return found

        found = in_turns(
            during, lambda: stage.load.sample(asked, shop, stage.seconds), stage.rounds
        )
    return Findings(
        rows=(*signing.rows(), *_beside(found)),
        notes=(Note(title=f"Sign-ins of `{NAME}`", text=TEXT),),
    )


def _beside(found: Comparison) -> tuple[Row, ...]:
    name = "list-during-sign-ins"
    slower = found.ours.p99 / found.limit.p99
    return (
        at_most(f"{name}-p50", "ms", found.ours.p50, limit=found.limit.p50),
        at_most(f"{name}-p99", "ms", found.ours.p99, limit=found.limit.p99),
        at_most(f"{name}-slower", "x p99 idle", slower, must=SLOWER_MUST),
    )


async def _hashed() -> str:
    async with open_password_hasher(Limits()) as hasher:
        return await hasher.hash(PASSWORD)


class _SigningIn:
    """Those who sign in, sent by a process of their own, and what that cost the shop."""

    def __init__(self, stage: Stage, crowd: LoadGenerator, program: Program) -> None:
        self._seconds = stage.seconds
        self._port = stage.ports["shop"]
        self._crowd = crowd
        self._pid = program.pid
        self._requests = Requests(
            stage.folder / "sign-ins.requests",
            [_sign_in(number) for number in range(PEOPLE)],
            is_cycled=True,
            connections=CLIENTS,
        )
        self._outcomes: list[Outcome] = []
        self._shares: list[float] = []
        self._since = (0.0, 0.0)

    def begin(self) -> None:
        """Sign in from now on until a moment after what is measured beside it."""
        self._crowd.begin(self._requests, self._port, self._seconds + 2 * AROUND)
        time.sleep(AROUND)
        self._since = time.monotonic(), beside_the_loop(self._pid)

    def end(self) -> None:
        """Wait for the last. Raises BadAnswersError when somebody could not sign in."""
        (begun, before), now = self._since, time.monotonic()
        self._shares.append((beside_the_loop(self._pid) - before) / (now - begun))
        self._outcomes.append(self._crowd.end(self._requests, self._port))

    def rows(self) -> tuple[Row, ...]:
        """Of all rounds."""
        whole = median(
            Sample(per_second=each.sent / each.seconds, p50=each.p50, p99=each.p99)
            for each in self._outcomes
        )
        return (
            at_most(NAME, "sign-ins/s", whole.per_second),
            at_most(f"{NAME}-p50", "ms", whole.p50),
            at_most(f"{NAME}-p99", "ms", whole.p99),
            at_most(
                f"{NAME}-cpu",
                "% of a core",
                100 * statistics.mean(self._shares),
                limit=100 * SHARE,
                must=100 * SHARE * SHARE_MUST,
            ),
        )


def _sign_in(number: int) -> bytes:
    body = msgspec.json.encode({"email": people.email_of(number), "password": PASSWORD})
    return post("/v1/auth/login", body, {"X-Forwarded-For": client(number)})


def beside_the_loop(pid: int) -> float:
    """Seconds of the processor that all threads of a process took but the one that it began with
    (proc(5), stat): those that hash passwords, and nearly nothing else.
    """
    ticks = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        # The name of a program stands in parentheses, and may hold anything.
        with suppress(FileNotFoundError):
            _, _, rest = (thread / "stat").read_text().rpartition(")")
            user, system = rest.split()[11:13]
            ticks += 0 if thread.name == str(pid) else int(user) + int(system)
    return ticks / os.sysconf("SC_CLK_TCK")
