"""What suppliers have: looked for by name, and taken over one product at a time."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

from bitloot.domain import offer_change
from bitloot.domain.decision import AuditEntry, Decision
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.limits import Limits
from bitloot.domain.price_contexts import PricingTerms
from bitloot.domain.product import Offer, Product
from bitloot.ports.catalogue_writer import CatalogueBatch, CatalogueWriter
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.errors import Rejected
from bitloot.ports.supplier import Supplier
from bitloot.ports.supplier_catalogue import SupplierProduct
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.ports.views.assortment import AssortmentViews, ProductFilter


class _Moving(Protocol):
    """The rules of `domain.offer_change`."""

    def __call__(
        self,
        product: Product,
        its_own: Product,
        offers: Sequence[Offer],
        *,
        actor: str,
        at: datetime,
    ) -> Decision: ...


INVALID: Final = "invalid"
_PRODUCT_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True, kw_only=True)
class SupplierDesk:
    """`suppliers` by the plugin's name; `margin` is that of the settings."""

    uow: UnitOfWork
    catalogue_writer: CatalogueWriter
    suppliers: Mapping[str, Supplier]
    goods: AssortmentViews
    margin: Decimal
    limits: Limits
    clock: Clock
    new_id: NewId

    def supplier(self, name: str | None) -> Supplier:
        """A supplier that has a catalogue; the only one may go without its name.

        Raises Refused `not-found`, or `invalid-input` where several could be meant.
        """
        known = {each: found for each, found in self.suppliers.items() if each != OWN_STOCK}
        if name is None and len(known) > 1:
            raise Refused("invalid-input", "Name one of the suppliers.", field="supplier")
        found = next(iter(known.values()), None) if name is None else known.get(name)
        if found is None:
            raise Refused("not-found", "There is no such supplier.", field="supplier")
        return found

    async def search(
        self, supplier: str | None, name: str, *, limit: int
    ) -> Sequence[SupplierProduct]:
        """Products whose name holds this text. Raises Refused `not-found`, `invalid-input` for a
        name that is too short; Unavailable, Rejected.
        """
        found = self.supplier(supplier)
        least = found.capabilities.search_letters
        if len(name.strip()) < max(1, least):
            raise Refused("invalid-input", f"Write at least {least} letters.", field="name")
        try:
            return await found.search(name, limit=limit)
        except Rejected as refused:
            if refused.reason != INVALID:
                raise
            raise Refused(
                "invalid-input", "The supplier cannot be asked for this.", field="name"
            ) from None

    async def take_over(self, supplier: str | None, supplier_product_id: str, *, actor: str) -> str:
        """Put one product of a supplier on the shelf, or bring it up to date; gives our id of it.

        May be repeated after a fault. Raises Refused `not-found` for a product that cannot be had
        or is not for this shop; Unavailable, Rejected, StoreUnavailable.
        """
        known = self.supplier(supplier)
        # It becomes part of an address at the supplier.
        is_name = _PRODUCT_NAME.fullmatch(supplier_product_id) is not None
        found = await known.product(supplier_product_id) if is_name else None
        if found is None:
            raise Refused("not-found", "The supplier has no such product to sell now.")
        await self.catalogue_writer.merge(
            known.name,
            CatalogueBatch(products=(found,)),
            terms=PricingTerms(margin=self.margin, gateway_fee=self.limits.gateway_fee),
            new_id=self.new_id,
            at=self.clock(),
        )
        only = ProductFilter(source=known.name, supplier_product_id=supplier_product_id)
        page = await self.goods.products(only, limit=1, after=None)
        if not page.items:
            raise Refused("not-found", "The supplier's product could not be taken over.")
        product_id = page.items[0].product.id
        entry = AuditEntry(
            at=self.clock(),
            actor=actor,
            action="product.imported",
            subject=product_id,
            facts={"supplier": known.name, "supplier_product_id": supplier_product_id},
        )
        async with self.uow.begin() as tx:
            await tx.record(Decision(audit=(entry,)))
        return product_id

    async def join(
        self, product_id: str, supplier: str, supplier_product_id: str, *, actor: str
    ) -> None:
        """Have a product sold from a further supplier too: its offers are read, and joined.

        May be repeated. Raises Refused `not-found`, `invalid-input`; Unavailable, Rejected,
        StoreUnavailable.
        """
        await self.take_over(supplier, supplier_product_id, actor=actor)
        name = (supplier, supplier_product_id)
        await self._move(product_id, name, offer_change.joined, actor=actor)

    async def part(
        self, product_id: str, supplier: str, supplier_product_id: str, *, actor: str
    ) -> None:
        """Have a product sold from that supplier no more. Raises Refused `not-found`."""
        name = (supplier, supplier_product_id)
        await self._move(product_id, name, offer_change.parted, actor=actor)

    async def _move(
        self, product_id: str, name: tuple[str, str], rule: _Moving, *, actor: str
    ) -> None:
        async def attempt(tx: Transaction) -> None:
            product = await tx.assortment.product(product_id)
            supplied = await tx.assortment.supplied(*name)
            if product is None or supplied is None:
                raise Refused("not-found")
            made, offers = supplied.product, supplied.offers
            await tx.record(rule(product, made, offers, actor=actor, at=self.clock()))

        await decide(self.uow, attempt)
