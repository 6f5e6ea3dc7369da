"""S8: what opens a session, and everything that must not."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from msgspec.structs import replace

from bitloot.domain.limits import Limits
from bitloot.domain.session import Client, Session, open_session
from bitloot_web import derived_keys as keys
from bitloot_web.order_session import OrderSessions
from bitloot_web.tokens import InvalidToken, Opened, SessionTokens

AT = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ISSUER = "https://shop.example"
SECRET = "a-secret-key-for-these-tests-9876543210"
EARLIER = "the-secret-key-before-that-0123456789-x"
LIMITS = Limits()
TOKENS = SessionTokens([SECRET], issuer=ISSUER, limits=LIMITS)
SESSION = open_session("user-1", Client(), session_id="session-1", at=AT, limits=LIMITS)
PAIR = TOKENS.pair(SESSION)
KEY = keys.derive(SECRET, keys.ACCESS)
KEY_ID = hashlib.sha256(KEY).hexdigest()[:8]
REQUIRED = ["exp", "iat", "nbf", "sub", "jti", "aud", "iss", "type", "sid", "gen"]


def claims(**changed: object) -> dict[str, object]:
    issued = int(AT.timestamp())
    good = {
        "iss": ISSUER,
        "aud": "bitloot/access",
        "sub": "user-1",
        "type": "access",
        "jti": "x",
        "iat": issued,
        "nbf": issued,
        "exp": issued + 900,
        "sid": "session-1",
        "gen": 1,
    }
    return {**good, **changed}


def signed(
    told: dict[str, object], *, key: bytes = KEY, algorithm: str = "HS256", **header: object
) -> str:
    return jwt.encode(told, key, algorithm=algorithm, headers={"kid": KEY_ID, **header})


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def by_hand(header: dict[str, object], told: dict[str, object] | None = None) -> str:
    """Signed with the right key under any header, as no library would."""
    text = f"{part(header)}.{part(told or claims())}"
    digest = hmac.digest(KEY, text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def refused(token: str, at: datetime = AT) -> bool:
    try:
        TOKENS.opened(token, at=at)
    except InvalidToken:
        return True
    return False


def test_a_pair_opens_its_session_for_a_quarter_of_an_hour_and_a_week() -> None:
    opened = Opened("user-1", "session-1", 1)
    quarter, week, skew = timedelta(minutes=15), timedelta(days=7), timedelta(seconds=29)
    assert TOKENS.opened(PAIR.access, at=AT) == opened
    assert TOKENS.opened(PAIR.access, at=AT + quarter + skew) == opened
    assert refused(PAIR.access, AT + quarter + 31 * SECOND)
    assert TOKENS.refreshed(PAIR.refresh, at=AT + week + skew) == opened
    with pytest.raises(InvalidToken):
        TOKENS.refreshed(PAIR.refresh, at=AT + week + 31 * SECOND)
    assert (PAIR.access_ends, PAIR.refresh_ends) == (AT + quarter, AT + week)


def test_a_clock_that_is_a_little_behind_is_forgiven_and_a_lot_is_not() -> None:
    assert not refused(PAIR.access, AT - 29 * SECOND)
    assert refused(PAIR.access, AT - 31 * SECOND)


def test_a_session_as_it_stands_has_one_pair_and_the_next_generation_another() -> None:
    assert TOKENS.pair(SESSION) == PAIR
    following: Session = replace(SESSION, generation=2)
    assert TOKENS.pair(following).refresh != PAIR.refresh
    assert PAIR.access not in repr(PAIR)
    assert PAIR.refresh not in repr(PAIR)


def test_an_access_token_never_outlives_its_session() -> None:
    short: Session = replace(SESSION, expires_at=AT + timedelta(minutes=5))
    pair = TOKENS.pair(short)
    assert pair.access_ends == AT + timedelta(minutes=5)
    assert refused(pair.access, AT + timedelta(minutes=6))


def test_tokens_of_the_key_before_open_until_they_end_and_none_is_signed_with_it() -> None:
    before = SessionTokens([EARLIER], issuer=ISSUER, limits=LIMITS).pair(SESSION)
    rotated = SessionTokens([SECRET, EARLIER], issuer=ISSUER, limits=LIMITS)
    assert rotated.opened(before.access, at=AT) == TOKENS.opened(PAIR.access, at=AT)
    assert rotated.refreshed(before.refresh, at=AT).session_id == "session-1"
    assert rotated.pair(SESSION) == PAIR
    assert refused(before.access)


def test_a_hand_made_token_with_all_that_is_asked_for_opens() -> None:
    """So that what follows is refused for what it changes, and for nothing else."""
    assert not refused(signed(claims()))
    assert not refused(by_hand({"alg": "HS256", "typ": "JWT", "kid": KEY_ID}))


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_claim_that_is_missing_closes_the_token(missing: str) -> None:
    assert refused(signed({name: value for name, value in claims().items() if name != missing}))


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "bitloot/refresh"}, {"aud": "bitloot/order-session"}, {"aud": []},
        {"aud": ["bitloot/access"]},
        {"iss": "https://other.example"}, {"iss": "https://shop.example/"},
        {"type": "refresh"}, {"type": "order_session"}, {"type": ["access"]}, {"type": None},
        {"sub": 7}, {"sub": None}, {"sid": 7}, {"sid": ""}, {"sid": None},
        {"gen": "1"}, {"gen": True}, {"gen": 0}, {"gen": -1}, {"gen": 1.5}, {"gen": 2**31},
        {"exp": "tomorrow"}, {"exp": int(AT.timestamp()) + 10**9}, {"exp": 1.5e9},
        {"exp": int(AT.timestamp()) - 31}, {"iat": True}, {"iat": int(AT.timestamp()) + 31},
        {"nbf": int(AT.timestamp()) + 3600}, {"nbf": None},
    ],
)  # fmt: skip
def test_a_claim_that_is_not_ours_closes_the_token(changed: dict[str, object]) -> None:
    assert refused(signed(claims(**changed)))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "JWT", "kid": KEY_ID},
        {"alg": "None", "typ": "JWT", "kid": KEY_ID},
        {"alg": "RS256", "typ": "JWT", "kid": KEY_ID},
        {"alg": "ES256", "typ": "JWT", "kid": KEY_ID},
        {"alg": "HS384", "typ": "JWT", "kid": KEY_ID},
        {"typ": "JWT", "kid": KEY_ID},
        {"alg": "HS256", "typ": "JWT"},
        {"alg": "HS256", "kid": KEY_ID},
        {"alg": "HS256", "typ": "at+jwt", "kid": KEY_ID},
        {"alg": "HS256", "typ": "JWT", "kid": "../../dev/null"},
        {"alg": "HS256", "typ": "JWT", "kid": ["x"]},
        {"alg": "HS256", "typ": "JWT", "kid": {"x": 1}},
        {"alg": "HS256", "typ": "JWT", "kid": ""},
        {"alg": "HS256", "typ": "JWT", "kid": KEY_ID.upper()},
        {"alg": "HS256", "typ": "JWT", "kid": KEY_ID, "jku": "https://evil.example/keys"},
        {"alg": "HS256", "typ": "JWT", "kid": KEY_ID, "x5u": "https://evil.example/cert"},
        {"alg": "HS256", "typ": "JWT", "kid": KEY_ID, "jwk": {"kty": "oct", "k": "AAAA"}},
        {"alg": "HS256", "typ": "JWT", "kid": KEY_ID, "crit": ["exp"]},
        {"alg": "HS256", "typ": "JWT", "kid": KEY_ID, "b64": False},
        {"alg": "HS256", "typ": "JWT", "kid": KEY_ID, "zip": "DEF"},
    ],
)
def test_a_header_that_is_not_ours_closes_the_token(header: dict[str, object]) -> None:
    assert refused(by_hand(header))


def test_a_key_that_a_token_brings_along_is_not_believed() -> None:
    theirs = bytes(32)
    jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(theirs).decode()}
    assert refused(signed(claims(), key=theirs))
    assert refused(signed(claims(), key=theirs, jwk=jwk))
    their_id = hashlib.sha256(theirs).hexdigest()[:8]
    assert refused(signed(claims(), key=theirs, kid=their_id))


def test_the_key_of_another_kind_opens_nothing_here() -> None:
    for purpose in (keys.REFRESH, keys.ORDER_SESSION, keys.CURSOR, keys.DOWNLOAD_LINK):
        key = keys.derive(SECRET, purpose)
        assert refused(signed(claims(), key=key))
        assert refused(signed(claims(), key=key, kid=hashlib.sha256(key).hexdigest()[:8]))
    assert refused(signed(claims(), key=SECRET.encode()))


def test_no_kind_passes_as_another() -> None:
    sessions = OrderSessions(
        [keys.derive(SECRET, keys.ORDER_SESSION)], issuer=ISSUER, limits=LIMITS
    )
    kinds: dict[str, Callable[[str], object]] = {
        PAIR.access: lambda token: TOKENS.opened(token, at=AT),
        PAIR.refresh: lambda token: TOKENS.refreshed(token, at=AT),
        sessions.issue("order-1", at=AT): lambda token: sessions.order_id(token, at=AT),
    }
    for own, read in kinds.items():
        for token in kinds:
            if token == own:
                assert read(token)
            else:
                with pytest.raises(InvalidToken):
                    read(token)


def test_other_texts_of_a_good_token_are_no_tokens() -> None:
    header, body, signature = PAIR.access.split(".")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 32 bytes leave two bits of the last letter over: three more letters decode to the same.
    last = letters.index(signature[-1])
    others = [signature[:-1] + letters[last ^ bits] for bits in (1, 2, 3)]
    swapped = signature.translate(str.maketrans("-_", "+/"))
    assert all(base64.urlsafe_b64decode(f"{each}=") for each in others)
    for spoilt in (*others, f"{signature}=", f"{signature}\n", f" {signature}"):
        assert refused(f"{header}.{body}.{spoilt}")
    if swapped != signature:
        assert refused(f"{header}.{body}.{swapped}")


def test_altered_and_shortened_texts_are_refused() -> None:
    header, body, signature = PAIR.access.split(".")
    altered = part(claims(sub="user-2"))
    spoilt = (
        f"{header}.{altered}.{signature}", f"{header}.{body}", f"{header}.{body}.",
        f"{header}..{signature}", f".{body}.{signature}", f"{header}.{body}.{signature}.x",
        *(PAIR.access[:length] for length in range(0, len(PAIR.access), 7)),
        "", ".", "..", "a.b.c", "x" * 5000, PAIR.access + "x" * 2048, "\x00", "é.é.é", "\ud800",
    )  # fmt: skip
    for token in spoilt:
        assert refused(token)


def test_the_csrf_token_is_of_one_session_and_outlives_a_change_of_the_secret() -> None:
    own = TOKENS.csrf(SESSION.id)
    changed = SessionTokens(
        ["another-secret-key-0123456789-012345", SECRET], issuer=ISSUER, limits=LIMITS
    )
    assert TOKENS.is_csrf(SESSION.id, own)
    assert changed.is_csrf(SESSION.id, own)
    assert changed.csrf(SESSION.id) != own
    for wrong in (
        "",
        "x",
        own[:-1],
        own + "0",
        own.upper(),
        "\xe9",
        PAIR.access,
        TOKENS.csrf("session-2"),
    ):
        assert not TOKENS.is_csrf(SESSION.id, wrong)
    assert not SessionTokens([EARLIER], issuer=ISSUER, limits=LIMITS).is_csrf(SESSION.id, own)
