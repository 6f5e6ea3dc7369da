"""How often a session goes on: a refresh token checked, exchanged for the next pair, and kept."""

from collections.abc import Iterator
from typing import Final

import msgspec

from bench import people
from bench.limits.statements import REFRESH
from bench.load import Requests
from bench.report import Findings, Note
from bench.requests import client, post
from bench.rounds import Sample, in_turns
from bench.speed import speed
from bench.stage import Stage

SESSIONS: Final = 2000
FASTEST: Final = 4000
WARM_UP: Final = 0.5
NAME: Final = "token-refresh"
TEXT: Final = (
    f"{SESSIONS:,} sessions in turn, each with the token that follows the one it used last: tokens"
    " are functions of stored facts, so the chain of each is known ahead. Afterwards the database"
    " has as many refreshes as were answered. The limit reads the token without checking it, runs"
    " this one statement, and makes two tokens:"
)


def measure(stage: Stage) -> Findings:
    """Each refresh the first of its token."""
    database = stage.fresh_database("refreshing")
    with stage.serving(database), stage.limit_serving(database):
        ours, limit = stage.ports["shop"], stage.ports["limit"]
        chains = _Chains(stage, database)
        for port in (ours, limit):
            chains.sample(port, WARM_UP)
        found = in_turns(
            lambda: chains.sample(ours, stage.seconds),
            lambda: chains.sample(limit, stage.seconds),
            stage.rounds,
        )
        chains.check(database)
    return Findings(
        rows=speed(NAME, "refreshes/s", found.ours, found.limit, must=None, moonshot=None),
        notes=(Note(title=f"Limit of `{NAME}`", text=TEXT, statement=REFRESH),),
    )


class _Chains:
    """The tokens of all sessions in the order in which they are good: of each the first, then of
    each the second, and so on. The shop and its limit use up the same ones.
    """

    def __init__(self, stage: Stage, database: str) -> None:
        self._stage = stage
        self._sessions = people.signed_in(database, SESSIONS)
        self._tokens = people.tokens_at(stage.url("shop"))
        self._used = 0

    def sample(self, port: int, seconds: float) -> Sample:
        """Exchange the next ones for so long."""
        made = Requests(
            self._stage.folder / "refreshes.requests", self._following(int(FASTEST * seconds))
        )
        found = self._stage.load.sample(made, port, seconds)
        self._used += made.used
        return found

    def check(self, database: str) -> None:
        """Raises RuntimeError unless each answer was a refresh."""
        if (stored := people.refreshes_of(database)) != self._used:
            raise RuntimeError(f"{self._used} answers, and {stored} refreshes")

    def _following(self, count: int) -> Iterator[bytes]:
        for number in range(self._used, self._used + count):
            turn, place = divmod(number, SESSIONS)
            session = msgspec.structs.replace(self._sessions[place], generation=turn + 1)
            body = msgspec.json.encode({"refreshToken": self._tokens.pair(session).refresh})
            yield post("/v1/auth/refresh", body, {"X-Forwarded-For": client(place)})
