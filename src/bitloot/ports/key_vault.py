"""The seam to where ciphertext is kept, and the sealing of keys."""

from typing import Protocol

import msgspec


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What the data key of a sealed key is bound to: a unit of an order, or stock of a product.

    Associated data of the wrapped key: `v1|<sealed key id>|<order>|<item>|<slot>`, or before it is
    sold `v1|<sealed key id>|stock|<product>`.
    """

    sealed_key_id: str
    order_id: str | None = None
    order_item_id: str | None = None
    slot: int | None = None
    product_id: str | None = None


class SealedBytes(msgspec.Struct, frozen=True, kw_only=True):
    """The result of sealing: everything that is stored, nothing that opens it alone."""

    wrapped_dek: bytes
    kek_id: str
    nonce: bytes
    ciphertext: bytes
    sha256: str
    size: int
    object_name: str
    fingerprint: str


class Wrapped(msgspec.Struct, frozen=True):
    """A data key wrapped anew."""

    wrapped_dek: bytes
    kek_id: str


class StoredObject(msgspec.Struct, frozen=True):
    """What the store says of an object: length in bytes and the hex digest it was stored with."""

    size: int
    sha256: str | None


class KeyVault(Protocol):
    """`seal`, `rewrap`, `fingerprint` and `unseal` are CPU only; the others reach the store.

    Raises Unavailable when the store cannot be reached, VaultFault for anything that does not
    open: one form for every cause.
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

    async def check(self) -> None:
        """Reach the store and try the credentials."""
        ...
