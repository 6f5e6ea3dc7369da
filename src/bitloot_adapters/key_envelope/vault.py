"""A key vault made of a keyring and a place for ciphertext.

Every key gets a fresh 256-bit data key, used once. The data key is wrapped by the current
key-encryption key and stays in the database; the ciphertext goes to the store: neither alone opens
anything. What each is bound to (its associated data) is written in `ports.key_vault`.

Source: NIST SP 800-38D (one encryption per data key keeps nonces safe).
"""

import hashlib
import hmac
import unicodedata
from collections.abc import Sequence
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bitloot.ports.clock import RandomBytes
from bitloot.ports.errors import VaultFault
from bitloot.ports.key_vault import Bound, SealedBytes, StoredObject, Wrapped
from bitloot_adapters.key_envelope.keyring import Keyring

NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
VERSION: Final = "v1"


class ObjectStore(Protocol):
    """Where ciphertext lies: the network half of a vault."""

    async def put(self, object_name: str, ciphertext: bytes, sha256: str) -> None:
        """Store exactly these bytes under the name."""
        ...

    async def stat(self, object_name: str) -> StoredObject | None:
        """Size and digest, None where there is none."""
        ...

    async def get(self, object_name: str, *, size: int) -> bytes:
        """The bytes, at most `size`; raises VaultFault where there are none or more."""
        ...

    async def delete(self, object_name: str) -> None:
        """Remove; again is harmless."""
        ...

    async def names(self, *, after: str | None, limit: int) -> Sequence[str]:
        """Names in their order, after that one, at most `limit`."""
        ...

    async def check(self) -> None:
        """Reach the store."""
        ...


def object_name(sealed_key_id: str) -> str:
    """`keys/<sealed key id>`: no order number, nothing to guess from."""
    return f"keys/{sealed_key_id}"


class EnvelopeVault:
    """`KeyVault` over any object store."""

    def __init__(
        self, name: str, keyring: Keyring, store: ObjectStore, random_bytes: RandomBytes
    ) -> None:
        self._name = name
        self._keyring = keyring
        self._store = store
        self._random_bytes = random_bytes
        # The network half of the port is the store's own.
        self.put = store.put
        self.stat = store.stat
        self.get = store.get
        self.delete = store.delete
        self.names = store.names
        self.check = store.check

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self._name

    @property
    def kek_id(self) -> str:
        """The id of the key that wraps now."""
        return self._keyring.current

    def seal(self, plaintext: bytes, bound: Bound) -> SealedBytes:
        """Encrypt under a fresh data key."""
        data_key, nonce = self._random_bytes(KEY_BYTES), self._random_bytes(NONCE_BYTES)
        name = object_name(bound.sealed_key_id)
        ciphertext = AESGCM(data_key).encrypt(
            nonce, plaintext, _ciphertext_data(bound.sealed_key_id)
        )
        return SealedBytes(
            wrapped_dek=self._wrap(data_key, bound),
            kek_id=self._keyring.current,
            nonce=nonce,
            ciphertext=ciphertext,
            sha256=hashlib.sha256(ciphertext).hexdigest(),
            size=len(ciphertext),
            object_name=name,
            fingerprint=self.fingerprint(plaintext),
        )

    def fingerprint(self, plaintext: bytes) -> str:
        """HMAC-SHA-256 under the pepper, of text in NFC and trimmed, of other bytes as they are."""
        try:
            normal = unicodedata.normalize("NFC", plaintext.decode()).strip().encode()
        except UnicodeDecodeError:
            normal = plaintext
        return hmac.new(self._keyring.pepper, normal, hashlib.sha256).hexdigest()

    def rewrap(self, wrapped_dek: bytes, kek_id: str, was: Bound, now: Bound) -> Wrapped:
        """The same data key, bound to something else, under the current key."""
        return Wrapped(self._wrap(self._unwrap(wrapped_dek, kek_id, was), now), self.kek_id)

    def unseal(
        self, ciphertext: bytes, *, nonce: bytes, wrapped_dek: bytes, kek_id: str, bound: Bound
    ) -> bytes:
        """Decrypt. Raises VaultFault for a wrong binding, a changed byte, an unknown key."""
        data_key = self._unwrap(wrapped_dek, kek_id, bound)
        return _open(data_key, nonce, ciphertext, _ciphertext_data(bound.sealed_key_id))

    def _wrap(self, data_key: bytes, bound: Bound) -> bytes:
        nonce = self._random_bytes(NONCE_BYTES)
        kek = AESGCM(self._keyring.keys[self._keyring.current])
        return nonce + kek.encrypt(nonce, data_key, _wrapping_data(bound))

    def _unwrap(self, wrapped_dek: bytes, kek_id: str, bound: Bound) -> bytes:
        kek = self._keyring.keys.get(kek_id)
        if kek is None or len(wrapped_dek) != NONCE_BYTES + KEY_BYTES + TAG_BYTES:
            raise VaultFault
        nonce, wrapped = wrapped_dek[:NONCE_BYTES], wrapped_dek[NONCE_BYTES:]
        return _open(kek, nonce, wrapped, _wrapping_data(bound))


def _open(key: bytes, nonce: bytes, ciphertext: bytes, data: bytes) -> bytes:
    if len(nonce) != NONCE_BYTES:
        raise VaultFault
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, data)
    except InvalidTag:
        raise VaultFault from None


def _ciphertext_data(sealed_key_id: str) -> bytes:
    return f"{VERSION}|{sealed_key_id}|{object_name(sealed_key_id)}".encode()


def _wrapping_data(bound: Bound) -> bytes:
    unit = (bound.order_id, bound.order_item_id, bound.slot)
    if bound.product_id is not None and unit == (None, None, None):
        return f"{VERSION}|{bound.sealed_key_id}|stock|{bound.product_id}".encode()
    if bound.product_id is not None or None in unit:
        raise ValueError("a key is bound to a whole unit of an order, or to a product")
    order, item, slot = unit
    return f"{VERSION}|{bound.sealed_key_id}|{order}|{item}|{slot}".encode()
