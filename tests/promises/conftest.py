"""Figures of the promises, and the servers and programs that their tests hurt."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from tests.promises.buyers import Crowd, open_crowd
from tests.promises.figures import Figures, Table
from tests.promises.market import Market, open_doors, open_market
from tests.promises.stage import Stage, open_stage

from bitloot_web.devservices import ValkeyStore
from bitloot_web.logs import configure_logs

GROUP = "promises"


def pytest_configure(config: pytest.Config) -> None:
    """The table is kept where the reports come together, not in each process of a run."""
    if not hasattr(config, "workerinput"):
        path = config.getoption("--figures-into")
        config.pluginmanager.register(Table(Path(path) if path else None), "promises-table")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """`figures.note(…)` writes down what was reached; `figures.full` asks for the full scale."""
    return Figures(request.node, full=bool(request.config.getoption("--full")))


@pytest.fixture
async def market(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path
) -> AsyncIterator[Market]:
    """A shop on real servers among stand-ins on sockets, on a day of its own."""
    configure_logs(level="error")
    valkey_server.flush()
    async with (
        open_doors() as doors,
        open_market(shop_url, valkey_server.url, tmp_path, doors) as opened,
    ):
        yield opened


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One stage serves them all, so they run one after another where tests run side by side."""
    for item in items:
        if "stage" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(GROUP))


@pytest.fixture(scope="session")
def opened_stage(services_folder: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    folder = services_folder / "stage"
    folder.mkdir()
    is_full = bool(request.config.getoption("--full"))
    # A short stream is full soon.
    bounds = {} if is_full else {"stream_length": 60}
    with open_stage(folder, is_full=is_full, **bounds) as opened:
        yield opened


@pytest.fixture
async def stage(opened_stage: Stage) -> Stage:
    """Everything runs and every connection is good when a test begins."""
    await asyncio.to_thread(opened_stage.mend)
    return opened_stage


@pytest.fixture
async def crowd(stage: Stage) -> AsyncIterator[Crowd]:
    async with open_crowd(stage) as opened:
        yield opened
        (await opened.gateway.delete("/_control/faults")).raise_for_status()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what every process logged while it ran."""
    report = yield
    opened = getattr(item, "funcargs", {}).get("stage")
    if report.failed and isinstance(opened, Stage):
        report.sections += [(f"log of {name}", text) for name, text in opened.town.logs()]
    return report
