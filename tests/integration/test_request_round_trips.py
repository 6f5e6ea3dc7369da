"""What a request costs the database: waits for its answer, and commits. Exact, so asserted."""

from pathlib import Path

from bench import shelves
from bench.figures.round_trips import MOST, MOST_COMMITS, Cost, count_all, most_commits
from bench.shop_settings import PORTS, shop_variables

from bitloot_web.composition.opening import open_shop
from bitloot_web.devservices import ValkeyStore
from bitloot_web.plugins import configure
from bitloot_web.settings import Environment

PRODUCTS = 20


async def counted(shop_url: str, redis_url: str, folder: Path) -> dict[str, Cost]:
    shelves.fill(shop_url, PRODUCTS)
    ports = {name: 9000 + place for place, name in enumerate(PORTS)}
    variables = shop_variables(shop_url, redis_url, ports, folder)
    async with open_shop(configure(Environment(variables))) as opened:
        return await count_all(opened, shop_url, products=PRODUCTS)


async def test_an_order_a_callback_and_a_look_keep_within_their_round_trips_and_one_commit(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path
) -> None:
    costs = await counted(shop_url, valkey_server.url, tmp_path)
    assert {name: cost.round_trips for name, cost in costs.items() if name in MOST} == {
        "order": 2,
        "callback": 1,
        "repeated-callback": 2,
        "status": 1,
    }
    assert all(costs[name].round_trips <= most for name, most in MOST.items())
    assert most_commits(costs) <= MOST_COMMITS
    assert costs["status"].commits == 0
