"""What buyers see of the shelves, from the memory tables."""

from collections.abc import Sequence
from decimal import Decimal

from bitloot.domain.product import Product, Sellable
from bitloot.ports.views.catalog import ProductView
from bitloot.ports.views.paging import Page, page_of
from bitloot.ports.views.shelf import product_view
from bitloot_adapters.memory.questions import MemoryCheckout
from bitloot_adapters.memory.unit_of_work import MemoryStore


class MemoryCatalogViews:
    """The port `CatalogViews`. `gateway_fee` is the share that prices have to carry."""

    def __init__(self, store: MemoryStore, *, gateway_fee: Decimal) -> None:
        self._store = store
        self._gateway_fee = gateway_fee

    async def products(
        self, *, limit: int, after: str | None, source: str | None, in_stock: bool
    ) -> Page[ProductView]:
        """Published products by slug."""
        shelf = sorted(
            (
                product
                for product in self._store.tables.all(Product)
                if product.is_published
                and (source is None or product.source == source)
                and (after is None or product.slug > after)
            ),
            key=lambda product: product.slug,
        )
        found = [self._view(one) for one in await self.sellables([each.id for each in shelf])]
        shown = [product for product in found if product.available or not in_stock]
        return page_of(shown[: limit + 1], limit, lambda product: product.slug)

    async def product(self, slug: str) -> ProductView | None:
        """One published product."""
        self._store.reach()
        product = self._store.tables.by_key(Product, "products_slug", slug)
        if product is None or not product.is_published:
            return None
        (found,) = await self.sellables([product.id])
        return self._view(found)

    async def sellables(self, product_ids: Sequence[str]) -> tuple[Sellable, ...]:
        """What quoting needs to know."""
        self._store.reach()
        store = self._store
        checkout = MemoryCheckout(store.tables, store.jobs, store.clock)
        return tuple(await checkout.sellables(product_ids))

    def _view(self, sellable: Sellable) -> ProductView:
        return product_view(sellable, self._gateway_fee)
