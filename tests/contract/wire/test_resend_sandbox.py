"""The Resend stand-in: transport, sending, refusals, limits (lines 1 to 4 and 8)."""

import asyncio
import uuid

import httpx
import pytest

from bitloot_adapters.sandbox.resend.bench import Bench, bench
from bitloot_adapters.sandbox.resend.config import ApiKey, ResendSandboxConfig, Template

MAIL: dict[str, object] = {
    "from": "Shop <orders@shop.example>",
    "to": "buyer@mail.example",
    "subject": "Your order",
    "html": "<p>Ready &amp; waiting</p>",
}


def mail(**changes: object) -> dict[str, object]:
    """The mail of these tests with some fields changed; None takes a field away."""
    changed = {**MAIL, **{name.rstrip("_"): value for name, value in changes.items()}}
    return {name: value for name, value in changed.items() if value is not None}


def refused(answer: httpx.Response, status: int, name: str) -> bool:
    body = answer.json()
    assert set(body) == {"statusCode", "name", "message"}, body
    assert body["statusCode"] == answer.status_code
    assert isinstance(body["message"], str)
    return (answer.status_code, body["name"]) == (status, name)


async def captured(opened: Bench) -> list[dict[str, object]]:
    answer = await opened.client.get("/_control/mailbox")
    mails: list[dict[str, object]] = answer.json()["mails"]
    return mails


@pytest.mark.emulator("resend", 1)
async def test_a_request_without_user_agent_meets_the_edge_error_1010() -> None:
    """Line 1: 403 without `User-Agent`."""
    async with bench() as opened:
        for agent in ("", "Python-urllib/3.11"):
            answer = await opened.client.post("/emails", json=MAIL, headers={"user-agent": agent})
            assert answer.status_code == 403
            assert "1010" in answer.text
        del opened.client.headers["user-agent"]
        assert (await opened.client.post("/emails", json=MAIL)).status_code == 403
        assert await captured(opened) == []


@pytest.mark.emulator("resend", 1)
async def test_missing_wrong_and_suspended_keys_are_told_apart_by_name() -> None:
    """Line 1: 401 `missing_api_key`; 403 `invalid_api_key` body shape."""
    keys = (ApiKey(), ApiKey(token="re_gone", suspended=True))
    async with bench(ResendSandboxConfig(api_keys=keys, rate_limit=100)) as opened:

        async def ask(value: str) -> httpx.Response:
            return await opened.client.get("/emails", headers={"authorization": value})

        assert refused(await ask(""), 401, "missing_api_key")
        assert refused(await ask("Bearer "), 401, "missing_api_key")
        assert refused(await ask("Bearer re_wrong"), 403, "invalid_api_key")
        assert refused(await ask("Bearer re_gone"), 403, "suspended_api_key")


async def test_a_sending_key_may_only_send_and_only_from_its_domain() -> None:
    key = ApiKey(token="re_send", permission="sending_access", domain="shop.example")
    config = ResendSandboxConfig(
        api_keys=(key,), rate_limit=100, verified_domains=("shop.example", "other.example")
    )
    async with bench(config) as opened:
        opened.client.headers["authorization"] = "Bearer re_send"
        sent = await opened.client.post("/emails", json=MAIL)
        assert sent.status_code == 200
        read = await opened.client.get(f"/emails/{sent.json()['id']}")
        assert refused(read, 401, "restricted_api_key")
        other = await opened.client.post("/emails", json=mail(from_="a@other.example"))
        assert refused(other, 403, "invalid_permission")


async def test_unknown_paths_and_methods_are_answered_by_name() -> None:
    async with bench() as opened:
        assert refused(await opened.client.get("/nowhere"), 404, "not_found")
        assert refused(await opened.client.put("/emails", json={}), 405, "method_not_allowed")
        missing = await opened.client.get(f"/emails/{uuid.uuid4()}")
        assert refused(missing, 404, "not_found")
        assert refused(await opened.client.get("/emails/7"), 422, "invalid_parameter")


