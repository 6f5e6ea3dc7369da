"""The job `fulfil` against the Kinguin stand-in: every signal of the supplier, end to end."""

from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest
from tests.contract.wire.kinguin_town import CEILING, HOUR, KEY, MINUTE, PRICE, SECOND, Town

from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.product import Offer
from bitloot.domain.refund import RefundRecord


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    opened = Town("text", preorders=False)
    yield opened
    await opened.close()


@pytest.fixture
async def town_of_any_key() -> AsyncIterator[Town]:
    opened = Town("any", preorders=True)
    yield opened
    await opened.close()


async def is_delivered_once(town: Town, order_id: str, *, orders: int = 1) -> None:
    assert town.order(order_id).status == "fulfilled"
    assert len(await town.placed()) == orders
    assert await town.most_for_one_id() == 1
    assert town.balanced()
    keys = await town.read(order_id)
    units = sum(f.quantity for f in town.fulfilments(order_id) if f.item_no == 1)
    assert len(set(keys)) == units


# --- how keys come ----------------------------------------------------------------------------


async def test_keys_that_are_there_at_once_are_delivered_at_once(town: Town) -> None:
    order_id = await town.paid(await town.sell(), quantity=3)
    await town.work()
    await is_delivered_once(town, order_id)
    assert town.spent() == 3 * PRICE


async def test_eleven_units_are_two_orders_and_all_are_read(town: Town) -> None:
    order_id = await town.paid(await town.sell(), quantity=11)
    await town.work()
    await is_delivered_once(town, order_id, orders=2)


async def test_delayed_keys_are_waited_for(town: Town) -> None:
    order_id = await town.paid(await town.sell())
    await town.control("next-order", delivery="delayed", seconds=3000)
    await town.work()
    assert town.states(order_id) == ["reserved"]
    await town.work_for(HOUR)
    await is_delivered_once(town, order_id)


async def test_a_webhook_shortens_the_wait_and_its_repeat_does_nothing(town: Town) -> None:
    town.reads_webhooks = True
    order_id = await town.paid(await town.sell())
    await town.control("next-order", delivery="stuck")
    await town.work_for(2 * HOUR)
    [there] = await town.placed()
    await town.control(f"orders/{there}/deliver")
    await town.work_for(SECOND)
    await is_delivered_once(town, order_id)


async def test_partial_keys_are_sealed_as_they_come_and_delivered_with_the_last(
    town: Town,
) -> None:
    order_id = await town.paid(await town.sell(), quantity=3)
    await town.control("next-order", delivery="partial", first=2, seconds=600)
    await town.work_for(MINUTE)
    assert town.states(order_id) == ["reserved"]
    assert len(town.store.rows(SealedKey)) == 2
    await town.work_for(HOUR)
    await is_delivered_once(town, order_id)


@pytest.mark.parametrize("media", ["image/png", "image/jpeg", "image/gif"])
async def test_image_keys_are_sealed_like_any_other(town_of_any_key: Town, media: str) -> None:
    town = town_of_any_key
    order_id = await town.paid(await town.sell())
    await town.control("next-order", key_media=media)
    await town.work()
    await is_delivered_once(town, order_id)
    assert [key.content_type for key in town.store.rows(SealedKey)] == [media]


@pytest.mark.parametrize("style", ["dashes", "uuid", "licence", "url"])
async def test_every_style_of_serial_comes_out_as_the_supplier_gave_it(
    town: Town, style: str
) -> None:
    order_id = await town.paid(await town.sell(), quantity=2)
    await town.control("next-order", serial_style=style)
    await town.work()
    await is_delivered_once(town, order_id)


async def test_a_preorder_waits_for_its_release_and_is_polled_hourly(
    town_of_any_key: Town,
) -> None:
    town = town_of_any_key
    goods = await town.sell(is_preorder=True)
    order_id = await town.paid(goods)
    await town.work_for(26 * HOUR)
    assert town.states(order_id) == ["awaiting_release"]
    assert town.holds() == []
    [there] = await town.placed()
    await town.control(f"orders/{there}/deliver")
    await town.work_for(2 * HOUR)
    await is_delivered_once(town, order_id)


# --- orders and units that are taken back -----------------------------------------------------


@pytest.mark.parametrize("ending", ["canceled", "refunded"])
@pytest.mark.parametrize("first", [0, 1])
async def test_an_order_that_ends_before_its_keys_is_bought_under_a_new_id(
    town: Town, ending: str, first: int
) -> None:
    order_id = await town.paid(await town.sell(offers=2), quantity=2)
    await town.control("next-order", delivery=ending, first=first, seconds=60)
    await town.work_for(HOUR)
    await is_delivered_once(town, order_id, orders=2)
    ids = [str(order["external_id"]) for order in await town.orders()]
    assert [each.rpartition("-")[2] for each in ids] == ["1", "2"]


async def test_a_refund_after_delivery_holds_the_item_and_books_the_money(town: Town) -> None:
    town.reads_webhooks = True
    order_id = await town.paid(await town.sell())
    await town.work()
    [there] = await town.placed()
    await town.control(f"orders/{there}/status", status="refunded")
    await town.work_for(MINUTE)
    assert town.holds() == ["supplier_refund"]
    assert town.states(order_id) == ["delivered"]
    assert (town.spent(), town.balanced()) == (Decimal(0), True)


