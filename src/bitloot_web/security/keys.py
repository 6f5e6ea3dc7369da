"""One secret, many keys: each purpose has its own, so no token can pass as another kind."""

import hashlib
import hmac
from typing import Final

ORDER_SESSION: Final = "order-session-jwt"
DOWNLOAD_LINK: Final = "download-link"
ONE_TIME_CODE: Final = "one-time-code"
RECEIPT: Final = "receipt"
CURSOR: Final = "list-cursor"
CLIENT: Final = "client-digest"
RATE_LIMIT: Final = "rate-limit-subject"


def derive(secret: str, purpose: str) -> bytes:
    """32 bytes for one purpose: HMAC-SHA-256 of the purpose under the shop's secret."""
    return hmac.new(secret.encode(), f"bitloot|v1|{purpose}".encode(), hashlib.sha256).digest()
