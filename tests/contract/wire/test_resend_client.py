"""The Resend client on the wire: what it sends, and what each answer comes to."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import httpx
import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.mailer import Message
from bitloot_adapters.http import HttpClient
from bitloot_adapters.resend.client import Resend
from bitloot_adapters.resend.plugin import USER_AGENT, ResendSettings, plugin
from bitloot_adapters.sandbox.loopback import served
from bitloot_adapters.sandbox.resend.app import build_app
from bitloot_adapters.sandbox.resend.config import DEFAULT_API_KEY, ApiKey, ResendSandboxConfig
from bitloot_adapters.sandbox.scripted import Scripted

KEY = "order-ready/0197/1"
HOURS = 3600.0
LIMITS = Limits()
MAIL = Message(
    to="buyer@mail.example",
    subject="Your keys are ready",
    html="<p>Bereit: ключ</p>",
    text="Bereit: ключ\n",
    kind="order-ready",
)


@contextlib.asynccontextmanager
async def client(
    app: Callable[..., Awaitable[None]] | None,
    *,
    base_url: str = "http://resend",
    per_second: int = 1000,
    limits: Limits = LIMITS,
) -> AsyncIterator[Resend]:
    http = HttpClient(
        base_url,
        limits=limits,
        in_transaction=lambda: False,
        headers={"authorization": f"Bearer {DEFAULT_API_KEY}", "user-agent": USER_AGENT},
        transport=None if app is None else lambda: httpx.ASGITransport(app),
    )
    try:
        yield Resend(
            http,
            webhook_secret="whsec_c2VjcmV0",
            from_address="Shop <orders@shop.example>",
            limits=limits,
            per_second=per_second,
        )
    finally:
        await http.close()


def sandbox(**settings: object) -> Callable[..., Awaitable[None]]:
    known = {"rate_limit": 1000} | settings
    app: Callable[..., Awaitable[None]] = build_app(msgspec.convert(known, ResendSandboxConfig))
    return app


async def control(app: Callable[..., Awaitable[None]], path: str, **body: object) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://resend"
    ) as door:
        (await door.post(f"/_control/{path}", json=body)).raise_for_status()


async def mails(app: Callable[..., Awaitable[None]]) -> int:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://resend"
    ) as door:
        return len((await door.get("/_control/mailbox")).json()["mails"])


# --- sending -----------------------------------------------------------------------------------


async def test_the_same_mail_is_the_same_bytes_with_key_agent_and_one_recipient() -> None:
    script = Scripted((200, {"id": "e1"}), (200, {"id": "e1"}))
    async with client(script) as resend:
        ids = [await resend.send(MAIL, idempotency_key=KEY) for _ in range(2)]
    first, second = script.asked
    assert ids == ["e1", "e1"]
    assert first.body == second.body
    assert json.loads(first.body) == {
        "from": "Shop <orders@shop.example>",
        "to": ["buyer@mail.example"],
        "subject": "Your keys are ready",
        "html": "<p>Bereit: ключ</p>",
        "text": "Bereit: ключ\n",
        "tags": [{"name": "kind", "value": "order-ready"}],
    }
    assert (first.method, first.path) == ("POST", "/emails")
    assert first.headers["idempotency-key"] == KEY
    assert first.headers["user-agent"] == USER_AGENT
    assert first.headers["authorization"] == f"Bearer {DEFAULT_API_KEY}"


async def test_headers_are_passed_on_and_a_kind_becomes_a_tag_that_is_allowed() -> None:
    script = Scripted((200, {"id": "e1"}))
    mail = msgspec.structs.replace(MAIL, kind="étrange kind!", headers=(("X-Order", "BL-1"),))
    async with client(script) as resend:
        await resend.send(mail, idempotency_key=KEY)
    sent = json.loads(script.asked[0].body)
    assert sent["headers"] == {"X-Order": "BL-1"}
    assert sent["tags"] == [{"name": "kind", "value": "_trange_kind_"}]


@pytest.mark.parametrize("key", ["", "a b", "é", "a\r\nx: y", "x" * 257])
async def test_a_key_that_cannot_be_sent_is_refused_here(key: str) -> None:
    script = Scripted()
    async with client(script) as resend:
        with pytest.raises(Rejected) as refused:
            await resend.send(MAIL, idempotency_key=key)
    assert refused.value.reason == "invalid"
    assert script.asked == []


@pytest.mark.parametrize(
    "change",
    [
        {"to": "buyer@mail.example\r\nBcc: all@mail.example"},
        {"to": "buyer@mail.example\u2028"},
        {"subject": "Ready\r\nBcc: all@mail.example"},
        {"subject": "Ready\nX: y"},
        {"subject": "Ready\x00"},
        {"headers": (("X-Order", "BL-1\r\nBcc: all@mail.example"),)},
        {"headers": (("X-Order: 1\r\nBcc", "all@mail.example"),)},
        {"headers": (("", "x"),)},
    ],
)
async def test_nothing_that_would_begin_another_header_is_sent(change: dict[str, object]) -> None:
    script = Scripted()
    async with client(script) as resend:
        with pytest.raises(Rejected) as refused:
            await resend.send(msgspec.structs.replace(MAIL, **change), idempotency_key=KEY)
    assert refused.value.reason in {"address", "invalid"}
    assert script.asked == []


async def test_letters_of_every_script_are_sent_as_they_are() -> None:
    script = Scripted((200, {"id": "e1"}))
    mail = msgspec.structs.replace(
        MAIL, to="käufer+été@bücher.example", subject="Ключ \U0001f468\u200d\U0001f469 готов"
    )
    async with client(script) as resend:
        await resend.send(mail, idempotency_key=KEY)
    sent = json.loads(script.asked[0].body)
    assert (sent["to"], sent["subject"]) == ([mail.to], mail.subject)


def named(name: str, message: str = "No.") -> dict[str, object]:
    return {"statusCode": 400, "name": name, "message": message}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, named("missing_api_key"), "credentials"),
        (401, named("restricted_api_key"), "credentials"),
        (403, named("invalid_api_key"), "credentials"),
        (403, named("suspended_api_key"), "credentials"),
        (403, named("invalid_permission"), "credentials"),
        (403, named("email_above_quota"), "credentials"),
        (403, named("validation_error", "The domain is not verified"), "credentials"),
        (422, named("validation_error", "Invalid `to` field."), "address"),
        (422, named("validation_error", "Recipients at test.com are refused"), "address"),
        (422, named("validation_error", "Invalid `to` field.\nWrite name@host."), "address"),
        (422, named("validation_error", "Invalid `to` field. " + "So. " * 300), "address"),
        (422, named("validation_error", "Invalid `from` field. Write name@host."), "credentials"),
        (422, named("validation_error", "Invalid `subject`"), "invalid"),
        (400, named("validation_error"), "invalid"),
        (400, named("invalid_idempotency_key"), "invalid"),
        (409, named("invalid_idempotent_request"), "invalid"),
        (422, named("missing_required_field"), "invalid"),
        (422, named("missing_required_fields"), "invalid"),
        (422, named("invalid_from_address"), "credentials"),
        (404, named("not_found"), "invalid"),
        (405, named("method_not_allowed"), "invalid"),
        (451, named("security_error"), "invalid"),
        (403, named("security_error"), "invalid"),
        (422, named("something_new"), "invalid"),
    ],
)
async def test_a_documented_refusal_is_final(status: int, body: object, reason: str) -> None:
    script = Scripted((status, body))
    async with client(script) as resend:
        with pytest.raises(Rejected) as refused:
            await resend.send(MAIL, idempotency_key=KEY)
    assert refused.value.reason == reason
    assert "buyer" not in str(refused.value)
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "hint", "least"),
    [
        (409, named("concurrent_idempotent_requests"), {}, 1.0),
        (409, named("resource_locked"), {}, 1.0),
        (429, named("rate_limit_exceeded"), {"retry-after": "2"}, 2.0),
        (429, named("rate_limit_exceeded"), {"ratelimit-reset": "3"}, 3.0),
        (429, named("rate_limit_exceeded"), {"retry-after": "2.5"}, 2.5),
        (
            429,
            named("rate_limit_exceeded"),
            {"retry-after": "Sun, 22 Nov 2026 16:00:00 GMT", "ratelimit-reset": "4"},
            4.0,
        ),
        (429, named("daily_quota_exceeded"), {"retry-after": "1"}, HOURS),
        (429, named("monthly_quota_exceeded"), {}, HOURS),
        (429, named("daily_quota_exceeded"), {"retry-after": "80000"}, 80000.0),
    ],
)
async def test_what_ends_by_itself_is_an_absence_with_its_length(
    status: int, body: object, hint: dict[str, str], least: float
) -> None:
    async with client(Scripted((status, body), headers=hint)) as resend:
        with pytest.raises(Unavailable) as absent:
            await resend.send(MAIL, idempotency_key=KEY)
    assert absent.value.retry_after is not None
    assert absent.value.retry_after >= least


async def test_a_wait_that_is_longer_than_any_clock_is_a_day() -> None:
    hint = {"retry-after": "9" * 400}
    async with client(Scripted((429, named("rate_limit_exceeded")), headers=hint)) as resend:
        with pytest.raises(Unavailable) as absent:
            await resend.send(MAIL, idempotency_key=KEY)
    assert absent.value.retry_after == 24 * HOURS


@pytest.mark.parametrize(
    "answer", [(403, b"error code: 1010"), (429, b""), (301, b""), httpx.ConnectError("refused")]
)
async def test_what_never_got_through_the_edge_is_an_absence(
    answer: tuple[int, object] | Exception,
) -> None:
    async with client(Scripted(answer)) as resend:
        with pytest.raises(Unavailable):
            await resend.send(MAIL, idempotency_key=KEY)


@pytest.mark.parametrize(
    "answer",
    [
        (500, named("application_error")),
        (500, named("internal_server_error")),
        (503, named("service_unavailable")),
        (502, b"<html>"),
        (500, named("validation_error")),
        (408, b""),
        (200, b""),
        (200, {}),
        (200, {"id": 5}),
        (200, []),
        httpx.ReadTimeout("slow"),
        httpx.ReadError("cut"),
        httpx.RemoteProtocolError("disconnected"),
    ],
)
async def test_whatever_proves_nothing_may_be_asked_again_with_the_same_key(
    answer: tuple[int, object] | Exception,
) -> None:
    async with client(Scripted(answer)) as resend:
        with pytest.raises(OutcomeUnknown) as unknown:
            await resend.send(MAIL, idempotency_key=KEY)
    assert unknown.value.key == KEY


async def test_starts_are_spread_over_the_second() -> None:
    script = Scripted(*[(200, {"id": "e1"})] * 3)
    async with client(script, per_second=20) as resend:
        loop_time = asyncio.get_running_loop().time
        started = loop_time()
        for _ in range(3):
            await resend.send(MAIL, idempotency_key=KEY)
        assert loop_time() - started >= 0.095


async def test_a_queue_of_our_own_that_is_full_is_told_as_asking_too_often() -> None:
    script = Scripted((200, {"id": "e1"}))
    short = msgspec.structs.replace(LIMITS, http_read=timedelta(milliseconds=100))
    async with client(script, per_second=1, limits=short) as resend:
        await resend.send(MAIL, idempotency_key=KEY)
        with pytest.raises(Unavailable) as absent:
            await resend.send(MAIL, idempotency_key=KEY)
    assert absent.value.reason == "rate_limited"
    assert len(script.asked) == 1


# --- checking ----------------------------------------------------------------------------------


async def test_a_key_that_may_only_send_passes_the_check() -> None:
    key = ApiKey(token=DEFAULT_API_KEY, permission="sending_access")
    app = sandbox(api_keys=[msgspec.to_builtins(key)])
    async with client(app) as resend:
        await resend.check()
    async with client(sandbox()) as resend:
        await resend.check()


async def test_a_key_that_is_not_active_does_not_pass_the_check() -> None:
    async with client(Scripted((403, named("restricted_api_key", "Not active")))) as resend:
        with pytest.raises(Rejected) as refused:
            await resend.check()
    assert refused.value.reason == "credentials"


@pytest.mark.parametrize("body", [b"error code: 1010", b""])
async def test_a_check_that_does_not_get_through_is_an_absence(body: bytes) -> None:
    async with client(Scripted((403, body))) as resend:
        with pytest.raises(Unavailable):
            await resend.check()


# --- against the stand-in ----------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop_after", "500_after", "503_after", "garbage"])
async def test_a_mail_whose_answer_is_lost_is_sent_once_by_repeating_the_key(fault: str) -> None:
    app = sandbox()
    async with client(app) as resend:
        await control(app, "faults", op="emails.send", fault=fault)
        with pytest.raises(OutcomeUnknown):
            await resend.send(MAIL, idempotency_key=KEY)
        assert await mails(app) == 1
        assert await resend.send(MAIL, idempotency_key=KEY)
    assert await mails(app) == 1


async def test_over_a_real_socket_a_cut_answer_is_unknown_and_repeated_safely() -> None:
    app = sandbox()
    async with served(app) as base, client(None, base_url=base) as resend:
        await control(app, "faults", op="emails.send", fault="drop_after")
        with pytest.raises(OutcomeUnknown):
            await resend.send(MAIL, idempotency_key=KEY)
        assert await resend.send(MAIL, idempotency_key=KEY)
        assert await mails(app) == 1


@pytest.mark.parametrize("to", ["someone@example.com", "someone@test.com", "nobody"])
async def test_an_address_that_the_provider_refuses_is_named_so(to: str) -> None:
    async with client(sandbox()) as resend:
        with pytest.raises(Rejected) as refused:
            await resend.send(msgspec.structs.replace(MAIL, to=to), idempotency_key=KEY)
    assert refused.value.reason == "address"


async def test_a_sender_that_is_not_verified_is_a_matter_of_credentials() -> None:
    async with client(sandbox(verified_domains=["other.example"])) as resend:
        with pytest.raises(Rejected) as refused:
            await resend.send(MAIL, idempotency_key=KEY)
    assert refused.value.reason == "credentials"


async def test_too_fast_a_shop_is_told_how_long_to_wait() -> None:
    async with client(sandbox(rate_limit=1)) as resend:
        await resend.send(MAIL, idempotency_key=KEY)
        with pytest.raises(Unavailable) as absent:
            await resend.send(MAIL, idempotency_key=KEY)
    assert absent.value.reason == "rate_limited"
    assert absent.value.retry_after is not None


def test_settings_that_could_not_work_are_told_one_by_one() -> None:
    good = ResendSettings(
        api_key="re_x", webhook_secret="whsec_c2VjcmV0", from_address="Shop <a@shop.example>"
    )
    assert plugin.faults(good, is_production=True) == []
    bad = ResendSettings(
        api_key="re x",
        webhook_secret="whsec_???",
        from_address="shop",
        base_url="http://api.resend.com",
        per_second=0,
    )
    assert len(plugin.faults(bad, is_production=True)) == 5


@pytest.mark.parametrize(
    ("sender", "is_good"),
    [
        ("orders@shop.example", True),
        ("Shop <orders@shop.example>", True),
        ("Bücher & Spiele <orders@shop.example>", True),
        ('"Shop, Inc." <orders@shop.example>', True),
        ("Shop<orders@shop.example>", True),
        ("orders@shop.example, other@shop.example", False),
        ("Shop <orders@shop.example>, Other <other@shop.example>", False),
        ("Shop, Inc. <orders@shop.example>", False),
        ("Shop orders@shop.example", False),
        ("Shop <orders@shop.example", False),
        ("Shop <orders@shop.example> x", False),
        ("orders@shop..example", False),
        ("orders@shop.", False),
        ("orders@localhost", False),
        ("orders@shop.example\nBcc: x@shop.example", False),
        ("", False),
    ],
)
def test_a_sender_is_one_address_with_or_without_a_name(sender: str, *, is_good: bool) -> None:
    settings = ResendSettings(api_key="re_x", webhook_secret="whsec_c2VjcmV0", from_address=sender)
    assert (plugin.faults(settings, is_production=True) == []) is is_good
