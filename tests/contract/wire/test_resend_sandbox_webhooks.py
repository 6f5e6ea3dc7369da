"""The Resend stand-in: signed webhooks, their order and retries, magic addresses (5 to 7)."""

import base64
import hashlib
import hmac
import json
import re
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from bitloot_adapters.sandbox.resend.bench import BENCH_START, BENCH_WEBHOOK_URL, Bench, bench
from bitloot_adapters.sandbox.resend.config import (
    ResendSandboxConfig,
    WebhookEndpoint,
)
from bitloot_adapters.sandbox.resend.signature import sign

OLD_SECRET = "whsec_" + base64.b64encode(b"old secret of the bench").decode()
NEW_SECRET = "whsec_" + base64.b64encode(b"new secret of the bench").decode()


def configured(retry_compression: float = 1.0) -> ResendSandboxConfig:
    hook = WebhookEndpoint(url=BENCH_WEBHOOK_URL, secrets=(OLD_SECRET,))
    return ResendSandboxConfig(
        rate_limit=1000, webhooks=(hook,), retry_compression=retry_compression
    )


async def send(opened: Bench, to: str = "buyer@mail.example", **fields: object) -> str:
    payload = {
        "from": "Shop <orders@shop.example>",
        "to": [to],
        "subject": "Your order",
        "text": "Ready",
        **fields,
    }
    answer = await opened.client.post("/emails", json=payload)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def bodies(opened: Bench) -> list[dict[str, object]]:
    return [json.loads(item.body) for item in opened.received]


def types(opened: Bench) -> list[object]:
    return [body["type"] for body in bodies(opened)]


async def last_event(opened: Bench, mail_id: str) -> object:
    return (await opened.client.get(f"/emails/{mail_id}")).json()["last_event"]


@pytest.mark.emulator("resend", 5)
def test_the_signature_is_that_of_the_published_example() -> None:
    """Line 5: Svix headers; the example vector of the Svix documentation."""
    signature = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.emulator("resend", 5)
