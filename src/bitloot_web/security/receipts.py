"""Signing receipts, so that anybody can check one offline with the shop's public key."""

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class ReceiptSigner:
    """Ed25519 under a key derived from the shop's secret. The key's id names its public half."""

    def __init__(self, key: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(key)
        self.public_key = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = hashlib.sha256(self.public_key).hexdigest()[:16]

    def __call__(self, message: bytes) -> tuple[str, str]:
        """(signature in base64, id of the key)."""
        return base64.b64encode(self._private.sign(message)).decode(), self.key_id
