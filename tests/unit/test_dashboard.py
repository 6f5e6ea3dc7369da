"""The dashboard for Grafana asks for what the shop tells, and shows all of it."""

import re
from pathlib import Path

import msgspec

from bitloot_web.metrics import open_metrics

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "bitloot.json"
# A name as it stands in a query; the parts of a histogram are told apart by their endings.
ASKED = re.compile(r"\b((?:bitloot|process)_[a-z_]+)\b")
PART = re.compile(r"_(?:bucket|count|sum|total)$")


class Place(msgspec.Struct):
    """Where a panel stands, in a grid of 24 columns."""

    h: int
    w: int
    x: int
    y: int


class Query(msgspec.Struct):
    """What a panel asks Prometheus."""

    expr: str


class Panel(msgspec.Struct, rename="camel"):
    """A panel, as far as it is read here."""

    id: int
    type: str
    title: str
    grid_pos: Place
    targets: list[Query] = []


class Dashboard(msgspec.Struct):
    """The file that Grafana imports."""

    title: str
    uid: str
    panels: list[Panel]


def told() -> set[str]:
    """Every metric of a process, by its name without the endings of its parts."""
    page = open_metrics().page().decode()
    names = re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram)$", page, re.MULTILINE)
    return {PART.sub("", name) for name in names if not name.endswith("_created")}


def asked(dashboard: Dashboard) -> set[str]:
    """Every metric that a panel asks for."""
    queries = [query.expr for panel in dashboard.panels for query in panel.targets]
    return {PART.sub("", name) for query in queries for name in ASKED.findall(query)}


def test_the_dashboard_asks_for_metrics_that_exist_and_for_every_one_of_the_shop() -> None:
    dashboard = msgspec.json.decode(DASHBOARD.read_bytes(), type=Dashboard)
    assert asked(dashboard) <= told()
    assert {name for name in told() if name.startswith("bitloot_")} <= asked(dashboard)


def test_every_panel_has_a_title_a_question_and_a_place_of_its_own() -> None:
    panels = msgspec.json.decode(DASHBOARD.read_bytes(), type=Dashboard).panels
    assert len({panel.id for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel.title
        assert bool(panel.targets) is (panel.type != "row"), panel.title
        at = panel.grid_pos
        cells = {(x, y) for x in range(at.x, at.x + at.w) for y in range(at.y, at.y + at.h)}
        assert at.x + at.w <= 24
        assert not cells & taken, panel.title
        taken |= cells
