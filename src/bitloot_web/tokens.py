"""Signed tokens: what a session or an order is opened with, each kind under a key of its own.

A token is a function of stored facts, so that the same facts mint the same text again and nothing
that is stored holds one. The kinds differ in key, audience and `type`: none passes as another.

Sources: RFC 7519 (JWT), RFC 8725 (its best practices: one algorithm, all claims checked).
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import jwt
import msgspec

from bitloot.domain.limits import Limits
from bitloot.domain.session import Session, access_ends
from bitloot_web import derived_keys as purposes

ALGORITHM: Final = "HS256"
REQUIRED: Final = ("exp", "iat", "nbf", "sub", "jti", "aud", "iss", "type")
MAX_TOKEN: Final = 2048
# What the header of a token of ours says, and not a word more: no key, and no address of one.
_HEADER: Final = frozenset({"alg", "kid", "typ"})
_KEY_ID_LETTERS: Final = 8
_MAX_GENERATION: Final = 2**31 - 1

ACCESS: Final = "access"
REFRESH: Final = "refresh"


class InvalidToken(Exception):
    """The token does not open anything. One form for every cause."""


class Claims(msgspec.Struct, frozen=True):
    """What a well-signed token says: whom it is about, its times (seconds since 1970), the rest."""

    subject: str
    times: tuple[int, int, int]
    more: Mapping[str, str | int]


class SignedTokens:
    """Mints and reads the tokens of one kind, which live for `life` at most.

    The first key signs; those after it were in use before and go on to open what they signed. All
    are used for nothing else.
    """

    def __init__(
        self, kind: str, keys: Sequence[bytes], *, audience: str, issuer: str, limits: Limits,
        life: timedelta,
    ) -> None:  # fmt: skip
        self._kind = kind
        self._keys = {_key_id(key): key for key in reversed(keys)}
        self._key_id, self._key = _key_id(keys[0]), keys[0]
        self._audience = audience
        self._issuer = issuer
        self._life = life.total_seconds()
        self._leeway = limits.token_leeway.total_seconds()
        # Whoever holds a token shows it again and again. What was signed stays signed: only its
        # times are asked of the clock each time. What is refused is not remembered.
        self._read = lru_cache(limits.cache_entries)(self._claims)

    def mint(self, subject: str, *, at: datetime, ends: datetime, **more: str | int) -> str:
        """The token of these facts, issued at that time."""
        issued = int(at.timestamp())
        facts = "|".join([subject, str(issued), *(f"{k}={v}" for k, v in sorted(more.items()))])
        token_id = hmac.new(self._key, f"jti|{facts}".encode(), hashlib.sha256).hexdigest()
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "type": self._kind,
            "jti": token_id[:32],
            "iat": issued,
            "nbf": issued,
            "exp": int(ends.timestamp()),
            **more,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self._key_id})

    def read(self, token: str, *, at: datetime) -> Claims:
        """What a token says that is good then. Raises InvalidToken for every other one."""
        if len(token) > MAX_TOKEN:
            raise InvalidToken
        claims = self._read(token)
        now, (issued, begins, ends) = at.timestamp(), claims.times
        if ends - issued > self._life or ends < now - self._leeway:
            raise InvalidToken
        if max(issued, begins) > now + self._leeway:
            raise InvalidToken
        return claims

    def _claims(self, token: str) -> Claims:
        try:
            claims = jwt.decode(
                token,
                self._key_of(token),
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": list(REQUIRED),
                    "enforce_minimum_key_length": True,
                    "strict_aud": True,
                    # Times are compared above, against the clock that was passed in.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError):
            raise InvalidToken from None
        subject, kind = claims["sub"], claims["type"]
        times = [claims[name] for name in ("iat", "nbf", "exp")]
        if kind != self._kind or not isinstance(subject, str):
            raise InvalidToken
        if not all(isinstance(time, int) and not isinstance(time, bool) for time in times):
            raise InvalidToken
        issued, begins, ends = times
        more = {name: value for name, value in claims.items() if name not in REQUIRED}
        return Claims(subject, (issued, begins, ends), more)

    def _key_of(self, token: str) -> bytes:
        """The key that the header names: one of ours, and nothing but a name."""
        header = jwt.get_unverified_header(token)
        key_id = header.get("kid")
        key = self._keys.get(key_id) if isinstance(key_id, str) else None
        if key is None or header.keys() != _HEADER or header["typ"] != "JWT":
            raise InvalidToken
        if not _is_canonical(token.rpartition(".")[2]):
            raise InvalidToken
        return key


class Opened(msgspec.Struct, frozen=True):
    """What a token of a session says. `generation` is that of the refresh token of its day."""

    user_id: str
    session_id: str
    generation: int


class TokenPair(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who is signed in holds. Its repr shows neither."""

    access: str
    access_ends: datetime
    refresh: str
    refresh_ends: datetime

    def __repr__(self) -> str:
        return f"TokenPair(access_ends={self.access_ends})"


