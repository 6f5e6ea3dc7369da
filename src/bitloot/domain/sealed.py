"""A sealed key as bytes: what it is bound to, and what sealing or re-wrapping gives."""

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
