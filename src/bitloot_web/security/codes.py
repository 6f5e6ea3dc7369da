"""One-time codes as functions of a secret, so that nothing that is stored holds one."""

import hashlib
import hmac


class Codes:
    """`key` is used for nothing else; codes have `digits` decimal digits."""

    def __init__(self, key: bytes, *, digits: int) -> None:
        self._key = key
        self._digits = digits

    def code_of(self, challenge: str) -> str:
        """The code of a challenge: the same each time, unpredictable without the key."""
        number = int.from_bytes(self._digest("code", challenge), "big")
        return f"{number % 10**self._digits:0{self._digits}d}"

    def digest_of(self, challenge: str, code: str) -> str:
        """What the store keeps of a code, in hex."""
        return self._digest("digest", f"{challenge}|{code}").hex()

    def _digest(self, purpose: str, text: str) -> bytes:
        return hmac.new(self._key, f"{purpose}|{text}".encode(), hashlib.sha256).digest()
