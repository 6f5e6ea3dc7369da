"""Callbacks of one payment in hundreds of orders of arrival: the order ends in the same state."""

import random

from bitloot.domain.forbidden import forbidden_pairs
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.limits import Limits
from bitloot_adapters.memory.unpaid_orders import UnpaidOrders

SHUFFLES = 300
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


def shuffles(words: tuple[str, ...], seed: int) -> list[tuple[str, ...]]:
    shuffler = random.Random(seed)
    found: set[tuple[str, ...]] = set()
    while len(found) < SHUFFLES:
        found.add(tuple(shuffler.sample(words, len(words))))
    return sorted(found)


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
        sorted((line.account, line.amount) for line in lines),
    )


async def test_whatever_the_order_of_arrival_the_gateways_own_answer_decides() -> None:
    shop = UnpaidOrders(CROWDED)
    goods = await shop.stock(units=SHUFFLES)
    ends = set()
    for words in shuffles(WORDS, seed=1):
        placed, payment = await shop.payable(goods)
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
        ends.add(repr(await state_of(shop, placed.order_id)))
    [end] = ends
    assert end.startswith("('paid', None, (), 'finished', True, 1, 0, ('consumed',)")


async def test_a_gateway_that_really_goes_through_all_of_them_ends_there_too() -> None:
    """The gateway itself goes through the states in this order, and says so each time."""
    shop = UnpaidOrders(CROWDED)
    goods = await shop.stock(units=SHUFFLES)
    ends: set[tuple[object, ...]] = set()
    for words in shuffles(BEFORE_THE_END, seed=2):
        placed, payment = await shop.payable(goods)
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
        ends.add((status, reason, *rest[:5]))
    assert ends == {("paid", None, "finished", True, 1, 0, ("consumed",))}