@pytest.mark.parametrize("state", ["RETURNED", "REFUNDED", "CANCELED"])
async def test_a_unit_that_is_lost_before_delivery_is_bought_anew_in_a_linked_fulfilment(
    town: Town, state: str
) -> None:
    order_id = await town.paid(await town.sell(), quantity=3)
    await town.control("next-order", delivery="partial", first=2, rest=False)
    await town.work_for(MINUTE)
    [order] = await town.orders()
    keys = msgspec.convert(order["keys"], type=list[dict[str, object]])
    await town.control(f"orders/{order['order_id']}/keys", status=state, ids=[keys[0]["id"]])
    await town.work_for(10 * MINUTE)
    await town.control(f"orders/{order['order_id']}/deliver")
    await town.work_for(HOUR)
    assert town.states(order_id) == ["delivered", "delivered"]
    first, linked = town.fulfilments(order_id)
    assert linked.replaces == first.id
    assert sorted(first.slots + linked.slots) == [1, 2, 3]
    await is_delivered_once(town, order_id, orders=2)


async def test_the_rest_of_an_order_is_never_given_a_key_that_was_taken_back(town: Town) -> None:
    order_id = await town.paid(await town.sell(), quantity=2)
    await town.control("next-order", delivery="stuck")
    await town.work_for(MINUTE)
    [order] = await town.orders()
    keys = msgspec.convert(order["keys"], type=list[dict[str, object]])
    await town.control(f"orders/{order['order_id']}/deliver")
    await town.control(f"orders/{order['order_id']}/keys", status="RETURNED", ids=[keys[0]["id"]])
    await town.work_for(HOUR)
    await is_delivered_once(town, order_id, orders=2)
    sealed = {key.supplier_key_id for key in town.store.rows(SealedKey) if key.state == "live"}
    assert keys[0]["id"] not in sealed
    assert keys[1]["id"] in sealed


async def test_a_refund_of_the_buyer_returns_the_keys_once(town: Town) -> None:
    town.reads_webhooks = True
    order_id = await town.paid(await town.sell(), quantity=2)
    await town.work()
    record = RefundRecord(
        amount="0.0002",
        asset="btc",
        address="bc1q",
        tx_id="tx-1",
        basis="then",
        eur=Decimal("12.50"),
        reason="asked",
    )
    await town.aftercare.refund(order_id, record, actor="admin", confirmed=False)
    await town.work_for(HOUR)
    assert town.states(order_id) == ["returned"]
    [attempt] = town.attempts(order_id)
    assert (attempt.returning, attempt.state) == ("asked", "refunded")
    assert (town.spent(), town.balanced()) == (Decimal(0), True)
    assert town.holds() == []


# --- keys that are not right -------------------------------------------------------------------


async def test_a_serial_that_was_sold_before_is_kept_aside_and_replaced(town: Town) -> None:
    goods = await town.sell()
    first = await town.paid(goods)
    await town.work()
    second = await town.paid(goods)
    await town.control("next-order", duplicate_serial=True)
    await town.work_for(HOUR)
    assert town.order(second).status == "paid"
    assert town.holds() == ["repeated_key"]
    item_id = town.only(second).order_item_id
    await town.aftercare.replace_key(second, item_id, 1, actor="admin", reason="sold twice")
    await town.work_for(MINUTE)
    assert town.order(second).status == "fulfilled"
    assert await town.read(first) != await town.read(second)
    assert await town.most_for_one_id() == 1


async def test_keys_of_another_product_are_kept_aside(town: Town) -> None:
    order_id = await town.paid(await town.sell())
    await town.control("next-order", wrong_product=True)
    await town.work_for(HOUR)
    assert town.order(order_id).status == "paid"
    assert town.holds() == ["fulfilment"]
    assert [key.state for key in town.store.rows(SealedKey)] == ["quarantined"]
    assert await town.most_for_one_id() == 1


# --- price, stock, balance, credentials --------------------------------------------------------


async def test_a_price_that_rose_past_the_ceiling_blocks_until_it_falls(town: Town) -> None:
    order_id = await town.paid(await town.sell())
    await town.change(price=str(CEILING + Decimal("0.01")))
    await town.work_for(HOUR)
    assert (town.only(order_id).state, town.only(order_id).blocked_reason) == ("blocked", "price")
    assert await town.placed() == []
    await town.change(price=str(CEILING))
    await town.work_for(6 * MINUTE)
    await is_delivered_once(town, order_id)


async def test_a_price_that_fell_is_paid_and_booked_as_it_is(town: Town) -> None:
    order_id = await town.paid(await town.sell(), quantity=2)
    await town.change(price="4.20")
    await town.work()
    await is_delivered_once(town, order_id)
    assert town.spent() == Decimal("8.40")


async def test_a_refusal_at_the_price_leads_on_by_itself(town: Town) -> None:
    order_id = await town.paid(await town.sell())
    await town.control("faults", op="order.create", fault="ProductUnavailable")
    await town.work_for(HOUR)
    await is_delivered_once(town, order_id)


