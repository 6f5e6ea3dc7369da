"""Listings in step with their products and with what can be had of them.

PostgreSQL does the same with triggers.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from bitloot.domain.decision import Row
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.product import Listing, Offer, Product, followed

R = TypeVar("R", bound=Row)


class RowsByKind(Protocol):
    """Tables as far as listings need them."""

    def get(self, row: type[R], row_id: str) -> R | None: ...
    def all(self, row: type[R]) -> Iterator[R]: ...


def out_of_step(written: Iterable[tuple[Row | None, Row]], tables: RowsByKind) -> list[Listing]:
    """The listings as they have to be after rows were written, each given as it was and is."""
    touched = {product_id: None for was, row in written for product_id in _touched(was, row)}
    found: list[Listing] = []
    for product_id in touched:
        product, listing = tables.get(Product, product_id), tables.get(Listing, product_id)
        if product is None or listing is None:
            continue
        now = followed(listing, product, is_available=_can_be_had(tables, product_id))
        if now != listing:
            found.append(now)
    return found


def _touched(was: Row | None, row: Row) -> tuple[str, ...]:
    """The products whose listings may have to follow."""
    if isinstance(row, InventoryKey):
        before = isinstance(was, InventoryKey) and was.state == "available"
        return (row.product_id,) if before != (row.state == "available") else ()
    if isinstance(row, Offer) and isinstance(was, Offer):
        if was.product_id != row.product_id:
            return was.product_id, row.product_id
        return (row.product_id,) if (was.stock > was.held) != (row.stock > row.held) else ()
    return (row.id,) if isinstance(row, Product) and was is not None else ()


def _can_be_had(tables: RowsByKind, product_id: str) -> bool:
    return any(
        offer.product_id == product_id and offer.stock > offer.held for offer in tables.all(Offer)
    ) or any(
        key.product_id == product_id and key.state == "available"
        for key in tables.all(InventoryKey)
    )
