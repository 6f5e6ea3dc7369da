"""R14, R15: what cannot be bought now is not bought at any price, and not asked for in a storm."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from tests.promises.figures import Figures
from tests.promises.market import (
    FIRST_PRODUCT,
    PRICE,
    SUPPLIED,
    Market,
    Order,
    Seen,
    open_doors,
    open_market,
)

from bitloot_web.devservices import ValkeyStore

EVERY = timedelta(minutes=5)
PATIENCE = timedelta(hours=24)
MANY = 10_000
HELD = "SELECT count(*) FROM holds WHERE order_id = %s AND state = 'open'"


async def number_of(market: Market, slug: str) -> int:
    """The supplier's number of a product."""
    asked = "SELECT supplier_product_id FROM products WHERE slug = %s"
    wanted = str((await market.sql(asked, [slug]))[0][0])
    for number in range(FIRST_PRODUCT, FIRST_PRODUCT + SUPPLIED):
        there: Seen = (await market.supplier.get(f"/_control/products/{number}")).json()
        if wanted in {str(number), str(there.get("product_id"))}:
            return number
    raise AssertionError(f"the supplier does not know {slug}")


async def state_of(market: Market, order: Order) -> tuple[str, str]:
    asked = "SELECT state, coalesce(blocked_reason, '') FROM fulfilments WHERE order_id = %s"
    [(state, reason)] = await market.sql(asked, [order.id])
    return str(state), str(reason)


async def test_r14_nothing_is_bought_above_the_highest_price_however_it_drifted(
    market: Market, figures: Figures
) -> None:
    drifts = range(1, 51) if figures.full else (1, 5, 14, 16, 20, 35, 50)
    slugs = await market.supplied()
    above, below, too_dear = Counter[tuple[str, str]](), Counter[tuple[str, str]](), 0
    for turn, percent in enumerate(drifts):
        slug = slugs[turn % len(slugs)]
        number = await number_of(market, slug)
        order = await market.paid(slug)
        [(ceiling,)] = await market.sql(
            "SELECT unit_price FROM order_items WHERE order_id = %s", [order.id]
        )
        price = (Decimal(PRICE) * (100 + percent) / 100).quantize(Decimal("0.01"))
        await market.offer(number, price=str(price))
        await market.work()
        [(most,)] = await market.sql(
            "SELECT max_unit_price FROM fulfilments WHERE order_id = %s", [order.id]
        )
        assert most < ceiling
        bought = await market.sold(order)
        too_dear += sum(Decimal(str(one["paid"])) > most for one in bought)
        (above if price > most else below)[await state_of(market, order)] += 1
        assert len(bought) == (price <= most)
        await market.offer(number, price=PRICE)
    figures.note(
        "R14",
        "after a price drift nothing is bought above the highest price",
        figure=f"+{min(drifts)} to +{max(drifts)} %: {too_dear} bought too dear;"
        f" above the ceiling {dict(above)}, below it {dict(below)}",
        scale="full" if figures.full else f"{len(drifts)} of 50 drifts",
        holds=not too_dear
        and set(above) == {("blocked", "price")}
        and above.total() > 0
        and set(below) == {("delivered", "")},
    )
    # What was blocked goes on by itself once the price is back.
    await market.live(EVERY + timedelta(minutes=1))
    assert await market.count("SELECT count(*) FROM fulfilments WHERE state <> 'delivered'") == 0
    assert await market.breaches() == ()


@dataclass(frozen=True)
class Refusal:
    """What the supplier says to every purchase, and for how many parts in 24 of the patience."""

    fault: str
    reason: str
    parts: int
    # What is expected at the end of it, and of the order a little after the supplier is well again.
    end: tuple[str, str]
    status: str = "fulfilled"


REFUSALS = (
    # A balance waits for its owner as long as that takes; a stock for a day, then for a person.
    Refusal("InsufficientBalance", "balance", 25, ("blocked", "balance")),
    Refusal("ProductUnavailable", "stock", 23, ("blocked", "stock")),
    Refusal("ProductUnavailable", "stock", 25, ("failed_terminal", ""), status="paid"),
)


async def test_r15_what_is_out_of_stock_or_unaffordable_waits_in_its_state_without_a_storm(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    patience = PATIENCE if figures.full else PATIENCE / 24
    limits = {"BLOCKED_PATIENCE": f"{patience // timedelta(minutes=1)}m"}
    valkey_server.flush()
    told, right = list[str](), 0
    async with (
        open_doors() as doors,
        open_market(shop_url, valkey_server.url, tmp_path, doors, limits=limits) as market,
    ):
        slugs = await market.supplied()
        for slug, refusal in zip(slugs, REFUSALS, strict=False):
            span = patience * refusal.parts / 24
            states, calls, order = await refused(market, slug, refusal, span)
            most = (span if refusal.status == "fulfilled" else patience) // EVERY + 1
            held = await market.count(HELD, order.id)
            status = (await market.see(order))["status"]
            right += (
                states == [("blocked", refusal.reason), refusal.end]
                and 0 < calls <= most
                and (status, held) == (refusal.status, refusal.end[0] != "blocked")
            )
            told.append(
                f"{refusal.reason} for {span / timedelta(hours=1):.3g} h: {calls} calls of at most"
                f" {most}, then {' '.join(refusal.end).strip()}, after it {status}"
            )
        breaches = await market.breaches()
    figures.note(
        "R15",
        "refusals of the supplier lead to the right state, with one try in 5 min at most",
        figure="; ".join(told),
        scale="full" if figures.full else "patience ÷ 24",
        holds=right == len(REFUSALS),
    )
    assert breaches == ()


async def refused(
    market: Market, slug: str, refusal: Refusal, span: timedelta
) -> tuple[list[tuple[str, str]], int, Order]:
    """States at the beginning and at the end of the refusals, the calls meanwhile, the order."""
    body = {"op": "order.create", "fault": refusal.fault, "times": MANY}
    (await market.supplier.post("/_control/faults", json=body)).raise_for_status()
    order = await market.bought(slug)
    states = [await state_of(market, order)]
    await market.live(span)
    states.append(await state_of(market, order))
    [left] = (await market.supplier.get("/_control/faults")).json()
    (await market.supplier.delete("/_control/faults")).raise_for_status()
    await market.live(EVERY + timedelta(minutes=1))
    return states, MANY - int(left["times"]), order
