"""What it costs to be known: a read by whoever is signed in beside the same read by anybody."""

import http.client
from collections.abc import Mapping
from typing import Final

from bench import people, twins
from bench.load import Requests
from bench.report import Findings, Note, Row
from bench.requests import get
from bench.rounds import in_turns
from bench.speed import speed
from bench.stage import Stage
from bitloot.domain.session import Session

SIGNED_IN: Final = 1000
WARM_UP: Final = 0.5
MOST_SECONDS: Final = 60
NAME: Final = "authenticated-read"
TWINS: Final = ("-m", "bench.twins")
# Whoever asks is asked about anew.
REMEMBERS_NOBODY: Final = {"BITLOOT_LIMIT_SESSION_CACHE": "1ms"}
TEXT: Final = (
    "The limit is the same shop, the same handler and the same bytes, under an address that asks"
    f" nobody who they are. {SIGNED_IN:,} people who are signed in read their account in turn, each"
    " with an access token; whether it is well signed is checked when a process first meets it, its"
    " times at every request, and how its session stands is asked of PostgreSQL every 30 seconds"
    f" (`{NAME}`), or, to see that question alone, at every request (`{NAME}-asked-anew`)."
)


def measure(stage: Stage) -> Findings:
    """Sessions remembered as ever, and sessions that nobody remembers."""
    database = stage.fresh_database("reading")
    sessions = people.signed_in(database, SIGNED_IN)
    rows = (
        *_compared(stage, database, sessions, NAME, {}, must=0.85),
        *_compared(stage, database, sessions, f"{NAME}-asked-anew", REMEMBERS_NOBODY, must=None),
    )
    return Findings(rows=rows, notes=(Note(title=f"Limit of `{NAME}`", text=TEXT),))


def _compared(
    stage: Stage,
    database: str,
    sessions: list[Session],
    name: str,
    settings: Mapping[str, str],
    *,
    must: float | None,
) -> tuple[Row, ...]:
    shown = people.bearer(people.tokens_at(stage.url("shop")), sessions)
    paths = [session.user_id for session in sessions]
    known = [get(f"{twins.SIGNED}/{path}", own) for path, own in zip(paths, shown, strict=True)]
    signed = Requests(stage.folder / "signed.requests", known, is_cycled=True)
    plain = Requests(
        stage.folder / "open.requests",
        [get(f"{twins.OPEN}/{path}", {}) for path in paths],
        is_cycled=True,
    )
    with stage.serving(database, settings=settings, program=TWINS):
        shop = stage.ports["shop"]
        _check(shop, sessions[0].user_id, shown[0])
        # Every one of them was met before, however slow the machine is.
        stage.load.run(Requests(stage.folder / "once.requests", known), shop, MOST_SECONDS)
        stage.load.run(plain, shop, WARM_UP)
        found = in_turns(
            lambda: stage.load.sample(signed, shop, stage.seconds),
            lambda: stage.load.sample(plain, shop, stage.seconds),
            stage.rounds,
        )
    return speed(name, "requests/s", found.ours, found.limit, must=must, moonshot=None)


def _check(port: int, user_id: str, shown: Mapping[str, str]) -> None:
    """Raises RuntimeError unless the token is asked for, and opens what is there for anybody."""
    without, _ = _answered(port, f"{twins.SIGNED}/{user_id}", {})
    known = _answered(port, f"{twins.SIGNED}/{user_id}", shown)
    if without != http.HTTPStatus.UNAUTHORIZED or known[0] != http.HTTPStatus.OK:
        raise RuntimeError(f"without a token {without}, with one {known}")
    if known != _answered(port, f"{twins.OPEN}/{user_id}", {}):
        raise RuntimeError("who is signed in reads something else")


def _answered(port: int, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers=dict(headers))
    found = connection.getresponse()
    told = found.status, found.read()
    connection.close()
    return told
