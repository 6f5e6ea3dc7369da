"""R4: no key reaches two buyers, however many ask at once and whatever the supplier repeats."""

import asyncio
import time
from collections import Counter

import httpx
from tests.promises.figures import Figures
from tests.promises.market import Market, Order, good, once

PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.5


async def answered(market: Market, path: str, body: object) -> httpx.Response:
    """The answer to a buyer who sends the same request until the shop has time for it.

    A crowd may have to wait for the database, and is then told to come again.
    """
    key, deadline = once(), time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = await market.client.post(path, json=body, headers=key)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            return answer
        await asyncio.sleep(PAUSE_SECONDS)


async def placed(market: Market, slug: str, buyer: int) -> Order | str:
    """An order, or the code of the refusal."""
    lines = [{"product": slug, "quantity": 1}]
    answer = await answered(market, "/v1/quotes", {"lines": lines})
    email = f"racer{buyer}@reader.example"
    if answer.is_success:
        body = {"quoteId": answer.json()["id"], "email": email}
        answer = await answered(market, "/v1/orders", body)
    # Whoever comes late is told by the quote already.
    if answer.status_code != httpx.codes.CREATED:
        return str(answer.json()["type"]).rpartition(":")[2]
    made = answer.json()
    token = {"authorization": f"Bearer {made['orderSessionToken']}"}
    return Order(id=made["id"], number=made["number"], email=email, token=token)


async def settled(market: Market, order: Order) -> None:
    """Open the payment, send the money, send the callback on."""
    path = f"{order.path}/payments"
    body = {"kind": "address", "asset": "ltc"}
    good(await market.client.post(path, json=body, headers=once(**order.token)))
    query = {"order_id": order.number}
    [payment] = good(await market.gateway.get("/_control/payments", params=query))["payments"]
    door = f"/_control/payments/{payment['payment_id']}/pay"
    paid = good(await market.gateway.post(door, json={"ipn": "lost"}))
    good(await market.call_back(paid["deliveries"][-1]))


async def test_r4_twice_as_many_buyers_as_own_keys_share_none_of_them(
    market: Market, figures: Figures
) -> None:
    buyers, own_keys = (200, 100) if figures.full else (50, 25)
    serials = [f"OWN-{number:04d}-KEY" for number in range(own_keys)]
    await market.own("own-game", *(serial.encode() for serial in serials))
    answers = await asyncio.gather(*(placed(market, "own-game", n) for n in range(buyers)))
    orders = [answer for answer in answers if isinstance(answer, Order)]
    refused = Counter(answer for answer in answers if isinstance(answer, str))
    for start in range(0, len(orders), 10):
        await asyncio.gather(*(settled(market, order) for order in orders[start : start + 10]))
    await market.work()
    handed_out = Counter([key["key"] for order in orders for key in await market.keys(order)])
    shared = [key for key, times in handed_out.items() if times > 1]
    figures.note(
        "R4",
        "no key goes to two buyers",
        figure=f"{buyers} buyers at once for {own_keys} own keys: {len(orders)} orders,"
        f" {len(handed_out)} keys handed out, {len(shared)} shared,"
        f" refusals {dict(refused)}",
        scale="full" if figures.full else "÷ 4",
        holds=len(orders) == own_keys
        and set(handed_out) == set(serials)
        and not shared
        and refused == {"out-of-stock": buyers - own_keys},
    )
    assert await market.breaches() == ()


async def test_r4_a_serial_that_the_supplier_repeats_is_held_back(
    market: Market, figures: Figures
) -> None:
    repeats = 100 if figures.full else 5
    slug = (await market.supplied())[0]
    first = await market.bought(slug)
    known = {key["key"] for key in await market.keys(first)}
    held = delivered = 0
    for _ in range(repeats):
        plan = {"delivery": "immediate", "duplicate_serial": True}
        (await market.supplier.post("/_control/next-order", json=plan)).raise_for_status()
        order = await market.bought(slug)
        seen = await market.see(order)
        delivered += seen["status"] == "fulfilled"
        desk = good(
            await market.client.get(f"/v1/admin/orders/{order.id}", headers=await market.admin())
        )
        held += any(hold["state"] == "open" for hold in desk["holds"])
    quarantined = await market.count("SELECT count(*) FROM sealed_keys WHERE state = 'quarantined'")
    figures.note(
        "R4",
        "a serial that the supplier sells twice is kept aside and its item held",
        figure=f"{repeats} repeats: {held} held, {quarantined} kept aside, {delivered} delivered",
        scale="full" if figures.full else "÷ 20",
        holds=(held, quarantined, delivered) == (repeats, repeats, 0) and len(known) == 1,
    )
    assert await market.breaches() == ()
