"""The token of a download link: which grant it is for and when it ends, signed.

Nothing about it is stored: it is minted again from the grant whenever it is needed.
"""

import base64
import binascii
import hmac
from datetime import UTC, datetime
from typing import Final

import msgspec

_DIGEST: Final = "sha256"
_MAX_TEXT: Final = 256
_PURPOSE: Final = b"bitloot download link v1\x00"


class Link(msgspec.Struct, frozen=True):
    """What a good token says."""

    grant_id: str
    ends_at: datetime


def mint(secret: bytes, grant_id: str, ends_at: datetime) -> str:
    """The token of a grant that ends then (whole seconds): URL-safe text without padding."""
    body = f"{grant_id}.{int(ends_at.timestamp())}".encode()
    return f"{_text(body)}.{_text(_sign(secret, body))}"


def read(secret: bytes, token: str) -> Link | None:
    """What the token says, None for anything that was not minted with this secret.

    Compared in constant time. Whether it has ended is for the caller to see.
    """
    if len(token) > _MAX_TEXT or not token.isascii():
        return None
    body_text, _, signature = token.partition(".")
    body = _bytes(body_text)
    given = _bytes(signature)
    if body is None or given is None:
        return None
    if not hmac.compare_digest(given, _sign(secret, body)):
        return None
    # One text for each token: base64 with other left-over bits is another text.
    if not hmac.compare_digest(token, f"{_text(body)}.{_text(given)}"):
        return None
    grant_id, _, ends = body.decode().rpartition(".")
    return Link(grant_id, datetime.fromtimestamp(int(ends), tz=UTC))


def _sign(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + body, _DIGEST)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
