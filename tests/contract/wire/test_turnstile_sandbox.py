"""The Turnstile stand-in: lines 1 to 6 of what it must do, and its control door."""

import re
from pathlib import Path

import httpx
import pytest

from bitloot_adapters.sandbox.loopback import served
from bitloot_adapters.sandbox.turnstile.app import build_app
from bitloot_adapters.sandbox.turnstile.bench import Bench, bench
from bitloot_adapters.sandbox.turnstile.config import (
    SITE_KEY,
    SITE_OWNER,
    Site,
    TurnstileSandboxConfig,
)
from bitloot_adapters.sandbox.turnstile.siteverify import PATH
from bitloot_adapters.sandbox.turnstile.tokens import DUMMY, TEST_SECRETS, TEST_SITE_KEYS
from bitloot_web.composition.sandboxes import NAMES, BadSandboxConfigError, sandbox_app

PASSES, FAILS, SPENT = TEST_SECRETS
KEY = "6f0e2f5a-3f0b-4d0e-9a55-0d8f0d1c2b3a"
OTHER_KEY = "6f0e2f5a-3f0b-4d0e-9a55-0d8f0d1c2b3b"


def codes(answer: dict[str, object]) -> object:
    """The codes of a failure, which has nothing else to tell."""
    assert answer["success"] is False
    assert isinstance(answer["error-codes"], list)
    return answer["error-codes"]


@pytest.mark.emulator("turnstile", 1)
async def test_a_form_of_either_kind_and_json_are_read_alike() -> None:
    """Line 1: form and JSON; 200 + JSON."""
    async with bench() as opened:
        for way in ("data", "json", "files"):
            fields = {"secret": SITE_OWNER, "response": await opened.token(action="order")}
            match way:
                case "data":
                    answer = await opened.client.post(PATH, data=fields)
                case "json":
                    answer = await opened.client.post(PATH, json=fields)
                case _:
                    parts = {name: (None, value) for name, value in fields.items()}
                    answer = await opened.client.post(PATH, files=parts)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/json"
            assert answer.json() == {
                "success": True,
                "challenge_ts": "2026-01-15T08:30:00.123Z",
                "hostname": "localhost",
                "error-codes": [],
                "action": "order",
                "cdata": "",
            }


@pytest.mark.emulator("turnstile", 1)
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"secret": 1, "response": "x"}', "application/json"),
        (b"secret=x&response=y", "text/plain"),
        (b"secret=x&response=y", ""),
        (b"\xff", "application/json"),
    ],
)
async def test_a_call_that_cannot_be_read_is_a_bad_request_with_status_200(
    content: bytes, kind: str
) -> None:
    """Line 1: `error-codes` always an array."""
    async with bench() as opened:
        headers = {"content-type": kind} if kind else {}
        answer = await opened.client.post(PATH, content=content, headers=headers)
        assert answer.status_code == 200
        assert codes(answer.json()) == ["bad-request"]


@pytest.mark.emulator("turnstile", 1)
async def test_what_is_missing_is_named_and_get_is_not_answered() -> None:
    """Line 1: 200 + JSON in all ordinary failures."""
    async with bench() as opened:
        assert codes(await opened.verify(response="x")) == ["missing-input-secret"]
        assert codes(await opened.verify(secret=SITE_OWNER)) == ["missing-input-response"]
        both = ["missing-input-secret", "missing-input-response"]
        assert codes(await opened.verify(secret="", response="")) == both
        assert (await opened.client.get(PATH)).status_code == 405
        token = await opened.token()
        bad = await opened.verify(secret=SITE_OWNER, response=token, idempotency_key="1")
        assert codes(bad) == ["bad-request"]


@pytest.mark.emulator("turnstile", 2)
async def test_a_token_is_taken_once_unless_the_call_is_repeated_under_its_own_key() -> None:
    """Line 2: single use; the same `idempotency_key` gives the same answer again."""
    async with bench() as opened:
        token = await opened.token()
        fields = {"secret": SITE_OWNER, "response": token}
        first = await opened.verify(**fields, idempotency_key=KEY)
        assert first["success"] is True
        assert await opened.verify(**fields, idempotency_key=KEY) == first
        assert codes(await opened.verify(**fields)) == ["timeout-or-duplicate"]
        other = await opened.verify(**fields, idempotency_key=OTHER_KEY)
        assert codes(other) == ["timeout-or-duplicate"]

        bare = {"secret": SITE_OWNER, "response": await opened.token()}
        assert (await opened.verify(**bare))["success"] is True
        assert codes(await opened.verify(**bare)) == ["timeout-or-duplicate"]
        assert codes(await opened.verify(**bare, idempotency_key=KEY)) == ["timeout-or-duplicate"]


@pytest.mark.emulator("turnstile", 2)
async def test_a_token_is_taken_once_for_each_secret_while_they_are_rotated() -> None:
    """Line 2: single use per (secret, token)."""
    async with bench(TurnstileSandboxConfig(sites=(Site(secrets=("old", "new")),))) as opened:
        token = await opened.token()
        for secret in ("old", "new"):
            assert (await opened.verify(secret=secret, response=token))["success"] is True
            again = await opened.verify(secret=secret, response=token)
            assert codes(again) == ["timeout-or-duplicate"]