async def test_an_accepted_mail_is_answered_200_with_an_uuid() -> None:
    async with bench() as opened:
        answer = await opened.client.post("/emails", json=MAIL)
        assert answer.status_code == 200
        assert set(answer.json()) == {"id"}
        assert str(uuid.UUID(answer.json()["id"])) == answer.json()["id"]


async def test_text_is_made_from_html_unless_it_is_given_even_empty() -> None:
    async with bench() as opened:
        for given in (None, "", "own words"):
            await opened.client.post("/emails", json=mail(text=given))
        assert [item["text"] for item in await captured(opened)] == [
            "Ready & waiting",
            "",
            "own words",
        ]


async def test_a_template_fills_subject_and_body_and_excludes_html() -> None:
    template = Template(id="receipt", subject="Order {{{NO}}}", html="<b>{{{NO}}}</b>")
    async with bench(ResendSandboxConfig(templates=(template,), rate_limit=100)) as opened:
        wanted = {"id": "receipt", "variables": {"NO": 5}}
        bare = mail(html=None, subject=None)
        sent = await opened.client.post("/emails", json={**bare, "template": wanted})
        assert sent.status_code == 200
        [kept] = await captured(opened)
        assert (kept["subject"], kept["html"], kept["text"]) == ("Order 5", "<b>5</b>", "5")
        both = await opened.client.post("/emails", json=mail(template=wanted))
        assert refused(both, 422, "validation_error")
        unknown = await opened.client.post("/emails", json={**bare, "template": {"id": "x"}})
        assert refused(unknown, 404, "not_found")


@pytest.mark.emulator("resend", 3)
@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (mail(from_=None), "missing_required_field"),
        (mail(to=None), "missing_required_field"),
        (mail(subject=None), "missing_required_field"),
        (mail(html=None), "missing_required_field"),
        (mail(from_="no address"), "invalid_from_address"),
        (mail(to=[]), "validation_error"),
        (mail(to=5), "validation_error"),
        (mail(to="not an address"), "validation_error"),
        (mail(to=[f"b{n}@mail.example" for n in range(51)]), "validation_error"),
        (mail(to="someone@example.com"), "validation_error"),
        (mail(to="Some One <someone@TEST.com>"), "validation_error"),
        (mail(bcc=["someone@example.com"]), "validation_error"),
        (mail(tags=[{"name": "kind", "value": "re ceipt"}]), "validation_error"),
        (mail(tags=[{"name": "größe", "value": "x"}]), "validation_error"),
        (mail(tags=[{"name": "kind", "value": "x" * 257}]), "validation_error"),
        (mail(tags=[{"name": "kind"}]), "missing_required_field"),
        (mail(tags={"kind": "x"}), "validation_error"),
        (mail(attachments=[{"filename": "a.txt"}]), "invalid_attachment"),
        (mail(attachments=[{"filename": "a.txt", "content": "%%%"}]), "invalid_attachment"),
        (
            mail(attachments=[{"content": "YQ==", "path": "https://x.example"}]),
            "invalid_attachment",
        ),
        (mail(headers={"X-A": 5}), "validation_error"),
        (mail(headers={"X-A": "a\r\nBcc: b@mail.example"}), "validation_error"),
        (mail(scheduled_at="whenever"), "validation_error"),
        (mail(scheduled_at="2020-01-01T00:00:00Z"), "validation_error"),
        ([], "validation_error"),
    ],
)
async def test_a_bad_mail_is_refused_422_by_name(payload: object, name: str) -> None:
    """Line 3: 422 for missing fields, tag characters, attachments, > 50 or refused recipients."""
    async with bench() as opened:
        assert refused(await opened.client.post("/emails", json=payload), 422, name)
        assert await captured(opened) == []


