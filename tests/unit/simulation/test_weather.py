"""What the simulated world does to a shop: late requests, old answers, clocks that differ."""

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.unit.simulation.simulation import Simulation
from tests.unit.simulation.weather import LATE
from tests.unit.simulation.world import LIMITS, PROCESSES, World

from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.supplier import SupplierOrder, SupplierRequest

REQUEST = SupplierRequest(
    external_id="BL00000000-1-1-1",
    supplier_product_id="20000",
    offer_id="offer-0",
    quantity=1,
    max_price=Decimal(9),
    is_preorder=False,
)


def placed(world: World) -> list[SupplierOrder]:
    """Everything that one order placed, from the process of a worker; what it heard is dropped."""
    heard: list[SupplierOrder] = []

    async def place() -> None:
        heard.append(await world.supplier.place(REQUEST))

    world.processes.start("place", PROCESSES[0], place(), lambda error: None)
    while world.processes.tasks:
        world.processes.step(world.processes.tasks[0])
    return heard


def test_a_request_that_was_given_up_is_carried_out_once_and_inside_the_settle_window() -> None:
    world = next(w for w in map(World, range(100)) if w.weather.next_late(w.now()) is None)
    world.weather.is_storm = True
    world.weather._rough = 1000
    while not world.weather.late:
        placed(world)
    assert world.supplier.placed(REQUEST.external_id) == []
    begun = world.now()
    world.pass_time(timedelta(seconds=max(LATE)))
    [order_id] = world.supplier.placed(REQUEST.external_id)
    order = world.supplier._orders[order_id]
    assert timedelta(0) < order.created_at - begun < LIMITS.settle_window
    world.pass_time(LIMITS.settle_window)
    assert world.supplier.placed(REQUEST.external_id) == [order_id]


@pytest.mark.parametrize("seed", range(40))
def test_the_slowest_search_the_latest_request_and_clocks_that_differ_fit_the_settle_window(
    seed: int,
) -> None:
    world = World(seed)
    off = max(world.skew.values()) - min(world.skew.values())
    late = timedelta(seconds=max(LATE))
    sent = LIMITS.job_lease / 2
    assert sent + late + world.supplier._search_lag + off < LIMITS.settle_window


def test_each_process_has_a_clock_of_its_own_and_the_store_the_true_one() -> None:
    world = next(w for w in map(World, range(200)) if len(set(w.skew.values())) == len(PROCESSES))
    told = {}

    async def ask(process: str) -> None:
        told[process] = world.around.near.clock() - world.store.clock()

    for process in PROCESSES:
        world.processes.start("ask", process, ask(process))
    for task in list(world.processes.tasks):
        world.processes.step(task)
    assert told == world.skew


def test_in_a_storm_an_order_can_be_read_only_after_a_while() -> None:
    world = next(w for w in map(World, range(100)) if w.weather.read_lag)
    world.weather.is_storm = True
    world.weather._rough = 0
    heard = placed(world)
    failed: list[Exception | None] = []

    async def read() -> None:
        heard.append(await world.supplier.order(heard[0].supplier_order_id))

    for _ in range(2):
        world.processes.start("read", PROCESSES[0], read(), failed.append)
        while world.processes.tasks:
            world.processes.step(world.processes.tasks[0])
        world.pass_time(world.weather.read_lag)
    assert [type(error) for error in failed] == [Rejected, type(None)]
    assert heard[0].supplier_order_id == heard[1].supplier_order_id


def test_a_failing_seed_tells_a_short_story() -> None:
    simulation = Simulation(11, is_long=False)
    simulation.world.bugs.append("a planted one")
    run = simulation.run()
    assert run.broken is not None
    assert run.story.startswith("seed 11: an error that nobody expects: a planted one")
    assert len(run.story.splitlines()) < 120


def test_what_is_in_doubt_is_not_what_is_certainly_undone() -> None:
    world = World(3)
    world.weather.is_storm = True
    world.weather._rough = 1000
    heard: list[Exception | None] = []

    async def place() -> None:
        await world.supplier.place(REQUEST)

    for _ in range(40):
        world.processes.start("place", PROCESSES[0], place(), heard.append)
    while world.processes.tasks:
        world.processes.step(world.processes.tasks[0])
    assert {type(error) for error in heard} == {OutcomeUnknown, Unavailable}
    doubts = sum(isinstance(error, OutcomeUnknown) for error in heard)
    assert 0 < len(world.weather.late) < doubts
    world.weather.forget_late()
