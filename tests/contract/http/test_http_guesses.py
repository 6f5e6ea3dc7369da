"""Nobody can try without end: every limit of rate that is declared is one that answers."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import TYPE_CHECKING

import httpx
import pytest
from tests import asgi

from bitloot_web.problems import URN
from bitloot_web.security.rate_limits import RATE_LIMITS, RateName, quota
from bitloot_web.security.rate_shares import LEAST

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage, Sweep

Ask = Callable[[int], Awaitable[httpx.Response]]
# The doors of an order that open without its token; everything else answers 401 before it looks.
OPEN_DOORS = {"requestCode": 5, "createSession": 30}


async def test_ids_of_orders_cannot_be_guessed_without_end(sweep: "Sweep") -> None:
    stage, doors = sweep.stage, set()
    for method, path, operation in sweep.operations:
        if "{order_id}" not in path or operation.get("security"):
            continue
        door = operation["operationId"]
        doors.add(door)
        body = {} if door == "requestCode" else {"challengeId": "x" * 36, "code": "123456"}
        told = []
        for _ in range(OPEN_DOORS[door] + 1):
            guess = sweep.filled(path, ids=stage.near.new_id())
            told.append(await stage.client.request(method, guess, json=body))
        assert {answer.status_code for answer in told[:-1]} <= {202, 401}
        assert len({answer.status_code for answer in told[:-1]}) == 1
        sweep.problem(told[-1], 429)
    assert doors == set(OPEN_DOORS)


async def test_without_a_token_no_id_of_an_order_tells_whether_it_is_one(sweep: "Sweep") -> None:
    for method, path, operation in sweep.operations:
        if "{order_id}" not in path or not operation.get("security"):
            continue
        known = await sweep.stage.client.request(method, sweep.filled(path))
        unknown = await sweep.stage.client.request(
            method, sweep.filled(path, ids=sweep.stage.near.new_id())
        )
        assert known.status_code == unknown.status_code == 401
        same = {"type", "title", "status", "detail"}
        assert {k: v for k, v in known.json().items() if k in same} == {
            k: v for k, v in unknown.json().items() if k in same
        }


def asking(stage: "Stage", order_id: str, token: dict[str, str]) -> dict[RateName, Ask]:
    """For each limit a request that it counts, and no other limit that is lower."""
    client, fresh = stage.client, count(1)
    code = {"challengeId": "x" * 36, "code": "123456"}
    basket = {"lines": [{"product": "own-game"}]}
    reveal = f"/v1/orders/{order_id}/items/{order_id}/reveal"

    async def by_ip(n: int) -> httpx.Response:
        body = {"quoteId": stage.near.new_id(), "email": f"buyer{n}@shop.example"}
        return await client.post("/v1/orders", json=body, headers=stage.once())

    async def from_elsewhere(path: str, body: dict[str, str]) -> httpx.Response:
        headers = {**stage.once(), "x-forwarded-for": f"198.51.100.{next(fresh)}"}
        proxy = asgi.transport(stage.app, client=("10.0.0.1", 1))
        async with httpx.AsyncClient(transport=proxy, base_url="https://shop.example") as one:
            return await one.post(path, json=body, headers=headers)

    async def by_address(n: int) -> httpx.Response:
        body = {"quoteId": stage.near.new_id(), "email": f"one+{n}@shop.example"}
        return await from_elsewhere("/v1/orders", body)

    def credentials(who: str) -> dict[str, str]:
        return {"email": f"{who}@shop.example", "password": "not the one that was set"}

    same = stage.once()

    async def repeated(n: int) -> httpx.Response:
        body = {"quoteId": order_id, "email": "one@shop.example"}
        if n == 0:
            await client.post("/v1/orders", json=body, headers=same)
        return await client.post("/v1/orders", json=body, headers=same)

    def other() -> str:
        return f"/v1/orders/{stage.near.new_id()}"

    return {
        "catalogue": lambda _: client.get("/v1/catalog/products"),
        "quotes": lambda _: client.post("/v1/quotes", json=basket),
        "orders-by-ip": by_ip,
        "orders-by-address": by_address,
        "order-repeats": repeated,
        "reveals": lambda _: client.post(reveal, headers={**token, **stage.once()}),
        "downloads": lambda _: client.get("/v1/downloads/no.token"),
        "codes-by-ip": lambda _: client.post(f"{other()}/session/code", json={}),
        "code-tries-by-ip": lambda _: client.post(f"{other()}/session", json=code),
        "code-tries-by-order": lambda _: client.post(f"/v1/orders/{order_id}/session", json=code),
        "sign-ins-by-ip": lambda n: client.post("/v1/auth/login", json=credentials(f"one{n}")),
        "sign-ins-by-address": lambda _: from_elsewhere("/v1/auth/login", credentials("one")),
        "refreshes": lambda _: client.post("/v1/auth/refresh", json={"refreshToken": "no.token"}),
        "admin": lambda _: client.get("/v1/admin/webhooks", headers=stage.admin),
    }


@pytest.mark.parametrize("name", RATE_LIMITS)
async def test_every_limit_that_is_declared_is_active(stage: "Stage", name: RateName) -> None:
    order_id, token = await stage.order()
    window, limits = RATE_LIMITS[name].window, stage.shop.limits
    is_shared = quota(name, limits).limit // limits.rate_shares >= LEAST
    # Hits of a share count longer, by the time for which it may be spent.
    stage.clock.advance(window + window / limits.rate_shares if is_shared else window)
    ask, own = asking(stage, order_id, token)[name], quota(name, stage.shop.limits)
    told = [await ask(n) for n in range(own.limit + 1)]
    assert 429 not in {answer.status_code for answer in told[:-1]}
    last = told[-1]
    assert (last.status_code, last.json()["type"]) == (429, f"{URN}rate-limited")
    assert last.headers["ratelimit-policy"].startswith(f'"{name}";q={own.limit};')
