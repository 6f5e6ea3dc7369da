"""How many searches are answered (P4), and what a search costs that finds nothing (P5)."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from bench.limits.catalogue_statements import SEARCH_BY_POPULARITY, SEARCH_BY_TS_RANK
from bench.report import Findings, Note, Row, against, at_most
from bench.rounds import Sample, laps
from bench.shelf_requests import (
    KEEPS_NOTHING,
    bare_search_path,
    beginnings,
    from_visitors,
    search_path,
    words,
)
from bench.speed import speed
from bench.stage import Stage

NAME: Final = "catalogue-search"
WARM_UP: Final = 0.5
POPULARITY_MOONSHOT: Final = 0.8
TEXT: Final = (
    "The words are each in one title of sixty, 1.7 % of the catalogue; both limits match by the"
    " same index and sort. `catalogue-search` is beside the one that sorts by `ts_rank`:"
)


def measure(stage: Stage) -> Findings:
    """One common word beside both limits; two words beside words that nothing has."""
    said = words()
    with stage.serving(stage.filled, settings=KEEPS_NOTHING), stage.limit_serving(stage.filled):
        ours, by_rank, by_popularity = _sampled(
            stage,
            (
                ("shop", "words", [search_path(each) for each in said]),
                ("limit", "ts-rank", [bare_search_path("ts-rank", each) for each in said]),
                ("limit", "popularity", [bare_search_path("popularity", each) for each in said]),
            ),
        )
        two, none = _sampled(
            stage,
            (
                ("shop", "two-words", [search_path(each) for each in beginnings(stage.filled)]),
                ("shop", "no-hit", [search_path(f"{each}qqqxz") for each in said]),
            ),
        )
    return Findings(
        rows=(
            *speed(NAME, "requests/s", ours, by_rank, must=1, moonshot=None, p99=(120, 40)),
            against(
                f"{NAME}-of-popularity",
                "requests/s",
                ours.per_second,
                by_popularity.per_second,
                must=None,
                moonshot=POPULARITY_MOONSHOT,
            ),
            _no_hit(none, two),
        ),
        notes=(
            Note(title=f"Limit of `{NAME}`", text=TEXT, statement=SEARCH_BY_TS_RANK),
            Note(
                title=f"Limit of `{NAME}-of-popularity`",
                text="Sorted by what is known to be popular:",
                statement=SEARCH_BY_POPULARITY,
            ),
        ),
    )


def _sampled(stage: Stage, sides: Sequence[tuple[str, str, Sequence[str]]]) -> tuple[Sample, ...]:
    """Each side is a server, a name, and paths."""
    made = [
        (stage.ports[server], from_visitors(stage, f"{NAME}-{name}", paths))
        for server, name, paths in sides
    ]
    for port, requests in made:
        stage.load.run(requests, port, WARM_UP)
    takes = [partial(stage.load.sample, requests, port, stage.seconds) for port, requests in made]
    return laps(takes, stage.rounds)


def _no_hit(none: Sample, two: Sample) -> Row:
    times = none.p50 / two.p50
    return at_most(f"{NAME}-no-hit-p50", "x 2 words", times, must=1, moonshot=None)
