"""Servers that go away in the middle of a purchase: the order goes on by itself."""

import asyncio

from tests.e2e.buyer import Buyer


async def test_without_valkey_orders_are_placed_callbacks_taken_and_keys_delivered(
    buyer: Buyer,
) -> None:
    begun = await buyer.order("kinguin", "custom")
    payment = await buyer.ask_to_pay(begun)
    await asyncio.to_thread(buyer.town.valkey.stop)
    try:
        await buyer.pay(payment)
        placed = await buyer.paid("kinguin", "custom")
        for order in (begun, placed):
            await buyer.until_status(order, "fulfilled")
            assert len(set(await buyer.keys(order))) == 2
            finished = [each["status"] for each in await buyer.webhooks(order)]
            assert "finished" in finished, finished
    finally:
        await asyncio.to_thread(buyer.town.valkey.restart)
    after = await buyer.paid("custom")
    await buyer.until_status(after, "fulfilled")


async def test_a_purchase_outlives_a_restart_of_postgresql(buyer: Buyer) -> None:
    plan = {"delivery": "delayed", "seconds": 3}
    (await buyer.supplier.post("/_control/next-order", json=plan)).raise_for_status()
    order = await buyer.paid("kinguin", "custom")
    await buyer.until_status(order, "paid", "partially_fulfilled")
    await asyncio.to_thread(buyer.town.postgres.restart)
    await buyer.until_status(order, "fulfilled")
    assert len(set(await buyer.keys(order))) == 2
    assert len(await buyer.bought(order)) == 1


async def test_callbacks_that_meet_a_closed_database_are_sent_again_or_asked_for(
    buyer: Buyer,
) -> None:
    order = await buyer.order("custom")
    payment = await buyer.ask_to_pay(order)
    await asyncio.to_thread(buyer.town.postgres.stop)
    await buyer.pay(payment)
    refused = await buyer.shop.post(
        "/v1/webhooks/nowpayments", content=b"{}", headers={"x-nowpayments-sig": "0" * 128}
    )
    assert refused.status_code in {401, 503}, refused.text
    await asyncio.to_thread(buyer.town.postgres.restart)
    await buyer.until_status(order, "fulfilled")
    assert len(await buyer.keys(order)) == 1


async def test_a_worker_that_dies_in_mid_purchase_is_followed_by_another(buyer: Buyer) -> None:
    slow = {"op": "order.create", "fault": "slow_after", "seconds": 3, "times": 1}
    (await buyer.supplier.post("/_control/faults", json=slow)).raise_for_status()
    another = buyer.town.program("another", "worker")
    try:
        order = await buyer.paid("kinguin", "custom")
        await buyer.until_status(order, "paid", "partially_fulfilled")
        buyer.town.programs["worker"].kill()
        await buyer.until_status(order, "fulfilled")
        assert len(set(await buyer.keys(order))) == 2
        (sold,) = await buyer.bought(order)
        assert len(sold["keys"]) == 1
    finally:
        another.stop()
