"""The whole shop in a storm, seed by seed; and that the simulation itself can say no."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from tests.unit.simulation.checks import Broken
from tests.unit.simulation.processes import ProcessDied, Processes, pause
from tests.unit.simulation.simulation import Simulation, simulate

from bitloot.domain.decision import Decision, update
from bitloot.domain.order import Order

ROOT = Path(__file__).parents[3]
DIGESTS = """
import logging, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
from tests.unit.simulation.simulation import simulate
print(*(simulate(seed, is_long=True).digest for seed in (3, 14, 15)))
"""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What workers log in a storm is of no use here."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_no_seed_breaks_an_invariant(first: int) -> None:
    for seed in range(first, first + 50):
        run = simulate(seed)
        assert run.broken is None, run.story


@pytest.mark.parametrize("first", range(0, 20, 10))
def test_no_long_storm_breaks_an_invariant(first: int) -> None:
    for seed in range(first, first + 10):
        run = simulate(seed, is_long=True)
        assert run.broken is None, run.story


def test_storms_kill_processes_and_still_orders_are_fulfilled() -> None:
    runs = [simulate(seed, is_long=True) for seed in range(100, 110)]
    assert sum(run.deaths for run in runs) > len(runs) / 2
    assert sum(run.fulfilled for run in runs) > len(runs) / 2


def test_one_seed_is_one_run_and_another_seed_another() -> None:
    assert simulate(7).log == simulate(7).log
    assert simulate(7).log != simulate(8).log


def test_one_seed_is_one_run_in_processes_that_hash_differently() -> None:
    told = set()
    for hash_seed in ("1", "4242"):
        ran = subprocess.run(
            [sys.executable, "-c", DIGESTS],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        told.add(ran.stdout)
    assert len(told) == 1
    assert len(told.pop().split()) == 3


def test_a_row_that_changes_without_an_event_is_found_and_told() -> None:
    simulation = Simulation(11, is_long=True)
    assert simulation.run().broken is None
    world = simulation.world
    order = world.store.rows(Order)[0]
    world.store.tables.write((update(order, total=order.total + 1),))
    with pytest.raises(Broken, match="the events give other rows"):
        simulation.checks.at_the_end()


def test_a_broken_invariant_is_found_right_after_the_step_that_broke_it() -> None:
    simulations = [Simulation(seed, is_long=True) for seed in range(5)]
    simulation = next(each for each in simulations if each.run().fulfilled)
    world = simulation.world
    order = next(o for o in world.store.rows(Order) if o.status == "fulfilled")
    world.store.tables.write((update(order, status="paid"),))
    world.committed.append(Decision(order_id=order.id))
    with pytest.raises(Broken):
        simulation.checks.after_step()


def test_a_process_dies_with_all_its_tasks_and_what_they_had_not_done() -> None:
    done: list[str] = []
    heard: list[Exception | None] = []

    async def work(name: str, *, deadly: bool) -> None:
        await pause("before")
        if deadly:
            raise ProcessDied
        await pause("between")
        done.append(name)

    processes = Processes()
    for name, process in (("first", "a"), ("second", "a"), ("third", "b")):
        processes.start(name, process, work(name, deadly=name == "first"), heard.append)
    for task in list(processes.tasks):
        processes.step(task)
    assert processes.step(processes.tasks[0]) == "died"
    while processes.tasks:
        processes.step(processes.tasks[0])
    assert done == ["third"]
    assert [type(one).__name__ for one in heard] == ["ConnectionLost", "ConnectionLost", "NoneType"]