@pytest.mark.emulator("turnstile", 2)
@pytest.mark.parametrize(("seconds", "lives"), [(300, True), (300.001, False), (900, False)])
async def test_a_token_lives_for_300_seconds(seconds: float, *, lives: bool) -> None:
    """Line 2: 300 s age."""
    async with bench() as opened:
        token = await opened.token()
        await opened.control("advance", seconds=seconds)
        answer = await opened.verify(secret=SITE_OWNER, response=token)
        assert answer["success"] is lives
        assert answer["error-codes"] == ([] if lives else ["timeout-or-duplicate"])


@pytest.mark.emulator("turnstile", 3)
async def test_test_secrets_take_only_the_dummy_token_and_as_often_as_it_comes() -> None:
    """Line 3: the test secrets with the rule for the dummy token."""
    async with bench() as opened:
        real = await opened.token()
        for _ in range(2):
            passed = await opened.verify(secret=PASSES, response=DUMMY)
            assert (passed["success"], passed["error-codes"]) == (True, [])
            assert passed["hostname"] == "example.com"
            failed = await opened.verify(secret=FAILS, response=DUMMY)
            assert codes(failed) == ["invalid-input-response"]
            spent = await opened.verify(secret=SPENT, response=DUMMY)
            assert codes(spent) == ["timeout-or-duplicate"]
        for secret in (PASSES, FAILS, SPENT):
            answer = await opened.verify(secret=secret, response=real)
            assert codes(answer) == ["invalid-input-response"]
        answer = await opened.verify(secret=SITE_OWNER, response=DUMMY)
        assert codes(answer) == ["invalid-input-response"]


@pytest.mark.emulator("turnstile", 3)
async def test_the_test_site_keys_yield_the_dummy_token() -> None:
    """Line 3."""
    async with bench() as opened:
        tokens = {await opened.token(site_key=key) for key in TEST_SITE_KEYS}
        assert (len(TEST_SITE_KEYS), tokens) == (5, {"XXXX.DUMMY.TOKEN.XXXX"})


@pytest.mark.emulator("turnstile", 4)
async def test_a_token_is_bound_to_its_site_and_tells_action_data_and_host() -> None:
    """Line 4: bound tokens; wrong secret; foreign token."""
    other = Site(site_key="0xother", secrets=("0xothers",), hostnames=("shop.example", "b.example"))
    async with bench(TurnstileSandboxConfig(sites=(Site(), other))) as opened:
        token = await opened.token(site_key="0xother", action="order", cdata="A-1_b")
        foreign = await opened.verify(secret=SITE_OWNER, response=token)
        assert codes(foreign) == ["invalid-input-response"]
        wrong = await opened.verify(secret="0xnobody", response=token)
        assert codes(wrong) == ["invalid-input-secret"]
        right = await opened.verify(secret="0xothers", response=token)
        assert (right["action"], right["cdata"], right["hostname"]) == (
            "order",
            "A-1_b",
            "shop.example",
        )
        elsewhere = await opened.token(site_key="0xother", hostname="b.example")
        assert (await opened.verify(secret="0xothers", response=elsewhere))[
            "hostname"
        ] == "b.example"
        unknown = await opened.verify(secret=SITE_OWNER, response="0.nobody-issued-this")
        assert codes(unknown) == ["invalid-input-response"]


@pytest.mark.emulator("turnstile", 4)
@pytest.mark.parametrize(
    "order",
    [
        {"site_key": "0xnobody"},
        {"hostname": "elsewhere.example"},
        {"action": "a" * 33},
        {"action": "with blank"},
        {"cdata": "c" * 256},
        {"length": 2049},
        {"action": 7},
    ],
)
async def test_a_widget_that_cannot_be_gives_no_token(order: dict[str, object]) -> None:
    """Line 4."""
    site = Site(hostnames=("shop.example",))
    async with bench(TurnstileSandboxConfig(sites=(site,))) as opened:
        with pytest.raises(httpx.HTTPStatusError, match="400"):
            await opened.control("tokens", **order)


@pytest.mark.emulator("turnstile", 5)
@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("drop_before", httpx.RemoteProtocolError),
        ("drop_after", httpx.RemoteProtocolError),
        ("refused", httpx.ConnectError),
    ],
)
async def test_a_connection_is_refused_or_lost_when_that_was_ordered(
    fault: str, seen: type[Exception]
) -> None:
    """Line 5: connection refused."""
    async with bench() as opened:
        fields = {"secret": SITE_OWNER, "response": await opened.token(), "idempotency_key": KEY}
        await opened.control("faults", fault=fault)
        with pytest.raises(seen):
            await opened.verify(**fields)
        # What was done before the answer was lost is done; the same call is answered then.
        bare = {name: value for name, value in fields.items() if name != "idempotency_key"}
        if fault == "drop_after":
            assert codes(await opened.verify(**bare)) == ["timeout-or-duplicate"]
        assert (await opened.verify(**fields))["success"] is True


