"""R25: one Idempotency-Key is one order and one payment, whoever repeats it and whoever dies."""

import asyncio
from collections import Counter
from datetime import timedelta

import httpx
from tests.promises.dying import BEFORE_THE_ANSWER, KILLED, ask_and_die
from tests.promises.figures import Figures
from tests.promises.market import Market, good, once

from bitloot.domain.failpoints import GATEWAY_DONE_NO_REPLY, PAYMENT_ROW_BEFORE_CALL

COPIES = 50
URN = "urn:bitloot:problem:"


async def wish(market: Market, email: str) -> dict[str, str]:
    """The body of a request for an order."""
    lines = [{"product": "own-game", "quantity": 1}]
    quote = good(await market.client.post("/v1/quotes", json={"lines": lines}))
    return {"quoteId": quote["id"], "email": email}


def kinds(answers: list[httpx.Response]) -> Counter[str]:
    return Counter(
        str(a.status_code) if a.is_success else str(a.json()["type"]).removeprefix(URN)
        for a in answers
    )


async def stock(market: Market) -> None:
    await market.own("own-game", *(f"OWN-{number:03d}".encode() for number in range(20)))


async def test_r25_one_key_fifty_times_at_once_is_one_order_and_another_payload_is_refused(
    market: Market, figures: Figures
) -> None:
    await stock(market)
    body, key = await wish(market, "once@reader.example"), once()
    asked = [market.client.post("/v1/orders", json=body, headers=key) for _ in range(COPIES)]
    answers = [*await asyncio.gather(*asked)]
    answers.append(await market.client.post("/v1/orders", json=body, headers=key))
    told = kinds(answers)
    bodies = {a.content for a in answers if a.is_success}
    other = await wish(market, "once@reader.example")
    reused = kinds([await market.client.post("/v1/orders", json=other, headers=key)])
    reserved = "SELECT count(*) FROM inventory_keys WHERE state = 'reserved'"
    orders = await market.count("SELECT count(*) FROM orders")
    figures.note(
        "R25",
        "one Idempotency-Key places one order; another payload under it is refused",
        figure=f"{COPIES} at once and one after: {orders} order, {len(bodies)} body,"
        f" {dict(told)}; other payload: {', '.join(reused)}",
        scale="full",
        holds=orders == len(bodies) == await market.count(reserved) == 1
        and set(told) <= {"201", "idempotency-in-progress"}
        and answers[-1].status_code == httpx.codes.CREATED
        and reused == {"idempotency-key-reused": 1},
    )


async def test_r25_while_the_first_request_runs_the_second_is_told_so_and_then_gets_its_body(
    market: Market, figures: Figures
) -> None:
    await stock(market)
    order = await market.order("own-game")
    path, body, key = f"{order.path}/payments", {"kind": "address", "asset": "ltc"}, once()
    key |= order.token
    slow = {"op": "create_payment", "fault": "slow", "times": 1, "seconds": 1.0}
    good(await market.gateway.post("/_control/faults", json=slow))
    first = asyncio.create_task(market.client.post(path, json=body, headers=key))
    await asyncio.sleep(0.5)
    during = [market.client.post(path, json=body, headers=key) for _ in range(COPIES - 1)]
    meanwhile = [*await asyncio.gather(*during)]
    opened = await first
    after = await market.client.post(path, json=body, headers=key)
    there = good(await market.gateway.get("/_control/payments", params={"order_id": order.number}))
    told = kinds(meanwhile)
    figures.note(
        "R25",
        "while a request runs, its repeats are told so; afterwards they get the same body",
        figure=f"{COPIES - 1} during the first: {dict(told)}; afterwards the same body:"
        f" {after.content == opened.content}; {len(there['payments'])} payment at the gateway",
        scale="full",
        holds=told == {"idempotency-in-progress": COPIES - 1}
        and all("retry-after" in answer.headers for answer in meanwhile)
        and opened.status_code == after.status_code == httpx.codes.CREATED
        and after.content == opened.content
        and len(there["payments"]) == 1,
    )


async def test_r25_a_death_between_the_effect_and_the_answer_leaves_one_order_and_one_payment(
    market: Market, figures: Figures
) -> None:
    await stock(market)
    body, key = await wish(market, "dying@reader.example"), once()
    ended = [await ask_and_die(market, BEFORE_THE_ANSWER, "/v1/orders", body, key)]
    placed = [await market.client.post("/v1/orders", json=body, headers=key) for _ in range(2)]
    facts = good(placed[0])
    token = {"authorization": f"Bearer {facts['orderSessionToken']}"}
    path, pay = f"/v1/orders/{facts['id']}/payments", {"kind": "address", "asset": "ltc"}
    payments, same = 0, True
    points = (PAYMENT_ROW_BEFORE_CALL, GATEWAY_DONE_NO_REPLY, BEFORE_THE_ANSWER)
    for point in points if figures.full else points[1:2]:
        key = once(**token)
        ended.append(await ask_and_die(market, point, path, pay, key))
        # Whoever died holds the key no longer than a request may run.
        await market.elapse(timedelta(seconds=61))
        answers = [await market.client.post(path, json=pay, headers=key) for _ in range(2)]
        same &= answers[0].content == answers[1].content and answers[0].is_success
        payments += 1
    orders = await market.count("SELECT count(*) FROM orders")
    shown = await market.count("SELECT count(DISTINCT pay_address) FROM payments")
    figures.note(
        "R25",
        "a process that dies between effect and answer leaves one order and one payment",
        figure=f"{len(ended)} deaths: {orders} order, {shown} payments shown for {payments} keys,"
        f" same body when asked again: {same}",
        scale="full" if figures.full else "÷ 3",
        holds=ended == [KILLED] * len(ended)
        and orders == 1
        and placed[0].content == placed[1].content
        and shown == payments
        and same,
    )
