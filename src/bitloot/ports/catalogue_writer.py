"""Writing a supplier's catalogue, a batch at a time, and the prices of what it brought."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from bitloot.domain.catalogue_sync import CatalogueSync, SyncKind, Unseen
from bitloot.domain.price_contexts import PricingTerms
from bitloot.domain.price_derivation import PriceReason
from bitloot.ports.clock import NewId
from bitloot.ports.supplier_catalogue import RefusedProduct, SupplierProduct

# The most products of one batch: more would hold locks for long, fewer cost a commit each.
BATCH_PRODUCTS: Final = 5_000
# What costs more than this, in EUR, is a slip of the supplier.
HIGHEST_COST: Final = Decimal(1_000_000)
COSTS_TOO_MUCH: Final = "price is beyond all that is sold here"


class PageRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """What of a page could not be taken over; a whole page where no product is named."""

    page: int
    refused: RefusedProduct


class CatalogueBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Some pages of a catalogue, or one product of it. Of a product named twice the last counts.

    `left_out` are ids of products that are not to be sold: of those that are known the stock is
    0 from now on. `next_page` and `updated_since` are where a synchronisation goes on after it.
    """

    products: Sequence[SupplierProduct] = ()
    left_out: Sequence[str] = ()
    refusals: Sequence[PageRefusal] = ()
    pages: int = 0
    next_page: int = 1
    updated_since: datetime | None = None


class MergeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch changed. `retired`: offers that have nothing left because they were not named,
    `refused`: entries that were not taken over.
    """

    products_new: int = 0
    products_changed: int = 0
    offers_new: int = 0
    offers_changed: int = 0
    prices_changed: int = 0
    retired: int = 0
    refused: int = 0


class CatalogueWriter(Protocol):
    """Raises StoreUnavailable, and Conflict where another run has moved on meanwhile."""

    async def merge(
        self,
        supplier: str,
        batch: CatalogueBatch,
        *,
        terms: PricingTerms,
        new_id: NewId,
        at: datetime,
        sync: CatalogueSync | None = None,
    ) -> MergeCounts:
        """Take over a batch in one transaction: products, offers, media, prices with their history,
        and how far `sync` is, if this is part of one.

        What a person pinned stays; older news of a supplier never replace newer; products without
        text keys are not priced by what they cost; own stock is never touched. Offers that a person
        joined to a product are parted once `offer_change.unlike` says so.
        """
        ...

    async def running(self, supplier: str) -> CatalogueSync | None:
        """The synchronisation of this supplier that is not done yet."""
        ...

    async def sync(self, sync_id: str) -> CatalogueSync | None:
        """A synchronisation by id, whatever became of it."""
        ...

    async def last_done(
        self, supplier: str, *, kind: SyncKind | None = None
    ) -> CatalogueSync | None:
        """The synchronisation of this supplier that was done last, by when it began."""
        ...

    async def give_up(self, failed: CatalogueSync) -> None:
        """Write that a run was given up: the row as `catalogue_sync.failed` makes it."""
        ...

    async def unseen(self, sync: CatalogueSync) -> Unseen:
        """What `finish` would take away, if it were called now."""
        ...

    async def finish(self, sync: CatalogueSync, *, at: datetime) -> int:
        """End a synchronisation: after a full one, what it did not come across has no stock left.

        Gives how many offers that were.
        """
        ...

    async def shelve(self, *, at: datetime) -> int:
        """Put the products of suppliers into the categories that their words belong in now, but
        those whose category a person set. Gives how many moved.
        """
        ...

    async def reprice(
        self,
        product_ids: Sequence[str] | None,
        *,
        reason: PriceReason,
        terms: PricingTerms,
        at: datetime,
    ) -> int:
        """Bring the prices of these products, or of all (None), to what the rules say, in one
        transaction. Gives how many changed.
        """
        ...
