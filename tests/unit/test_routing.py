"""Several suppliers for one product: who is bought from, and when the next one gets a chance."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest

from bitloot.domain.decision import update
from bitloot.domain.errors import Refused
from bitloot.domain.failpoints import AFTER_INTENT_COMMIT
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.idempotency import Once
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.own_stock import Batch
from bitloot.domain.product import Product
from bitloot.domain.quote import Wanted
from bitloot.domain.reconciliation import SUPPLIER_SWEEP
from bitloot.usecases.checkout import OrderFacts
from bitloot_adapters.memory.supplier import MemorySupplier, NextOrder
from bitloot_web.composition.memory import GATEWAY, SUPPLIER
from bitloot_web.testing import TestShop, shop

SECOND = "keyhaven"
_numbers = count()


async def paid(it: TestShop, slug: str, quantity: int = 1) -> str:
    """An order that was just paid, with nothing bought for it yet; gives its id."""
    wanted = [Wanted(product=slug, quantity=quantity)]
    quoted = await it.shop.checkout.quote(wanted, country=None, asset=None)
    order = await it.shop.checkout.place(
        quoted.quote.id, email="buyer@example.org", placed_from="203.0.113.7", once=_once()
    )
    await _money(it, order)
    return order.order_id


async def _money(it: TestShop, order: OrderFacts) -> None:
    await it.shop.opening.pay(order.order_id, asset="btc", once=_once())
    payment = it.around.gateway.of_order(order.number)[-1].gateway_payment_id
    it.around.gateway.pay(payment)
    headers, body = it.around.gateway.webhook(payment)
    assert await it.shop.webhook_intake.accept(GATEWAY, headers, body) == "accepted"


def _once() -> Once:
    key = f"key-{next(_numbers):020}"
    return Once(route="test", caller="test", key=key, request_hash=key)


def fulfilments(it: TestShop, order_id: str) -> Sequence[Fulfilment]:
    return [row for row in it.around.store.rows(Fulfilment) if row.order_id == order_id]


def attempts(it: TestShop, order_id: str) -> list[tuple[str, str]]:
    """Where the order was tried to be bought, and what came of each try."""
    rows = [row for row in it.around.store.rows(SupplierAttempt) if row.order_id == order_id]
    return [(row.supplier, row.state) for row in sorted(rows, key=lambda row: row.gen)]


async def status(it: TestShop, order_id: str) -> str:
    view = await it.shop.views.orders.order(order_id)
    assert view is not None
    return view.status


class Two:
    """A shop whose one product two suppliers have: the usual one, and a second."""

    def __init__(self, it: TestShop, slug: str, first_offer: str, second_offer: str) -> None:
        self.it = it
        self.slug = slug
        self.first: MemorySupplier = it.around.suppliers[SUPPLIER]
        self.second: MemorySupplier = it.around.suppliers[SECOND]
        self.first_offer = first_offer
        self.second_offer = second_offer

    @property
    def orders(self) -> tuple[int, int]:
        """How many orders were ever placed at each."""
        return len(self.first.order_ids), len(self.second.order_ids)


async def two(it: TestShop, *, first: str = "8.00", second: str = "8.50", units: int = 9) -> Two:
    slug = await it.stock_supplier("Lantern Keeper", cost=Decimal(first), units=units)
    [product] = it.around.store.rows(Product)
    other = await it.sell_also(slug, supplier=SECOND, cost=Decimal(second), units=units)
    return Two(it, slug, f"offer-{product.supplier_product_id}", other)


async def test_the_cheaper_of_two_suppliers_is_bought_from() -> None:
    async with shop(seed=1, further_suppliers=[SECOND]) as it:
        goods = await two(it, first="8.00", second="7.00")
        order_id = await paid(it, goods.slug, quantity=3)
        await it.advance(timedelta(minutes=5))
        assert await status(it, order_id) == "fulfilled"
        assert attempts(it, order_id) == [(SECOND, "completed")]
        assert goods.orders == (0, 1)
        assert {key.supplier for key in it.around.store.rows(SealedKey)} == {SECOND}


async def test_what_suppliers_say_now_counts_and_not_what_was_known_of_them() -> None:
    async with shop(seed=2, further_suppliers=[SECOND]) as it:
        goods = await two(it, first="8.00", second="8.05")
        order_id = await paid(it, goods.slug)
        goods.first.change_offer(goods.first_offer, price=Decimal("8.10"))
        await it.advance(timedelta(minutes=5))
        assert attempts(it, order_id) == [(SECOND, "completed")]


async def test_what_the_first_supplier_has_not_comes_from_the_second() -> None:
    async with shop(seed=3, further_suppliers=[SECOND]) as it:
        goods = await two(it)
        order_id = await paid(it, goods.slug)
        goods.first.change_offer(goods.first_offer, stock=0)
        await it.advance(timedelta(minutes=5))
        assert await status(it, order_id) == "fulfilled"
        assert goods.orders == (0, 1)


async def test_during_an_outage_of_the_first_supplier_the_second_delivers_at_once() -> None:
    async with shop(seed=4, further_suppliers=[SECOND]) as it:
        goods = await two(it)
        orders = [await paid(it, goods.slug) for _ in range(3)]
        goods.first.faults.go_down()
        await it.advance(timedelta(minutes=1))
        assert [await status(it, order_id) for order_id in orders] == ["fulfilled"] * 3
        assert goods.orders == (0, 3)


@pytest.mark.parametrize("word", ["unavailable", "not_found", "balance", "credentials"])
async def test_a_definite_no_of_the_first_supplier_is_followed_by_the_second(word: str) -> None:
    async with shop(seed=5, further_suppliers=[SECOND]) as it:
        goods = await two(it)
        order_id = await paid(it, goods.slug)
        goods.first.next_order(NextOrder(refuse=word))
        await it.advance(timedelta(minutes=5))
        assert await status(it, order_id) == "fulfilled"
        assert attempts(it, order_id) == [(SUPPLIER, "rejected"), (SECOND, "completed")]


async def test_a_price_above_the_ceiling_is_paid_to_neither() -> None:
    async with shop(seed=6, further_suppliers=[SECOND]) as it:
        goods = await two(it)
        order_id = await paid(it, goods.slug)
        for supplier, offer in (
            (goods.first, goods.first_offer),
            (goods.second, goods.second_offer),
        ):
            supplier.change_offer(offer, price=Decimal(50))
        await it.advance(timedelta(hours=1))
        [row] = fulfilments(it, order_id)
        assert (row.state, row.blocked_reason) == ("blocked", "price")
        assert goods.orders == (0, 0)
        goods.second.change_offer(goods.second_offer, price=row.max_unit_price)
        await it.advance(timedelta(minutes=6))
        assert await status(it, order_id) == "fulfilled"
        assert goods.orders == (0, 1)


async def test_an_answer_that_was_lost_at_the_first_is_never_followed_by_a_purchase_elsewhere() -> (
    None
):
    async with shop(seed=7, further_suppliers=[SECOND]) as it:
        goods = await two(it)
        order_id = await paid(it, goods.slug)
        goods.first.faults.lose_next_reply()
        await it.run_due()
        goods.first.faults.go_down()
        await it.advance(timedelta(hours=6))
        assert attempts(it, order_id) == [(SUPPLIER, "unknown")]
        assert goods.orders == (1, 0)
        goods.first.faults.come_back()
        await it.advance(timedelta(hours=1))
        assert await status(it, order_id) == "fulfilled"
        assert attempts(it, order_id) == [(SUPPLIER, "completed")]
        assert goods.orders == (1, 0)


async def test_after_a_search_in_vain_it_is_bought_again_where_a_late_order_would_turn_up() -> None:
    missed: list[MemorySupplier] = []

    def sends_nothing(name: str) -> None:
        if name == AFTER_INTENT_COMMIT and missed:
            missed.pop().faults.time_out_next()

    async with shop(seed=8, further_suppliers=[SECOND], failpoint=sends_nothing) as it:
        goods = await two(it)
        order_id = await paid(it, goods.slug)
        missed.append(goods.first)
        await it.advance(timedelta(minutes=1))
        goods.second.change_offer(goods.second_offer, price=Decimal(1))
        await it.advance(timedelta(minutes=10))
        assert attempts(it, order_id) == [(SUPPLIER, "unknown")]
        await it.advance(timedelta(hours=1))
        assert attempts(it, order_id) == [(SUPPLIER, "absent"), (SUPPLIER, "completed")]


async def test_after_a_search_in_vain_the_second_delivers_what_the_first_has_no_more() -> None:
    missed: list[MemorySupplier] = []

    def sends_nothing(name: str) -> None:
        if name == AFTER_INTENT_COMMIT and missed:
            missed.pop().faults.time_out_next()

    async with shop(seed=9, further_suppliers=[SECOND], failpoint=sends_nothing) as it:
        goods = await two(it)
        order_id = await paid(it, goods.slug)
        missed.append(goods.first)
        await it.advance(timedelta(minutes=1))
        goods.first.change_offer(goods.first_offer, stock=0)
        await it.advance(timedelta(hours=1))
        assert attempts(it, order_id) == [(SUPPLIER, "absent"), (SECOND, "completed")]
        assert await status(it, order_id) == "fulfilled"


@pytest.mark.parametrize(
    ("stock", "then"),
    [({"first": 0}, SECOND), ({}, SECOND), ({"second": 0}, SUPPLIER)],
    ids=["sold out", "the next offer first", "no other offer"],
)
async def test_money_given_back_by_the_first_buys_from_the_next_offer_under_a_new_id(
    stock: dict[str, int], then: str
) -> None:
    async with shop(seed=10, further_suppliers=[SECOND]) as it:
        goods = await two(it)
        goods.first.next_order(NextOrder(units=0))
        order_id = await paid(it, goods.slug)
        await it.run_due()
        [placed] = goods.first.order_ids
        goods.first.end(placed, "canceled")
        if "first" in stock:
            goods.first.change_offer(goods.first_offer, stock=0)
        if "second" in stock:
            goods.second.change_offer(goods.second_offer, stock=0)
        await it.advance(timedelta(minutes=1))
        assert await status(it, order_id) == "fulfilled"
        assert attempts(it, order_id) == [(SUPPLIER, "canceled"), (then, "completed")]
        assert fulfilments(it, order_id)[0].round == 2


async def test_where_both_have_nothing_it_waits_a_day_and_then_for_a_person() -> None:
    async with shop(seed=12, further_suppliers=[SECOND]) as it:
        goods = await two(it)
        order_id = await paid(it, goods.slug)
        goods.first.change_offer(goods.first_offer, stock=0)
        goods.second.change_offer(goods.second_offer, stock=0)
        await it.advance(timedelta(hours=23))
        [row] = fulfilments(it, order_id)
        assert (row.state, row.blocked_reason) == ("blocked", "stock")
        await it.advance(timedelta(hours=2))
        [row] = fulfilments(it, order_id)
        assert row.state == "failed_terminal"
        assert goods.orders == (0, 0)


async def test_units_that_a_late_payment_took_from_the_second_are_bought_there() -> None:
    async with shop(seed=17, further_suppliers=[SECOND]) as it:
        goods = await two(it, second="8.05", units=1)
        wanted = [Wanted(product=goods.slug, quantity=1)]
        quoted = await it.shop.checkout.quote(wanted, country=None, asset=None)
        order = await it.shop.checkout.place(
            quoted.quote.id, email="buyer@example.org", placed_from="203.0.113.7", once=_once()
        )
        await it.shop.opening.pay(order.order_id, asset="btc", once=_once())
        await it.advance(timedelta(hours=2))
        assert await status(it, order.order_id) == "expired"
        # The offer that was kept is sold out: the last unit anywhere is kept at the second.
        goods.first.change_offer(goods.first_offer, stock=0)
        await it.catalog.sync(SUPPLIER, told=lambda _: None)
        payment = it.around.gateway.of_order(order.number)[-1].gateway_payment_id
        it.around.gateway.pay(payment)
        headers, body = it.around.gateway.webhook(payment)
        assert await it.shop.webhook_intake.accept(GATEWAY, headers, body) == "accepted"
        await it.advance(timedelta(minutes=1))
        assert await status(it, order.order_id) == "fulfilled"
        assert attempts(it, order.order_id) == [(SECOND, "completed")]


@pytest.mark.parametrize("stock", [9, 0], ids=["all have it", "the first has not"])
async def test_from_slow_suppliers_it_is_bought_all_the_same_and_nothing_tried_in_vain(
    stock: int,
) -> None:
    more = [SECOND, "codecove", "gamegrove"]
    async with shop(seed=18, further_suppliers=more) as it:
        slug = await it.stock_supplier("Lantern Keeper", cost=Decimal(8), units=9)
        for name in more:
            await it.sell_also(slug, supplier=name, cost=Decimal("8.05"), units=9)
        order_id = await paid(it, slug)
        await _planned(it, order_id)
        it.around.suppliers[SUPPLIER].change_offer("offer-20000", stock=stock)
        for supplier in it.around.suppliers.values():
            supplier.faults.answer_slowly(lambda: it.around.clock.advance(timedelta(seconds=4)))
        await it.advance(timedelta(minutes=2))
        assert await status(it, order_id) == "fulfilled"
        assert [state for _, state in attempts(it, order_id)] == ["completed"]


async def test_where_neither_can_be_paid_it_waits_for_the_balance() -> None:
    async with shop(seed=13, further_suppliers=[SECOND]) as it:
        goods = await two(it)
        order_id = await paid(it, goods.slug)
        goods.first.set_balance(Decimal(1))
        goods.second.set_balance(Decimal(1))
        await it.advance(timedelta(minutes=20))
        [row] = fulfilments(it, order_id)
        assert (row.state, row.blocked_reason) == ("blocked", "balance")
        goods.second.set_balance(Decimal(100))
        await it.advance(timedelta(minutes=6))
        assert await status(it, order_id) == "fulfilled"
        assert goods.orders == (0, 1)


async def test_a_late_order_at_the_first_is_given_back_when_the_second_has_delivered() -> None:
    async with shop(seed=14, further_suppliers=[SECOND]) as it:
        goods = await two(it)
        order_id = await paid(it, goods.slug)
        goods.first.faults.lose_next_reply()
        # It is placed, and its search does not show it for longer than anybody waits.
        goods.first.lag_behind(timedelta(hours=3))
        await it.run_due()
        goods.first.change_offer(goods.first_offer, stock=0)
        goods.first.set_balance(Decimal(1_000_000))
        await it.advance(timedelta(hours=2))
        assert attempts(it, order_id)[-1] == (SECOND, "completed")
        await it.advance(timedelta(hours=2))
        await it.around.near.jobs.tick(
            "daily", it.around.clock.now(), "sweep", f"{SUPPLIER_SWEEP}{SUPPLIER}/now"
        )
        await it.run_due()
        assert goods.orders == (1, 1)
        assert await status(it, order_id) == "fulfilled"
        assert (SUPPLIER, "canceled") in attempts(it, order_id)
        [late] = goods.first.order_ids
        assert {unit.state for unit in (await goods.first.order(late)).keys} == {"returned"}
        assert sum(line.amount for line in it.around.store.rows(LedgerLine)) == 0


async def test_offers_of_other_places_are_not_joined() -> None:
    async with shop(seed=15, further_suppliers=[SECOND]) as it:
        slug = await it.stock_supplier("Lantern Keeper", cost=Decimal(8), units=3)
        with pytest.raises(Refused, match="invalid-input"):
            await it.shop.supplier_desk.join(
                it.around.store.rows(Product)[0].id, SUPPLIER, "20000", actor="test"
            )
        assert slug


async def test_joined_offers_make_the_price_are_counted_and_part_again() -> None:
    async with shop(seed=16, further_suppliers=[SECOND]) as it:
        slug = await it.stock_supplier("Lantern Keeper", cost=Decimal(8), units=1)
        [first] = it.around.store.rows(Product)
        before = await it.shop.views.catalog.product(slug)
        await it.sell_also(slug, supplier=SECOND, cost=Decimal(4), units=5)
        after = await it.shop.views.catalog.product(slug)
        assert before is not None
        assert after is not None
        assert before.price is not None
        assert after.price is not None
        assert after.price < before.price
        assert [(offer.source, offer.available) for offer in after.offers] == [
            (SECOND, 5),
            (SUPPLIER, 1),
        ]
        [second] = [row for row in it.around.store.rows(Product) if row.source == SECOND]
        assert not second.is_published
        # The next synchronisation leaves it where a person put it.
        it.around.suppliers[SECOND].change_offer("offer-20001", price=Decimal(3), stock=4)
        await it.catalog.sync(SECOND, told=lambda _: None)
        again = await it.shop.views.catalog.product(slug)
        assert again is not None
        assert again.offers[0].available == 4
        await it.shop.supplier_desk.part(first.id, SECOND, "20001", actor="test")
        await it.run_due()
        alone = await it.shop.views.catalog.product(slug)
        assert alone is not None
        assert alone.price == before.price
        assert [offer.source for offer in alone.offers] == [SUPPLIER]
        with pytest.raises(Refused, match="not-found"):
            await it.shop.supplier_desk.part(first.id, SECOND, "20001", actor="test")


# --- own keys among the sources ------------------------------------------------------------------


async def own_and(it: TestShop, *, keys: int, cost: str = "4.00", units: int = 30) -> str:
    """A product of our own, at 10.00 with keys that cost 5.00, which a supplier has too."""
    slug = await it.stock_own("Office Pro", price=Decimal("10.00"), keys=keys)
    await it.sell_also(slug, supplier=SECOND, cost=Decimal(cost), units=units)
    return slug


def end_all_keys(it: TestShop) -> None:
    """The keys on the shelf and those that are kept end before anybody binds them."""
    over = it.around.clock.now() - timedelta(seconds=1)
    tables = it.around.store.tables
    tables.write([update(key, expires_at=over) for key in it.around.store.rows(InventoryKey)])


async def test_own_keys_that_are_cheaper_are_sold_first() -> None:
    async with shop(seed=20, further_suppliers=[SECOND]) as it:
        slug = await own_and(it, keys=2, cost="6.00")
        order_id = await paid(it, slug, quantity=2)
        await it.advance(timedelta(minutes=1))
        assert await status(it, order_id) == "fulfilled"
        assert attempts(it, order_id) == []
        # The next buyer finds no key and is sold the supplier's, at a price above its cost.
        again = await paid(it, slug)
        await it.advance(timedelta(minutes=1))
        assert attempts(it, again) == [(SECOND, "completed")]
        assert await status(it, again) == "fulfilled"


async def test_keys_that_ended_while_they_were_kept_come_from_a_supplier_in_its_parts() -> None:
    async with shop(seed=21, further_suppliers=[SECOND]) as it:
        slug = await own_and(it, keys=11, cost="6.00")
        order_id = await paid(it, slug, quantity=11)
        end_all_keys(it)
        await it.advance(timedelta(minutes=2))
        assert await status(it, order_id) == "fulfilled"
        parts = fulfilments(it, order_id)
        assert sorted(slot for part in parts for slot in part.slots) == list(range(1, 12))
        assert [(part.own_stock, part.quantity) for part in parts] == [(False, 9), (False, 2)]
        # What was kept is nobody's any more.
        assert {key.state for key in it.around.store.rows(InventoryKey)} == {"available"}
        assert await it.shop.views.desk.breaches(limit=10) == ()


async def test_own_keys_take_over_what_the_supplier_has_no_more() -> None:
    async with shop(seed=22, further_suppliers=[SECOND]) as it:
        slug = await own_and(it, keys=3, cost="4.00")
        order_id = await paid(it, slug, quantity=2)
        [row] = await _planned(it, order_id)
        assert not row.own_stock
        it.around.suppliers[SECOND].change_offer("offer-20001", stock=0)
        await it.advance(timedelta(minutes=1))
        assert await status(it, order_id) == "fulfilled"
        assert attempts(it, order_id) == []
        [row] = fulfilments(it, order_id)
        assert (row.own_stock, row.supplier) == (True, "custom")
        states = sorted(key.state for key in it.around.store.rows(InventoryKey))
        assert states == ["available", "sold", "sold"]
        assert sum(line.amount for line in it.around.store.rows(LedgerLine)) == 0
        assert await it.shop.views.desk.breaches(limit=10) == ()


async def test_own_keys_that_cost_more_than_the_ceiling_are_not_given_for_it() -> None:
    async with shop(seed=23, further_suppliers=[SECOND]) as it:
        slug = await own_and(it, keys=1, cost="4.00")
        order_id = await paid(it, slug)
        [row] = await _planned(it, order_id)
        tables, dear = it.around.store.tables, row.max_unit_price + 1
        tables.write([update(key, cost=dear) for key in it.around.store.rows(InventoryKey)])
        it.around.suppliers[SECOND].change_offer("offer-20001", stock=0)
        await it.advance(timedelta(hours=1))
        [row] = fulfilments(it, order_id)
        assert (row.state, row.blocked_reason) == ("blocked", "price")


async def _planned(it: TestShop, order_id: str) -> Sequence[Fulfilment]:
    """Settle the payment, and nothing behind it."""
    for job in list(it.around.store.jobs.pending()):
        if job.kind == "apply_payment":
            await it.runner.run(job.id)
    return fulfilments(it, order_id)


async def test_keys_that_came_in_since_are_not_given_away_below_their_cost() -> None:
    async with shop(seed=24) as it:
        slug = await it.stock_own("Office Pro", price=Decimal("10.00"), keys=1)
        order_id = await paid(it, slug)
        [row] = await _planned(it, order_id)
        end_all_keys(it)
        [product] = it.around.store.rows(Product)
        batch = Batch(product_id=product.id, name="dear", cost=row.max_unit_price + 1)
        await it.shop.inventory.import_keys(b"DEAR-KEY", batch, actor="test")
        await it.advance(timedelta(hours=1))
        assert [each.state for each in fulfilments(it, order_id)] == ["blocked"]
        fair = Batch(product_id=product.id, name="fair", cost=row.max_unit_price)
        await it.shop.inventory.import_keys(b"FAIR-KEY", fair, actor="test")
        await it.advance(timedelta(minutes=6))
        assert await status(it, order_id) == "fulfilled"
