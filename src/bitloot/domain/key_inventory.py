"""Keys: the sealed form of each, and the own-stock life of those that are ours to sell."""

from datetime import datetime
from typing import ClassVar, Final, Literal, TypeAlias

from bitloot.domain.decision import Row
from bitloot.domain.machine import Machine
from bitloot.domain.money import Eur
from bitloot.domain.stock_item import ItemKind

KeyState: TypeAlias = Literal["available", "reserved", "sold", "burned", "expired"]

INVENTORY_KEY: Final[Machine[KeyState]] = Machine(
    name="inventory key",
    initial="available",
    moves={
        "available": {"reserve": "reserved", "expire": "expired", "burn": "burned"},
        "reserved": {"sell": "sold", "release": "available", "burn": "burned"},
        # A key that was never shown goes back on sale when its order is refunded.
        "sold": {"burn": "burned", "restock": "available"},
        "burned": {},
        "expired": {},
    },
    terminal=frozenset({"burned", "expired"}),
)


SealedState: TypeAlias = Literal["live", "quarantined", "replaced", "returned", "shredded"]
ReportReason: TypeAlias = Literal[
    "already-used", "invalid", "wrong-product", "wrong-region", "other"
]


class SealedKey(Row, frozen=True, kw_only=True):
    """One encrypted key. Written once; assigning or rotating re-wraps its data key only.

    `ciphertext` stays in the row until it is uploaded, then only the object store has it.
    `sha256` is the hex digest of the ciphertext, `size` its length in bytes. `fingerprint` is a
    keyed digest of the normalised key: it finds a repeat, and reveals nothing.
    A stock key has `product_id` and no slot until it is sold. `kind` says what its bytes are
    (`domain.stock_item`); `content_type` is that of the bytes, not of a file within them.
    `reported_at` is when its buyer said that it is no good.
    """

    unlogged: ClassVar[frozenset[str]] = frozenset(
        {"wrapped_dek", "kek_id", "nonce", "ciphertext", "fingerprint", "report_note"}
    )

    order_id: str | None = None
    order_item_id: str | None = None
    slot: int | None = None
    fulfilment_id: str | None = None
    product_id: str | None = None
    supplier: str
    supplier_key_id: str | None = None
    kind: ItemKind = "key"
    content_type: str = "text/plain"
    fingerprint: str
    wrapped_dek: bytes
    kek_id: str
    nonce: bytes
    ciphertext: bytes | None
    sha256: str
    size: int
    object_name: str
    uploaded_at: datetime | None = None
    state: SealedState = "live"
    first_download_at: datetime | None = None
    last_download_at: datetime | None = None
    downloads: int = 0
    reported_at: datetime | None = None
    report_reason: ReportReason | None = None
    report_note: str | None = None
    created_at: datetime


class InventoryKey(Row, frozen=True, kw_only=True):
    """The own-stock life of a sealed key; its id is the sealed key's. `cost` in EUR."""

    product_id: str
    batch: str
    cost: Eur
    expires_at: datetime | None = None
    state: KeyState = "available"
    reservation_id: str | None = None
    order_item_id: str | None = None
    created_at: datetime
