"""Baskets, orders and their timers, through the use cases, on memory adapters."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from bitloot.domain.decision import Decision, update
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment_plan import plan
from bitloot.domain.idempotency import IdempotencyRecord
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order, OrderItem
from bitloot.domain.product import Listing, Offer, Product
from bitloot.domain.quote import Wanted
from bitloot.domain.reservation import Reservation
from bitloot.testing.rows import Goods
from bitloot_adapters.memory.unpaid_orders import EMAIL, UnpaidOrders

IP = "192.0.2.7"


@pytest.fixture
def shop() -> UnpaidOrders:
    return UnpaidOrders()


async def quoted(shop: UnpaidOrders, goods: Goods, quantity: int = 1) -> str:
    wanted = [Wanted(product=goods.product.id, quantity=quantity)]
    return (await shop.checkout.quote(wanted, country=None, asset=None)).quote.id


async def changed(shop: UnpaidOrders, row: Product | Offer | Listing, **fields: object) -> None:
    now = shop.store.tables.get(type(row), row.id)
    assert now is not None
    async with shop.uow.begin() as tx:
        await tx.record(Decision(save=(update(now, **fields),)))


async def test_a_quote_is_priced_frozen_and_estimated_with_the_policy(shop: UnpaidOrders) -> None:
    goods = await shop.stock()
    both = [
        Wanted(product=goods.product.slug, quantity=1),
        Wanted(product=goods.product.id, quantity=2),
    ]
    answer = await shop.checkout.quote(both, country="de", asset="BTC")
    assert [line.quantity for line in answer.quote.lines] == [3]
    assert answer.quote.total == Decimal("37.50")
    assert answer.quote.country == "DE"
    assert answer.quote.frozen_until == shop.clock.now() + timedelta(minutes=15)
    assert answer.estimate is not None
    assert "not refunded" in answer.underpayment_policy


async def test_a_basket_that_costs_more_than_any_amount_is_refused(shop: UnpaidOrders) -> None:
    goods = await shop.stock()
    await changed(shop, goods.listing, price=Decimal("999999999999.99"))
    await quoted(shop, goods)
    with pytest.raises(Refused, match="invalid-input"):
        await quoted(shop, goods, quantity=2)


async def test_a_quote_does_without_an_estimate_while_the_gateway_is_down(
    shop: UnpaidOrders,
) -> None:
    wanted = [Wanted(product=(await shop.stock()).product.id, quantity=1)]
    shop.gateway.faults.go_down()
    assert (await shop.checkout.quote(wanted, country=None, asset="btc")).estimate is None


async def test_an_asset_is_named_by_its_ticker_wherever_it_is_asked_for(
    shop: UnpaidOrders,
) -> None:
    wanted = [Wanted(product=(await shop.stock()).product.id, quantity=1)]
    quoted = await shop.checkout.quote(wanted, country=None, asset=" BTC ")
    assert quoted.estimate is not None
    assert quoted.quote.asset == quoted.estimate.asset == "btc"
    for odd in ("", " ", "b t c", "btc/ltc", "₿", "x" * 33):
        with pytest.raises(Refused, match="invalid-input"):
            await shop.checkout.quote(wanted, country=None, asset=odd)
        with pytest.raises(Refused, match="invalid-input"):
            await shop.opening.estimate(Decimal(10), odd)


async def test_an_asset_that_cannot_carry_the_amount_is_refused_at_the_quote(
    shop: UnpaidOrders,
) -> None:
    goods = await shop.stock()
    shop.gateway.set_rate("ltc", Decimal(1_000_000))
    wanted = [Wanted(product=goods.product.id, quantity=1)]
    with pytest.raises(Refused, match="amount-below-minimum"):
        await shop.checkout.quote(wanted, country=None, asset="ltc")


async def test_an_order_keeps_its_goods_and_starts_its_timer(shop: UnpaidOrders) -> None:
    bought, own = await shop.stock(), await shop.stock(own=True, units=2)
    placed = await shop.order(bought, own)
    assert placed.number.startswith("BL")
    assert placed.status == "created"
    assert placed.window_ends_at == shop.clock.now() + timedelta(minutes=30)
    assert {r.state for r in shop.store.rows(Reservation)} == {"held"}
    assert [offer.held for offer in shop.store.rows(Offer)] == [1]
    assert sorted(k.state for k in shop.store.rows(InventoryKey)) == ["available", "reserved"]
    await shop.work_for(timedelta(minutes=31))
    assert shop.order_row(placed.order_id).status == "expired"
    assert [offer.held for offer in shop.store.rows(Offer)] == [0]
    assert {k.state for k in shop.store.rows(InventoryKey)} == {"available"}


async def test_one_idempotency_key_fifty_times_at_once_gives_one_order(
    shop: UnpaidOrders,
) -> None:
    quote_id = await quoted(shop, await shop.stock())
    once = shop.once("orders", body="a")
    answers = await asyncio.gather(
        *(shop.checkout.place(quote_id, email=EMAIL, placed_from=IP, once=once) for _ in range(50))
    )
    assert len({answer.order_id for answer in answers}) == 1
    assert len(shop.store.rows(Order)) == 1
    other = shop.once("orders", key=once.key, body="b")
    with pytest.raises(Refused, match="idempotency-key-reused"):
        await shop.checkout.place(quote_id, email=EMAIL, placed_from=IP, once=other)
    [record] = shop.store.rows(IdempotencyRecord)
    assert record.state == "done"


async def place(shop: UnpaidOrders, quote_id: str, email: str = EMAIL) -> None:
    once = shop.once("orders")
    await shop.checkout.place(quote_id, email=email, placed_from=IP, once=once)


async def test_a_quote_is_used_once_and_only_while_it_is_frozen(shop: UnpaidOrders) -> None:
    goods = await shop.stock()
    quote_id = await quoted(shop, goods)
    await place(shop, quote_id)
    with pytest.raises(Refused, match="quote-used"):
        await place(shop, quote_id)
    late = await quoted(shop, goods)
    shop.clock.advance(timedelta(minutes=15))
    with pytest.raises(Refused, match="quote-expired"):
        await place(shop, late)
    with pytest.raises(Refused, match="not-found"):
        await place(shop, "no-such-quote")


async def test_a_loss_that_was_signed_is_sold_at_and_the_purchase_may_cost_what_it_does(
    shop: UnpaidOrders,
) -> None:
    goods = await shop.stock()
    await changed(
        shop, goods.listing, price=Decimal("5.00"), floor=Decimal("9.10"), is_loss_signed=True
    )
    placed = await shop.order(goods)
    assert placed.total == Decimal("5.00")
    (item,) = shop.store.rows(OrderItem)
    assert (item.unit_price, item.unit_floor) == (Decimal("5.00"), Decimal("5.00"))
    async with shop.uow.begin() as tx:
        file = await tx.orders.file(placed.order_id)
    assert file is not None
    (part,) = plan(
        file, at=shop.clock.now(), new_id=shop.new_id, limits=Limits(), wholesale_units={}
    )
    assert part.max_unit_price == item.unit_cost == Decimal("9.00")


async def test_a_price_that_fell_below_its_floor_unsigned_is_asked_at_the_floor(
    shop: UnpaidOrders,
) -> None:
    goods = await shop.stock()
    assert goods.offer is not None
    await changed(shop, goods.offer, cost=Decimal("20.00"))
    placed = await shop.order(goods)
    assert placed.total == Decimal("20.21")


async def test_where_one_line_got_dearer_and_another_cheaper_no_line_is_below_its_floor(
    shop: UnpaidOrders,
) -> None:
    one, other = await shop.stock(), await shop.stock()
    wanted = [Wanted(product=each.product.id, quantity=1) for each in (one, other)]
    quote_id = (await shop.checkout.quote(wanted, country=None, asset=None)).quote.id
    assert one.offer is not None
    assert other.offer is not None
    await changed(shop, one.offer, cost=Decimal("13.00"))
    await changed(shop, other.offer, cost=Decimal("1.00"))
    await place(shop, quote_id)
    for item in shop.store.rows(OrderItem):
        assert item.unit_price >= item.unit_floor


async def test_the_price_asked_is_the_lower_of_the_frozen_and_todays(shop: UnpaidOrders) -> None:
    goods = await shop.stock()
    quote_id = await quoted(shop, goods)
    await changed(shop, goods.listing, price=Decimal("11.00"))
    placed = await shop.checkout.place(
        quote_id, email=EMAIL, placed_from=IP, once=shop.once("orders")
    )
    assert placed.total == Decimal("11.00")
    quote_id = await quoted(shop, goods)
    await changed(shop, goods.listing, price=Decimal("15.00"))
    placed = await shop.checkout.place(
        quote_id, email=EMAIL, placed_from=IP, once=shop.once("orders")
    )
    assert placed.total == Decimal("11.00")


async def test_a_frozen_total_under_todays_floor_asks_for_a_fresh_quote(
    shop: UnpaidOrders,
) -> None:
    goods = await shop.stock()
    assert goods.offer is not None
    quote_id = await quoted(shop, goods)
    await changed(shop, goods.offer, cost=Decimal("12.40"))
    with pytest.raises(Refused, match="price-changed") as refusal:
        await place(shop, quote_id)
    facts = refusal.value.facts
    assert (facts["frozen"], facts["floor"], facts["total"]) == ("12.50", "12.53", "12.53")
    confirmed = await shop.checkout.place(
        str(facts["quote"]), email=EMAIL, placed_from=IP, once=shop.once("orders")
    )
    assert confirmed.total == Decimal("12.53")
    await changed(shop, goods.product, is_published=False)
    with pytest.raises(Refused, match="not-for-sale"):
        await place(shop, quote_id)


async def test_a_number_that_another_order_has_is_drawn_anew(shop: UnpaidOrders) -> None:
    goods = await shop.stock()
    drawn = iter([bytes(5), bytes(5), b"\x00\x00\x00\x00\x01"])
    checkout = replace(shop.checkout, random_bytes=lambda _: next(drawn))
    numbers = [
        (
            await checkout.place(
                await quoted(shop, goods), email=EMAIL, placed_from=IP, once=shop.once("orders")
            )
        ).number
        for _ in range(2)
    ]
    assert numbers == ["BL00000000", "BL00000001"]


async def test_the_fourth_open_order_of_one_person_is_refused_whatever_the_alias(
    shop: UnpaidOrders,
) -> None:
    goods = await shop.stock()
    for alias in ("", "+a", "+b"):
        await place(shop, await quoted(shop, goods), f"buyer{alias}@Shop.example")
    with pytest.raises(Refused, match="too-many-open-orders"):
        await place(shop, await quoted(shop, goods), "BUYER+c@shop.example")
    await place(shop, await quoted(shop, goods), "other@shop.example")
    await place(shop, await quoted(shop, goods), "third@shop.example")
    with pytest.raises(Refused, match="too-many-open-orders"):
        await place(shop, await quoted(shop, goods), "fourth@shop.example")


async def test_new_orders_are_refused_while_deliveries_lag_behind(shop: UnpaidOrders) -> None:
    goods = await shop.stock()
    placed, payment = await shop.payable(goods)
    shop.gateway.pay(shop.gateway_id(payment.payment_id))
    await shop.work_for(timedelta(minutes=2))
    assert shop.order_row(placed.order_id).status == "paid"
    shop.clock.advance(timedelta(minutes=31))
    with pytest.raises(Refused) as no:
        await place(shop, await quoted(shop, goods), "other@shop.example")
    assert no.value.code == "shop-busy"
    assert no.value.retry_after


async def test_two_buyers_of_the_last_key_get_one_order(shop: UnpaidOrders) -> None:
    goods = await shop.stock(own=True, units=1)
    quotes = [await quoted(shop, goods) for _ in range(2)]
    answers = await asyncio.gather(
        *(place(shop, quote, f"b{n}@shop.example") for n, quote in enumerate(quotes)),
        return_exceptions=True,
    )
    refusals = [answer for answer in answers if isinstance(answer, Refused)]
    assert [no.code for no in refusals] == ["out-of-stock"]
    assert len(shop.store.rows(Order)) == 1


async def test_cancelling_is_answered_the_same_each_time(shop: UnpaidOrders) -> None:
    placed = await shop.order(await shop.stock())
    once = shop.once("cancel")
    first = await shop.checkout.cancel(placed.order_id, once=once)
    assert first.status == "cancelled"
    assert await shop.checkout.cancel(placed.order_id, once=once) == first
    assert [offer.held for offer in shop.store.rows(Offer)] == [0]
    with pytest.raises(Refused, match="not-found"):
        await shop.checkout.cancel("nothing", once=shop.once("cancel"))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"quantity": 0}, "invalid-input"),
        ({"quantity": 91}, "invalid-input"),
        ({"quantity": 11}, "out-of-stock"),
        ({"product": "no-such-thing"}, "not-for-sale"),
        ({"product": "x" * 500}, "not-for-sale"),
    ],
)
async def test_a_basket_that_cannot_be_sold_is_refused_by_name(
    shop: UnpaidOrders, line: dict[str, object], code: str
) -> None:
    good = Wanted(product=(await shop.stock()).product.slug, quantity=1)
    with pytest.raises(Refused) as no:
        await shop.checkout.quote([msgspec.structs.replace(good, **line)], country=None, asset=None)
    assert no.value.code == code
    assert no.value.field


async def test_a_basket_has_lines_and_not_too_many(shop: UnpaidOrders) -> None:
    many = [Wanted(product=f"p{n}", quantity=1) for n in range(Limits().basket_lines + 1)]
    for basket in ([], many):
        with pytest.raises(Refused, match="invalid-input"):
            await shop.checkout.quote(basket, country=None, asset=None)


async def test_a_locked_country_and_a_mixed_preorder_are_refused(shop: UnpaidOrders) -> None:
    goods, other = await shop.stock(), await shop.stock()
    line = Wanted(product=goods.product.id, quantity=1)
    await changed(shop, goods.product, excluded_countries=("DE",), is_preorder=True)
    with pytest.raises(Refused, match="country-locked"):
        await shop.checkout.quote([line], country="DE", asset=None)
    with pytest.raises(Refused, match="invalid-input"):
        await shop.checkout.quote([line], country="Germany", asset=None)
    two = [line, Wanted(product=other.product.id, quantity=1)]
    with pytest.raises(Refused, match="preorder-mixed"):
        await shop.checkout.quote(two, country="FR", asset=None)
    assert (await shop.checkout.quote([line], country="FR", asset=None)).quote.lines


async def test_a_lock_that_is_learned_after_the_quote_is_kept_too(shop: UnpaidOrders) -> None:
    goods = await shop.stock()
    wanted = [Wanted(product=goods.product.id, quantity=1)]
    here = (await shop.checkout.quote(wanted, country="DE", asset=None)).quote.id
    there = (await shop.checkout.quote(wanted, country="FR", asset=None)).quote.id
    await changed(shop, goods.product, excluded_countries=("DE",))
    with pytest.raises(Refused, match="country-locked"):
        await place(shop, here)
    await place(shop, there)


async def test_an_unpublished_product_is_not_for_sale(shop: UnpaidOrders) -> None:
    goods = await shop.stock()
    quote_id = await quoted(shop, goods)
    await changed(shop, goods.product, is_published=False)
    with pytest.raises(Refused, match="not-for-sale"):
        await quoted(shop, goods)
    with pytest.raises(Refused, match="not-for-sale"):
        await place(shop, quote_id)


async def test_an_order_cannot_be_paid_after_its_window(shop: UnpaidOrders) -> None:
    placed = await shop.order(await shop.stock())
    shop.clock.advance(timedelta(minutes=30))
    with pytest.raises(Refused, match="order-not-payable"):
        await shop.opening.pay(placed.order_id, asset="btc", once=shop.once("payments"))
