"""The signature of a callback (NOWPayments help centre, "IPN set-up")."""

import hashlib
import hmac


def sign(text: str, secret: str) -> str:
    """HMAC-SHA512 over the canonical text with the trimmed secret, lower-case hex."""
    return hmac.new(secret.strip().encode(), text.encode(), hashlib.sha512).hexdigest()
