"""The supplier named `custom`: keys that are already ours.

They are bound to an order inside its transaction and never ordered from anybody, which is what the
capability `own_stock` says. So this adapter has nothing to offer, to place or to fetch; it answers
each question truthfully for a supplier that nothing was ever ordered from.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final

import msgspec

from bitloot.domain.money import ZERO, Eur
from bitloot.ports.errors import Rejected
from bitloot.ports.payment_gateway import Forged
from bitloot.ports.plugin import PluginContext
from bitloot.ports.supplier import (
    CataloguePage,
    SuppliedKey,
    Supplier,
    SupplierCapabilities,
    SupplierOffer,
    SupplierOrder,
    SupplierProduct,
    SupplierRequest,
    SupplierWebhook,
)

NAME: Final = "custom"


class OwnStock:
    """`Supplier` for keys of our own."""

    @property
    def name(self) -> str:
        """`custom`."""
        return NAME

    @property
    def capabilities(self) -> SupplierCapabilities:
        """Own stock, and nothing that needs a call."""
        return SupplierCapabilities(own_stock=True)

    async def offers(self, supplier_product_id: str) -> Sequence[SupplierOffer]:
        """None: what is in stock is in the inventory."""
        del supplier_product_id
        return ()

    async def place(self, request: SupplierRequest) -> SupplierOrder:
        """Always refused: own keys are bound, not ordered."""
        raise Rejected(NAME, "invalid", f"own keys are never ordered ({request.external_id})")

    async def find(self, external_id: str) -> Sequence[SupplierOrder]:
        """None."""
        del external_id
        return ()

    async def order(self, supplier_order_id: str) -> SupplierOrder:
        """There is none by any id."""
        raise Rejected(NAME, "not_found", supplier_order_id)

    async def keys(self, supplier_order_id: str) -> Sequence[SuppliedKey]:
        """There is no order to read keys of."""
        raise Rejected(NAME, "not_found", supplier_order_id)

    async def give_back(self, supplier_order_id: str) -> None:
        """Own keys go back on the shelf in the refund's own transaction."""
        raise Rejected(NAME, "nothing_to_return", supplier_order_id)

    async def balance(self) -> Eur:
        """Own keys are paid for."""
        return ZERO

    async def catalogue(
        self, *, updated_since: datetime | None, first_page: int = 1
    ) -> AsyncIterator[CataloguePage]:
        """Own products are made by the shop, not synchronised: one empty page."""
        del updated_since
        yield CataloguePage(number=first_page, is_last=True)

    async def product(self, supplier_product_id: str) -> SupplierProduct | None:
        """None: nobody supplies them."""
        del supplier_product_id
        return None

    async def search(self, name: str, *, limit: int) -> Sequence[SupplierProduct]:
        """Always refused: own products are found in the shop."""
        del name, limit
        raise Rejected(NAME, "invalid", "own stock has no search")

    async def orders_since(
        self, since: datetime, *, first_page: int = 1
    ) -> AsyncIterator[Sequence[SupplierOrder]]:
        """None."""
        del since, first_page
        none: tuple[Sequence[SupplierOrder], ...] = ()
        for page in none:
            yield page

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> SupplierWebhook:
        """Nobody calls back for own keys."""
        del headers, body
        return Forged("no webhooks")


class NoSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Own stock needs none."""


class OwnStockPlugin:
    """The entry point `custom` of `bitloot.suppliers`."""

    name: str = NAME
    settings: type[msgspec.Struct] = NoSettings
    secrets: frozenset[str] = frozenset()

    def faults(self, settings: msgspec.Struct, *, is_production: bool) -> list[str]:
        """None."""
        del settings, is_production
        return []

    def open(
        self, settings: msgspec.Struct, context: PluginContext
    ) -> AbstractAsyncContextManager[Supplier]:
        """Nothing to open."""
        del settings, context
        return contextlib.nullcontext(OwnStock())


plugin: Final = OwnStockPlugin()
