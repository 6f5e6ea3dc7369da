"""How much longer an answer takes of ten times and of fifty times the products (P6), and of a page
far behind (P7).
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from bench import shelves
from bench.load import Requests
from bench.report import Findings, Note, Row, at_most
from bench.rounds import Sample, laps
from bench.shelf_requests import (
    KEEPS_NOTHING,
    from_visitors,
    list_path,
    page_keys,
    search_path,
    slugs,
    words,
)
from bench.stage import Stage
from bitloot_adapters.postgres.migrate import upgrade

SMALL: Final = 10_000
LARGE: Final = 500_000
SHOPS: Final[Mapping[str, int]] = {
    "small-shop": SMALL,
    "shop": shelves.PRODUCTS,
    "large-shop": LARGE,
}
STEPS: Final = (("100k", "shop", "small-shop"), ("500k", "large-shop", "shop"))
# Pages in the middle of the smallest catalogue, at the same places of the others.
PAGES: Final = range(100, 400, 3)
NEAR: Final = range(2, 66)
FAR: Final = range(4_900, 4_964)
# The longest a side is asked in a round: there are three for each route.
SECONDS: Final = 1.0
WARM_UP: Final = 0.5
GOALS: Final[Mapping[str, tuple[float, float]]] = {
    "list": (1.3, 1.1),
    "detail": (1.3, 1.1),
    "search": (5, 2),
}
TEXT: Final = (
    "The same shop on 10,000, 100,000 and 500,000 products, in turns; each row is the p50 over that"
    " of the size before. The word of a search is in one title of sixty of each. `page-4900` is the"
    " p50 of pages from 4,900 on over that of pages from 2 on, 64 of each."
)


def measure(stage: Stage) -> Findings:
    """Three shops side by side, one of them asked at a time."""
    with _databases(stage) as databases, contextlib.ExitStack() as stack:
        for name, database in databases.items():
            stack.enter_context(stage.serving(database, name, KEEPS_NOTHING))
        rows = [row for route in GOALS for row in _grown(stage, route, _requests(databases)[route])]
        rows.append(_depth(stage))
    return Findings(rows=tuple(rows), notes=(Note(title="Shops of `catalogue-growth`", text=TEXT),))


@contextlib.contextmanager
def _databases(stage: Stage) -> Iterator[Mapping[str, str]]:
    made = {"small-shop": SMALL, "large-shop": LARGE}
    urls = {name: stage.postgres.create_database(name.replace("-", "_")) for name in made}
    for name, url in urls.items():
        upgrade(url)
        shelves.fill(url, made[name])
    yield {**urls, "shop": stage.filled}
    for name in made:
        stage.postgres.drop_database(name.replace("-", "_"))


def _requests(
    databases: Mapping[str, str],
) -> Mapping[str, Callable[[str], Sequence[str]]]:
    """The paths of each route for a shop."""
    return {
        "list": lambda shop: [list_path(each) for each in page_keys(databases[shop], PAGES)],
        "detail": lambda shop: [f"/v1/catalog/products/{slug}" for slug in slugs(SHOPS[shop])],
        "search": lambda _: [search_path(each) for each in words()],
    }


def _grown(stage: Stage, route: str, paths: Callable[[str], Sequence[str]]) -> list[Row]:
    made = {shop: from_visitors(stage, f"growth-{route}-{shop}", paths(shop)) for shop in SHOPS}
    found = _sampled(stage, [(stage.ports[shop], requests) for shop, requests in made.items()])
    p50 = {shop: sample.p50 for shop, sample in zip(made, found, strict=True)}
    must, moonshot = GOALS[route]
    return [
        at_most(
            f"catalogue-growth-{route}-{size}",
            "x p50 before",
            p50[shop] / p50[before],
            must=must,
            moonshot=moonshot,
        )
        for size, shop, before in STEPS
    ]


def _depth(stage: Stage) -> Row:
    port = stage.ports["shop"]
    near, far = _sampled(
        stage,
        [
            (port, from_visitors(stage, f"pages-{name}", list(map(list_path, found))))
            for name, found in (
                ("near", page_keys(stage.filled, NEAR)),
                ("far", page_keys(stage.filled, FAR)),
            )
        ],
    )
    return at_most(
        "catalogue-page-4900", "x p50 of page 2", far.p50 / near.p50, must=1.5, moonshot=1.1
    )


def _sampled(stage: Stage, sides: Sequence[tuple[int, Requests]]) -> tuple[Sample, ...]:
    seconds = min(stage.seconds, SECONDS)
    for port, requests in sides:
        stage.load.run(requests, port, WARM_UP)

    takes = [partial(stage.load.sample, requests, port, seconds) for port, requests in sides]
    return laps(takes, stage.rounds)
