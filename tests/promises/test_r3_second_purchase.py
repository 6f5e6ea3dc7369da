"""R3: what was bought twice because the supplier's search came too late is found and given back."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from tests.promises.figures import Figures
from tests.promises.market import Market, Order, open_doors, open_market

from bitloot_web.devservices import ValkeyStore
from bitloot_web.scheduler import Scheduler, ticks

LAG = timedelta(minutes=40)


async def sweep(market: Market) -> None:
    """One cycle of the daily comparison with the supplier."""
    await market.sql("DELETE FROM scheduler_ticks")
    limits = market.near.limits
    plan = [tick for tick in ticks(limits, ("kinguin",)) if tick.name == "reconcile-kinguin"]
    assert await Scheduler(market.near.jobs, market.near.clock, plan).step() == 1
    await market.work()


async def bought_twice(market: Market, slug: str) -> Order:
    """The answer is lost, no search shows the order before the settle window ends, and the balance
    does not tell of it either: the merchant fills it up in the same minute.
    """
    fault = {"op": "order.create", "fault": "drop_after", "times": 1}
    (await market.supplier.post("/_control/faults", json=fault)).raise_for_status()
    order = await market.bought(slug)
    balance = (await market.supplier.get("/_control/state")).json()["balance"]
    more = {"balance": str(Decimal(str(balance)) + 50)}
    (await market.supplier.post("/_control/balance", json=more)).raise_for_status()
    await market.live(timedelta(minutes=20))
    return order


async def test_r3_a_second_purchase_beyond_the_settle_window_is_found_and_undone(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    orders = 20 if figures.full else 3
    valkey_server.flush()
    late = {
        "search_lag_seconds": LAG.total_seconds(),
        # The harsher kind of supplier: it sells the same order twice if asked twice.
        "duplicate_external_id": "accept",
    }
    async with (
        open_doors(kinguin=late) as doors,
        open_market(shop_url, valkey_server.url, tmp_path, doors) as market,
    ):
        slug = (await market.supplied())[0]
        placed = [await bought_twice(market, slug) for _ in range(orders)]
        twice = sum([len(await market.sold(order)) == 2 for order in placed])
        await market.live(LAG)
        await sweep(market)
        # Keys are given back, and the supplier takes them and pays.
        await market.live(timedelta(minutes=10))
        await sweep(market)
        returned = kept = unexplained = 0
        for order in placed:
            sold = await market.sold(order)
            words = sorted(str(one["status"]) for one in sold)
            returned += words == ["completed", "refunded"]
            kept += (await market.see(order))["status"] == "fulfilled"
        rows = await market.sql("SELECT supplier_order_id FROM supplier_attempts")
        known = {str(one) for (one,) in rows}
        unexplained = sum(one["order_id"] not in known for one in await market.sold())
        breaks = await market.count(
            "SELECT count(*) FROM reconciliation_breaks WHERE state = 'open'"
        )
        breaches = await market.breaches()
    figures.note(
        "R3",
        "a second purchase beyond the settle window is found within a cycle and undone",
        figure=f"{twice} of {orders} bought twice (search lag {LAG}, settle window 15 min):"
        f" {returned} returned, {kept} delivered, {unexplained} supplier orders unexplained,"
        f" {breaks} differences open",
        scale=("full" if figures.full else "÷ 7") + "; real windows, time moved on",
        holds=twice == returned == kept == orders and not unexplained and not breaks,
    )
    assert breaches == ()