async def test_a_webhook_carries_the_three_svix_headers_over_its_raw_body() -> None:
    """Line 5: webhook sender with Svix headers."""
    async with bench(configured()) as opened:
        await send(opened)
        await opened.advance(10)
        first = opened.received[0]
        assert first.url == BENCH_WEBHOOK_URL
        signed = (
            f"{first.headers['svix-id']}.{first.headers['svix-timestamp']}.".encode() + first.body
        )
        key = base64.b64decode(OLD_SECRET.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert first.headers["svix-signature"] == f"v1,{expected}"
        assert int(first.headers["svix-timestamp"]) == int(BENCH_START.timestamp())


@pytest.mark.emulator("resend", 5)
async def test_a_refused_webhook_comes_again_on_the_schedule_with_the_same_id() -> None:
    """Line 5: retry schedule, stable id."""
    async with bench(configured()) as opened:
        opened.statuses = [500, 404, 302] + [500] * 5
        await opened.control("scenarios", address="buyer@mail.example", outcome="failed")
        await send(opened)
        await opened.advance(40 * 3600)
        assert len(opened.received) == 8
        assert len({item.headers["svix-id"] for item in opened.received}) == 1
        assert len({item.body for item in opened.received}) == 1
        [notice] = (await opened.client.get("/_control/notices")).json()["notices"]
        moments = [datetime.fromisoformat(item["at"]) for item in notice["attempts"]]
        waits = [(late - soon).total_seconds() for soon, late in pairwise(moments)]
        assert waits == [5, 300, 1800, 7200, 18000, 36000, 36000]
        assert notice["status"] == "failed"
        stamps = [int(item.headers["svix-timestamp"]) for item in opened.received]
        assert stamps == sorted(set(stamps))


@pytest.mark.emulator("resend", 5)
async def test_the_retry_schedule_can_be_compressed() -> None:
    """Line 5: retry schedule (time-compressed)."""
    async with bench(configured(retry_compression=100.0)) as opened:
        opened.statuses = [500, 500]
        await opened.control("scenarios", address="buyer@mail.example", outcome="failed")
        await send(opened)
        await opened.advance(0.2 + 0.05 + 3.0 + 0.01)
        assert len(opened.received) == 3


@pytest.mark.emulator("resend", 5)
async def test_two_signatures_are_sent_while_secrets_rotate() -> None:
    """Line 5: two signatures in rotation mode; unknown versions may stand between."""
    async with bench(configured()) as opened:
        await opened.control("rotate", secret=NEW_SECRET)
        await opened.control("mode", decoy_signature=True)
        await send(opened)
        await opened.advance(10)
        first = opened.received[0]
        entries = first.headers["svix-signature"].split(" ")
        assert [entry.split(",")[0] for entry in entries] == ["v1a", "v1", "v1"]
        message_id, stamp = first.headers["svix-id"], int(first.headers["svix-timestamp"])
        assert entries[1:] == [
            sign(secret, message_id, stamp, first.body) for secret in (NEW_SECRET, OLD_SECRET)
        ]
        await opened.control("rotate", finish=True)
        await opened.control("mode", decoy_signature=False)
        await send(opened)
        await opened.advance(10)
        assert " " not in opened.received[-1].headers["svix-signature"]


@pytest.mark.emulator("resend", 5)
async def test_delivered_can_come_before_sent() -> None:
    """Line 5: out of order; the event times keep the true order."""
    async with bench(configured()) as opened:
        await opened.control("mode", out_of_order=True)
        mail_id = await send(opened)
        await opened.advance(10)
        assert types(opened) == ["email.delivered", "email.sent"]
        late, soon = (str(body["created_at"]) for body in bodies(opened))
        assert soon < late
        assert await last_event(opened, mail_id) == "delivered"


@pytest.mark.emulator("resend", 5)
async def test_duplicates_have_the_same_id_and_body() -> None:
    """Line 5: duplicates."""
    async with bench(configured()) as opened:
        await opened.control("mode", duplicates=2)
        await send(opened)
        await opened.advance(10)
        assert len(opened.received) == 6
        assert len({item.headers["svix-id"] for item in opened.received}) == 2
        again = opened.received[0].headers["svix-id"]
        await opened.control("resend", id=again)
        await opened.control("run")
        assert opened.received[-1].headers["svix-id"] == again


@pytest.mark.emulator("resend", 5)
async def test_stale_wrong_and_renamed_headers_can_be_ordered() -> None:
    """Line 5: what a careful receiver must refuse, and the alias header names."""
    async with bench(configured()) as opened:
        await opened.control(
            "mode", timestamp_skew_seconds=-600, wrong_signature=True, header_style="webhook"
        )
        await send(opened)
        await opened.advance(10)
        headers = opened.received[0].headers
        assert int(headers["webhook-timestamp"]) == int(BENCH_START.timestamp()) - 600
        right = sign(
            OLD_SECRET,
            headers["webhook-id"],
            int(headers["webhook-timestamp"]),
            opened.received[0].body,
        )
        assert headers["webhook-signature"] != right


@pytest.mark.emulator("resend", 5)
async def test_an_endpoint_that_fails_for_days_is_disabled() -> None:
    """Line 5: then failed; the endpoint is disabled after days of failure."""
    async with bench(configured()) as opened:
        opened.statuses = [500] * 500
        for _ in range(6):
            await send(opened)
            await opened.advance(86400)
        [endpoint] = (await opened.client.get("/_control/endpoints")).json()["endpoints"]
        assert endpoint["status"] == "disabled"
        count = len(opened.received)
        await send(opened)
        await opened.advance(86400)
        assert len(opened.received) == count


async def test_an_endpoint_made_by_api_returns_its_secret_and_filters_events() -> None:
    async with bench(ResendSandboxConfig(rate_limit=100)) as opened:
        made = await opened.client.post(
            "/webhooks", json={"endpoint": BENCH_WEBHOOK_URL, "events": ["email.delivered"]}
        )
        assert made.status_code == 201
        assert made.json()["signing_secret"].startswith("whsec_")
        await send(opened)
        await opened.advance(10)
        assert types(opened) == ["email.delivered"]
        first = opened.received[0]
        stamp = int(first.headers["svix-timestamp"])
        assert first.headers["svix-signature"] == sign(
            made.json()["signing_secret"], first.headers["svix-id"], stamp, first.body
        )
        gone = await opened.client.delete(f"/webhooks/{made.json()['id']}")
        assert gone.json()["deleted"] is True
        assert (await opened.client.get("/webhooks")).json()["data"] == []


@pytest.mark.emulator("resend", 6)
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("delivered@resend.dev", ["email.sent", "email.delivered"]),
        ("bounced@resend.dev", ["email.sent", "email.bounced"]),
        ("Bounced+order-5@resend.dev", ["email.sent", "email.bounced"]),
        ("complained@resend.dev", ["email.sent", "email.delivered", "email.complained"]),
        ("suppressed+x@resend.dev", ["email.suppressed"]),
        ("buyer@mail.example", ["email.sent", "email.delivered"]),
    ],
)
async def test_the_magic_addresses_drive_events(address: str, expected: list[str]) -> None:
    """Line 6: the magic addresses, with a label too, the same every time."""
    async with bench(configured()) as opened:
        for _ in range(2):
            opened.received.clear()
            mail_id = await send(opened, address)
            assert await last_event(opened, mail_id) == "queued"
            await opened.advance(10)
            assert types(opened) == expected
            assert await last_event(opened, mail_id) == expected[-1].removeprefix("email.")