async def test_sold_out_goods_block_and_are_looked_at_for_a_day(town: Town) -> None:
    order_id = await town.paid(await town.sell())
    await town.change(stock=0)
    await town.work_for(HOUR)
    assert town.only(order_id).blocked_reason == "stock"
    assert [offer.stock for offer in town.store.rows(Offer)] == [0]
    await town.work_for(24 * HOUR)
    assert town.states(order_id) == ["failed_terminal"]
    assert town.holds() == ["fulfilment"]
    await town.change(stock=5)
    await town.aftercare.retry(order_id, actor="admin", reason="restocked")
    await town.work()
    await is_delivered_once(town, order_id)


async def test_an_empty_balance_blocks_until_it_is_topped_up(town: Town) -> None:
    await town.control("balance", balance="8.99")
    order_id = await town.paid(await town.sell())
    await town.work_for(HOUR)
    assert town.only(order_id).blocked_reason == "balance"
    assert await town.placed() == []
    await town.control("balance", balance="9.00")
    await town.work_for(6 * MINUTE)
    await is_delivered_once(town, order_id)


async def test_a_bad_key_blocks_until_it_is_put_right(town: Town) -> None:
    order_id = await town.paid(await town.sell())
    town.use_key("another-key")
    await town.work_for(30 * HOUR)
    assert town.only(order_id).blocked_reason == "credentials"
    town.use_key(KEY)
    await town.work_for(6 * MINUTE)
    await is_delivered_once(town, order_id)


# --- calls that go wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        "500_before",
        "500_after",
        "503_before",
        "503_after",
        "drop_before",
        "drop_after",
        "garbage",
        "429",
        "OrderFailed",
        "OrderFailed_after",
        "HttpClient",
        "HttpClient_after",
        "Error",
        "Error_after",
        "ResourceLock",
    ],
)
@pytest.mark.parametrize("repeats", ["refuse", "accept"])
async def test_a_create_call_that_goes_wrong_never_buys_twice(
    town: Town, fault: str, repeats: str
) -> None:
    await town.control("settings", duplicate_external_id=repeats)
    await town.control("faults", op="order.create", fault=fault)
    order_id = await town.paid(await town.sell(), quantity=2)
    await town.work_for(HOUR)
    await is_delivered_once(town, order_id)
    assert town.spent() == 2 * PRICE


async def test_an_order_that_the_search_shows_late_is_found_and_not_bought_again(
    town: Town,
) -> None:
    await town.control("settings", duplicate_external_id="accept", search_lag_seconds=700)
    await town.control("faults", op="order.create", fault="drop_after")
    order_id = await town.paid(await town.sell())
    await town.work_for(HOUR)
    await is_delivered_once(town, order_id)


async def test_a_balance_that_fell_keeps_an_order_that_no_search_shows_from_a_second_purchase(
    town: Town,
) -> None:
    await town.control("settings", duplicate_external_id="accept", search_lag_seconds=20_000)
    await town.control("faults", op="order.create", fault="drop_after")
    order_id = await town.paid(await town.sell())
    await town.work_for(10 * HOUR)
    await is_delivered_once(town, order_id)


async def test_a_webhook_with_our_id_keeps_an_order_from_being_taken_for_absent(
    town: Town,
) -> None:
    town.reads_webhooks = True
    settings = {"duplicate_external_id": "accept", "search_lag_seconds": 20_000}
    await town.control("settings", **settings)
    await town.control("faults", op="order.create", fault="drop_after")
    await town.control("faults", op="order.get", fault="503_before", times=5)
    order_id = await town.paid(await town.sell())
    await town.work()
    # A top-up hides what the lost order took.
    await town.control("balance", balance="20000.00")
    await town.work_for(10 * HOUR)
    await is_delivered_once(town, order_id)


@pytest.mark.parametrize("op", ["product.get", "balance.get", "order.get", "keys.get"])
@pytest.mark.parametrize(
    "fault", ["500_before", "503_after", "drop_before", "drop_after", "garbage", "429"]
)
async def test_a_reading_call_that_goes_wrong_is_made_again(
    town: Town, op: str, fault: str
) -> None:
    await town.control("faults", op=op, fault=fault, times=3)
    order_id = await town.paid(await town.sell())
    await town.work_for(HOUR)
    await is_delivered_once(town, order_id)


async def test_searches_that_go_wrong_do_not_count_as_empty_ones(town: Town) -> None:
    await town.control("settings", duplicate_external_id="accept")
    await town.control("faults", op="order.create", fault="drop_after")
    await town.control("faults", op="order.search", fault="garbage", times=8)
    order_id = await town.paid(await town.sell())
    await town.work_for(3 * HOUR)
    await is_delivered_once(town, order_id)


async def test_an_outage_of_a_day_ends_with_the_delivery(town: Town) -> None:
    await town.control("faults", op="*", fault="503_before", times=100_000)
    order_id = await town.paid(await town.sell())
    await town.work_for(25 * HOUR)
    await town.end_faults()
    await town.work_for(HOUR)
    await is_delivered_once(town, order_id)
