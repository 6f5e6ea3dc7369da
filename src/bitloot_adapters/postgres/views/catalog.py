"""What buyers see of the shelves: pages by slug, each product with what can be had of it now."""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final

from sqlalchemy import ColumnElement, Integer, Text, bindparam, case, func, or_, select, true

from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.product import Sellable
from bitloot.ports.views.catalog import ProductView
from bitloot.ports.views.paging import Page, page_of
from bitloot.ports.views.shelf import product_view
from bitloot_adapters.postgres.checkout_reads import (
    best_offer,
    facts_of,
    free_keys,
    sellable,
    sellables_of,
)
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.statements import Statement, ask, compiled
from bitloot_adapters.postgres.tables import listings, products
from bitloot_adapters.postgres.views.orders import word


def _slug(name: str) -> ColumnElement[str]:
    return bindparam(name, type_=Text)


@lru_cache(maxsize=16)
def _shelf(*, one: bool, after: bool, source: bool, in_stock: bool) -> Statement:
    """Published products with their best offer and free keys: one of them, or a page."""
    offer, stock = best_offer(), free_keys()
    found = (
        select(*facts_of(offer, stock))
        .select_from(products.join(listings).outerjoin(offer, true()).outerjoin(stock, true()))
        .where(products.c.is_published)
    )
    if one:
        return compiled(found.where(products.c.slug == _slug("slug")))
    if after:
        found = found.where(products.c.slug > _slug("after"))
    if source:
        found = found.where(products.c.source == bindparam("source", type_=Text))
    if in_stock:
        left = case(
            (products.c.source == word(OWN_STOCK), stock.c.free),
            else_=func.coalesce(offer.c.stock - offer.c.held, 0),
        )
        found = found.where(or_(left > 0))
    return compiled(found.order_by(products.c.slug).limit(bindparam("most", type_=Integer)))


_ONE: Final = _shelf(one=True, after=False, source=False, in_stock=False)


class PostgresCatalogViews:
    """The port `CatalogViews`. `gateway_fee` is the share that prices have to carry."""

    def __init__(self, database: Database, *, gateway_fee: Decimal) -> None:
        self._database = database
        self._gateway_fee = gateway_fee

    async def products(
        self, *, limit: int, after: str | None, source: str | None, in_stock: bool
    ) -> Page[ProductView]:
        statement = _shelf(
            one=False, after=after is not None, source=source is not None, in_stock=in_stock
        )
        given = {"after": after, "source": source}
        values = {name: value for name, value in given.items() if value is not None}
        (rows,) = await self._database.read(ask(statement, **values, most=limit + 1))
        found = [product_view(sellable(row), self._gateway_fee) for row in rows]
        return page_of(found, limit, lambda product: product.slug)

    async def product(self, slug: str) -> ProductView | None:
        (rows,) = await self._database.read(ask(_ONE, slug=slug))
        return product_view(sellable(rows[0]), self._gateway_fee) if rows else None

    async def sellables(self, product_ids: Sequence[str]) -> tuple[Sellable, ...]:
        (rows,) = await self._database.read(sellables_of(product_ids))
        return tuple(sellable(row) for row in rows)
