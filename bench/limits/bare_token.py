"""A signed token in the fewest steps."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

import msgspec

from bench.shop_settings import SECRET_KEY

KEY: Final = SECRET_KEY.encode()
HEAD: Final = b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."


def bare_token(claims: Mapping[str, str | int]) -> bytes:
    """As long as a JSON Web Token of these claims is."""
    text = base64.urlsafe_b64encode(msgspec.json.encode(claims))
    signature = hmac.new(KEY, text, hashlib.sha256).digest()
    return HEAD + text + base64.urlsafe_b64encode(signature)
