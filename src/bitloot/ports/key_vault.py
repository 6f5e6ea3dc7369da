"""The seam to where ciphertext is kept, and the sealing of keys."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from bitloot.domain.sealed import Bound, SealedBytes, Wrapped

__all__ = ["Bound", "KeyVault", "SealedBytes", "StoredObject", "Wrapped"]


class StoredObject(msgspec.Struct, frozen=True):
    """What the store says of an object: length in bytes and the hex digest it was stored with."""

    size: int
    sha256: str | None


class KeyVault(Protocol):
    """`seal`, `rewrap`, `fingerprint` and `unseal` are CPU only; the others reach the store.

    Raises Unavailable when the store cannot be reached, Rejected (`credentials`) when it refuses
    us, VaultFault for anything that does not open: one form for every cause.
    """

    @property
    def name(self) -> str:
        """The plugin's name."""
        ...

    @property
    def kek_id(self) -> str:
        """The id of the key-encryption key that wraps now."""
        ...

    def seal(self, plaintext: bytes, bound: Bound) -> SealedBytes:
        """Encrypt under a fresh data key, wrapped and bound."""
        ...

    def fingerprint(self, plaintext: bytes) -> str:
        """The keyed digest of the normalised key: finds a repeat, reveals nothing."""
        ...

    def rewrap(self, wrapped_dek: bytes, kek_id: str, was: Bound, now: Bound) -> Wrapped:
        """Bind the same data key to something else, under the present key-encryption key."""
        ...

    def unseal(
        self, ciphertext: bytes, *, nonce: bytes, wrapped_dek: bytes, kek_id: str, bound: Bound
    ) -> bytes:
        """Decrypt."""
        ...

    async def put(self, object_name: str, ciphertext: bytes, sha256: str) -> None:
        """Store exactly these bytes; storing them again is harmless."""
        ...

    async def stat(self, object_name: str) -> StoredObject | None:
        """Size and digest of a stored object, None where there is none."""
        ...

    async def get(self, object_name: str, *, size: int) -> bytes:
        """The stored bytes; more than `size` are refused."""
        ...

    async def delete(self, object_name: str) -> None:
        """Remove an object; removing it again is harmless."""
        ...

    async def names(self, *, after: str | None, limit: int) -> Sequence[str]:
        """The names of stored objects in their order, those after that name, at most `limit`."""
        ...

    async def check(self) -> None:
        """Reach the store and try the credentials."""
        ...
