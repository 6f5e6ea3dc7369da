"""R5: a callback that comes many times, late, or in any order has the effect of one."""

import asyncio
import random
from collections import Counter
from datetime import timedelta

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.integration.till import open_till
from tests.promises.figures import Figures
from tests.promises.market import Market, Seen

from bitloot.domain.forbidden import forbidden_pairs
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.limits import Limits
from bitloot_adapters.memory.unpaid_orders import UnpaidOrders

COPIES = 50
DAY = timedelta(hours=24)
CROWDED = Limits(open_orders_per_address=10_000, open_orders_per_ip=10_000)
BEFORE_THE_END = (
    "waiting",
    "confirming",
    "confirmed",
    "sending",
    "expired",
    "failed",
    "cancelled",
    "canceled",
    "partially_paid",
)
WORDS = (*BEFORE_THE_END, "finished", "a_word_of_tomorrow")


async def at_once(market: Market, sent: Seen) -> Counter[int]:
    answers = await asyncio.gather(*(market.call_back(sent) for _ in range(COPIES)))
    return Counter(answer.status_code for answer in answers)


async def effects(market: Market) -> Seen:
    """What there is of everything that may be there once."""
    counted = {
        "sales": "SELECT count(DISTINCT entry) FROM ledger_lines WHERE starts_with(entry, 'sale/')",
        "lines of sales": "SELECT count(*) FROM ledger_lines WHERE starts_with(entry, 'sale/')",
        "fulfilments": "SELECT count(*) FROM fulfilments",
        "keys": "SELECT count(*) FROM sealed_keys",
        "mails": "SELECT count(*) FROM emails WHERE kind = 'order-ready'",
        "bought": "SELECT count(*) FROM supplier_attempts",
    }
    return {name: await market.count(statement) for name, statement in counted.items()}


async def test_r5_each_callback_fifty_times_at_once_and_a_day_later_is_one_effect(
    market: Market, figures: Figures
) -> None:
    slug = (await market.supplied())[0]
    order = await market.payable(slug)
    told = await market.pay(order)
    assert [sent["payment_status"] for sent in told][-1] == "finished"
    statuses: Counter[int] = Counter()
    for sent in told:
        statuses += await at_once(market, sent)
        await market.work()
    assert (await market.see(order))["status"] == "fulfilled"
    once = await effects(market)
    await market.elapse(DAY)
    for sent in told:
        statuses += await at_once(market, sent)
        await market.work()
    rows = await market.count("SELECT count(*) FROM webhook_logs")
    again = await effects(market)
    calls = 2 * COPIES * len(told)
    figures.note(
        "R5",
        f"each callback {COPIES} times at once and again a day later has the effect of one",
        figure=f"{calls} calls of {len(told)} callbacks: {rows} rows, {again['sales']} sale,"
        f" {again['fulfilments']} fulfilment, {again['keys']} key, {again['mails']} mail",
        scale="full; the day passes by moving what is stored into the past",
        holds=statuses == {200: calls}
        and rows == len(told)
        and once == again
        and again["sales"] == again["fulfilments"] == again["keys"] == again["mails"] == 1,
    )
    assert await market.breaches() == ()


async def state_of(shop: UnpaidOrders, order_id: str) -> tuple[object, ...]:
    async with shop.uow.begin() as tx:
        file = await tx.orders.file(order_id)
    assert file is not None
    assert forbidden_pairs(file, at=shop.clock.now()) == []
    [payment] = file.payments
    lines = [line for line in shop.store.rows(LedgerLine) if line.order_id == order_id]
    return (
        file.order.status,
        file.order.failure_reason,
        file.order.remarks,
        payment.status,
        payment.id == file.order.settled_by,
        len(file.fulfilments),
        len(file.holds),
        tuple(r.state for r in file.reservations),
        tuple(sorted((line.account, line.amount) for line in lines)),
    )


async def told_in(words: tuple[str, ...], shop: UnpaidOrders) -> tuple[object, ...]:
    """The callbacks come in this order, while the gateway itself says that all is paid."""
    placed, payment = await shop.payable(await shop.stock(units=1))
    there = shop.gateway_id(payment.payment_id)
    told = []
    for word in words:
        shop.gateway.move(there, word)
        told.append(shop.gateway.webhook(there))
    shop.gateway.move(there, "waiting")
    shop.gateway.pay(there)
    for headers, body in told:
        await shop.deliver(headers, body)
        await shop.work()
    return await state_of(shop, placed.order_id)


