"""One secret, many keys: each purpose has its own, so no token can pass as another kind."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final

ORDER_SESSION: Final = "order-session-jwt"
ACCESS: Final = "access-jwt"
REFRESH: Final = "refresh-jwt"
CSRF: Final = "csrf-token"
DOWNLOAD_LINK: Final = "download-link"
ONE_TIME_CODE: Final = "one-time-code"
RECEIPT: Final = "receipt"
CURSOR: Final = "list-cursor"
CLIENT: Final = "client-digest"
ACCOUNT_DELETION: Final = "account-deletion-link"
ACCOUNT_RECOVERY: Final = "account-recovery-link"
HIDDEN_ADDRESS: Final = "hidden-address"
RATE_LIMIT: Final = "rate-limit-subject"


def hiding(key: bytes) -> Callable[[str], str]:
    """A keyed hash of an address's key, as text that is no address."""

    def hide(address_key: str) -> str:
        return f"hidden:{hmac.new(key, address_key.encode(), hashlib.sha256).hexdigest()}"

    return hide


def known_as(keys: Sequence[bytes]) -> Callable[[str], tuple[str, ...]]:
    """What an account of an address's key may stand under: itself, or hidden by one of these."""
    hidden = [hiding(key) for key in keys]
    return lambda address_key: (address_key, *(hide(address_key) for hide in hidden))


def derive(secret: str, purpose: str) -> bytes:
    """32 bytes for one purpose: HMAC-SHA-256 of the purpose under the shop's secret."""
    return hmac.new(secret.encode(), f"bitloot|v1|{purpose}".encode(), hashlib.sha256).digest()
