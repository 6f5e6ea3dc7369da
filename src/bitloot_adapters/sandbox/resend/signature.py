"""Signs webhooks the Svix / Standard Webhooks way.

Source: Svix documentation, "Verifying payloads manually"; Standard Webhooks specification.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

_ENCODED_AFTER: Final = "whsec_"
_DECOY: Final = "v1a," + base64.b64encode(b"an asymmetric signature of another version").decode()
_HEADER_PREFIXES: Final = {"svix": ("svix",), "webhook": ("webhook",), "both": ("svix", "webhook")}


def check_secret(secret: str) -> None:
    """Raises:
    ValueError: the secret is not base64 behind its prefix, or empty.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_ENCODED_AFTER), validate=True)
    except binascii.Error as malformed:
        raise ValueError("a signing secret is base64, after whsec_") from malformed
    if not key:
        raise ValueError("a signing secret is not empty")


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """``v1,<base64 HMAC-SHA256>`` over ``id.timestamp.body`` with the decoded secret."""
    key = base64.b64decode(secret.removeprefix(_ENCODED_AFTER))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def signed_headers(
    secrets: Sequence[str],
    *,
    message_id: str,
    timestamp: int,
    body: bytes,
    style: str = "svix",
    decoy: bool = False,
    wrong: bool = False,
) -> dict[str, str]:
    """The three headers; one ``v1`` entry per secret, oldest last.

    ``decoy`` puts an entry of an unknown version in front; ``wrong`` signs another body.
    """
    content = body + b" " if wrong else body
    entries = [_DECOY] if decoy else []
    entries += [sign(secret, message_id, timestamp, content) for secret in secrets]
    headers: dict[str, str] = {}
    for prefix in _HEADER_PREFIXES.get(style, ("svix",)):
        headers[f"{prefix}-id"] = message_id
        headers[f"{prefix}-timestamp"] = str(timestamp)
        headers[f"{prefix}-signature"] = " ".join(entries)
    return headers
