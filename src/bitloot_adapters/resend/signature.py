"""Whether a webhook was signed the Svix way (Standard Webhooks).

The signed text is `<id>.<timestamp>.<raw body>`, the key what the secret behind `whsec_` decodes
to, the header a list of `<version>,<base64>` entries apart by blanks: two of version `v1` while a
secret is being changed, and entries of other versions, which are passed over.

Source: Svix documentation, "Verifying payloads manually"; Standard Webhooks specification.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

PREFIXES: Final = ("svix", "webhook")
MAX_ENTRIES: Final = 16
MAX_ID: Final = 256
_ENCODED_AFTER: Final = "whsec_"


def signing_key(secret: str) -> bytes | None:
    """The bytes behind a secret, with or without its prefix; None where it is no base64."""
    text = secret.strip().removeprefix(_ENCODED_AFTER)
    try:
        return base64.b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def verified_id(
    headers: Mapping[str, str], body: bytes, *, secret: str, now: float, tolerance: float
) -> str | None:
    """The message's id, the same at every repeat; None for anything not signed in time.

    `now` and `tolerance` in seconds; a time too far ahead is refused like one too long ago.
    """
    key = signing_key(secret)
    prefix = next((p for p in PREFIXES if f"{p}-id" in headers), None)
    if key is None or prefix is None:
        return None
    message_id = headers[f"{prefix}-id"]
    timestamp = headers.get(f"{prefix}-timestamp", "")
    if not 0 < len(message_id) <= MAX_ID or not message_id.isprintable():
        return None
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        return None
    if abs(now - int(timestamp)) > tolerance:
        return None
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    given = headers.get(f"{prefix}-signature", "").split()[:MAX_ENTRIES]
    return message_id if any(_matches(entry, expected) for entry in given) else None


def _matches(entry: str, expected: bytes) -> bool:
    version, _, signature = entry.partition(",")
    return version == "v1" and hmac.compare_digest(signature.encode("utf-8", "replace"), expected)
