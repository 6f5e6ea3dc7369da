"""Reading a supplier's catalogue page by page and merging it in batches, from wherever a run is."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from bitloot.domain.catalogue_sync import CatalogueSync, Unseen, doubt, failed
from bitloot.domain.limits import Limits
from bitloot.domain.price_contexts import PricingTerms
from bitloot.ports.catalogue_facts import advanced
from bitloot.ports.catalogue_writer import (
    BATCH_PRODUCTS,
    CatalogueBatch,
    CatalogueWriter,
    PageRefusal,
)
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.supplier import Supplier
from bitloot.ports.supplier_catalogue import CataloguePage


@dataclass(frozen=True, kw_only=True)
class CatalogueReading:
    """What a run through a catalogue needs. Not more than a batch is in memory at a time."""

    writer: CatalogueWriter
    terms: PricingTerms
    limits: Limits
    clock: Clock
    new_id: NewId
    batch_products: int = BATCH_PRODUCTS

    async def go_on(
        self,
        sync: CatalogueSync,
        supplier: Supplier,
        *,
        told: Callable[[CatalogueSync], None],
        is_time_up: Callable[[], bool],
    ) -> CatalogueSync:
        """Read from the page that the run is at, until the last one or until time is up.

        Each batch is one transaction: what came before a fault stays. `told` hears after each. A
        whole run that came across far too little is given up before it takes anything away: the
        row is `failed` and says so. Raises Unavailable, StoreUnavailable, and Conflict where
        somebody else goes on with it.
        """
        batch = CatalogueBatch(next_page=sync.next_page)
        async for page in supplier.catalogue(
            updated_since=sync.updated_since, first_page=sync.next_page
        ):
            batch = _with(batch, page)
            is_full = len(batch.products) + len(page.products) > self.batch_products
            is_over = is_time_up()
            if is_full or page.is_last or is_over:
                sync = await self._merged(sync, batch)
                told(sync)
                batch = CatalogueBatch(next_page=sync.next_page)
            if page.is_last:
                sync = await self._ended(sync)
                told(sync)
                return sync
            if is_over:
                break
        return sync

    async def _ended(self, sync: CatalogueSync) -> CatalogueSync:
        found = Unseen(in_stock=0, unseen=0)
        if sync.kind == "full":
            found = await self.writer.unseen(sync)
        reason = doubt(
            sync,
            found,
            share=self.limits.catalogue_vanishing_share,
            at_least=self.limits.catalogue_vanishing_offers,
        )
        if reason is not None:
            given_up = failed(sync, at=self.clock(), error=reason)
            await self.writer.give_up(given_up)
            return given_up
        await self.writer.finish(sync, at=self.clock())
        return msgspec.structs.replace(sync, state="done", version=sync.version + 1)

    async def _merged(self, sync: CatalogueSync, batch: CatalogueBatch) -> CatalogueSync:
        counts = await self.writer.merge(
            sync.supplier,
            batch,
            terms=self.terms,
            new_id=self.new_id,
            at=self.clock(),
            sync=sync,
        )
        return advanced(sync, batch, counts)


def _with(batch: CatalogueBatch, page: CataloguePage) -> CatalogueBatch:
    refusals = (PageRefusal(page=page.number, refused=each) for each in page.refused)
    return CatalogueBatch(
        products=(*batch.products, *page.products),
        left_out=(*batch.left_out, *page.left_out),
        refusals=(*batch.refusals, *refusals),
        pages=batch.pages + 1,
        next_page=page.number + 1,
        updated_since=page.up_to or batch.updated_since,
    )