async def gone_through(words: tuple[str, ...], shop: UnpaidOrders) -> tuple[object, ...]:
    """The gateway itself goes through the states in this order, and says so each time."""
    placed, payment = await shop.payable(await shop.stock(units=1))
    there = shop.gateway_id(payment.payment_id)
    for word in words:
        shop.gateway.move(there, word)
        await shop.call_back(there)
        await shop.work()
    shop.gateway.pay(there)
    await shop.call_back(there)
    await shop.work()
    status, reason, remarks, *rest = await state_of(shop, placed.order_id)
    assert remarks in {("paid_late",), ("paid_partial",)}
    return (status, reason, *rest[:5])


def test_r5_whatever_the_order_of_arrival_the_gateways_own_answer_decides(
    figures: Figures,
) -> None:
    most = 2_000 if figures.full else 200
    ends: Counter[str] = Counter()
    seen: set[tuple[str, ...]] = set()

    @settings(max_examples=most, phases=[Phase.generate], database=None)
    @given(st.permutations(WORDS))
    def arrive(words: list[str]) -> None:
        seen.add(tuple(words))
        ends[repr(asyncio.run(told_in(tuple(words), UnpaidOrders(CROWDED))))] += 1

    arrive()
    [end] = ends
    figures.note(
        "R5",
        "the final state does not depend on the order in which callbacks come",
        figure=f"{len(seen)} permutations of {len(WORDS)} statuses: {len(ends)} final state",
        scale="full" if figures.full else "÷ 10",
        holds=len(seen) >= most * 0.95
        and end.startswith("('paid', None, (), 'finished', True, 1, 0, ('consumed',)"),
    )


async def test_r5_a_gateway_that_really_goes_through_all_of_them_ends_there_too(
    figures: Figures,
) -> None:
    most = 2_000 if figures.full else 100
    shuffler = random.Random(2)
    orders = {tuple(shuffler.sample(BEFORE_THE_END, len(BEFORE_THE_END))) for _ in range(most)}
    shop = UnpaidOrders(CROWDED)
    ends = {await gone_through(words, shop) for words in sorted(orders)}
    figures.note(
        "R5",
        "a gateway that goes through its states in any order ends where one in order would",
        figure=f"{len(orders)} orders of {len(BEFORE_THE_END)} states: {len(ends)} final state",
        scale="full" if figures.full else "÷ 20",
        holds=ends == {("paid", None, "finished", True, 1, 0, ("consumed",))},
    )


async def test_r5_shuffled_callbacks_on_postgresql_end_in_one_state_beside_each_other(
    shop_url: str, figures: Figures
) -> None:
    """In one order of arrival, applied in another, while other orders are settled beside it."""
    most = 2_000 if figures.full else 20
    shuffler = random.Random(20)
    arrivals: set[tuple[str, ...]] = set()
    while len(arrivals) < most:
        arrivals.add(tuple(shuffler.sample(WORDS, len(WORDS))))
    orders: list[str] = []
    async with open_till(shop_url) as till:
        slug = await till.own(most)

        async def one(words: tuple[str, ...], buyer: int) -> None:
            placed, there = await till.payable(slug, buyer=buyer)
            orders.append(placed.order_id)
            told = []
            for word in words:
                till.gateway.move(there, word)
                told.append(till.gateway.webhook(there))
            till.gateway.move(there, "waiting")
            till.gateway.pay(there)
            for headers, body in told:
                await till.shop.webhook_intake.accept(till.shop.opening.gateway, headers, body)
            jobs = await till.callback_jobs(there)
            for job in shuffler.sample(jobs, len(jobs)):
                await till.runner.run(job)

        ordered = sorted(arrivals)
        for start in range(0, most, 10):
            batch = ordered[start : start + 10]
            await asyncio.gather(*(one(words, (start + n) % 250) for n, words in enumerate(batch)))
        ends: Counter[object] = Counter()
        for order_id in orders:
            file = await till.file(order_id)
            [payment] = file.payments
            ends[
                file.order.status,
                file.order.failure_reason,
                file.order.remarks,
                payment.status,
                payment.id == file.order.settled_by,
                len(file.fulfilments),
                file.holds,
                tuple(r.state for r in file.reservations),
            ] += 1
        for order_id in orders[::10]:
            await till.assert_in_order(order_id)
        classes = await till.sql("SELECT DISTINCT classification FROM webhook_logs")
    figures.note(
        "R5",
        "shuffled callbacks on PostgreSQL, ten orders beside each other, end in one state",
        figure=f"{most} permutations of {len(WORDS)} statuses: {len(ends)} final state",
        scale="full" if figures.full else "÷ 100",
        holds=set(ends) == {("paid", None, (), "finished", True, 1, (), ("consumed",))},
    )
    assert {word for (word,) in classes} == {"applied", "stale", "duplicate", "unknown_status"}
