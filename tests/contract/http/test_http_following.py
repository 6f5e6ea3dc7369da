"""Following an order: pages of events, a stream with resume, and a socket with its token inside."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import httpx
import pytest
from tests.contract.http.people import sign_in

from bitloot.domain.limits import Limits
from bitloot_web.problems import URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

LIMITS: Final = Limits()
STREAM = {"accept": "text/event-stream"}


async def streamed(stage: "Stage", request: asyncio.Task[httpx.Response]) -> str:
    """What a stream said until the server stops."""
    for _ in range(20):
        await asyncio.sleep(0.01)
    stage.app.watchers.stop()
    answer = await asyncio.wait_for(request, 10)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.text


async def test_events_come_as_json_after_the_last_one_seen(stage: "Stage") -> None:
    order_id, token = await stage.order()
    await stage.pay(order_id, token)
    path = f"/v1/orders/{order_id}/events"
    every = (await stage.client.get(path, headers=token)).json()["items"]
    assert every[0]["kind"] == "order_placed"
    middle = every[1]["id"]
    rest = (await stage.client.get(f"{path}?after={middle}", headers=token)).json()["items"]
    assert rest == [event for event in every if event["id"] > middle]


async def test_a_stream_tells_events_with_ids_as_they_happen_and_ends_with_the_server(
    stage: "Stage",
) -> None:
    order_id, token = await stage.order()
    path = f"/v1/orders/{order_id}/events"
    request = asyncio.create_task(stage.client.get(path, headers={**token, **STREAM}))
    await asyncio.sleep(0.05)
    await stage.pay(order_id, token)
    text = await streamed(stage, request)
    assert text.startswith("retry: ")
    assert "event: order_placed" in text
    assert "event: order_paid" in text
    ids = [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]
    assert ids == sorted(set(ids))


async def test_a_stream_goes_on_after_the_last_event_id(stage: "Stage") -> None:
    order_id, token = await stage.order()
    await stage.pay(order_id, token)
    path = f"/v1/orders/{order_id}/events"
    every = (await stage.client.get(path, headers=token)).json()["items"]
    seen = every[2]["id"]
    headers = {**token, **STREAM, "last-event-id": str(seen)}
    text = await streamed(stage, asyncio.create_task(stage.client.get(path, headers=headers)))
    ids = [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]
    assert ids == [event["id"] for event in every if event["id"] > seen]


async def test_a_stream_that_lost_its_hints_still_hears_of_events(stage: "Stage") -> None:
    order_id, token = await stage.order()
    stage.realtime.lose()
    await stage.pay(order_id, token)
    path = f"/v1/orders/{order_id}/events"
    request = asyncio.create_task(stage.client.get(path, headers={**token, **STREAM}))
    assert "event: order_paid" in await streamed(stage, request)


@pytest.mark.parametrize("last", ["x", "-1", "99999999999", "1.5"])
async def test_a_last_event_id_that_is_none_is_refused(stage: "Stage", last: str) -> None:
    order_id, token = await stage.order()
    answer = await stage.client.get(
        f"/v1/orders/{order_id}/events", headers={**token, **STREAM, "last-event-id": last}
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Last-Event-ID")


async def test_no_other_form_of_events_is_there(stage: "Stage") -> None:
    order_id, token = await stage.order()
    answer = await stage.client.get(
        f"/v1/orders/{order_id}/events", headers={**token, "accept": "image/png"}
    )
    assert (answer.status_code, answer.json()["type"]) == (406, f"{URN}not-acceptable")


async def test_a_socket_takes_its_token_first_and_then_tells_events(stage: "Stage") -> None:
    order_id, token = await stage.order()
    socket = stage.socket(order_id, origin="https://shop.example")
    assert (await socket.open())["type"] == "websocket.accept"
    await socket.send({"token": token["authorization"][7:]})
    assert (await socket.event())["kind"] == "order_placed"
    await stage.pay(order_id, token)
    kinds = [(await socket.event())["kind"] for _ in range(2)]
    assert "payment_opened" in kinds
    await socket.leave()
    assert stage.app.watchers.count(order_id) == 0


async def test_a_socket_goes_on_after_the_event_it_names(stage: "Stage") -> None:
    order_id, token = await stage.order()
    await stage.pay(order_id, token)
    every = (await stage.client.get(f"/v1/orders/{order_id}/events", headers=token)).json()["items"]
    socket = stage.socket(order_id)
    await socket.open()
    await socket.send({"token": token["authorization"][7:], "after": every[1]["id"]})
    assert await socket.event() == every[2]
    await socket.leave()


async def test_a_socket_opens_for_nobody_else(stage: "Stage") -> None:
    order_id, token = await stage.order()
    other_id, _ = await stage.order(email="other@shop.example")
    for path_id, greeting, code in (
        (other_id, {"token": token["authorization"][7:]}, 4404),
        (order_id, {"token": "nonsense"}, 4401),
        (order_id, {"token": token["authorization"][7:], "surprise": 1}, 4401),
        (order_id, {"token": token["authorization"][7:], "after": 2**31}, 4401),
        (order_id, "no json", 4401),
        (order_id, "x" * 9000, 1008),
    ):
        socket = stage.socket(path_id)
        await socket.open()
        await socket.send(greeting)
        assert await socket.closed() == code


async def test_a_socket_is_told_to_come_again_while_the_store_is_lost(stage: "Stage") -> None:
    order_id, _ = await stage.order()
    who = await sign_in(stage)
    token = {"token": who.headers["authorization"][7:]}
    before, after = stage.socket(order_id), stage.socket(order_id)
    for socket in (before, after):
        await socket.open()
    await before.send(token)
    assert (await before.event())["kind"] == "order_placed"
    stage.clock.advance(LIMITS.session_cache)
    stage.store.is_down = True
    await stage.realtime.publish(order_id, 2)
    await after.send(token)
    assert [await before.closed(), await after.closed()] == [1013, 1013]
    stage.store.is_down = False


async def test_a_page_of_another_origin_opens_no_socket(stage: "Stage") -> None:
    order_id, _ = await stage.order()
    refused = await stage.socket(order_id, origin="https://evil.example").open()
    assert refused["type"] == "websocket.close"
    allowed = await stage.socket(order_id, origin="https://app.example").open()
    assert allowed["type"] == "websocket.accept"


async def test_an_order_is_followed_by_five_at_most(stage: "Stage") -> None:
    order_id, token = await stage.order()
    sockets = [stage.socket(order_id) for _ in range(6)]
    for socket in sockets:
        await socket.open()
        await socket.send({"token": token["authorization"][7:]})
    for socket in sockets[:5]:
        assert (await socket.event())["kind"] == "order_placed"
    assert await sockets[5].closed() == 4429
    stream = await stage.client.get(f"/v1/orders/{order_id}/events", headers={**token, **STREAM})
    assert stream.status_code == 429
    for socket in sockets[:5]:
        await socket.leave()


async def test_a_client_that_talks_too_much_is_dropped(stage: "Stage") -> None:
    order_id, token = await stage.order()
    socket = stage.socket(order_id)
    await socket.open()
    await socket.send({"token": token["authorization"][7:]})
    assert (await socket.event())["kind"] == "order_placed"
    for _ in range(25):
        await socket.send("more")
    assert await socket.closed() == 1008


async def test_sockets_and_streams_end_with_the_token_that_opened_them(stage: "Stage") -> None:
    """S10: access ends within a minute of its end; half of it is for clocks that differ."""
    order_id, token = await stage.order()
    socket = stage.socket(order_id)
    await socket.open()
    await socket.send({"token": token["authorization"][7:]})
    assert (await socket.event())["kind"] == "order_placed"
    path = f"/v1/orders/{order_id}/events"
    stream = asyncio.create_task(stage.client.get(path, headers={**token, **STREAM}))
    await asyncio.sleep(0.05)
    stage.clock.advance(LIMITS.order_session_life - timedelta(seconds=1))
    await stage.realtime.publish(order_id, 2)
    await asyncio.sleep(0.05)
    assert stage.app.watchers.count(order_id) == 2
    stage.clock.advance(LIMITS.token_leeway + timedelta(seconds=2))
    await stage.realtime.publish(order_id, 2)
    assert await socket.closed() == 4401
    assert "order_placed" in (await asyncio.wait_for(stream, 10)).text
    assert stage.app.watchers.count(order_id) == 0


async def test_sockets_end_when_the_server_stops(stage: "Stage") -> None:
    order_id, token = await stage.order()
    socket = stage.socket(order_id)
    await socket.open()
    await socket.send({"token": token["authorization"][7:]})
    await socket.event()
    stage.app.watchers.stop()
    assert await socket.closed() == 1001
