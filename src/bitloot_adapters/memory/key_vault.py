"""A vault in memory: the real sealing, with a dictionary for a store."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from hmac import compare_digest, new
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bitloot.domain.sealed import Bound, SealedBytes, Wrapped
from bitloot.ports.clock import RandomBytes
from bitloot.ports.errors import VaultFault
from bitloot.ports.key_vault import StoredObject
from bitloot_adapters.memory.faults import Faults, never_in_transaction

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
FIRST_KEK: Final = "memory-1"


class MemoryKeyVault:
    """AES-256-GCM under a fresh data key each, wrapped by the key-encryption key of the day."""

    def __init__(
        self,
        *,
        random_bytes: RandomBytes,
        name: str = "memory",
        in_transaction: Callable[[], bool] = never_in_transaction,
    ) -> None:
        self._name: Final = name
        self._random_bytes = random_bytes
        self._pepper = random_bytes(KEY_BYTES)
        self._keks: dict[str, bytes] = {FIRST_KEK: random_bytes(KEY_BYTES)}
        self._kek_id = FIRST_KEK
        self._objects: dict[str, bytes] = {}
        self.faults: Final = Faults(name, in_transaction=in_transaction)

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self._name

    @property
    def kek_id(self) -> str:
        """The key-encryption key that wraps now."""
        return self._kek_id

    @property
    def objects(self) -> Mapping[str, bytes]:
        """Everything that is stored, for a look from outside."""
        return dict(self._objects)

    # --- sealing -------------------------------------------------------------------------

    def seal(self, plaintext: bytes, bound: Bound) -> SealedBytes:
        """Encrypt under a fresh data key."""
        object_name = f"keys/{bound.sealed_key_id}"
        dek = self._random_bytes(KEY_BYTES)
        nonce = self._random_bytes(NONCE_BYTES)
        ciphertext = AESGCM(dek).encrypt(nonce, plaintext, _of_object(bound))
        wrapped = self._wrap(dek, bound)
        return SealedBytes(
            wrapped_dek=wrapped.wrapped_dek,
            kek_id=wrapped.kek_id,
            nonce=nonce,
            ciphertext=ciphertext,
            sha256=sha256(ciphertext).hexdigest(),
            size=len(ciphertext),
            object_name=object_name,
            fingerprint=self.fingerprint(plaintext),
        )

    def fingerprint(self, plaintext: bytes) -> str:
        """The keyed digest of the text in NFC without the space around it, or of the bytes."""
        try:
            normal = unicodedata.normalize("NFC", plaintext.decode()).strip().encode()
        except UnicodeDecodeError:
            normal = plaintext
        return new(self._pepper, normal, sha256).hexdigest()

    def rewrap(self, wrapped_dek: bytes, kek_id: str, was: Bound, now: Bound) -> Wrapped:
        """The same data key under another binding."""
        return self._wrap(self._unwrap(wrapped_dek, kek_id, was), now)

    def unseal(
        self, ciphertext: bytes, *, nonce: bytes, wrapped_dek: bytes, kek_id: str, bound: Bound
    ) -> bytes:
        """Decrypt."""
        dek = self._unwrap(wrapped_dek, kek_id, bound)
        return _open(dek, nonce, ciphertext, _of_object(bound))

    # --- the store -----------------------------------------------------------------------

    async def put(self, object_name: str, ciphertext: bytes, sha256: str) -> None:
        """Store exactly these bytes."""
        self.faults.arrive()
        if not compare_digest(_digest(ciphertext), sha256):
            raise VaultFault
        self._objects[object_name] = ciphertext

    async def stat(self, object_name: str) -> StoredObject | None:
        """Size and digest."""
        self.faults.arrive()
        found = self._objects.get(object_name)
        return StoredObject(len(found), _digest(found)) if found is not None else None

    async def get(self, object_name: str, *, size: int) -> bytes:
        """The stored bytes."""
        self.faults.arrive()
        found = self._objects.get(object_name)
        if found is None or len(found) > size:
            raise VaultFault
        return found

    async def delete(self, object_name: str) -> None:
        """Remove an object."""
        self.faults.arrive()
        self._objects.pop(object_name, None)

    async def names(self, *, after: str | None, limit: int) -> Sequence[str]:
        """Names in their order."""
        self.faults.arrive()
        return sorted(name for name in self._objects if name > (after or ""))[:limit]

    async def check(self) -> None:
        """Reach the store."""
        self.faults.arrive()

    # --- the levers ----------------------------------------------------------------------

    def rotate(self, kek_id: str) -> None:
        """From now on a fresh key-encryption key wraps; older ones still open."""
        self._keks[kek_id] = self._random_bytes(KEY_BYTES)
        self._kek_id = kek_id

    def secrets(self) -> tuple[bytes, dict[str, bytes]]:
        """The pepper and the key-encryption keys, for a vault that has to open what this sealed."""
        return self._pepper, dict(self._keks)

    def begin_with(self, secrets: tuple[bytes, dict[str, bytes]]) -> None:
        """Seal and open under the keys of another vault."""
        self._pepper, self._keks = secrets

    def forget_kek(self, kek_id: str) -> None:
        """A key-encryption key is gone: what it wraps is shredded."""
        self._keks.pop(kek_id, None)

    def damage(self, object_name: str, stored: bytes) -> None:
        """What somebody with access to the store could write."""
        self._objects[object_name] = stored

    # --- inside --------------------------------------------------------------------------

    def _wrap(self, dek: bytes, bound: Bound) -> Wrapped:
        nonce = self._random_bytes(NONCE_BYTES)
        sealed = AESGCM(self._keks[self._kek_id]).encrypt(nonce, dek, _of_key(bound))
        return Wrapped(nonce + sealed, self._kek_id)

    def _unwrap(self, wrapped_dek: bytes, kek_id: str, bound: Bound) -> bytes:
        kek = self._keks.get(kek_id)
        if kek is None:
            raise VaultFault
        nonce, sealed = wrapped_dek[:NONCE_BYTES], wrapped_dek[NONCE_BYTES:]
        return _open(kek, nonce, sealed, _of_key(bound))


def _open(key: bytes, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, sealed, associated)
    except (InvalidTag, ValueError):
        raise VaultFault from None


def _of_object(bound: Bound) -> bytes:
    return f"v1|{bound.sealed_key_id}|keys/{bound.sealed_key_id}".encode()


def _of_key(bound: Bound) -> bytes:
    """What the wrapped key is bound to: a unit of an order, or stock of a product."""
    unit = (bound.order_id, bound.order_item_id, bound.slot)
    if bound.product_id is not None and unit == (None, None, None):
        return f"v1|{bound.sealed_key_id}|stock|{bound.product_id}".encode()
    if None in unit or bound.product_id is not None:
        raise ValueError("a key is bound to a unit of an order or to a product")
    return f"v1|{bound.sealed_key_id}|{bound.order_id}|{bound.order_item_id}|{bound.slot}".encode()


def _digest(stored: bytes) -> str:
    return sha256(stored).hexdigest()
