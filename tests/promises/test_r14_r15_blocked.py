"""R14, R15: what cannot be bought now is not bought at any price, and not asked for in a storm."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

from tests.promises.figures import Figures
from tests.promises.market import FIRST_PRODUCT, PRICE, SUPPLIED, Market, Order, Seen

HOURS = 24
EVERY = timedelta(minutes=5)


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


async def test_r15_what_is_out_of_stock_or_unaffordable_waits_in_its_state_without_a_storm(
    market: Market, figures: Figures
) -> None:
    hours = HOURS if figures.full else 2
    told, calls, states = [], {}, {}
    slugs = await market.supplied()
    for slug, fault, reason in zip(
        slugs,
        ("InsufficientBalance", "ProductUnavailable"),
        ("balance", "stock"),
        strict=False,
    ):
        many = 10_000
        body = {"op": "order.create", "fault": fault, "times": many}
        (await market.supplier.post("/_control/faults", json=body)).raise_for_status()
        order = await market.paid(slug)
        await market.work()
        first = await state_of(market, order)
        await market.live(timedelta(hours=hours))
        [left] = (await market.supplier.get("/_control/faults")).json()
        calls[reason] = many - int(left["times"])
        states[reason] = {first, await state_of(market, order)}
        (await market.supplier.delete("/_control/faults")).raise_for_status()
        await market.live(EVERY + timedelta(minutes=1))
        told.append((await market.see(order))["status"])
    most = hours * timedelta(hours=1) // EVERY + 1
    figures.note(
        "R15",
        "refusals of the supplier lead to the right state and to no storm",
        figure=f"{hours} h each: states {states}, calls {calls} of at most {most} (one in 5 min);"
        f" after the end {told}",
        scale="full" if figures.full else f"÷ {HOURS // hours} in time",
        holds=all(states[reason] == {("blocked", reason)} for reason in ("balance", "stock"))
        and all(0 < count <= most for count in calls.values())
        and told == ["fulfilled"] * 2,
    )
    assert await market.breaches() == ()