class SessionTokens:
    """The two tokens of a session: one opens, the other is exchanged for the next pair."""

    def __init__(self, secrets: Sequence[str], *, issuer: str, limits: Limits) -> None:
        """`secrets`: the shop's own, then those it had before."""
        self._limits = limits
        self._csrf = [purposes.derive(secret, purposes.CSRF) for secret in secrets]
        self._access = SignedTokens(
            ACCESS,
            [purposes.derive(secret, purposes.ACCESS) for secret in secrets],
            audience="bitloot/access",
            issuer=issuer,
            limits=limits,
            life=limits.access_token_life,
        )
        self._refresh = SignedTokens(
            REFRESH,
            [purposes.derive(secret, purposes.REFRESH) for secret in secrets],
            audience="bitloot/refresh",
            issuer=issuer,
            limits=limits,
            life=limits.refresh_token_life,
        )

    def pair(self, session: Session) -> TokenPair:
        """The tokens of a session as it stands: the same each time until it is rotated."""
        at = session.rotated_at
        facts: dict[str, str | int] = {"sid": session.id, "gen": session.generation}
        ends = access_ends(session, at=at, limits=self._limits)
        return TokenPair(
            access=self._access.mint(session.user_id, at=at, ends=ends, **facts),
            access_ends=_second(ends),
            refresh=self._refresh.mint(session.user_id, at=at, ends=session.expires_at, **facts),
            refresh_ends=_second(session.expires_at),
        )

    def opened(self, token: str, *, at: datetime) -> Opened:
        """What an access token opens. Raises InvalidToken for every other token."""
        return _opened(self._access.read(token, at=at))

    def refreshed(self, token: str, *, at: datetime) -> Opened:
        """What a refresh token is exchanged for. Raises InvalidToken for every other token."""
        return _opened(self._refresh.read(token, at=at))

    def csrf(self, session_id: str) -> str:
        """What pages of a session send with what they change; it opens nothing."""
        return _csrf(self._csrf[0], session_id)

    def is_csrf(self, session_id: str, given: str) -> bool:
        """Whether it is that of the session, by any key in use, compared in constant time."""
        own = (_csrf(key, session_id) for key in self._csrf)
        return any(hmac.compare_digest(each.encode(), given.encode()) for each in own)


def _opened(claims: Claims) -> Opened:
    session_id, generation = claims.more.get("sid"), claims.more.get("gen")
    if not isinstance(session_id, str) or not session_id:
        raise InvalidToken
    if isinstance(generation, bool) or not isinstance(generation, int):
        raise InvalidToken
    if not 1 <= generation <= _MAX_GENERATION:
        raise InvalidToken
    return Opened(claims.subject, session_id, generation)


def _csrf(key: bytes, session_id: str) -> str:
    return hmac.new(key, session_id.encode(), hashlib.sha256).hexdigest()


def _key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:_KEY_ID_LETTERS]


def _is_canonical(signature: str) -> bool:
    """One text for each token: base64 with other left-over bits is another text."""
    try:
        raw = base64.b64decode(
            signature + "=" * (-len(signature) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(base64.urlsafe_b64encode(raw).rstrip(b"="), signature.encode())


def _second(at: datetime) -> datetime:
    """As the token says it: in whole seconds."""
    return datetime.fromtimestamp(int(at.timestamp()), UTC)
