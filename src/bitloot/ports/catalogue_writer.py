"""Writing a supplier's catalogue, page by page, set-based."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from bitloot.domain.money import Eur
from bitloot.ports.clock import NewId
from bitloot.ports.supplier import SupplierProduct


class UpsertCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a page changed. `retired`: offers of its products that are not in it any more."""

    products_new: int
    products_changed: int
    offers_new: int
    offers_changed: int
    retired: int


class CatalogueWriter(Protocol):
    """Raises StoreUnavailable."""

    async def upsert(
        self,
        supplier: str,
        page: Sequence[SupplierProduct],
        *,
        price: Callable[[SupplierProduct], Eur],
        new_id: NewId,
        at: datetime,
    ) -> UpsertCounts:
        """Merge products of one supplier in one transaction; `price` gives our price in EUR."""
        ...
