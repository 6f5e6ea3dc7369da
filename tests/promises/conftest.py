"""Figures of the promises, and the servers and programs that their tests hurt."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
from tests.promises.buyers import Crowd, open_crowd
from tests.promises.figures import Table
from tests.promises.market import Market, open_doors, open_market
from tests.promises.stage import Stage, open_stage

from bitloot_web.devservices import ValkeyStore
from bitloot_web.logs import configure_logs

# Storms over the whole shop, too long to be waited for at every change, and what is told by time,
# which only a machine without other work can tell: `make promises` runs them.
LONG = frozenset(
    {
        "test_r06_callbacks_lost.py",
        "test_r07_intake.py",
        "test_r08_frozen_workers.py",
        "test_r09_database_restarts.py",
        "test_r10_lost_commit_replies.py",
        "test_r11_valkey_outages.py",
        "test_r12_doorbell.py",
        "test_r14_r15_blocked.py",
        "test_r16_objects_away.py",
        "test_r17_mail_away.py",
        "test_r19_disk_full.py",
        "test_r20_poison_jobs.py",
        "test_r22_bounded.py",
        "test_r3_second_purchase.py",
        "test_s07_constant_time.py",
        "test_s12_by_time.py",
    }
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Those are left to `--full`; named on the command line they run in any case."""
    return True if collection_path.name in LONG and not config.getoption("--full") else None


def pytest_configure(config: pytest.Config) -> None:
    """The table is kept where the reports come together, not in each process of a run."""
    if not hasattr(config, "workerinput"):
        path = config.getoption("--figures-into")
        config.pluginmanager.register(Table(Path(path) if path else None), "promises-table")


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


class Theatre:
    """Holds the one stage, from its first test to its last: nothing of it runs beside others."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._stage: Stage | None = None
        self._times = 0

    def stage(self, folder: Path, *, is_full: bool) -> Stage:
        """The stage, opened where it is not."""
        if self._stage is None:
            self._times += 1
            below = folder / f"stage-{self._times}"
            below.mkdir()
            # A short stream is full soon.
            bounds = {} if is_full else {"stream_length": 60}
            self._stage = self._open.enter_context(open_stage(below, is_full=is_full, **bounds))
        return self._stage

    def close(self) -> None:
        """End all that runs on it."""
        self._stage = None
        self._open.close()


THEATRE = Theatre()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """After the last test that needs the stage it is closed."""
    try:
        return (yield)
    finally:
        if needs_stage(item) and (nextitem is None or not needs_stage(nextitem)):
            THEATRE.close()


def needs_stage(item: pytest.Item) -> bool:
    return "stage" in getattr(item, "fixturenames", ())


@pytest.fixture
async def stage(services_folder: Path, request: pytest.FixtureRequest) -> Stage:
    """Everything runs and every connection is good when a test begins."""
    is_full = bool(request.config.getoption("--full"))
    opened = await asyncio.to_thread(THEATRE.stage, services_folder, is_full=is_full)
    await asyncio.to_thread(opened.mend)
    return opened


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
