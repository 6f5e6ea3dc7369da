"""Who may do what, how often, and from where; and what every answer carries."""

from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from tests import asgi

from bitloot_web.problems import URN
from bitloot_web.security.client_address import client_address, counted, networks, parse

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage, Sweep


async def test_without_a_token_or_with_a_wrong_one_nothing_opens(sweep: "Sweep") -> None:
    stage = sweep.stage
    closed = [case for case in sweep.operations if case[2].get("security")]
    assert len(closed) > 25
    for method, path, operation in closed:
        if operation["operationId"] == "takeWebhook":
            continue
        # Of all operations together more is asked than anybody may in a minute.
        stage.clock.advance(timedelta(minutes=1))
        session = stage.shop.sessions.issue(sweep.order_id, at=stage.clock.now())
        wrong = ["", "Bearer", "Bearer x", "Basic eDp5", f"Bearer {session}x"]
        if path.startswith("/v1/admin"):
            wrong.append(f"Bearer {session}")
        else:
            wrong.append(stage.admin["authorization"])
        for token in wrong:
            answer = await stage.client.request(
                method, sweep.filled(path), headers={"authorization": token}
            )
            sweep.problem(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_order_is_not_there_for_the_holder_of_another(sweep: "Sweep") -> None:
    stage = sweep.stage
    _, other = await stage.order(email="other@shop.example")
    for method, path, operation in sweep.operations:
        if {"orderSession": []} in operation.get("security", []):
            answer = await stage.client.request(method, sweep.filled(path), headers=other)
            sweep.problem(answer, 404)


async def test_an_order_token_ends_after_its_hour(stage: "Stage") -> None:
    order_id, token = await stage.order()
    stage.clock.advance(timedelta(minutes=59))
    assert (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).status_code == 200
    stage.clock.advance(timedelta(minutes=2))
    assert (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).status_code == 401


async def test_a_limit_is_exact_and_says_when_it_ends(stage: "Stage") -> None:
    body = {"lines": [{"product": "own-game"}]}
    for left in range(59, -1, -1):
        answer = await stage.client.post("/v1/quotes", json=body)
        assert answer.status_code == 201
        assert answer.headers["ratelimit"] == f'"quotes";r={left}'
    over = await stage.client.post("/v1/quotes", json=body)
    assert (over.status_code, over.json()["type"]) == (429, f"{URN}rate-limited")
    wait = int(over.headers["retry-after"])
    stage.clock.advance(timedelta(seconds=wait))
    assert (await stage.client.post("/v1/quotes", json=body)).status_code == 201


async def test_orders_are_limited_by_the_person_too(stage: "Stage") -> None:
    quote = await stage.quote()
    answers = []
    for n in range(11):
        body = {"quoteId": quote, "email": f"same+{n}@shop.example"}
        headers = {**stage.once(), "x-forwarded-for": f"198.51.100.{n}"}
        transport = asgi.transport(stage.app, client=("10.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="https://x.example") as proxy:
            answers.append(await proxy.post("/v1/orders", json=body, headers=headers))
    assert answers[0].status_code == 201
    assert answers[-1].json()["type"] == f"{URN}rate-limited"


async def test_a_forwarded_address_is_believed_from_a_trusted_proxy_only(stage: "Stage") -> None:
    body = {"lines": [{"product": "own-game"}]}

    async def left(peer: str, forwarded: str) -> int:
        transport = asgi.transport(stage.app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="https://x.example") as client:
            headers = {"x-forwarded-for": forwarded}
            answer = await client.post("/v1/quotes", json=body, headers=headers)
            return int(answer.headers["ratelimit"].partition("r=")[2])

    assert await left("192.0.2.1", "198.51.100.1") == 59
    assert await left("192.0.2.1", "198.51.100.2") == 58
    assert await left("10.0.0.1", "198.51.100.3") == 59
    assert await left("10.0.0.1", "203.0.113.200, 198.51.100.3, 10.9.9.9") == 58
    assert await left("10.0.0.1", "2001:db8:1:2::1") == 59
    assert await left("10.0.0.1", "2001:db8:1:2:ffff::9") == 58


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        (None, ["198.51.100.1"], None),
    ],
)
def test_the_client_is_the_rightmost_hop_that_is_no_trusted_proxy(
    peer: str | None, forwarded: list[str], client: str | None
) -> None:
    found = client_address(peer, forwarded, networks(["10.0.0.0/8"]))
    assert (str(found) if found else None) == client


def test_an_ipv6_address_counts_as_its_network() -> None:
    assert counted(parse("2001:db8:1:2:3::4")) == "2001:db8:1:2::/64"
    assert counted(parse("198.51.100.1")) == "198.51.100.1"
    assert counted(None) == "unknown"


async def test_every_answer_carries_its_id_and_the_headers_that_guard_it(stage: "Stage") -> None:
    for path in ("/healthz", "/nowhere", "/v1/catalog/products", "/openapi.json"):
        answer = await stage.client.get(path, headers={"x-request-id": "request-0042"})
        assert answer.headers["x-request-id"] == "request-0042"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "strict-transport-security" not in answer.headers
    made = await stage.client.get("/healthz", headers={"x-request-id": "bad id\x7f"})
    assert len(made.headers["x-request-id"]) == 36


async def test_a_refused_preflight_is_a_problem_like_every_error(stage: "Stage") -> None:
    asked = {"access-control-request-method": "POST", "x-request-id": "request-0042"}
    evil = {**asked, "origin": "https://evil.example"}
    answer = await stage.client.options("/v1/orders", headers=evil)
    assert (answer.status_code, answer.json()["type"]) == (400, f"{URN}invalid-request")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == "request-0042"
    assert "access-control-allow-origin" not in answer.headers
    named = {**asked, "origin": "https://app.example"}
    assert (await stage.client.options("/v1/orders", headers=named)).status_code == 204
    nowhere = await stage.client.options("/nowhere")
    assert (nowhere.status_code, nowhere.json()["type"]) == (404, f"{URN}not-found")


async def test_only_named_origins_may_read_answers(stage: "Stage") -> None:
    path = "/v1/catalog/products"
    named = await stage.client.get(path, headers={"origin": "https://app.example"})
    assert named.headers["access-control-allow-origin"] == "https://app.example"
    other = await stage.client.get(path, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    asked = await stage.client.options(
        "/v1/orders",
        headers={
            "origin": "https://app.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "idempotency-key",
        },
    )
    assert asked.status_code in {200, 204}
    assert "idempotency-key" in asked.headers["access-control-allow-headers"].lower()


async def test_numbers_are_shown_to_the_named_networks_only(stage: "Stage") -> None:
    assert (await stage.client.get("/metrics")).status_code == 404
    transport = asgi.transport(stage.app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as near:
        page = await near.get("/metrics")
    assert page.status_code == 200
    assert "bitloot_request_seconds_bucket" in page.text
    assert "bitloot_invalid_hmac" in page.text
