"""Links that end, a way back in by mail, and events that are followed over a cut."""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import TypeAlias

import httpx
from tests.e2e.buyer import Buyer, Order, Seen, good, listed, once
from tests.e2e.programs import free_ports, until
from websockets.asyncio.client import connect

Events: TypeAlias = AsyncIterator[Seen]


async def timeline(buyer: Buyer, order: Order) -> list[Seen]:
    query = {"limit": "100"}
    answer = await buyer.shop.get(f"{order.path}/timeline", params=query, headers=order.token)
    return listed(answer, "items")


async def test_a_link_that_was_revoked_gives_nothing_and_a_new_one_does(buyer: Buyer) -> None:
    order = await buyer.paid("custom")
    seen = await buyer.until_status(order, "fulfilled")
    item = seen["items"][0]["id"]
    link = await buyer.reveal(order, item)
    good(await buyer.shop.get(link))
    revoked = await buyer.shop.post(
        f"/v1/admin/orders/{order.id}/items/{item}/revoke",
        json={"reason": "the buyer shared it"},
        headers=once(**buyer.admin),
    )
    assert good(revoked)["revoked"] == 1
    gone = await buyer.shop.get(link)
    assert gone.status_code == 410, gone.text
    good(await buyer.shop.get(await buyer.reveal(order, item)))


async def test_a_link_ends_when_its_time_is_over(buyer: Buyer) -> None:
    order = await buyer.paid("custom")
    seen = await buyer.until_status(order, "fulfilled")
    (port,) = free_ports(1)
    brief = buyer.town.program(
        "brief", "serve", "--port", str(port), port=port, BITLOOT_LIMIT_LINK_LIFE="1s"
    )
    try:
        brief.wait_until_listening()
        path = f"{order.path}/items/{seen['items'][0]['id']}/reveal"
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False
        ) as client:
            link = good(await client.post(path, headers=once(**order.token)))["url"]

        async def ended() -> httpx.Response | None:
            answer = await buyer.shop.get(link)
            return None if answer.status_code == 200 else answer

        over = await until("the link to end", ended)
    finally:
        brief.stop()
    assert over.status_code == 410, over.text
    assert over.headers["content-type"] == "application/problem+json"


async def test_a_guest_comes_back_with_the_code_from_the_mail(buyer: Buyer) -> None:
    order = await buyer.paid("custom")
    await buyer.until_status(order, "fulfilled")
    challenge = good(await buyer.shop.post(f"{order.path}/session/code", json={}))

    async def mailed() -> str | None:
        for mail in await buyer.mails(order.email):
            if code := re.search(
                r"^\D*\b(\d{6})\b", mail["subject"] + "\n" + mail["text"], re.MULTILINE
            ):
                return code[1]
        return None

    code = await until("the mail with the code", mailed)
    answer = {"challengeId": challenge["challengeId"], "code": code}
    wrong = {**answer, "code": f"{(int(code) + 1) % 1_000_000:06d}"}
    refused = await buyer.shop.post(f"{order.path}/session", json=wrong)
    assert refused.status_code in {401, 403, 409, 422}, refused.text
    session = good(await buyer.shop.post(f"{order.path}/session", json=answer))
    token = {"authorization": f"Bearer {session['orderSessionToken']}"}
    back = Order(id=order.id, number=order.number, email=order.email, token=token)
    assert len(await buyer.keys(back)) == 1
    twice = await buyer.shop.post(f"{order.path}/session", json=answer)
    assert twice.status_code == refused.status_code


@contextlib.asynccontextmanager
async def socket_events(buyer: Buyer, order: Order, after: int) -> AsyncIterator[Events]:
    url = buyer.town.url("shop").replace("http", "ws", 1) + f"/v1/ws/orders/{order.id}"
    async with connect(url, proxy=None) as socket:
        token = order.token["authorization"].removeprefix("Bearer ")
        await socket.send(json.dumps({"token": token, "after": after}))

        async def events() -> Events:
            async for message in socket:
                event: Seen = json.loads(message)
                if event["kind"] != "ping":
                    yield event

        yield events()


@contextlib.asynccontextmanager
async def stream_events(buyer: Buyer, order: Order, after: int) -> AsyncIterator[Events]:
    headers = {**order.token, "accept": "text/event-stream"}
    if after:
        headers["last-event-id"] = str(after)
    async with buyer.shop.stream("GET", f"{order.path}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")

        async def events() -> Events:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    event: Seen = json.loads(line.removeprefix("data: "))
                    yield event

        yield events()


async def test_a_web_socket_goes_on_after_a_cut_without_a_gap_or_a_repeat(buyer: Buyer) -> None:
    order = await buyer.order("custom")
    seen: list[Seen] = []
    async with socket_events(buyer, order, 0) as events:
        payment = await buyer.ask_to_pay(order)
        async for event in events:
            seen.append(event)
            if len(seen) == 2:
                break
    await buyer.pay(payment)  # while nobody follows
    await buyer.until_status(order, "fulfilled")
    async with socket_events(buyer, order, seen[-1]["id"]) as events:
        await follow_to_the_end(buyer, order, events, seen)


async def test_an_event_stream_goes_on_after_a_cut_without_a_gap_or_a_repeat(
    buyer: Buyer,
) -> None:
    order = await buyer.order("custom")
    seen: list[Seen] = []
    async with stream_events(buyer, order, 0) as events:
        async for event in events:
            seen.append(event)
            break
    payment = await buyer.ask_to_pay(order)
    async with stream_events(buyer, order, seen[-1]["id"]) as events:
        await buyer.pay(payment)  # while somebody follows
        await buyer.until_status(order, "fulfilled")
        await follow_to_the_end(buyer, order, events, seen)


async def follow_to_the_end(buyer: Buyer, order: Order, events: Events, seen: list[Seen]) -> None:
    wanted = await timeline(buyer, order)
    async for event in events:
        seen.append(event)
        if event["id"] >= wanted[-1]["id"]:
            break
    assert [event["id"] for event in seen] == [event["id"] for event in wanted]
    assert [event["kind"] for event in seen] == [event["kind"] for event in wanted]
