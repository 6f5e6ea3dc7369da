"""The guest's token for one order: a JWT of one hour, bound to the order's id.

It is a function of stored facts (the order and the time of issue), so a repeated request mints
the same text again and nothing that is stored needs to hold it.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

import jwt

from bitloot.domain.limits import Limits

ALGORITHM: Final = "HS256"
KIND: Final = "order_session"
AUDIENCE: Final = "bitloot/order-session"
REQUIRED: Final = ("exp", "iat", "nbf", "sub", "jti", "aud", "iss", "type")
MAX_TOKEN: Final = 2048


class InvalidToken(Exception):
    """The token does not open anything. One form for every cause."""


class _Claims(NamedTuple):
    """The order, and when the token was issued, begins and ends (seconds since 1970)."""

    order_id: str
    times: tuple[int, int, int]


class OrderSessions:
    """Issues and checks order-session tokens. `key` is used for nothing else."""

    def __init__(self, key: bytes, *, issuer: str, limits: Limits) -> None:
        self._key = key
        self._issuer = issuer
        self._life = limits.order_session_life
        self._leeway = limits.token_leeway.total_seconds()
        # A buyer looks at one order again and again. What was signed stays signed: only its times
        # are asked of the clock each time. What is refused is not remembered.
        self._read = lru_cache(limits.cache_entries)(self._claims)

    def issue(self, order_id: str, *, at: datetime) -> str:
        """The token of an order issued at that time; the same inputs give the same text."""
        issued = int(at.timestamp())
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": order_id,
            "type": KIND,
            "jti": self._token_id(order_id, issued),
            "iat": issued,
            "nbf": issued,
            "exp": issued + int(self._life.total_seconds()),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def expires_at(self, *, at: datetime) -> datetime:
        """When a token issued at that time ends."""
        return datetime.fromtimestamp(int(at.timestamp()), UTC) + self._life

    def order_id(self, token: str, *, at: datetime) -> str:
        """The order that the token opens. Raises InvalidToken for every other token."""
        if len(token) > MAX_TOKEN:
            raise InvalidToken
        claims = self._read(token)
        now, (issued, begins, ends) = at.timestamp(), claims.times
        if ends - issued > self._life.total_seconds() or ends < now - self._leeway:
            raise InvalidToken
        if max(issued, begins) > now + self._leeway:
            raise InvalidToken
        return claims.order_id

    def _claims(self, token: str) -> _Claims:
        """What a well-signed token says. Raises InvalidToken for every other one."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={
                    "require": list(REQUIRED),
                    "enforce_minimum_key_length": True,
                    # Times are compared above, against the clock that was passed in.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError):
            raise InvalidToken from None
        order_id, kind = claims["sub"], claims["type"]
        times = [claims[name] for name in ("iat", "nbf", "exp")]
        if kind != KIND or not isinstance(order_id, str):
            raise InvalidToken
        if not all(isinstance(time, int) and not isinstance(time, bool) for time in times):
            raise InvalidToken
        issued, begins, ends = times
        return _Claims(order_id, (issued, begins, ends))

    def _token_id(self, order_id: str, issued: int) -> str:
        digest = hmac.new(self._key, f"jti|{order_id}|{issued}".encode(), hashlib.sha256)
        return digest.hexdigest()[:32]
