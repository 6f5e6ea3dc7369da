"""A supplier that refuses, is slow, sends images, or whose answer never arrives."""

import base64

from tests.e2e.buyer import Buyer, Order, Seen, good, once
from tests.e2e.programs import until


async def plan(buyer: Buyer, **delivery: object) -> None:
    """What becomes of the supplier's next order."""
    (await buyer.supplier.post("/_control/next-order", json=delivery)).raise_for_status()


async def fault(buyer: Buyer, **what: object) -> None:
    (await buyer.supplier.post("/_control/faults", json=what)).raise_for_status()


async def until_hold(buyer: Buyer, order: Order) -> Seen:
    async def look() -> Seen | None:
        detail = await buyer.desk(order)
        return next((hold for hold in detail["holds"] if hold["state"] == "open"), None)

    return await until(f"an open hold on {order.number}", look)


async def test_what_the_supplier_refuses_at_first_is_bought_later(buyer: Buyer) -> None:
    await fault(buyer, op="order.create", fault="ProductUnavailable", times=2)
    order = await buyer.paid("kinguin")
    await buyer.until_status(order, "fulfilled")
    assert len(await buyer.bought(order)) == 1
    assert len(await buyer.keys(order)) == 1


async def test_an_empty_balance_at_the_supplier_blocks_until_it_is_filled(buyer: Buyer) -> None:
    await fault(buyer, op="order.create", fault="InsufficientBalance", times=3)
    order = await buyer.paid("kinguin")
    await buyer.until_status(order, "fulfilled")
    assert len(await buyer.bought(order)) == 1


async def test_keys_that_come_later_and_in_parts_are_all_delivered(buyer: Buyer) -> None:
    await plan(buyer, delivery="delayed", seconds=2)
    await plan(buyer, delivery="partial", first=1, seconds=2)
    delayed = await buyer.paid("kinguin")
    await until(f"{delayed.number} to be bought", lambda: first_sold(buyer, delayed))
    partial = await buyer.paid(("kinguin", 3))
    for order, units in ((delayed, 1), (partial, 3)):
        await buyer.until_status(order, "fulfilled")
        assert len(set(await buyer.keys(order))) == units
        assert len(await buyer.bought(order)) == 1


async def first_sold(buyer: Buyer, order: Order) -> Seen | None:
    return next(iter(await buyer.bought(order)), None)


async def test_a_key_that_is_an_image_is_delivered_as_one(buyer: Buyer) -> None:
    await plan(buyer, key_media="image/png")
    order = await buyer.paid("kinguin")
    seen = await buyer.until_status(order, "fulfilled")
    file = good(await buyer.shop.get(await buyer.reveal(order, seen["items"][0]["id"])))
    (key,) = file["keys"]
    assert (key["contentType"], key["encoding"]) == ("image/png", "base64")
    assert base64.b64decode(key["key"], validate=True).startswith(b"\x89PNG\r\n\x1a\n")


async def test_an_answer_lost_after_the_purchase_never_buys_twice(buyer: Buyer) -> None:
    await fault(buyer, op="order.create", fault="drop_after", times=1)
    order = await buyer.paid("kinguin")
    await buyer.until_status(order, "fulfilled")
    (sold,) = await buyer.bought(order)
    assert len(sold["keys"]) == 1
    assert len(await buyer.keys(order)) == 1
    (fulfilment,) = (await buyer.desk(order))["fulfilments"]
    assert len(fulfilment["attempts"]) == 1


async def test_a_lost_request_is_searched_for_and_then_bought_once(buyer: Buyer) -> None:
    await fault(buyer, op="order.create", fault="drop_before", times=1)
    order = await buyer.paid("kinguin")
    await buyer.until_status(order, "fulfilled")
    assert len(await buyer.bought(order)) == 1


async def test_a_purchase_that_failed_for_good_goes_on_when_the_desk_retries(
    buyer: Buyer,
) -> None:
    (await buyer.supplier.post("/_control/next-order", json=CANCELED)).raise_for_status()
    order = await buyer.paid("kinguin", "custom")
    hold = await until_hold(buyer, order)
    assert hold["reason"] == "fulfilment"
    await buyer.until_status(order, "partially_fulfilled")
    (await buyer.supplier.delete("/_control/next-order")).raise_for_status()
    accepted = await buyer.shop.post(
        f"/v1/admin/orders/{order.id}/retry-fulfillment",
        json={"reason": "the supplier sells again"},
        headers=once(**buyer.admin),
    )
    assert accepted.status_code == 202, accepted.text
    await buyer.until_status(order, "fulfilled")
    assert len(set(await buyer.keys(order))) == 2
    completed = [sold for sold in await buyer.bought(order) if sold["status"] == "completed"]
    assert len(completed) == 1


CANCELED = {"delivery": "canceled", "times": 50}
