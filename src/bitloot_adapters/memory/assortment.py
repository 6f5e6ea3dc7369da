"""What stands around the products, from the memory tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from bitloot.domain.category import Category
from bitloot.domain.fulfilment import FULFILMENT, Fulfilment
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.order import OrderItem
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import Offer, Product
from bitloot.domain.product_group import GroupMember, ProductGroup
from bitloot.domain.product_media import ProductMedia
from bitloot.domain.reservation import Reservation
from bitloot.domain.stock_item import ItemKind
from bitloot.ports.assortment import GroupFile, Supplied
from bitloot_adapters.memory.tables import Tables

# Nothing is owed on a fulfilment in one of these.
ENDED: Final = FULFILMENT.terminal | {"delivered", "failed_terminal"}
ON_THE_SHELF: Final = frozenset({"available", "reserved"})


class MemoryAssortment(msgspec.Struct, frozen=True):
    """The port `Assortment`. One transaction runs at a time, so whoever reads holds the lock."""

    tables: Tables

    async def product(self, product_id: str) -> Product | None:
        """One product."""
        return self.tables.get(Product, product_id)

    async def supplied(self, supplier: str, supplier_product_id: str) -> Supplied | None:
        """A supplier's product, and its offers wherever they are sold."""
        rule, name = "products_source_product", (supplier, supplier_product_id)
        product = self.tables.by_key(Product, rule, *name)
        offers = (o for o in self.tables.all(Offer) if (o.supplier, o.supplier_product_id) == name)
        if product is None:
            return None
        return Supplied(product, tuple(sorted(offers, key=lambda offer: offer.id)))

    async def is_spoken_for(self, product_id: str) -> bool:
        """Whether units of it are kept or owed."""
        if any(
            row.product_id == product_id and row.state == "held"
            for row in self.tables.all(Reservation)
        ):
            return True
        items = {row.id for row in self.tables.all(OrderItem) if row.product_id == product_id}
        return any(
            row.order_item_id in items and row.state not in ENDED
            for row in self.tables.all(Fulfilment)
        )

    async def rule(self, rule_id: str) -> PricingRule | None:
        """One pricing rule."""
        return self.tables.get(PricingRule, rule_id)

    async def category(self, category_id: str) -> Category | None:
        """One category."""
        return self.tables.get(Category, category_id)

    async def category_by_slug(self, slug: str) -> Category | None:
        """One category."""
        return self.tables.by_key(Category, "categories_slug", slug)

    async def is_in_use(self, slug: str) -> bool:
        """Whether a product or a rule names the category."""
        return any(row.category == slug for row in self.tables.all(Product)) or any(
            (row.scope, row.subject) == ("category", slug) for row in self.tables.all(PricingRule)
        )

    async def media(self, product_id: str) -> Sequence[ProductMedia]:
        """The media of a product in their order."""
        return media_of(self.tables, product_id)

    async def group(self, group_id: str) -> GroupFile | None:
        """One group with its members."""
        group = self.tables.get(ProductGroup, group_id)
        return None if group is None else GroupFile(group, members_of(self.tables, group_id))

    async def group_by_slug(self, slug: str) -> ProductGroup | None:
        """One group."""
        return self.tables.by_key(ProductGroup, "product_groups_slug", slug)

    async def stock_prints(self, product_id: str, kind: ItemKind) -> Mapping[str, str]:
        """The fingerprints of what is on the shelf."""
        return dict(_prints(self.tables, product_id, kind))


def media_of(tables: Tables, product_id: str) -> tuple[ProductMedia, ...]:
    """The media of a product in their order."""
    found = (row for row in tables.all(ProductMedia) if row.product_id == product_id)
    return tuple(sorted(found, key=lambda row: (row.position, row.id)))


def members_of(tables: Tables, group_id: str) -> tuple[GroupMember, ...]:
    """The members of a group in their order."""
    found = (row for row in tables.all(GroupMember) if row.group_id == group_id)
    return tuple(sorted(found, key=lambda row: (row.position, row.id)))


def _prints(tables: Tables, product_id: str, kind: ItemKind) -> Iterable[tuple[str, str]]:
    for row in tables.all(InventoryKey):
        sealed = tables.get(SealedKey, row.id)
        assert sealed is not None
        is_meant = row.product_id == product_id and sealed.kind == kind
        if is_meant and row.state in ON_THE_SHELF:
            yield sealed.fingerprint, row.id
