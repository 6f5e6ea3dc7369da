"""Which tokens open an order, and which do not."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from bitloot.domain.limits import Limits
from bitloot_web.order_session import AUDIENCE, OrderSessions
from bitloot_web.tokens import InvalidToken

AT = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)
KEY = bytes(range(32))
ISSUER = "https://shop.example"
ORDER = "01c2ae78-4200-7000-8000-000000000001"
SESSIONS = OrderSessions([KEY], issuer=ISSUER, limits=Limits())


HEADER = {"kid": hashlib.sha256(KEY).hexdigest()[:8]}


def claims(**changed: object) -> dict[str, object]:
    issued = int(AT.timestamp())
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": ORDER,
        "type": "order_session",
        "jti": "x",
        "iat": issued,
        "nbf": issued,
        "exp": issued + 3600,
        **changed,
    }


def refused(token: str, at: datetime = AT) -> bool:
    try:
        SESSIONS.order_id(token, at=at)
    except InvalidToken:
        return True
    return False


def test_a_token_opens_its_order_for_an_hour_and_some_seconds_of_skew() -> None:
    token = SESSIONS.issue(ORDER, at=AT)
    assert SESSIONS.order_id(token, at=AT) == ORDER
    assert SESSIONS.order_id(token, at=AT + timedelta(minutes=60, seconds=29)) == ORDER
    assert refused(token, AT + timedelta(minutes=60, seconds=31))


def test_a_clock_that_is_a_little_behind_is_forgiven_and_a_lot_is_not() -> None:
    token = SESSIONS.issue(ORDER, at=AT)
    assert SESSIONS.order_id(token, at=AT - timedelta(seconds=29)) == ORDER
    assert refused(token, AT - timedelta(seconds=31))


def test_the_same_facts_mint_the_same_token() -> None:
    assert SESSIONS.issue(ORDER, at=AT) == SESSIONS.issue(ORDER, at=AT)
    assert SESSIONS.issue(ORDER, at=AT) != SESSIONS.issue(ORDER, at=AT + timedelta(seconds=1))


@pytest.mark.parametrize("missing", ["exp", "iat", "nbf", "sub", "jti", "aud", "iss", "type"])
def test_a_claim_that_is_missing_closes_the_token(missing: str) -> None:
    left = {name: value for name, value in claims().items() if name != missing}
    assert refused(jwt.encode(left, KEY, algorithm="HS256", headers=HEADER))


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "bitloot/access"},
        {"iss": "https://other.example"},
        {"type": "access"},
        {"type": "refresh"},
        {"sub": 7},
        {"exp": "tomorrow"},
        {"exp": int(AT.timestamp()) + 10**9},
        {"iat": True},
        {"nbf": int(AT.timestamp()) + 3600},
    ],
)
def test_a_claim_that_is_not_ours_closes_the_token(changed: dict[str, object]) -> None:
    assert not refused(jwt.encode(claims(), KEY, algorithm="HS256", headers=HEADER))
    assert refused(jwt.encode(claims(**changed), KEY, algorithm="HS256", headers=HEADER))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_other_algorithms_other_keys_and_altered_texts_are_refused() -> None:
    good = SESSIONS.issue(ORDER, at=AT)
    header, body, signature = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    altered = base64.urlsafe_b64encode(json.dumps(claims(sub="other")).encode()).rstrip(b"=")
    for token in (
        jwt.encode(claims(), KEY, algorithm="HS512", headers=HEADER),
        jwt.encode(claims(), bytes(reversed(KEY)), algorithm="HS256", headers=HEADER),
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{header}.{altered.decode()}.{signature}",
        f"{header}.{body}",
        good[:-2],
        "",
        "a.b.c",
        "x" * 5000,
    ):
        assert refused(token)
