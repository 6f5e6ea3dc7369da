"""A process that seals without an end and prints what each seal was made with, as digests."""

import hashlib
import itertools
import sys
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.unit.test_key_envelope import IDS, KEY_1, SERIAL, UNIT, vault


def seals(count: int | None) -> Iterator[tuple[str, str, str, str]]:
    """Data key, nonce, wrapping nonce and ciphertext of so many seals of one and the same text."""
    by = vault()
    text = f"v1|{IDS[0]}|{IDS[1]}|{IDS[2]}|3".encode()
    for _ in itertools.count() if count is None else range(count):
        sealed = by.seal(SERIAL, UNIT)
        wrap_nonce, wrapped = sealed.wrapped_dek[:12], sealed.wrapped_dek[12:]
        data_key = AESGCM(KEY_1).decrypt(wrap_nonce, wrapped, text)
        yield (
            hashlib.sha256(data_key).hexdigest(),
            sealed.nonce.hex(),
            wrap_nonce.hex(),
            hashlib.sha256(sealed.ciphertext).hexdigest(),
        )


if __name__ == "__main__":
    for parts in seals(None):
        sys.stdout.write(" ".join(parts) + "\n")
        sys.stdout.flush()