@pytest.mark.emulator("resend", 6)
async def test_bounce_and_suppression_events_carry_their_details() -> None:
    """Line 6: the extra objects of `email.bounced` and `email.suppressed`."""
    async with bench(configured()) as opened:
        await send(opened, "bounced@resend.dev")
        await send(opened, "suppressed@resend.dev")
        await opened.advance(10)
        data = {body["type"]: body["data"] for body in bodies(opened)}
        bounced, suppressed = data["email.bounced"], data["email.suppressed"]
        assert isinstance(bounced, dict)
        assert isinstance(suppressed, dict)
        assert bounced["bounce"]["type"] == "Permanent"
        assert isinstance(bounced["bounce"]["diagnosticCode"], list)
        assert suppressed["suppressed"]["type"] == "OnAccountSuppressionList"


@pytest.mark.emulator("resend", 6)
async def test_tags_are_sent_as_an_array_and_delivered_as_an_object_map() -> None:
    """Line 6: `tags` become an object map; the older array can be ordered."""
    tags = [{"name": "kind", "value": "receipt"}, {"name": "order", "value": "5"}]
    headers = {"X-Entity-Ref-ID": "5"}
    async with bench(configured()) as opened:
        mail_id = await send(opened, tags=tags, headers=headers)
        await opened.advance(10)
        data = bodies(opened)[0]["data"]
        assert isinstance(data, dict)
        assert data["tags"] == {"kind": "receipt", "order": "5"}
        assert data["headers"] == [{"name": "X-Entity-Ref-ID", "value": "5"}]
        assert data["email_id"] == mail_id
        assert data["to"] == ["buyer@mail.example"]
        await opened.control("mode", legacy_tags=True)
        await send(opened, tags=tags)
        await opened.advance(10)
        data = bodies(opened)[-1]["data"]
        assert isinstance(data, dict)
        assert data["tags"] == tags


@pytest.mark.emulator("resend", 7)
async def test_created_at_is_spaced_in_get_and_iso_in_webhooks() -> None:
    """Line 7: `created_at` formats differ between GET (space, `+00`) and webhooks (ISO)."""
    async with bench(configured()) as opened:
        mail_id = await send(opened)
        await opened.advance(10)
        read = (await opened.client.get(f"/emails/{mail_id}")).json()
        assert read["created_at"] == "2026-01-15 08:30:00.123456+00"
        body = bodies(opened)[0]
        assert re.fullmatch(r"2026-01-15T08:30:00\.\d{3}Z", str(body["created_at"]))
        data = body["data"]
        assert isinstance(data, dict)
        assert datetime.fromisoformat(data["created_at"]) == BENCH_START


