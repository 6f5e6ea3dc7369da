"""Which webhooks count as signed by the mail provider, and what they say."""

import base64
import hashlib
import hmac
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloot_adapters.resend import wire
from bitloot_adapters.resend.signature import signing_key, verified_id

# The public example of the Svix documentation, "Verifying payloads manually".
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
TOLERANCE = 300.0


def headers(prefix: str = "svix", **changes: str) -> dict[str, str]:
    known = {"id": MESSAGE_ID, "timestamp": str(TIMESTAMP), "signature": SIGNATURE} | changes
    return {f"{prefix}-{name}": value for name, value in known.items()}


def verify(
    given: Mapping[str, str], body: bytes = BODY, *, secret: str = SECRET, now: float = TIMESTAMP
) -> str | None:
    return verified_id(given, body, secret=secret, now=now, tolerance=TOLERANCE)


@pytest.mark.parametrize("prefix", ["svix", "webhook"])
def test_the_published_example_is_good_under_both_names(prefix: str) -> None:
    assert verify(headers(prefix)) == MESSAGE_ID


def test_the_secret_may_stand_without_its_prefix() -> None:
    assert verify(headers(), secret=SECRET.removeprefix("whsec_")) == MESSAGE_ID


@pytest.mark.parametrize(
    ("away", "is_good"),
    [(-301, False), (-300, True), (-300.5, False), (300, True), (300.9, True), (301, False)],
)
def test_five_minutes_are_allowed_both_ways(away: float, is_good: bool) -> None:
    assert (verify(headers(), now=TIMESTAMP + away) is not None) == is_good


@pytest.mark.parametrize(
    "signature",
    [
        f"v1,{base64.b64encode(b'old' * 10).decode()} {SIGNATURE}",
        f"v1a,{SIGNATURE[3:]} {SIGNATURE}",
        f"{SIGNATURE} v2,whatever",
        "v1,AAAA " * 40 + SIGNATURE,
    ],
)
def test_one_good_entry_is_enough(signature: str) -> None:
    assert verify(headers(signature=signature)) == MESSAGE_ID


@pytest.mark.parametrize(
    "changed",
    [
        {"signature": ""},
        {"signature": SIGNATURE[3:]},
        {"signature": "v1a" + SIGNATURE[2:]},
        {"signature": "v1,"},
        {"signature": "v1,é"},
        {"signature": SIGNATURE.lower()},
        {"id": ""},
        {"id": "msg_other"},
        {"timestamp": ""},
        {"timestamp": "1614265330.0"},
        {"timestamp": "-1614265330"},
        {"timestamp": str(TIMESTAMP).translate({ord("1"): "\uff11"})},
        {"timestamp": "9" * 400},
    ],
)
def test_anything_else_is_not_signed(changed: dict[str, str]) -> None:
    assert verify(headers(**changed)) is None


def test_a_body_that_was_written_again_is_not_signed() -> None:
    assert verify(headers(), b'{"test":2432232314}') is None


def test_headers_of_two_families_are_not_put_together() -> None:
    webhook = headers("webhook")
    del webhook["webhook-id"]
    assert verify({"svix-id": MESSAGE_ID, **webhook}) is None


@pytest.mark.parametrize("half", [{"svix-id": MESSAGE_ID}, headers(signature="")])
def test_half_a_family_does_not_hide_a_whole_one(half: dict[str, str]) -> None:
    assert verify({**half, **headers("webhook")}) == MESSAGE_ID


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64", "whsec_é"])
def test_a_secret_that_is_none_verifies_nothing(secret: str) -> None:
    assert signing_key(secret) is None
    empty = hmac.new(b"", f"{MESSAGE_ID}.{TIMESTAMP}.".encode() + BODY, hashlib.sha256).digest()
    signed = "v1," + base64.b64encode(empty).decode()
    assert verify(headers(signature=signed), secret=secret) is None


@given(st.dictionaries(st.sampled_from(sorted(headers())), st.text(max_size=40)), st.binary())
def test_no_headers_raise(given_headers: dict[str, str], body: bytes) -> None:
    assert verify(given_headers, body) is None


@pytest.mark.parametrize(
    ("body", "event", "permanent"),
    [
        (b'{"type":"email.sent","data":{}}', "sent", False),
        (b'{"type":"email.delivered","data":{}}', "delivered", False),
        (b'{"type":"email.delivery_delayed","data":{}}', "delayed", False),
        (b'{"type":"email.bounced","data":{"bounce":{"type":"Permanent"}}}', "bounced", True),
        (b'{"type":"email.bounced","data":{"bounce":{"type":"Transient"}}}', "bounced", False),
        (b'{"type":"email.bounced","data":{"bounce":{"type":"Undetermined"}}}', "bounced", False),
        (b'{"type":"email.bounced","data":{}}', "bounced", False),
        (b'{"type":"email.complained","data":{}}', "complained", True),
        (b'{"type":"email.failed","data":{"failed":{"reason":"x"}}}', "failed", False),
        (
            b'{"type":"email.suppressed","data":{"suppressed":{"reason":"previous_bounce"}}}',
            "bounced",
            True,
        ),
        (
            b'{"type":"email.suppressed","data":{"suppressed":{"reason":"previous_complaint"}}}',
            "complained",
            True,
        ),
        (b'{"type":"Email.Bounced","data":{"bounce":{"type":"PERMANENT"}}}', "bounced", True),
        (
            b'{"type":"email.suppressed","data":{"suppressed":{"reason":"Previous_Complaint"}}}',
            "complained",
            True,
        ),
        (b'{"type":"email.opened","data":{}}', "other", False),
        (b'{"type":"contact.created","data":[]}', "other", False),
        (b'{"type":"email.delivered"}', "delivered", False),
    ],
)
def test_each_event_has_its_word(body: bytes, event: str, permanent: bool) -> None:
    read = wire.event(wire.parse(body) or {}, dedupe_key="m")
    assert read is not None
    assert (read.event, read.permanent) == (event, permanent)


@pytest.mark.parametrize("tags", ['{"kind":"receipt"}', '[{"name":"kind","value":"receipt"}]', "5"])
def test_tags_of_either_form_change_nothing(tags: str) -> None:
    body = f'{{"type":"email.sent","data":{{"email_id":"e1","to":["a@b.example"],"tags":{tags}}}}}'
    read = wire.event(wire.parse(body.encode()) or {}, dedupe_key="m")
    assert read is not None
    assert (read.provider_id, read.to) == ("e1", ("a@b.example",))


@pytest.mark.parametrize(
    "odd", [r'"half \ud83d a pair"', "1e999", "9" * 6000, "-0.0", r'"\u0000"'], ids=len
)
def test_one_odd_field_hides_no_other(odd: str) -> None:
    body = f'{{"type":"email.bounced","data":{{"email_id":"e1","subject":{odd}}}}}'
    read = wire.event(wire.parse(body.encode()) or {}, dedupe_key="m")
    assert read is not None
    assert (read.event, read.provider_id) == ("bounced", "e1")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'"x"', b"{", b"\xff", b'{"type":NaN}', b"[" * 100_000]
)
def test_what_is_no_object_is_none(body: bytes) -> None:
    assert wire.parse(body) is None
