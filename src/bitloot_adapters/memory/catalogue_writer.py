"""Pages of a supplier's catalogue into the memory store."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from bitloot.domain.decision import Change, insert, update
from bitloot.domain.money import ZERO, Eur
from bitloot.domain.product import Listing, Offer, Product, new_listing
from bitloot.ports.catalogue_writer import UpsertCounts
from bitloot.ports.clock import NewId
from bitloot.ports.supplier import SupplierProduct
from bitloot_adapters.memory.unit_of_work import MemoryStore

_NOT_IN_SLUGS: Final = re.compile(r"[^a-z0-9]+")


class MemoryCatalogueWriter:
    """The port `CatalogueWriter` over the memory store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def upsert(
        self,
        supplier: str,
        page: Sequence[SupplierProduct],
        *,
        price: Callable[[SupplierProduct], Eur],
        new_id: NewId,
        at: datetime,
    ) -> UpsertCounts:
        """Merge the page; what is the same already is not written."""
        self._store.reach()
        products = {
            row.supplier_product_id: row
            for row in self._store.rows(Product)
            if row.source == supplier
        }
        offers = {row.product_id: row for row in self._store.rows(Offer)}
        changes: list[Change] = []
        for found in {each.supplier_product_id: each for each in page}.values():
            known = products.get(found.supplier_product_id)
            product = _product(known, found, supplier=supplier, new_id=new_id, at=at)
            changes += _written(known, product)
            changes += _listed(
                self._store.tables.get(Listing, product.id), product, found, price(found), at
            )
            offer = offers.get(product.id)
            changes += _written(
                offer,
                _offer(
                    offer, found, product_id=product.id, supplier=supplier, new_id=new_id, at=at
                ),
            )
        self._store.tables.write(changes)
        return _counts(changes)


def _product(
    known: Product | None,
    found: SupplierProduct,
    *,
    supplier: str,
    new_id: NewId,
    at: datetime,
) -> Product:
    slug = _NOT_IN_SLUGS.sub("-", found.title.lower()).strip("-")
    return Product(
        id=known.id if known else new_id(),
        version=known.version if known else 0,
        slug=known.slug if known else f"{slug}-{found.supplier_product_id}",
        title=found.title,
        source=supplier,
        supplier_product_id=found.supplier_product_id,
        description=found.description,
        platform=found.platform,
        region=found.region,
        excluded_countries=found.excluded_countries,
        is_preorder=found.is_preorder,
        release_date=found.release_date,
        instructions=found.instructions,
        cover_url=found.cover_url,
        created_at=known.created_at if known else at,
        updated_at=known.updated_at if known else at,
    )


def _offer(
    known: Offer | None,
    found: SupplierProduct,
    *,
    product_id: str,
    supplier: str,
    new_id: NewId,
    at: datetime,
) -> Offer:
    return Offer(
        id=known.id if known else new_id(),
        version=known.version if known else 0,
        product_id=product_id,
        supplier=supplier,
        supplier_product_id=found.supplier_product_id,
        offer_id=found.offer_id,
        cost=found.price,
        stock=found.stock,
        held=known.held if known else 0,
        wholesale=found.wholesale,
        updated_at=known.updated_at if known else at,
    )


def _listed(
    known: Listing | None, product: Product, found: SupplierProduct, price: Eur, at: datetime
) -> list[Change]:
    if known is None:
        can_be_had = found.stock > 0
        return [
            insert(new_listing(product, price=price, floor=ZERO, is_available=can_be_had, at=at))
        ]
    return [] if known.price == price else [update(known, price=price, updated_at=at)]


def _written(known: Product | Offer | None, row: Product | Offer) -> list[Change]:
    if known is None:
        return [insert(row)]
    if row == known:
        return []
    fields = {name: getattr(row, name) for name in row.__struct_fields__ if name != "version"}
    return [update(known, **fields)]


def _counts(changes: Sequence[Change]) -> UpsertCounts:
    def count(row: type[Product] | type[Offer], *, new: bool) -> int:
        return sum(isinstance(c.after, row) and (c.before is None) is new for c in changes)

    return UpsertCounts(
        products_new=count(Product, new=True),
        products_changed=count(Product, new=False),
        offers_new=count(Offer, new=True),
        offers_changed=count(Offer, new=False),
        retired=0,
    )