@pytest.mark.emulator("resend", 3)
async def test_fifty_recipients_and_tags_of_256_characters_pass() -> None:
    """Line 3: the bounds themselves are inside."""
    async with bench() as opened:
        good = mail(
            to=[f"b{n}@mail.example" for n in range(50)],
            tags=[{"name": "n" * 256, "value": "A-z_9"}],
        )
        assert (await opened.client.post("/emails", json=good)).status_code == 200


async def test_an_unreadable_body_is_a_400_and_an_unverified_domain_a_403() -> None:
    async with bench() as opened:
        broken = await opened.client.post("/emails", content=b"{")
        assert refused(broken, 400, "validation_error")
        stranger = await opened.client.post("/emails", json=mail(from_="a@elsewhere.example"))
        assert refused(stranger, 403, "validation_error")
        testing = mail(from_="onboarding@resend.dev")
        assert refused(await opened.client.post("/emails", json=testing), 403, "validation_error")
        allowed = mail(from_="onboarding@resend.dev", to="delivered@resend.dev")
        assert (await opened.client.post("/emails", json=allowed)).status_code == 200


async def test_a_body_nested_too_deep_is_a_400_and_not_a_fault() -> None:
    """Reference 3: `validation_error`."""
    async with bench() as opened:
        for path in ("/emails", "/emails/batch"):
            answer = await opened.client.post(
                path, content=b"[" * 100_000, headers={"idempotency-key": "deep/1"}
            )
            assert refused(answer, 400, "validation_error")


async def test_a_message_above_the_size_limit_is_refused() -> None:
    async with bench(ResendSandboxConfig(max_message_bytes=2000)) as opened:
        answer = await opened.client.post("/emails", json=mail(html="x" * 2000))
        assert refused(answer, 422, "validation_error")


@pytest.mark.emulator("resend", 4)
async def test_every_reply_has_rate_headers_and_the_third_in_a_second_is_429() -> None:
    """Line 4: `ratelimit-*` headers on every reply; 429 with `retry-after`."""
    async with bench(ResendSandboxConfig()) as opened:
        answers = [await opened.client.get("/emails") for _ in range(3)]
        assert [item.status_code for item in answers] == [200, 200, 429]
        assert [item.headers["ratelimit-remaining"] for item in answers] == ["1", "0", "0"]
        assert refused(answers[2], 429, "rate_limit_exceeded")
        assert answers[2].headers["retry-after"] == "1"
        unknown = await opened.client.get("/emails", headers={"authorization": ""})
        for item in [*answers, unknown]:
            assert item.headers["ratelimit-limit"] == "2"
            assert item.headers["ratelimit-reset"] == "1"
        await opened.advance(1)
        assert (await opened.client.get("/emails")).status_code == 200


@pytest.mark.emulator("resend", 4)
async def test_the_rate_is_one_for_all_keys_of_a_team_and_configurable() -> None:
    """Line 4: the limit belongs to the team."""
    keys = (ApiKey(), ApiKey(token="re_second"), ApiKey(token="re_other", team="team_other"))
    async with bench(ResendSandboxConfig(api_keys=keys, rate_limit=1)) as opened:

        async def status(token: str) -> int:
            headers = {"authorization": f"Bearer {token}"}
            return (await opened.client.get("/emails", headers=headers)).status_code

        assert (await opened.client.get("/emails")).status_code == 200
        assert await status("re_second") == 429
        assert await status("re_other") == 200


@pytest.mark.emulator("resend", 4)
async def test_a_429_on_order_can_lack_retry_after() -> None:
    """Line 4: the header may be absent, `ratelimit-reset` never is."""
    async with bench() as opened:
        await opened.control("faults", fault="429", retry_after=False)
        answer = await opened.client.get("/emails")
        assert refused(answer, 429, "rate_limit_exceeded")
        assert "retry-after" not in answer.headers
        assert "ratelimit-reset" in answer.headers


