"""Wrong credentials open the breaker at once, and every refused read is told by its true cause."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bitloot.domain.email import Email
from bitloot.domain.errors import Refused
from bitloot.domain.money import Eur
from bitloot.domain.quote import Wanted
from bitloot.domain.supply import SupplierOffer, SupplierOrder
from bitloot.ports.errors import Rejected
from bitloot.ports.supplier import SupplierRequest
from bitloot.testing.rows import SUPPLIER
from bitloot.usecases.fulfilment import FulfilmentJob
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_adapters.memory.supplier import MemorySupplier, NextOrder
from bitloot_adapters.memory.unpaid_orders import UnpaidOrders

MINUTE = timedelta(minutes=1)
SOON = timedelta(seconds=10)


class RefusingSupplier(MemorySupplier):
    """Says no to one call with this word, as long as there is a word."""

    def __init__(self, shop: PaidOrders, *, call: str, word: str) -> None:
        super().__init__(clock=shop.clock.now, random_bytes=shop.random, name=SUPPLIER)
        self.asked = 0
        self._call = call
        self._word: str | None = word

    def relent(self) -> None:
        self._word = None

    async def offers(self, supplier_product_id: str) -> Sequence[SupplierOffer]:
        self._refuse("offers")
        return await super().offers(supplier_product_id)

    async def balance(self) -> Eur:
        self._refuse("balance")
        return await super().balance()

    async def place(self, request: SupplierRequest) -> SupplierOrder:
        self._refuse("place")
        return await super().place(request)

    def _refuse(self, call: str) -> None:
        self.asked += call == self._call
        if call == self._call and self._word is not None:
            raise Rejected(self.name, self._word)


def refusing(shop: PaidOrders, call: str, word: str) -> RefusingSupplier:
    supplier = RefusingSupplier(shop, call=call, word=word)
    shop.supplier = supplier
    desk = replace(shop.fulfil.desk, suppliers={SUPPLIER: supplier})
    shop.fulfil = FulfilmentJob(desk)
    return supplier


# --- the breaker ---------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["offers", "balance", "place"])
async def test_wrong_credentials_block_the_purchase_and_open_the_breaker(call: str) -> None:
    shop = PaidOrders()
    refusing(shop, call, "credentials")
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    [fulfilment] = shop.fulfilments(order_id)
    assert (fulfilment.state, fulfilment.blocked_reason) == ("blocked", "credentials")
    assert not await shop.breakers.allows(SUPPLIER)


async def test_while_credentials_are_wrong_only_probes_reach_the_supplier() -> None:
    shop = PaidOrders()
    supplier = refusing(shop, "offers", "credentials")
    orders = [await shop.paid(await shop.goods()) for _ in range(12)]
    await shop.work()
    assert supplier.asked == 1
    await shop.work_for(10 * MINUTE)
    assert supplier.asked <= 1 + 10 * MINUTE / shop.limits.breaker_probe
    supplier.relent()
    await shop.work_for(6 * MINUTE)
    assert {shop.order(order_id).status for order_id in orders} == {"fulfilled"}


async def test_a_purchase_that_waits_for_credentials_says_so_as_long_as_it_waits() -> None:
    shop = PaidOrders()
    refusing(shop, "offers", "credentials")
    orders = [await shop.paid(await shop.goods()) for _ in range(2)]
    for _ in range(30):
        await shop.work_for(MINUTE)
    reasons = [f.blocked_reason for order_id in orders for f in shop.fulfilments(order_id)]
    assert "credentials" in reasons
    moves = [
        event
        for order_id in orders
        for event in shop.store.events[order_id]
        if event.kind == "fulfilment_moved" and event.facts.get("to") == "blocked"
    ]
    assert len(moves) <= 2 * len(orders)


async def test_keys_refused_for_wrong_credentials_open_the_breaker_and_come_later() -> None:
    shop = PaidOrders()
    order_id = await shop.paid(await shop.goods())
    shop.supplier.next_order(NextOrder(after=MINUTE))
    await shop.work()
    shop.supplier.faults.knows_credentials = False
    await shop.work_for(SOON)
    assert not await shop.breakers.allows(SUPPLIER)
    shop.supplier.faults.knows_credentials = True
    await shop.work_for(6 * MINUTE)
    assert shop.order(order_id).status == "fulfilled"


async def test_a_search_refused_for_wrong_credentials_opens_the_breaker() -> None:
    shop = PaidOrders()
    shop.supplier.faults.lose_next_reply()
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    shop.supplier.faults.knows_credentials = False
    await shop.work_for(SOON)
    assert not await shop.breakers.allows(SUPPLIER)
    shop.supplier.faults.knows_credentials = True
    await shop.work_for(10 * MINUTE)
    assert shop.order(order_id).status == "fulfilled"
    assert len(shop.bought(order_id)) == 1


async def test_a_mailer_that_knows_us_no_more_is_left_alone_until_a_probe() -> None:
    shop = PaidOrders()
    shop.mailer.faults.knows_credentials = False
    await shop.paid(await shop.own_goods("SERIAL"))
    await shop.work()
    assert not await shop.breakers.allows(shop.mailer.name)
    shop.mailer.faults.knows_credentials = True
    await shop.work_for(6 * MINUTE)
    assert [mail.state for mail in shop.store.rows(Email)] == ["sent"]


async def test_a_gateway_that_refuses_our_credentials_is_no_fault_of_the_buyer() -> None:
    shop = UnpaidOrders()
    placed = await shop.order(await shop.stock())
    shop.gateway.faults.knows_credentials = False
    once = shop.once("payments")
    with pytest.raises(Refused) as refused:
        await shop.opening.pay(placed.order_id, asset="btc", once=once)
    assert refused.value.code == "provider-unavailable"
    assert not await shop.breakers.allows(shop.gateway.name)
    shop.gateway.faults.knows_credentials = True
    shop.clock.advance(MINUTE)
    paying = await shop.opening.pay(placed.order_id, asset="btc", once=once)
    assert paying.pay_address


async def test_an_estimate_that_is_refused_for_our_credentials_blames_no_asset() -> None:
    shop = UnpaidOrders()
    goods = await shop.stock()
    shop.gateway.faults.knows_credentials = False
    with pytest.raises(Refused) as refused:
        await shop.opening.estimate(Decimal("12.50"), "btc")
    assert refused.value.code == "provider-unavailable"
    wanted = [Wanted(product=goods.product.id, quantity=1)]
    quoted = await shop.checkout.quote(wanted, country=None, asset="btc")
    assert (quoted.quote.total, quoted.estimate) == (Decimal("12.50"), None)


async def test_a_payment_that_cannot_be_read_for_wrong_credentials_is_settled_later() -> None:
    shop = UnpaidOrders()
    placed, paying = await shop.payable()
    gateway_id = shop.gateway_id(paying.payment_id)
    shop.gateway.pay(gateway_id)
    shop.gateway.move(gateway_id, "finished")
    await shop.call_back(gateway_id)
    shop.gateway.faults.knows_credentials = False
    await shop.work()
    assert not await shop.breakers.allows(shop.gateway.name)
    shop.gateway.faults.knows_credentials = True
    await shop.work_for(6 * MINUTE)
    assert shop.order_row(placed.order_id).status == "paid"


# --- the true cause ------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["offers", "balance"])
async def test_an_empty_balance_is_called_so(call: str) -> None:
    shop = PaidOrders()
    refusing(shop, call, "balance")
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    assert [f.blocked_reason for f in shop.fulfilments(order_id)] == ["balance"]
    assert await shop.breakers.allows(SUPPLIER)


@pytest.mark.parametrize("word", ["invalid", "a word of tomorrow"])
async def test_a_read_refused_as_our_own_mistake_waits_for_a_person(word: str) -> None:
    shop = PaidOrders()
    refusing(shop, "offers", word)
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    [fulfilment] = shop.fulfilments(order_id)
    assert (fulfilment.state, fulfilment.last_error) == ("failed_terminal", word)
    assert await shop.breakers.allows(SUPPLIER)
