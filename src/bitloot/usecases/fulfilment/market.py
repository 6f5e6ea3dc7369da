"""Asking the market: what each source of a product has now, and who cannot be asked."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bitloot.domain.balance_guard import BalanceReading
from bitloot.domain.fulfilment import BlockedReason
from bitloot.domain.fulfilment_plan import OWN_STOCK, WHOLESALE_FROM
from bitloot.domain.routing import (
    MENDED_BY_PEOPLE,
    NO_SHELF,
    Found,
    Shelf,
    Source,
    choose,
    sources,
)
from bitloot.domain.supply import SupplierOffer
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.jobs import Lease
from bitloot.ports.supplier import Supplier
from bitloot.usecases.fulfilment.desk import Case, Desk

# Supplier words that mean: nothing of this product is to be had.
_NOTHING_THERE = frozenset({"not_found", "unavailable"})


# Its offers, and what is left to buy with there.
CALLS_OF_A_SOURCE: Final = 2


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What was said. `answered` are the suppliers that told their offers, `silent` why others could
    not be asked; `unavailable` and `refused` are the first faults of each kind.
    """

    shelf: Shelf
    found: tuple[Found, ...]
    balances: Mapping[str, BalanceReading]
    answered: frozenset[str]
    silent: tuple[BlockedReason, ...]
    unavailable: Unavailable | None
    refused: Rejected | None


class _Asking:
    """One round of questions; it lives as long as that."""

    def __init__(self, desk: Desk, case: Case) -> None:
        self._desk = desk
        self._case = case
        self.found: list[Found] = []
        self.balances: dict[str, BalanceReading] = {}
        self.answered: set[str] = set()
        self.silent: list[BlockedReason] = []
        self.unavailable: list[Unavailable] = []
        self.refused: list[Rejected] = []

    async def ask(self, source: Source) -> None:
        """One source. What goes wrong is noted; nothing is raised."""
        desk, is_own = self._desk, source.supplier == self._case.fulfilment.supplier
        supplier = desk.suppliers.get(source.supplier)
        if supplier is None and not is_own:
            return
        if supplier is not None and not is_own and not self._can_serve(supplier):
            return
        if supplier is None or not await desk.breakers.allows(source.supplier):
            self.silent.append("breaker")
            return
        try:
            offers = await self._offers(supplier, source.supplier_product_id)
        except Unavailable as error:
            await desk.breakers.failed(error.provider)
            self.unavailable.append(error)
        except Rejected as error:
            await desk.refused(source.supplier, error.reason)
            blocking = MENDED_BY_PEOPLE.get(error.reason)
            if blocking is not None:
                self.silent.append(blocking)
            else:
                self.refused.append(error)
        else:
            await desk.breakers.succeeded(source.supplier)
            self.answered.add(source.supplier)
            self.found += [Found(source.supplier, offer) for offer in offers if self._fits(offer)]

    def has_units(self) -> bool:
        """Whether what was found will do."""
        case, limits = self._case, self._desk.limits
        return isinstance(choose(case.fulfilment, self.found, limits=limits), Found)

    async def _offers(
        self, supplier: Supplier, supplier_product_id: str
    ) -> Sequence[SupplierOffer]:
        """Its offers; where there are some, what is left to buy with is read right behind them."""
        try:
            offers = await supplier.offers(supplier_product_id)
        except Rejected as error:
            if error.reason not in _NOTHING_THERE:
                raise
            return ()
        if offers:
            at = self._desk.clock()
            self.balances[supplier.name] = BalanceReading(amount=await supplier.balance(), at=at)
        return offers

    def _can_serve(self, supplier: Supplier) -> bool:
        """Whether a supplier that was not sold from takes an order like this."""
        quantity, can = self._case.fulfilment.quantity, supplier.capabilities
        in_bulk = quantity >= WHOLESALE_FROM and not self._case.fulfilment.own_stock
        return not can.own_stock and not (in_bulk and can.wholesale_units < quantity)

    def _fits(self, offer: SupplierOffer) -> bool:
        """Whether the keys come as they were promised: only a preorder may wait for a release."""
        item = self._case.file.item(self._case.fulfilment.order_item_id)
        return item.is_preorder or not offer.is_preorder or item.offer_id == offer.offer_id


async def ask_market(desk: Desk, lease: Lease, case: Case) -> Market:
    """Ask every source of the product, one after the other, while half of the lease is left.

    Where one has the units, no other is asked that could take the time in which to buy them.
    """
    item = case.file.item(case.fulfilment.order_item_id)
    async with desk.uow.begin() as tx:
        shelf = await tx.checkout.shelf(item.product_id)
    asking = _Asking(desk, case)
    for source in sources(case.file, case.fulfilment, shelf, desk.limits):
        calls = CALLS_OF_A_SOURCE if asking.has_units() else 0
        if not desk.half_spent(lease, calls=calls):
            await asking.ask(source)
    can_bind = OWN_STOCK in desk.suppliers and not case.fulfilment.own_stock
    return Market(
        shelf=shelf if can_bind else msgspec.structs.replace(NO_SHELF, offers=shelf.offers),
        found=tuple(asking.found),
        balances=asking.balances,
        answered=frozenset(asking.answered),
        silent=tuple(asking.silent),
        unavailable=next(iter(asking.unavailable), None),
        refused=next(iter(asking.refused), None),
    )
