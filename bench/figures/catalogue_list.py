"""How many pages of the catalogue, and how many products, are answered anew (P1, P3)."""

from collections.abc import Sequence
from typing import Final

from bench.limits.catalogue_statements import DETAIL, LIST
from bench.report import Findings, Note
from bench.rounds import in_turns
from bench.shelf_requests import (
    KEEPS_NOTHING,
    bare_list_path,
    from_visitors,
    list_path,
    page_keys,
    slugs,
)
from bench.shelves import PRODUCTS
from bench.speed import speed
from bench.stage import Stage

PAGES: Final = range(2, 4_900, 3)
WARM_UP: Final = 0.5
TEXT: Final = (
    "The limit runs this one statement, whose JSON is the answer. Ours keeps no answer for longer"
    " than a millisecond here, and is asked by 64 visitors in turn."
)


def lists(stage: Stage) -> Findings:
    """Pages all over the catalogue, in the order of popularity."""
    found = page_keys(stage.filled, PAGES)
    return _compared(
        stage, "catalogue-list", LIST, [*map(list_path, found)], [*map(bare_list_path, found)]
    )


def details(stage: Stage) -> Findings:
    """Products all over the catalogue, by slug."""
    found = slugs(PRODUCTS)
    ours = [f"/v1/catalog/products/{slug}" for slug in found]
    return _compared(
        stage, "catalogue-detail", DETAIL, ours, [f"/products/{slug}" for slug in found]
    )


def _compared(
    stage: Stage, name: str, statement: str, ours: Sequence[str], bare: Sequence[str]
) -> Findings:
    asked, least = from_visitors(stage, name, ours), from_visitors(stage, f"{name}-bare", bare)
    database = stage.filled
    with stage.serving(database, settings=KEEPS_NOTHING), stage.limit_serving(database):
        shop, limit = stage.ports["shop"], stage.ports["limit"]
        stage.load.run(asked, shop, WARM_UP)
        stage.load.run(least, limit, WARM_UP)
        found = in_turns(
            lambda: stage.load.sample(asked, shop, stage.seconds),
            lambda: stage.load.sample(least, limit, stage.seconds),
            stage.rounds,
        )
    return Findings(
        rows=speed(name, "requests/s", found.ours, found.limit, must=0.5, moonshot=0.75),
        notes=(Note(title=f"Limit of `{name}`", text=TEXT, statement=statement),),
    )
