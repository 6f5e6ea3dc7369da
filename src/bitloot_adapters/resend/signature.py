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
PARTS: Final = ("id", "timestamp", "signature")
MAX_ENTRIES: Final = 100
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

    `now` and `tolerance` in seconds; a time too far ahead is refused like one too long ago. The
    time that is signed has whole seconds, so it is compared with whole seconds.
    """
    key, given = signing_key(secret), _given(headers)
    if key is None or given is None:
        return None
    message_id, timestamp, signatures = given
    if not 0 < len(message_id) <= MAX_ID or not message_id.isprintable():
        return None
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        return None
    if abs(int(now) - int(timestamp)) > tolerance:
        return None
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    entries = signatures.split()[:MAX_ENTRIES]
    return message_id if any(_matches(entry, expected) for entry in entries) else None


def _given(headers: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Id, time and signatures under the first of the two names that has all three."""
    for prefix in PREFIXES:
        message_id, timestamp, signatures = (headers.get(f"{prefix}-{part}") for part in PARTS)
        if message_id and timestamp and signatures:
            return message_id, timestamp, signatures
    return None


def _matches(entry: str, expected: bytes) -> bool:
    version, _, signature = entry.partition(",")
    return version == "v1" and hmac.compare_digest(signature.encode("utf-8", "replace"), expected)
