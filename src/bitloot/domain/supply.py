"""What a supplier says: its offers, its orders, and keys in the clear on their way to the seal."""

from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.money import Eur
from bitloot.domain.product import WholesaleTier


class SupplierOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Price (EUR a unit) and stock of text keys of one offer, as read seconds ago."""

    supplier_product_id: str
    offer_id: str
    price: Eur
    stock: int
    is_preorder: bool = False
    wholesale: tuple[WholesaleTier, ...] = ()


SupplierOrderState: TypeAlias = Literal["processing", "completed", "canceled", "refunded"]
UnitState: TypeAlias = Literal["pending", "delivered", "returned", "refunded", "canceled"]

# A unit that will not come any more, or was taken back: our money is with us again.
LOST_UNIT: Final = frozenset[UnitState]({"returned", "refunded", "canceled"})


def offer_name(supplier: str, offer_id: str | None) -> str:
    """An offer among those of all suppliers: two of them may use the same ids."""
    return f"{supplier}/{offer_id or ''}"


class SupplierKeyState(msgspec.Struct, frozen=True):
    """One unit of an order: its id at the supplier, and how far it came."""

    key_id: str
    state: UnitState


class SupplierOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order at the supplier. `total` is what it took from our balance, EUR."""

    supplier_order_id: str
    external_id: str | None
    state: SupplierOrderState
    quantity: int
    total: Eur | None
    is_preorder: bool
    keys: tuple[SupplierKeyState, ...]
    created_at: datetime | None
    updated_at: datetime | None


class SuppliedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key in the clear: lives in memory only. Its repr shows no serial."""

    key_id: str
    serial: bytes
    content_type: str
    supplier_product_id: str

    def __repr__(self) -> str:
        return f"SuppliedKey(key_id={self.key_id!r}, content_type={self.content_type!r})"
