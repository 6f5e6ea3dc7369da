"""No key and no secret lies anywhere outside the body of a download, and all goes on without Redis.

Everything that the shop stores, sends, logs and answers is searched for what was sold.
"""

import io
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

import httpx
import msgspec

from bitloot_adapters.memory.cache import MemoryCache
from bitloot_web.logs import configure_logs

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage


def texts(root: object) -> Iterator[str]:
    """Every text and every byte string that can be reached from an object, reprs or not."""
    seen: set[int] = set()
    left = [root]
    while left:
        each = left.pop()
        if id(each) in seen or callable(each) or isinstance(each, type | Enum | datetime):
            continue
        seen.add(id(each))
        if isinstance(each, str):
            yield each
        elif isinstance(each, bytes):
            yield each.decode("latin-1")
        elif isinstance(each, dict):
            left += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple | set | frozenset):
            left += each
        elif isinstance(each, msgspec.Struct):
            left += [getattr(each, name) for name in each.__struct_fields__]
        else:
            left += getattr(each, "__dict__", {}).values()


async def revealed(stage: "Stage", order_id: str, token: dict[str, str]) -> list[str]:
    """The keys of an order and the tokens of the links that gave them."""
    found = []
    path = f"/v1/orders/{order_id}"
    lines = (await stage.client.get(f"{path}/deliveries", headers=token)).json()["items"]
    for line in lines:
        link = await stage.client.post(
            f"{path}/items/{line['itemId']}/reveal", headers={**token, **stage.once()}
        )
        assert link.status_code == 201, link.text
        url = link.json()["url"]
        file = await stage.client.get(url)
        assert file.status_code == 200, file.text
        found += [key["key"] for key in file.json()["keys"]]
        found.append(url.rpartition("/")[2])
    return found


async def test_no_key_and_no_token_is_stored_logged_mailed_or_answered_elsewhere(
    stage: "Stage",
) -> None:
    logged, answered = io.StringIO(), []
    configure_logs(level="debug", stream=logged)

    async def heard(answer: httpx.Response) -> None:
        path = answer.request.url.path
        if "/downloads/" not in path and not path.endswith(("/reveal", "/orders")):
            await answer.aread()
            answered.append(answer.text)

    stage.client.event_hooks = {"response": [heard]}
    order_id, token = await stage.bought(("own-game", 1), ("bought-game", 2))
    secret = await revealed(stage, order_id, token)
    assert len(secret) == 5
    await stage.client.get("/v1/downloads/" + secret[-1][:-2] + "xx")
    for path in ("", "/timeline", "/audit", "/ledger", "/webhooks"):
        await stage.client.get(f"/v1/admin/orders/{order_id}{path}", headers=stage.admin)
    await stage.client.get(f"/v1/orders/{order_id}/receipt", headers=token)
    secret += [token["authorization"][7:], stage.admin["authorization"][7:]]
    stored = list(texts(stage.store)) + list(texts(stage.near.cache))
    mailed = [str(mail.message) for mail in stage.mailer.mailbox]
    assert len(stored) > 300
    assert mailed
    assert len(answered) > 8
    assert '"route"' in logged.getvalue()
    for where, found in (
        ("stored", stored),
        ("mailed", mailed),
        ("answered", answered),
        ("logged", [logged.getvalue()]),
    ):
        for canary in secret:
            assert not any(canary in text for text in found), where


def test_a_planted_canary_is_found_wherever_it_lies() -> None:
    class Hidden(msgspec.Struct):
        serial: str

        def __repr__(self) -> str:
            return "Hidden()"

    for planted in ({"a": [b"AAAA"]}, {"AAAA": 1}, [Hidden("AAAA")], {("x", "AAAA")}):
        assert any("AAAA" in text for text in texts(planted))


async def test_without_the_fast_store_orders_are_placed_paid_and_revealed(stage: "Stage") -> None:
    stage.rate_limiter.is_down = True
    stage.otp.is_down = True
    stage.realtime.lose()
    assert isinstance(stage.near.cache, MemoryCache)
    stage.near.cache.is_down = True
    order_id, token = await stage.bought(("own-game", 1), ("bought-game", 1))
    order = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()
    assert order["status"] == "fulfilled", order
    assert len(await revealed(stage, order_id, token)) == 4