@pytest.mark.emulator("resend", 4)
async def test_quotas_refuse_by_name_and_end_with_their_period() -> None:
    """Line 4: quota 429 by name."""
    async with bench(ResendSandboxConfig(daily_quota=1, monthly_quota=2, rate_limit=100)) as opened:
        first = await opened.client.post("/emails", json=MAIL)
        assert first.headers["x-resend-daily-quota"] == "1"
        over = await opened.client.post("/emails", json=MAIL)
        assert refused(over, 429, "daily_quota_exceeded")
        await opened.advance(86400)
        assert (await opened.client.post("/emails", json=MAIL)).status_code == 200
        over = await opened.client.post("/emails", json=MAIL)
        assert refused(over, 429, "monthly_quota_exceeded")
        await opened.advance(31 * 86400)
        assert (await opened.client.post("/emails", json=MAIL)).status_code == 200


@pytest.mark.emulator("resend", 8)
@pytest.mark.parametrize(
    ("fault", "kept"),
    [
        ("500_before", 0),
        ("503_before", 0),
        ("500_after", 1),
        ("503_after", 1),
        ("garbage", 1),
    ],
)
async def test_a_failed_send_is_repaired_by_a_retry_under_the_same_key(
    fault: str, kept: int
) -> None:
    """Line 8: 500/503 before and after accepting a mail."""
    async with bench() as opened:
        await opened.control("faults", op="emails.send", fault=fault)
        headers = {"idempotency-key": "receipt/ord_5"}
        broken = await opened.client.post("/emails", json=MAIL, headers=headers)
        assert fault == "garbage" or broken.status_code == int(fault[:3])
        assert len(await captured(opened)) == kept
        again = await opened.client.post("/emails", json=MAIL, headers=headers)
        assert again.status_code == 200
        [only] = await captured(opened)
        assert only["id"] == again.json()["id"]


@pytest.mark.emulator("resend", 8)
@pytest.mark.parametrize(("fault", "kept"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_reply_breaks_the_connection(fault: str, kept: int) -> None:
    """Line 8: dropped replies after accepting a mail."""
    async with bench() as opened:
        await opened.control("faults", op="emails.send", fault=fault)
        headers = {"idempotency-key": "receipt/ord_5"}
        with pytest.raises(httpx.RemoteProtocolError):
            await opened.client.post("/emails", json=MAIL, headers=headers)
        assert len(await captured(opened)) == kept
        again = await opened.client.post("/emails", json=MAIL, headers=headers)
        assert again.status_code == 200
        assert len(await captured(opened)) == 1


@pytest.mark.emulator("resend", 8)
async def test_random_faults_strike_some_calls_and_never_double_a_mail() -> None:
    """Line 8: random 500/503 and dropped replies, idempotent retry."""
    config = ResendSandboxConfig(random_fault_rate=0.5, random_seed=7, rate_limit=10_000)
    async with bench(config) as opened:
        failures = 0
        for number in range(40):
            headers = {"idempotency-key": f"receipt/ord_{number}"}
            for _ in range(30):
                try:
                    answer = await opened.client.post("/emails", json=MAIL, headers=headers)
                except httpx.RemoteProtocolError:
                    failures += 1
                    continue
                if answer.status_code == 200:
                    break
                assert answer.status_code in {500, 503}
                failures += 1
        assert failures > 10
        assert len(await captured(opened)) == 40


async def test_any_error_can_be_ordered_by_name_for_chosen_calls() -> None:
    async with bench() as opened:
        await opened.control(
            "faults", op="emails.send", fault="error", name="email_above_quota", skip=1, times=2
        )
        answers = [await opened.client.post("/emails", json=MAIL) for _ in range(4)]
        assert [item.status_code for item in answers] == [200, 403, 403, 200]
        assert refused(answers[1], 403, "email_above_quota")


async def test_a_slow_answer_does_the_work_although_the_caller_gave_up() -> None:
    async with bench() as opened:
        await opened.control("faults", op="emails.send", fault="slow", seconds=0.05)
        asking = asyncio.create_task(opened.client.post("/emails", json=MAIL))
        await asyncio.sleep(0.01)
        assert not asking.done()
        assert (await asking).status_code == 200
