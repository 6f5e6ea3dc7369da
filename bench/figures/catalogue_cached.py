"""How many answers are given out of the process itself, and how many 304 (P2)."""

from collections.abc import Mapping
from typing import Final

from bench.report import Findings, Note, Row
from bench.rounds import in_turns
from bench.shelf_requests import (
    bare_list_path,
    etag,
    from_visitors,
    list_path,
    page_keys,
    slugs,
)
from bench.shelves import PRODUCTS
from bench.speed import speed
from bench.stage import Stage

WARM_UP: Final = 0.5
TEXT: Final = (
    "The limit is a bare route that has the bytes of the answer and their entity tag at hand, and"
    " compares the tag. Ours is asked by 64 visitors in turn, counts each of them, and asks for"
    " the answer anew after a second."
)


def measure(stage: Stage) -> Findings:
    """One page and one product, whole and as they were."""
    (key,), (slug, *_) = page_keys(stage.filled, [100]), slugs(PRODUCTS)
    routes = {
        "list": (list_path(key), f"/kept{bare_list_path(key)}"),
        "detail": (f"/v1/catalog/products/{slug}", f"/kept/products/{slug}"),
    }
    rows: list[Row] = []
    with stage.serving(stage.filled), stage.limit_serving(stage.filled):
        for name, (ours, bare) in routes.items():
            rows += _compared(stage, f"catalogue-cached-{name}", ours, bare, has_it=False)
            rows += _compared(stage, f"catalogue-304-{name}", ours, bare, has_it=True)
    return Findings(rows=tuple(rows), notes=(Note(title="Limit of `catalogue-cached`", text=TEXT),))


def _compared(stage: Stage, name: str, ours: str, bare: str, *, has_it: bool) -> tuple[Row, ...]:
    shop, limit = stage.ports["shop"], stage.ports["limit"]

    def had(port: int, path: str) -> Mapping[str, str]:
        return {"If-None-Match": etag(port, path)} if has_it else {}

    asked = from_visitors(stage, name, [ours], had(shop, ours))
    least = from_visitors(stage, f"{name}-bare", [bare], had(limit, bare))
    stage.load.run(asked, shop, WARM_UP)
    stage.load.run(least, limit, WARM_UP)
    found = in_turns(
        lambda: stage.load.sample(asked, shop, stage.seconds),
        lambda: stage.load.sample(least, limit, stage.seconds),
        stage.rounds,
    )
    return speed(name, "requests/s", found.ours, found.limit, must=0.5, moonshot=0.75)
