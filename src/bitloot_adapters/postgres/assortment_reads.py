"""What stands around the products, locked by the transaction that reads it."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Table, Text, bindparam, exists, literal_column, or_, select
from sqlalchemy.sql import ColumnElement

from bitloot.domain.category import Category
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import Product
from bitloot.domain.product_group import GroupMember, ProductGroup
from bitloot.domain.product_media import ProductMedia
from bitloot.domain.stock_item import ItemKind
from bitloot.ports.assortment import GroupFile, Supplied
from bitloot_adapters.postgres.checkout_reads import OFFER, PRODUCT
from bitloot_adapters.postgres.order_reads import ID, locked_by_id
from bitloot_adapters.postgres.rows import Codec, R, codec
from bitloot_adapters.postgres.session import Session
from bitloot_adapters.postgres.statements import Statement, ask, compiled, is_id
from bitloot_adapters.postgres.tables import (
    categories,
    fulfilments,
    inventory_keys,
    order_items,
    pricing_rules,
    product_group_members,
    product_groups,
    product_media,
    product_offers,
    products,
    reservations,
    sealed_keys,
)

RULE: Final = codec(PricingRule)
CATEGORY: Final = codec(Category)
MEDIA: Final = codec(ProductMedia)
GROUP: Final = codec(ProductGroup)
MEMBER: Final = codec(GroupMember)

_PRODUCT_ID: Final = bindparam("product_id", type_=ID)
_SLUG: Final = bindparam("slug", type_=Text)
_SHELF: Final = ("'available'", "'reserved'")
# As the partial index has them.
_ENDED: Final = ("'delivered'", "'failed_terminal'", "'returned'", "'replaced'", "'cancelled'")


def words(column: ColumnElement[str], *quoted: str) -> ColumnElement[bool]:
    """The column holds one of these words, written into the statement."""
    return column.in_([literal_column(word) for word in quoted])


def by_slug(kind: Codec[R], table: Table) -> Statement:
    """One row by its slug, locked."""
    return compiled(
        select(*kind.columns).where(table.c.slug == _SLUG).with_for_update(key_share=True)
    )


_LOCKED_PRODUCT: Final = locked_by_id(PRODUCT, "row_id")
_LOCKED_RULE: Final = locked_by_id(RULE, "row_id")
_LOCKED_CATEGORY: Final = locked_by_id(CATEGORY, "row_id")
_LOCKED_GROUP: Final = locked_by_id(GROUP, "row_id")
_CATEGORY_BY_SLUG: Final = by_slug(CATEGORY, categories)
_GROUP_BY_SLUG: Final = by_slug(GROUP, product_groups)
_SUPPLIER: Final = bindparam("supplier", type_=Text)
_SUPPLIER_PRODUCT: Final = bindparam("supplier_product_id", type_=Text)
_MADE_OF: Final = compiled(
    select(*PRODUCT.columns)
    .where(products.c.source == _SUPPLIER, products.c.supplier_product_id == _SUPPLIER_PRODUCT)
    .with_for_update(key_share=True)
)
_OFFERED: Final = compiled(
    select(*OFFER.columns)
    .where(
        product_offers.c.supplier == _SUPPLIER,
        product_offers.c.supplier_product_id == _SUPPLIER_PRODUCT,
    )
    .order_by(product_offers.c.id)
    .with_for_update(key_share=True)
)
_SPOKEN_FOR: Final = compiled(
    select(
        or_(
            exists().where(
                reservations.c.product_id == _PRODUCT_ID, words(reservations.c.state, "'held'")
            ),
            exists().where(
                order_items.c.product_id == _PRODUCT_ID,
                fulfilments.c.order_item_id == order_items.c.id,
                ~words(fulfilments.c.state, *_ENDED),
            ),
        )
    )
)
_IN_USE: Final = compiled(
    select(
        or_(
            exists().where(products.c.category == _SLUG),
            exists().where(
                words(pricing_rules.c.scope, "'category'"), pricing_rules.c.subject == _SLUG
            ),
        )
    )
)
OF_PRODUCT: Final = compiled(
    select(*MEDIA.columns)
    .where(product_media.c.product_id == _PRODUCT_ID)
    .order_by(product_media.c.position, product_media.c.id)
)
OF_GROUP: Final = compiled(
    select(*MEMBER.columns)
    .where(product_group_members.c.group_id == bindparam("row_id", type_=ID))
    .order_by(product_group_members.c.position, product_group_members.c.id)
)
_PRINTS: Final = compiled(
    select(sealed_keys.c.fingerprint, inventory_keys.c.id).where(
        inventory_keys.c.product_id == _PRODUCT_ID,
        sealed_keys.c.id == inventory_keys.c.id,
        sealed_keys.c.kind == bindparam("kind", type_=Text),
        words(inventory_keys.c.state, *_SHELF),
    )
)


class AssortmentReads:
    """The port `Assortment`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def product(self, product_id: str) -> Product | None:
        return await self._one(PRODUCT, _LOCKED_PRODUCT, product_id)

    async def supplied(self, supplier: str, supplier_product_id: str) -> Supplied | None:
        named = {"supplier": supplier, "supplier_product_id": supplier_product_id}
        found, offers = await self._session.ask(ask(_MADE_OF, **named), ask(_OFFERED, **named))
        product = PRODUCT.first(found)
        return None if product is None else Supplied(product, OFFER.rows(offers))

    async def is_spoken_for(self, product_id: str) -> bool:
        if not is_id(product_id):
            return False
        (rows,) = await self._session.ask(ask(_SPOKEN_FOR, product_id=product_id))
        return rows[0][0] is True

    async def rule(self, rule_id: str) -> PricingRule | None:
        return await self._one(RULE, _LOCKED_RULE, rule_id)

    async def category(self, category_id: str) -> Category | None:
        return await self._one(CATEGORY, _LOCKED_CATEGORY, category_id)

    async def category_by_slug(self, slug: str) -> Category | None:
        (rows,) = await self._session.ask(ask(_CATEGORY_BY_SLUG, slug=slug))
        return CATEGORY.first(rows)

    async def is_in_use(self, slug: str) -> bool:
        (rows,) = await self._session.ask(ask(_IN_USE, slug=slug))
        return rows[0][0] is True

    async def media(self, product_id: str) -> Sequence[ProductMedia]:
        if not is_id(product_id):
            return ()
        _, rows = await self._session.ask(
            ask(_LOCKED_PRODUCT, row_id=product_id), ask(OF_PRODUCT, product_id=product_id)
        )
        return MEDIA.rows(rows)

    async def group(self, group_id: str) -> GroupFile | None:
        if not is_id(group_id):
            return None
        found, members = await self._session.ask(
            ask(_LOCKED_GROUP, row_id=group_id), ask(OF_GROUP, row_id=group_id)
        )
        group = GROUP.first(found)
        return None if group is None else GroupFile(group, MEMBER.rows(members))

    async def group_by_slug(self, slug: str) -> ProductGroup | None:
        (rows,) = await self._session.ask(ask(_GROUP_BY_SLUG, slug=slug))
        return GROUP.first(rows)

    async def stock_prints(self, product_id: str, kind: ItemKind) -> Mapping[str, str]:
        if not is_id(product_id):
            return {}
        (rows,) = await self._session.ask(ask(_PRINTS, product_id=product_id, kind=kind))
        return {str(fingerprint): str(key_id) for fingerprint, key_id in rows}

    async def _one(self, kind: Codec[R], statement: Statement, row_id: str) -> R | None:
        if not is_id(row_id):
            return None
        (rows,) = await self._session.ask(ask(statement, row_id=row_id))
        return kind.first(rows)
