"""One town for the whole run; what a test turned at the stand-ins is turned back after it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import httpx
import pytest
from tests.e2e.buyer import Buyer
from tests.e2e.town import Town, open_town

CALL_SECONDS = 30.0


@pytest.fixture(scope="session")
def town(services_folder: Path) -> Iterator[Town]:
    folder = services_folder / "e2e"
    folder.mkdir()
    with open_town(folder) as opened:
        yield opened


@pytest.fixture
async def buyer(town: Town) -> AsyncIterator[Buyer]:
    await asyncio.to_thread(town.mend)
    town.mark()
    async with contextlib.AsyncExitStack() as stack:
        shop, gateway, supplier, mail = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=town.url(name), timeout=CALL_SECONDS, trust_env=False)
            )
            for name in ("shop", "nowpayments", "kinguin", "resend")
        ]
        yield Buyer(town, shop, gateway, supplier, mail)
        for door in (gateway, supplier, mail):
            (await door.delete("/_control/faults")).raise_for_status()
        (await supplier.delete("/_control/next-order")).raise_for_status()
        (await supplier.delete("/_control/webhooks/plan")).raise_for_status()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what every process logged while it ran."""
    report = yield
    opened = getattr(item, "funcargs", {}).get("town")
    if report.failed and isinstance(opened, Town):
        report.sections += [(f"log of {name}", text) for name, text in opened.logs()]
    return report
