"""The bare routes of sessions."""

import base64
from datetime import datetime, timedelta
from typing import Final

import msgspec
from litestar import Response, post

from bench.limits.bare_token import bare_token
from bench.limits.pool import Bare, pool_of
from bench.limits.statements import REFRESH

_REFRESH: Final = REFRESH.encode()
ACCESS_LIFE: Final = timedelta(minutes=15)


class Wanted(msgspec.Struct, frozen=True, rename="camel"):
    """What is exchanged."""

    refresh_token: str


class Claims(msgspec.Struct, frozen=True):
    """Of a refresh token: its session, and which of its tokens it is."""

    sid: str
    gen: int


class Pair(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The bytes that the shop answers with."""

    access_token: str
    access_expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime
    user_id: str
    is_new: bool = False


_WANTED: Final = msgspec.json.Decoder(Wanted)
_CLAIMS: Final = msgspec.json.Decoder(Claims)


@post("/v1/auth/refresh", status_code=200)
async def refresh(request: Bare) -> Response[bytes]:
    """Read the token unchecked, one statement, and two tokens."""
    token = _WANTED.decode(await request.body()).refresh_token
    claims = _CLAIMS.decode(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    async with pool_of(request).connection() as connection:
        cursor = await connection.execute(_REFRESH, (claims.sid, claims.gen))
        row = await cursor.fetchone()
    assert row is not None, "the token was used before, or the session is gone"
    user_id, generation, at, ends = row
    access_ends = at + ACCESS_LIFE
    own = {"sub": user_id, "sid": claims.sid, "gen": generation, "iat": int(at.timestamp())}
    pair = Pair(
        access_token=_token(own, "access", access_ends),
        access_expires_at=access_ends,
        refresh_token=_token(own, "refresh", ends),
        refresh_expires_at=ends,
        user_id=user_id,
    )
    return Response(msgspec.json.encode(pair), media_type="application/json")


def _token(own: dict[str, str | int], kind: str, ends: datetime) -> str:
    """As long as a session's token."""
    claims = {**own, "type": kind, "exp": int(ends.timestamp()), "pad": "0" * 120}
    return bare_token(claims).decode()


ROUTES: Final = (refresh,)
