"""Figures of the promises, and the servers and programs that their tests hurt."""

from pathlib import Path

import pytest
from tests.promises.figures import Figures, Table


def pytest_configure(config: pytest.Config) -> None:
    """The table is kept where the reports come together, not in each process of a run."""
    if not hasattr(config, "workerinput"):
        path = config.getoption("--figures-into")
        config.pluginmanager.register(Table(Path(path) if path else None), "promises-table")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """`figures.note(…)` writes down what was reached; `figures.full` asks for the full scale."""
    return Figures(request.node, full=bool(request.config.getoption("--full")))