@pytest.mark.emulator("turnstile", 5)
@pytest.mark.parametrize("fault", ["internal-error", "internal-error_after"])
async def test_an_internal_error_is_mended_by_the_same_key(fault: str) -> None:
    """Line 5: `internal-error`."""
    async with bench() as opened:
        fields = {"secret": SITE_OWNER, "response": await opened.token(), "idempotency_key": KEY}
        await opened.control("faults", fault=fault, skip=0, times=2)
        for _ in range(2):
            assert codes(await opened.verify(**fields)) == ["internal-error"]
        assert (await opened.verify(**fields))["success"] is True


@pytest.mark.emulator("turnstile", 5)
async def test_slow_replies_and_others_can_be_ordered_and_called_off() -> None:
    """Line 5: slow reply."""
    async with bench() as opened:
        await opened.control("faults", fault="slow", seconds=0.05, skip=1)
        await opened.control("faults", fault="503")
        await opened.control("faults", fault="garbage")
        assert (await opened.client.post(PATH)).status_code == 503
        # The first call was let pass by the slow fault, and met the second; this one is slow.
        assert codes((await opened.client.post(PATH)).json()) == ["bad-request"]
        assert "<html>" in (await opened.client.post(PATH)).text
        await opened.control("faults", fault="503", times=9)
        (await opened.client.delete("/_control/faults")).raise_for_status()
        assert (await opened.client.post(PATH)).status_code == 200
        with pytest.raises(httpx.HTTPStatusError, match="400"):
            await opened.control("faults", fault="nonsense")


@pytest.mark.emulator("turnstile", 5)
async def test_behind_a_socket_a_connection_is_closed_without_an_answer() -> None:
    """Line 5."""
    async with served(build_app(TurnstileSandboxConfig())) as url, httpx.AsyncClient() as client:
        for fault in ("refused", "drop_before", "drop_after"):
            order = {"fault": fault}
            (await client.post(f"{url}/_control/faults", json=order)).raise_for_status()
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await client.post(url + PATH, json={"secret": SITE_OWNER})
        assert (await client.post(url + PATH, json={})).status_code == 200


@pytest.mark.emulator("turnstile", 6)
@pytest.mark.parametrize("length", [32, 2047, 2048])
async def test_a_token_may_have_2048_characters(length: int) -> None:
    """Line 6: tokens up to 2048 characters; longer -> `invalid-input-response`."""
    async with bench() as opened:
        token = await opened.token(length=length)
        assert len(token) == length
        longer = await opened.verify(secret=SITE_OWNER, response="0" * 2049)
        assert codes(longer) == ["invalid-input-response"]
        assert (await opened.verify(secret=SITE_OWNER, response=token))["success"] is True


async def calls(opened: Bench) -> list[dict[str, str]]:
    found: list[dict[str, str]] = (await opened.client.get("/_control/calls")).json()["calls"]
    return found


async def test_the_control_door_shows_calls_without_secrets_and_forgets_all() -> None:
    async with bench() as opened:
        token = await opened.token(site_key=SITE_KEY)
        await opened.verify(secret=SITE_OWNER, response=token, remoteip="192.0.2.7")
        (call,) = await calls(opened)
        assert call == {"response": token, "remoteip": "192.0.2.7", "idempotency_key": ""}
        assert (await opened.client.get("/_control/health")).json()["status"] == "ok"
        assert (await opened.client.get("/_control/state")).json()["tokens"] == 1
        await opened.control("reset")
        assert await calls(opened) == []
        answer = await opened.verify(secret=SITE_OWNER, response=token)
        assert codes(answer) == ["invalid-input-response"]


def test_every_line_of_what_the_stand_in_must_do_has_a_test() -> None:
    """Lines 1 to 6 are named by an `emulator` mark in this file."""
    text = Path(__file__).read_text(encoding="utf-8")
    lines = set(re.findall(r'^@pytest\.mark\.emulator\("turnstile", (\d+)\)$', text, re.MULTILINE))
    assert lines == set("123456")


def test_it_is_started_by_its_name_from_a_json_object() -> None:
    assert "turnstile" in NAMES
    config = b'{"sites": [{"site_key": "0xk", "secrets": ["0xs"]}], "token_seconds": 60}'
    assert sandbox_app("turnstile", config).state.stand_in.tokens.site("0xk") is not None
    for bad in (b"[]", b'{"token_seconds": 0}', b'{"sites": [{"secrets": []}]}'):
        with pytest.raises(BadSandboxConfigError):
            sandbox_app("turnstile", bad)


def test_sites_that_cannot_be_told_apart_are_refused() -> None:
    for sites in ((Site(), Site(site_key="0xother")), (Site(secrets=()),)):
        with pytest.raises(ValueError, match="secrets of its own"):
            TurnstileSandboxConfig(sites=sites)
