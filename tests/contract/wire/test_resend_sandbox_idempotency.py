"""The Resend stand-in: idempotency keys and batches (line 2)."""

import asyncio

import httpx
import pytest

from bitloot_adapters.sandbox.resend.bench import Bench, bench
from bitloot_adapters.sandbox.resend.config import ApiKey, ResendSandboxConfig

MAIL = {
    "from": "orders@shop.example",
    "to": ["buyer@mail.example"],
    "subject": "Your order",
    "text": "Ready",
}
OTHER = {**MAIL, "subject": "Another order"}


async def send(
    opened: Bench, payload: object, key: str, path: str = "/emails", **headers: str
) -> httpx.Response:
    return await opened.client.post(path, json=payload, headers={"idempotency-key": key, **headers})


async def count(opened: Bench) -> int:
    return len((await opened.client.get("/_control/mailbox")).json()["mails"])


@pytest.mark.emulator("resend", 2)
async def test_the_same_payload_gets_the_first_body_again_and_sends_once() -> None:
    """Line 2: replayed body identical."""
    async with bench() as opened:
        first = await send(opened, MAIL, "receipt/ord_5")
        again = await send(opened, MAIL, "receipt/ord_5")
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert await count(opened) == 1


@pytest.mark.emulator("resend", 2)
async def test_another_payload_under_the_same_key_is_409() -> None:
    """Line 2: error case `invalid_idempotent_request`, on either sending path."""
    async with bench() as opened:
        await send(opened, MAIL, "k")
        for payload, path in ((OTHER, "/emails"), ([MAIL], "/emails/batch")):
            answer = await send(opened, payload, "k", path)
            assert answer.status_code == 409
            assert answer.json()["name"] == "invalid_idempotent_request"
        assert await count(opened) == 1


@pytest.mark.emulator("resend", 2)
async def test_the_same_key_while_the_first_is_running_is_409() -> None:
    """Line 2: error case `concurrent_idempotent_requests`, then the answer of the first."""
    async with bench() as opened:
        await opened.control("faults", op="emails.send", fault="slow", seconds=0.1)
        running = asyncio.create_task(send(opened, MAIL, "k"))
        await asyncio.sleep(0.02)
        early = await send(opened, MAIL, "k")
        assert (early.status_code, early.json()["name"]) == (409, "concurrent_idempotent_requests")
        first = await running
        later = await send(opened, MAIL, "k")
        assert later.content == first.content
        assert await count(opened) == 1


@pytest.mark.emulator("resend", 2)
async def test_keys_have_1_to_256_characters() -> None:
    """Line 2: error case `invalid_idempotency_key`."""
    async with bench() as opened:
        for key in ("", "k" * 257):
            answer = await send(opened, MAIL, key)
            assert (answer.status_code, answer.json()["name"]) == (400, "invalid_idempotency_key")
        assert (await send(opened, MAIL, "k" * 256)).status_code == 200
        assert await count(opened) == 1


@pytest.mark.emulator("resend", 2)
async def test_a_key_lives_24_hours() -> None:
    """Line 2: 24 h clock."""
    async with bench() as opened:
        first = await send(opened, MAIL, "k")
        await opened.advance(24 * 3600 - 1)
        assert (await send(opened, MAIL, "k")).content == first.content
        await opened.advance(1)
        assert (await send(opened, OTHER, "k")).status_code == 200
        assert await count(opened) == 2


@pytest.mark.emulator("resend", 2)
async def test_keys_belong_to_a_team() -> None:
    """Line 2: keyed by (team, key)."""
    keys = (ApiKey(), ApiKey(token="re_same"), ApiKey(token="re_other", team="team_other"))
    async with bench(ResendSandboxConfig(api_keys=keys, rate_limit=100)) as opened:
        first = await send(opened, MAIL, "k")
        same = await send(opened, MAIL, "k", authorization="Bearer re_same")
        assert same.content == first.content
        other = await send(opened, OTHER, "k", authorization="Bearer re_other")
        assert other.status_code == 200
        assert await count(opened) == 2


