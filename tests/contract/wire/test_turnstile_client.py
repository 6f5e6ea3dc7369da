"""The Turnstile client on the wire: what it sends, and what each answer comes to."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.testing.seeded import SeededIds
from bitloot_adapters.http import HttpClient
from bitloot_adapters.sandbox.scripted import Scripted
from bitloot_adapters.sandbox.turnstile.bench import bench
from bitloot_adapters.sandbox.turnstile.config import SITE_KEY, SITE_OWNER
from bitloot_adapters.turnstile.client import Turnstile

TEST_SECRET = "1x0000000000000000000000000000000AA"
START = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
GOOD: dict[str, object] = {
    "success": True,
    "challenge_ts": "2026-01-15T08:30:00.123Z",
    "hostname": "shop.example",
    "error-codes": [],
    "action": "order",
    "cdata": "",
}
INTERNAL = (200, {"success": False, "error-codes": ["internal-error"]})


@contextlib.asynccontextmanager
async def client(
    app: Callable[..., Awaitable[None]],
    *,
    secret: str = SITE_OWNER,
    hostnames: tuple[str, ...] = ("shop.example",),
    limits: Limits | None = None,
) -> AsyncIterator[Turnstile]:
    chosen = limits or Limits()
    http = HttpClient(
        "http://turnstile",
        limits=chosen,
        in_transaction=lambda: False,
        headers={"accept": "application/json"},
        transport=lambda: httpx.ASGITransport(app),
    )
    try:
        yield Turnstile(
            http,
            secret=secret,
            site_key=SITE_KEY,
            hostnames=frozenset(hostnames),
            limits=chosen,
            new_id=SeededIds(lambda: START, 3),
        )
    finally:
        await http.close()


async def passes(turnstile: Turnstile, token: str | None = "0.token", **more: str) -> bool:
    return await turnstile.passes(
        token, action="order", remote_ip=more.get("remote_ip", "192.0.2.7"), mark=more.get("mark")
    )


async def test_one_call_carries_secret_token_address_and_a_key_of_its_own() -> None:
    script = Scripted((200, GOOD), (200, GOOD))
    async with client(script) as turnstile:
        assert await passes(turnstile)
        assert await passes(turnstile, remote_ip="2001:db8::/64")
    first, second = script.asked
    assert (first.method, first.path) == ("POST", "/turnstile/v0/siteverify")
    assert first.headers["content-type"] == "application/json"
    sent, other = json.loads(first.body), json.loads(second.body)
    assert set(sent) == {"secret", "response", "remoteip", "idempotency_key"}
    assert (sent["secret"], sent["response"]) == (SITE_OWNER, "0.token")
    assert sent["remoteip"] == "192.0.2.7"
    assert str(UUID(sent["idempotency_key"])) == sent["idempotency_key"]
    assert sent["idempotency_key"] != other["idempotency_key"]
    # A network is no visitor's address.
    assert "remoteip" not in other


@pytest.mark.parametrize("length", [2048, 2049])
async def test_a_token_that_is_too_long_is_refused_without_a_call(length: int) -> None:
    script = Scripted((200, GOOD))
    async with client(script) as turnstile:
        assert await passes(turnstile, "0" * length) is (length == 2048)
    assert len(script.asked) == (length == 2048)


@pytest.mark.parametrize(
    "change",
    [
        {"hostname": "evil.example"},
        {"hostname": "shop.example.evil.example"},
        {"hostname": "sub.shop.example"},
        {"hostname": ""},
        {"hostname": None},
        {"hostname": ["shop.example"]},
        {"action": "code"},
        {"action": ""},
        {"action": "ORDER"},
        {"action": None},
        {"error-codes": ["timeout-or-duplicate"]},
    ],
)
async def test_a_success_that_is_not_ours_is_refused(change: dict[str, object]) -> None:
    answer = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    async with client(Scripted((200, answer))) as turnstile:
        assert not await passes(turnstile)


@pytest.mark.parametrize(
    "change", [{"hostname": "SHOP.example"}, {"error-codes": None}, {"cdata": "x"}, {"new": [1]}]
)
async def test_a_success_may_be_written_otherwise(change: dict[str, object]) -> None:
    answer = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    async with client(Scripted((200, answer))) as turnstile:
        assert await passes(turnstile)


@pytest.mark.parametrize("status", [200, 400, 403])
@pytest.mark.parametrize(
    "codes",
    [
        ["invalid-input-response"],
        ["timeout-or-duplicate"],
        ["missing-input-response"],
        ["a-word-of-tomorrow"],
        [],
        None,
    ],
)
async def test_a_refused_token_is_the_visitors_whatever_the_status(
    status: int, codes: list[str] | None
) -> None:
    answer: dict[str, object] = {"success": False}
    if codes is not None:
        answer["error-codes"] = codes
    script = Scripted((status, answer))
    async with client(script) as turnstile:
        assert not await passes(turnstile)
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        (["missing-input-secret"], "credentials"),
        (["invalid-input-secret"], "credentials"),
        (["timeout-or-duplicate", "invalid-input-secret"], "credentials"),
        (["bad-request"], "invalid"),
    ],
)
async def test_a_fault_of_ours_is_told_apart_and_not_tried_again(
    codes: list[str], reason: str
) -> None:
    script = Scripted((200, {"success": False, "error-codes": codes}))
    async with client(script) as turnstile:
        with pytest.raises(Rejected) as refused:
            await passes(turnstile)
    assert (refused.value.provider, refused.value.reason) == ("turnstile", reason)
    assert refused.value.detail == ", ".join(codes)
    assert SITE_OWNER not in repr(refused.value)
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        INTERNAL,
        (500, {"success": False, "error-codes": ["internal-error"]}),
        (503, b"error code: 1200"),
        (200, b"<html>"),
        (200, b"[]"),
        (200, {}),
        (200, {"success": "true", "error-codes": []}),
        (200, {"success": 1, "error-codes": []}),
        (200, {"success": True, "error_codes": [], "error-codes": "none"}),
        (200, b'{"success": tru'),
        (200, b"[" * 100_000),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("cut"),
    ],
)
async def test_trouble_is_tried_once_more_under_the_same_key_and_then_means_no(
    trouble: tuple[int, object] | Exception,
) -> None:
    mended = Scripted(trouble, (200, GOOD))
    async with client(mended) as turnstile:
        assert await passes(turnstile)
    first, second = mended.asked
    assert first.body == second.body
    lasting = Scripted(trouble, trouble)
    async with client(lasting) as turnstile:
        with pytest.raises(Unavailable) as down:
            await passes(turnstile)
    assert down.value.provider == "turnstile"
    assert len(lasting.asked) == 2


async def test_a_refusal_after_trouble_is_a_refusal() -> None:
    script = Scripted(INTERNAL, (200, {"success": False, "error-codes": ["timeout-or-duplicate"]}))
    async with client(script) as turnstile:
        assert not await passes(turnstile)


async def test_a_slow_provider_means_no_after_the_named_time() -> None:
    limits = Limits(captcha_answer=timedelta(milliseconds=200))
    async with bench() as opened:
        token = await opened.token(action="order")
        await opened.control("faults", fault="slow", seconds=2, times=2)
        async with client(opened.app, limits=limits, hostnames=("localhost",)) as turnstile:
            began = time.monotonic()
            with pytest.raises(Unavailable) as down:
                await passes(turnstile, token)
            assert 0.15 < time.monotonic() - began < 1.9
        assert down.value.reason == "deadline"


@pytest.mark.parametrize("fault", ["internal-error_after", "drop_after", "refused", "garbage"])
async def test_a_lost_answer_does_not_cost_the_visitor_the_token(fault: str) -> None:
    async with bench() as opened:
        token = await opened.token(action="order")
        await opened.control("faults", fault=fault)
        async with client(opened.app, hostnames=("localhost",)) as turnstile:
            assert await passes(turnstile, token)
            assert not await passes(turnstile, token)


async def test_many_with_one_mark_at_once_all_pass() -> None:
    async with bench() as opened:
        token = await opened.token(action="order")
        async with client(opened.app, hostnames=("localhost",)) as turnstile:
            calls = [passes(turnstile, token, mark="one") for _ in range(5)]
            assert await asyncio.gather(*calls) == [True] * 5
            assert not await passes(turnstile, token, mark="two")


@pytest.mark.parametrize(("digit", "expected"), [("1", True), ("2", False), ("3", False)])
async def test_the_test_secrets_do_what_they_are_published_for(
    digit: str, *, expected: bool
) -> None:
    async with bench() as opened:
        dummy = await opened.token(site_key="1x00000000000000000000AA")
        secret = digit + TEST_SECRET[1:]
        async with client(opened.app, secret=secret, hostnames=("shop.example",)) as turnstile:
            assert await passes(turnstile, dummy) is expected
            assert not await passes(turnstile, await opened.token(action="order"))
            await turnstile.check()


async def test_a_look_at_the_credentials_takes_no_token() -> None:
    async with bench() as opened:
        token = await opened.token(action="order")
        async with client(opened.app, hostnames=("localhost",)) as turnstile:
            await turnstile.check()
            assert await passes(turnstile, token)
        async with client(opened.app, secret="0xnobody") as stranger:
            with pytest.raises(Rejected):
                await stranger.check()