async def test_any_event_of_any_type_can_be_ordered_for_a_mail() -> None:
    async with bench(configured()) as opened:
        mail_id = await send(opened)
        await opened.advance(10)
        transient = {"bounce": {"type": "Transient", "subType": "MailboxFull", "message": "full"}}
        await opened.control("events", email_id=mail_id, type="email.bounced", extra=transient)
        await opened.control("events", email_id=mail_id, type="email.clicked")
        await opened.control("events", email_id=mail_id, type="email.brand_new", after_seconds=60)
        await opened.advance(61)
        assert types(opened)[2:] == ["email.bounced", "email.clicked", "email.brand_new"]
        data = bodies(opened)[2]["data"]
        assert isinstance(data, dict)
        assert data["bounce"] == transient["bounce"]
        assert (await opened.client.get("/suppressions")).json()["data"] == []


async def test_a_permanent_bounce_or_complaint_puts_the_address_on_the_suppression_list() -> None:
    async with bench(configured()) as opened:
        await opened.control("scenarios", address="Dead@mail.example", outcome="bounced")
        await opened.control("scenarios", address="angry@mail.example", outcome="complained")
        mail_id = await send(opened, "dead@mail.example")
        await send(opened, "angry@mail.example")
        await opened.advance(10)
        listed = (await opened.client.get("/suppressions")).json()
        assert listed["object"] == "list"
        origins = {item["email"]: item["origin"] for item in listed["data"]}
        assert origins == {"dead@mail.example": "bounce", "angry@mail.example": "complaint"}
        entry = (await opened.client.get("/suppressions/dead@mail.example")).json()
        assert entry["source_id"] == mail_id


async def test_mail_to_a_listed_address_is_suppressed_until_the_entry_is_removed() -> None:
    async with bench(configured()) as opened:
        added = await opened.client.post("/suppressions", json={"email": "Buyer@mail.example"})
        assert added.json()["object"] == "suppression"
        await send(opened)
        await opened.advance(10)
        assert types(opened) == ["email.suppressed"]
        removed = await opened.client.delete("/suppressions/buyer@mail.example")
        assert removed.json()["deleted"] is True
        missing = await opened.client.get("/suppressions/buyer@mail.example")
        assert (missing.status_code, missing.json()["name"]) == (404, "not_found")
        opened.received.clear()
        await send(opened)
        await opened.advance(10)
        assert types(opened) == ["email.sent", "email.delivered"]
        await opened.control("suppressions", email="buyer@mail.example", origin="complaint")
        manual = await opened.client.get("/suppressions", params={"origin": "manual"})
        assert manual.json()["data"] == []


async def test_a_scheduled_mail_waits_and_can_be_moved_or_canceled() -> None:
    async with bench(configured()) as opened:
        later = (BENCH_START + timedelta(hours=2)).isoformat()
        moved = await send(opened, scheduled_at="in 1 hour")
        canceled = await send(opened, scheduled_at="in 1 hour")
        answer = await opened.client.patch(f"/emails/{moved}", json={"scheduled_at": later})
        assert answer.json() == {"object": "email", "id": moved}
        answer = await opened.client.post(f"/emails/{canceled}/cancel")
        assert answer.json() == {"object": "email", "id": canceled}
        await opened.advance(3700)
        assert await last_event(opened, moved) == "scheduled"
        assert types(opened) == ["email.scheduled", "email.scheduled"]
        await opened.advance(3700)
        assert await last_event(opened, moved) == "delivered"
        assert await last_event(opened, canceled) == "canceled"
        late = await opened.client.post(f"/emails/{moved}/cancel")
        assert (late.status_code, late.json()["name"]) == (422, "validation_error")
        read = (await opened.client.get(f"/emails/{moved}")).json()
        assert read["scheduled_at"] == "2026-01-15 10:30:00.123456+00"


async def test_a_secret_that_cannot_sign_is_refused_when_it_is_given() -> None:
    async with bench(configured()) as opened:
        for secret in ("whsec_", "whsec_not base64"):
            order = {"url": BENCH_WEBHOOK_URL, "secrets": [secret]}
            answer = await opened.client.post("/_control/endpoints", json=order)
            assert answer.status_code == 422
            answer = await opened.client.post("/_control/rotate", json={"secret": secret})
            assert answer.status_code == 422