@pytest.mark.emulator("resend", 2)
async def test_a_refusal_is_not_remembered() -> None:
    """Line 2: only good answers are kept, so a corrected payload passes."""
    async with bench() as opened:
        assert (await send(opened, {**MAIL, "to": "nobody"}, "k")).status_code == 422
        assert (await send(opened, MAIL, "k")).status_code == 200


@pytest.mark.emulator("resend", 2)
async def test_the_fingerprint_is_over_bytes_or_json_as_configured() -> None:
    """Line 2: payload fingerprint."""
    turned = dict(reversed(list(MAIL.items())))
    config = ResendSandboxConfig(rate_limit=100)
    async with bench(config) as opened:
        await send(opened, MAIL, "k")
        assert (await send(opened, turned, "k")).status_code == 409
    async with bench(ResendSandboxConfig(rate_limit=100, fingerprint="json")) as opened:
        await send(opened, MAIL, "k")
        assert (await send(opened, turned, "k")).status_code == 200
        assert await count(opened) == 1


@pytest.mark.emulator("resend", 2)
async def test_the_keys_survive_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Line 2: a stand-in that is killed comes back with its mails and keys."""
    config = ResendSandboxConfig(state_dir=str(tmp_path_factory.mktemp("state")), rate_limit=100)
    async with bench(config) as opened:
        first = await send(opened, MAIL, "k")
    async with bench(config) as opened:
        again = await send(opened, MAIL, "k")
        assert again.content == first.content
        assert await count(opened) == 1
        await opened.advance(10)
        mail = (await opened.client.get(f"/emails/{first.json()['id']}")).json()
        assert mail["last_event"] == "delivered"
        await opened.control("reset")
    async with bench(config) as opened:
        assert await count(opened) == 0


async def test_a_batch_answers_ids_in_request_order_under_one_key() -> None:
    async with bench() as opened:
        first = await send(opened, [MAIL, OTHER], "k", "/emails/batch")
        assert first.status_code == 200
        assert set(first.json()) == {"data"}
        subjects = [
            (await opened.client.get(f"/emails/{item['id']}")).json()["subject"]
            for item in first.json()["data"]
        ]
        assert subjects == ["Your order", "Another order"]
        again = await send(opened, [MAIL, OTHER], "k", "/emails/batch")
        assert again.content == first.content
        assert await count(opened) == 2


async def test_a_strict_batch_is_refused_whole_and_a_permissive_one_in_part() -> None:
    bad = {**MAIL, "to": "someone@example.com"}
    async with bench() as opened:
        strict = await opened.client.post("/emails/batch", json=[MAIL, bad])
        assert (strict.status_code, strict.json()["name"]) == (422, "validation_error")
        assert await count(opened) == 0
        loose = await opened.client.post(
            "/emails/batch", json=[bad, MAIL], headers={"x-batch-validation": "permissive"}
        )
        assert loose.status_code == 200
        assert len(loose.json()["data"]) == 1
        [error] = loose.json()["errors"]
        assert error["index"] == 0
        assert "example.com" in error["message"]
        assert await count(opened) == 1


@pytest.mark.parametrize(
    "batch",
    [
        [],
        [MAIL] * 101,
        MAIL,
        ["text"],
        [{**MAIL, "scheduled_at": "in 1 hour"}],
        [{**MAIL, "attachments": [{"filename": "a", "content": "YQ=="}]}],
    ],
)
async def test_a_batch_has_1_to_100_plain_mails(batch: object) -> None:
    async with bench() as opened:
        answer = await opened.client.post("/emails/batch", json=batch)
        assert (answer.status_code, answer.json()["name"]) == (422, "validation_error")


async def test_a_batch_over_quota_sends_nothing() -> None:
    async with bench(ResendSandboxConfig(daily_quota=1, rate_limit=100)) as opened:
        answer = await opened.client.post("/emails/batch", json=[MAIL, OTHER])
        assert (answer.status_code, answer.json()["name"]) == (429, "daily_quota_exceeded")
        assert await count(opened) == 0
