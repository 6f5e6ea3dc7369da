"""Filling the shelves: a supplier's catalogue mirrored page by page, and products of our own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import msgspec

from bitloot.domain.catalogue_sync import CatalogueSync, confirmations
from bitloot.domain.decision import Decision, insert
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.own_product import OwnProduct, check_price, check_words, put_on_shelf
from bitloot.domain.price_contexts import PricingTerms
from bitloot.domain.product import Product
from bitloot.ports.catalogue_reading import CatalogueReading
from bitloot.ports.catalogue_writer import CatalogueWriter
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.errors import Conflict
from bitloot.ports.supplier import Supplier
from bitloot.ports.unit_of_work import UnitOfWork

__all__ = ["Catalog", "OwnProduct", "Synced"]

MOST_TURNS: Final = 1000


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """What a synchronisation read and changed so far, and why it was given up, if it was."""

    pages: int = 0
    products: int = 0
    new: int = 0
    changed: int = 0
    fault: str | None = None


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """`margin` is the fraction added to a supplier's price; `suppliers` by the plugin's name."""

    uow: UnitOfWork
    writer: CatalogueWriter
    suppliers: Mapping[str, Supplier]
    margin: Decimal
    limits: Limits
    clock: Clock
    new_id: NewId

    async def sync(
        self,
        supplier: str,
        *,
        told: Callable[[Synced], None],
        confirmed_by: str | None = None,
    ) -> Synced:
        """Read the whole catalogue of a supplier, from where a run that was broken off stopped.

        `told` hears after each batch; what came before a fault stays. `confirmed_by` is who says
        that what is not listed any more is really gone: a run that would take away far too much is
        given up otherwise. Raises Refused `not-found`, Unavailable, StoreUnavailable.
        """
        found = self.suppliers.get(supplier)
        if found is None:
            raise Refused("not-found", f"there is no supplier {supplier!r}", field="supplier")
        row = await self.writer.running(supplier) or await self._begin(supplier, confirmed_by)
        reading = CatalogueReading(
            writer=self.writer,
            terms=PricingTerms(margin=self.margin, gateway_fee=self.limits.gateway_fee),
            limits=self.limits,
            clock=self.clock,
            new_id=self.new_id,
        )
        for _ in range(MOST_TURNS):
            try:
                row = await reading.go_on(
                    row, found, told=lambda now: told(_synced(now)), is_time_up=lambda: False
                )
            except Conflict:
                # A worker goes on with the same run: from where it is by now, or it is done.
                row = await self.writer.sync(row.id) or row
            if row.state != "running":
                return _synced(row)
        raise Refused("shop-busy", "Somebody else reads this catalogue; try again later.")

    async def _begin(self, supplier: str, confirmed_by: str | None) -> CatalogueSync:
        row = CatalogueSync(
            id=self.new_id(),
            supplier=supplier,
            kind="full",
            started_at=self.clock(),
            confirmed_by=confirmed_by,
        )
        change = insert(row)
        async with self.uow.begin() as tx:
            await tx.record(Decision(save=(change,), audit=confirmations(row)))
        assert isinstance(change.after, CatalogueSync)
        return change.after

    async def put_own(self, product: OwnProduct, *, actor: str) -> Product:
        """Put a product of our own on the shelf; the one that stands there already is given back.

        Raises Refused `invalid-input`.
        """
        check_words(product)
        check_price(product.price)
        async with self.uow.begin() as tx:
            known = await tx.checkout.sellables((product.slug,))
            if known:
                return known[0].product
            shelved = put_on_shelf(
                product,
                gateway_fee=self.limits.gateway_fee,
                actor=actor,
                at=self.clock(),
                new_id=self.new_id,
            )
            await tx.record(shelved.decision)
        return shelved.product


def _synced(row: CatalogueSync) -> Synced:
    return Synced(
        pages=row.pages,
        products=row.products,
        new=row.products_new,
        changed=row.products_changed + row.offers_changed,
        fault=row.last_error if row.state == "failed" else None,
    )
