"""What stands around the products, as a transaction reads it: locked, so that it stays."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from bitloot.domain.category import Category
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import Offer, Product
from bitloot.domain.product_group import GroupMember, ProductGroup
from bitloot.domain.product_media import ProductMedia
from bitloot.domain.stock_item import ItemKind


class GroupFile(msgspec.Struct, frozen=True):
    """A group with its members in their order."""

    group: ProductGroup
    members: tuple[GroupMember, ...]


class Supplied(msgspec.Struct, frozen=True):
    """What a supplier's catalogue made of one of its products, and its offers, wherever they are
    sold.
    """

    product: Product
    offers: tuple[Offer, ...]


class Assortment(Protocol):
    """An id that names nothing gives None, or an empty sequence."""

    async def product(self, product_id: str) -> Product | None:
        """One product, locked."""
        ...

    async def supplied(self, supplier: str, supplier_product_id: str) -> Supplied | None:
        """What there is of a supplier's product, locked: the offers in id order."""
        ...

    async def is_spoken_for(self, product_id: str) -> bool:
        """Whether units are kept for an order, or owed on one that is paid."""
        ...

    async def rule(self, rule_id: str) -> PricingRule | None:
        """One pricing rule, locked."""
        ...

    async def category(self, category_id: str) -> Category | None:
        """One category, locked."""
        ...

    async def category_by_slug(self, slug: str) -> Category | None:
        """One category, locked."""
        ...

    async def is_in_use(self, slug: str) -> bool:
        """Whether a product stands in the category of this slug, or a rule speaks of it."""
        ...

    async def media(self, product_id: str) -> Sequence[ProductMedia]:
        """The media of a product in their order, the product's row being locked."""
        ...

    async def group(self, group_id: str) -> GroupFile | None:
        """One group with its members, its row locked."""
        ...

    async def group_by_slug(self, slug: str) -> ProductGroup | None:
        """One group, locked."""
        ...

    async def stock_prints(self, product_id: str, kind: ItemKind) -> Mapping[str, str]:
        """The ids of our own items of a kind on the shelf or kept, by their fingerprints."""
        ...
