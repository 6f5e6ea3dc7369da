"""What the people behind the counter see of the goods: lists by key, newest first."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TypeVar

import msgspec
from sqlalchemy import Boolean, Integer, Text, bindparam, select, tuple_
from sqlalchemy import text as written

from bitloot.domain.catalogue_sync import CatalogueRefusal, CatalogueSync
from bitloot.domain.category import Category
from bitloot.domain.price_derivation import PriceRecord
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import Listing, Offer
from bitloot.domain.product_group import ProductGroup
from bitloot.domain.product_media import ProductMedia
from bitloot.ports.assortment import GroupFile
from bitloot.ports.views.assortment import (
    Costed,
    KeyLine,
    LowStock,
    ProductFacts,
    ProductFilter,
    ReportFilter,
    RepriceWork,
    StockCounts,
    UnitReport,
)
from bitloot.ports.views.paging import Page, id_after, page_of
from bitloot_adapters.postgres.assortment_reads import (
    CATEGORY,
    GROUP,
    MEDIA,
    MEMBER,
    OF_GROUP,
    OF_PRODUCT,
    RULE,
)
from bitloot_adapters.postgres.checkout_reads import OFFER, PRODUCT
from bitloot_adapters.postgres.order_reads import ID
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.rows import Codec, R, codec
from bitloot_adapters.postgres.statements import Statement, Values, ask, compiled, is_id
from bitloot_adapters.postgres.tables import (
    categories,
    inventory_keys,
    listings,
    order_items,
    orders,
    products,
    sealed_keys,
)

S = TypeVar("S", bound=msgspec.Struct)

LISTING: Final = codec(Listing)
PRICE: Final = codec(PriceRecord)
SYNC: Final = codec(CatalogueSync)
REFUSAL: Final = codec(CatalogueRefusal)
FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"

_MOST: Final = bindparam("most", type_=Integer)
_WHOLE: Final = select(*PRODUCT.columns, *LISTING.columns).select_from(
    products.outerjoin(listings, listings.c.id == products.c.id)
)
_PRODUCT: Final = compiled(_WHOLE.where(products.c.id == bindparam("row_id", type_=ID)))
_CATEGORIES: Final = compiled(
    select(*CATEGORY.columns).order_by(categories.c.position, categories.c.slug)
)
_OFFERS: Final = compiled(
    select(*OFFER.columns)
    .where(OFFER.table.c.product_id == bindparam("product_id", type_=ID))
    .order_by(
        (OFFER.table.c.stock > OFFER.table.c.held).desc(), OFFER.table.c.cost, OFFER.table.c.id
    )
)

_COSTED: Final = """
SELECT p.id, p.slug, p.title, p.category,
    CASE WHEN p.source = 'custom' AND (o.cost IS NULL OR (k.cost IS NOT NULL
        AND (NOT o.available OR k.cost <= o.cost))) THEN k.cost ELSE o.cost END, l.price
FROM products p
LEFT JOIN listings l ON l.id = p.id
LEFT JOIN LATERAL (
    SELECT cost, stock > held AS available FROM product_offers WHERE product_id = p.id
    ORDER BY stock > held DESC, cost, id LIMIT 1
) o ON true
LEFT JOIN LATERAL (
    SELECT max(cost) AS cost FROM inventory_keys
    WHERE p.source = 'custom' AND product_id = p.id AND state = 'available'
        AND (expires_at IS NULL OR expires_at > statement_timestamp())
) k ON true
WHERE p.id > CAST(:after AS uuid) AND {only}
ORDER BY p.id LIMIT CAST(:most AS integer)
"""
_COSTED_OF: Final = {
    "all": compiled(written(_COSTED.format(only="true"))),
    "category": compiled(written(_COSTED.format(only="p.category = CAST(:subject AS text)"))),
    "product": compiled(written(_COSTED.format(only="p.id = CAST(:subject AS uuid)"))),
}
_STOCK: Final = compiled(
    written("""
SELECT count(*) FILTER (WHERE is_free), count(*) FILTER (WHERE state = 'reserved'),
    count(*) FILTER (WHERE state = 'sold'), count(*) FILTER (WHERE state = 'burned'),
    count(*) FILTER (WHERE state = 'expired' OR (state = 'available' AND NOT is_free)),
    coalesce(sum(cost) FILTER (WHERE is_free), 0),
    coalesce(sum(unit_price) FILTER (WHERE state = 'sold'), 0),
    coalesce(sum(cost) FILTER (WHERE state = 'sold'), 0)
FROM (SELECT k.state, k.cost, i.unit_price, k.state = 'available'
        AND (k.expires_at IS NULL OR k.expires_at > statement_timestamp()) AS is_free
    FROM inventory_keys k LEFT JOIN order_items i ON i.id = k.order_item_id
    WHERE k.product_id = CAST(:product_id AS uuid)) k
""")
)
_LOW: Final = compiled(
    written("""
SELECT id, slug, title, source, free::integer, low_stock_at FROM (
    SELECT p.id, p.slug, p.title, p.source, p.low_stock_at,
        ((SELECT coalesce(sum(greatest(0, o.stock - o.held)), 0) FROM product_offers o
            WHERE o.product_id = p.id)
        + (SELECT count(*) FROM inventory_keys k WHERE k.product_id = p.id
            AND k.state = 'available'
            AND (k.expires_at IS NULL OR k.expires_at > statement_timestamp()))) AS free
    FROM products p
    WHERE p.low_stock_at IS NOT NULL AND p.is_published AND p.id > CAST(:after AS uuid)
) watched
WHERE free <= low_stock_at ORDER BY id LIMIT CAST(:most AS integer)
""")
)
_REPRICE: Final = compiled(
    written("""
SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'dead'),
    min(created_at) FILTER (WHERE state = 'pending')
FROM jobs WHERE kind = 'reprice' AND state IN ('pending', 'dead')
""")
)


@lru_cache(maxsize=16)
def _key_lines(filters: tuple[str, ...]) -> Statement:
    """Own stock with what it is and what it was sold for, newest first."""
    tests = {
        "row_id": inventory_keys.c.id == bindparam("row_id", type_=ID),
        "product_id": inventory_keys.c.product_id == bindparam("product_id", type_=ID),
        "state": inventory_keys.c.state == bindparam("state", type_=Text),
        "after": inventory_keys.c.id < bindparam("after", type_=ID),
    }
    of_sealed = {
        "kind": sealed_keys.c.kind == bindparam("kind", type_=Text),
        "is_reported": sealed_keys.c.reported_at.is_not(None)
        == bindparam("is_reported", type_=Boolean),
    }
    few = select(inventory_keys).where(*(tests[name] for name in filters if name in tests))
    if not of_sealed.keys() & set(filters):
        # Which keys they are is known before any other table is looked at.
        few = few.order_by(inventory_keys.c.id.desc()).limit(_MOST)
    keys = few.subquery("keys")
    columns = {
        **keys.c,
        "kind": sealed_keys.c.kind,
        "sold_for": order_items.c.unit_price,
        "reported_at": sealed_keys.c.reported_at,
    }
    found = (
        select(*(columns[name] for name in KeyLine.__struct_fields__))
        .select_from(
            keys.join(sealed_keys, sealed_keys.c.id == keys.c.id).outerjoin(
                order_items, order_items.c.id == keys.c.order_item_id
            )
        )
        .where(*(of_sealed[name] for name in filters if name in of_sealed))
    )
    return compiled(found.order_by(keys.c.id.desc()).limit(_MOST))


_REPORTED: Final = {
    "id": sealed_keys.c.id,
    "order_id": sealed_keys.c.order_id,
    "order_number": orders.c.number,
    "order_item_id": sealed_keys.c.order_item_id,
    "product_id": order_items.c.product_id,
    "title": order_items.c.title,
    "unit": sealed_keys.c.slot,
    "supplier": sealed_keys.c.supplier,
    "kind": sealed_keys.c.kind,
    "key_state": sealed_keys.c.state,
    "reason": sealed_keys.c.report_reason,
    "note": sealed_keys.c.report_note,
    "first_download_at": sealed_keys.c.first_download_at,
    "reported_at": sealed_keys.c.reported_at,
}


@lru_cache(maxsize=32)
def _reports(filters: tuple[str, ...], *, after: bool) -> Statement:
    """What buyers said of units, the latest first."""
    place = tuple_(sealed_keys.c.reported_at, sealed_keys.c.id)
    found = (
        select(*(_REPORTED[name] for name in UnitReport.__struct_fields__))
        .select_from(
            sealed_keys.join(order_items, order_items.c.id == sealed_keys.c.order_item_id).join(
                orders, orders.c.id == sealed_keys.c.order_id
            )
        )
        .where(
            sealed_keys.c.reported_at.is_not(None),
            *(_REPORTED[name] == bindparam(name, type_=_REPORTED[name].type) for name in filters),
        )
    )
    if after:
        last = sealed_keys.alias("last")
        found = found.where(
            place
            < select(last.c.reported_at, last.c.id)
            .where(last.c.id == bindparam("after", type_=ID))
            .scalar_subquery()
        )
    latest = (sealed_keys.c.reported_at.desc(), sealed_keys.c.id.desc())
    return compiled(found.order_by(*latest).limit(_MOST))


@lru_cache(maxsize=64)
def _newest(name: str, filters: tuple[str, ...], *, after: bool) -> Statement:
    """A page of a table, newest first: where these columns have the values given."""
    kind = _KINDS[name]
    found = select(*kind.columns).where(
        *(kind.table.c[each] == bindparam(each, type_=kind.table.c[each].type) for each in filters)
    )
    if after:
        found = found.where(kind.table.c.id < bindparam("after", type_=ID))
    return compiled(found.order_by(kind.table.c.id.desc()).limit(_MOST))


_KINDS: Final[Mapping[str, Codec[PricingRule] | Codec[PriceRecord] | Codec[ProductGroup]
    | Codec[CatalogueSync] | Codec[CatalogueRefusal]]] = {
    each.table.name: each for each in (RULE, PRICE, GROUP, SYNC, REFUSAL)
}  # fmt: skip


@lru_cache(maxsize=128)
def _products(filters: tuple[str, ...], *, after: bool) -> Statement:
    """What can be had is asked of listings, and then they are what is gone along."""
    place = listings.c.id if {"in_stock", "sold_out"} & set(filters) else products.c.id
    tests = {
        "source": products.c.source == bindparam("source", type_=Text),
        "category": products.c.category == bindparam("category", type_=Text),
        "is_published": products.c.is_published == bindparam("is_published", type_=Boolean),
        "in_stock": listings.c.is_available,
        "sold_out": ~listings.c.is_available,
        "title": products.c.title.ilike(bindparam("title", type_=Text), escape="\\"),
        "supplier_product_id": products.c.supplier_product_id
        == bindparam("supplier_product_id", type_=Text),
    }
    found = _WHOLE.where(*(tests[name] for name in filters))
    if after:
        found = found.where(place < bindparam("after", type_=ID))
    return compiled(found.order_by(place.desc()).limit(_MOST))


class PostgresAssortmentViews:
    """The port `AssortmentViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def products(
        self, only: ProductFilter, *, limit: int, after: str | None
    ) -> Page[ProductFacts]:
        before = id_after(after)
        values: dict[str, object] = {
            name: value for name, value in msgspec.structs.asdict(only).items() if value is not None
        }
        is_available = values.pop("is_available", None)
        stock = () if is_available is None else ("in_stock" if is_available else "sold_out",)
        statement = _products((*values, *stock), after=before is not None)
        if only.title is not None:
            values["title"] = f"%{_literally(only.title)}%"
        if before is not None:
            values["after"] = before
        (rows,) = await self._database.read(ask(statement, **values, most=limit + 1))
        return page_of([_facts(row) for row in rows], limit, lambda facts: facts.product.id)

    async def product(self, product_id: str) -> ProductFacts | None:
        rows = await self._about(_PRODUCT, "row_id", product_id)
        return _facts(rows[0]) if rows else None

    async def media(self, product_id: str) -> tuple[ProductMedia, ...]:
        return MEDIA.rows(await self._about(OF_PRODUCT, "product_id", product_id))

    async def offers(self, product_id: str) -> tuple[Offer, ...]:
        return OFFER.rows(await self._about(_OFFERS, "product_id", product_id))

    async def price_history(
        self, product_id: str, *, limit: int, after: str | None
    ) -> Page[PriceRecord]:
        return await self._page(PRICE, {"product_id": product_id}, limit, after)

    async def price_record(self, record_id: str) -> PriceRecord | None:
        return await self._one(PRICE, record_id)

    async def rules(
        self, *, scope: str | None, subject: str | None, limit: int, after: str | None
    ) -> Page[PricingRule]:
        return await self._page(RULE, {"scope": scope, "subject": subject}, limit, after)

    async def rule(self, rule_id: str) -> PricingRule | None:
        return await self._one(RULE, rule_id)

    async def costed(
        self, *, category: str | None, product_id: str | None, limit: int, after: str | None
    ) -> Page[Costed]:
        values: dict[str, object] = {"after": id_after(after) or FIRST_ID, "most": limit + 1}
        which = "all"
        if product_id is not None:
            if not is_id(product_id):
                return Page((), None)
            which, values["subject"] = "product", product_id
        elif category is not None:
            which, values["subject"] = "category", category
        (rows,) = await self._database.read(ask(_COSTED_OF[which], **values))
        return page_of([_told(Costed, row) for row in rows], limit, lambda each: each.id)

    async def categories(self) -> tuple[Category, ...]:
        (rows,) = await self._database.read(ask(_CATEGORIES))
        return CATEGORY.rows(rows)

    async def category(self, category_id: str) -> Category | None:
        return await self._one(CATEGORY, category_id)

    async def groups(self, *, limit: int, after: str | None) -> Page[ProductGroup]:
        return await self._page(GROUP, {}, limit, after)

    async def group(self, group_id: str) -> GroupFile | None:
        if not is_id(group_id):
            return None
        found, members = await self._database.read(
            ask(_by_id(GROUP.table.name), row_id=group_id), ask(OF_GROUP, row_id=group_id)
        )
        group = GROUP.first(found)
        return None if group is None else GroupFile(group, MEMBER.rows(members))

    async def keys(
        self,
        product_id: str,
        *,
        state: str | None,
        kind: str | None = None,
        is_reported: bool | None = None,
        limit: int,
        after: str | None,
    ) -> Page[KeyLine]:
        only = {
            "product_id": product_id,
            "state": state,
            "kind": kind,
            "is_reported": is_reported,
            "after": id_after(after),
        }
        if not is_id(product_id):
            return Page((), None)
        found = await self._key_lines(only, limit + 1)
        return page_of(found, limit, lambda line: line.id)

    async def key(self, key_id: str) -> KeyLine | None:
        if not is_id(key_id):
            return None
        found = await self._key_lines({"row_id": key_id}, 1)
        return found[0] if found else None

    async def stock(self, product_id: str) -> StockCounts:
        rows = await self._about(_STOCK, "product_id", product_id)
        return _told(StockCounts, rows[0]) if rows else StockCounts()

    async def reports(
        self, only: ReportFilter, *, limit: int, after: str | None
    ) -> Page[UnitReport]:
        before = id_after(after)
        asked = msgspec.structs.asdict(only)
        values = {name: value for name, value in asked.items() if value is not None}
        if any(not is_id(values.get(name, FIRST_ID)) for name in ("product_id", "order_id")):
            return Page((), None)
        statement = _reports(tuple(values), after=before is not None)
        if before is not None:
            values["after"] = before
        (rows,) = await self._database.read(ask(statement, **values, most=limit + 1))
        return page_of([_told(UnitReport, row) for row in rows], limit, lambda each: each.id)

    async def low_stock(self, *, limit: int, after: str | None) -> Page[LowStock]:
        question = ask(_LOW, after=id_after(after) or FIRST_ID, most=limit + 1)
        (rows,) = await self._database.read(question)
        return page_of([_told(LowStock, row) for row in rows], limit, lambda line: line.id)

    async def syncs(
        self, *, supplier: str | None, state: str | None, limit: int, after: str | None
    ) -> Page[CatalogueSync]:
        return await self._page(SYNC, {"supplier": supplier, "state": state}, limit, after)

    async def refusals(
        self, sync_id: str, *, limit: int, after: str | None
    ) -> Page[CatalogueRefusal]:
        return await self._page(REFUSAL, {"sync_id": sync_id}, limit, after)

    async def reprice_work(self) -> RepriceWork:
        (rows,) = await self._database.read(ask(_REPRICE))
        return _told(RepriceWork, rows[0])

    async def _key_lines(self, only: Mapping[str, object], most: int) -> list[KeyLine]:
        values = {name: value for name, value in only.items() if value is not None}
        (rows,) = await self._database.read(ask(_key_lines(tuple(values)), **values, most=most))
        return [_told(KeyLine, row) for row in rows]

    async def _page(
        self, kind: Codec[R], only: Mapping[str, str | None], limit: int, after: str | None
    ) -> Page[R]:
        before = id_after(after)
        values: dict[str, object] = {n: value for n, value in only.items() if value is not None}
        if any(
            not is_id(str(values[name])) for name in ("product_id", "sync_id") if name in values
        ):
            return Page((), None)
        statement = _newest(kind.table.name, tuple(values), after=before is not None)
        if before is not None:
            values["after"] = before
        (rows,) = await self._database.read(ask(statement, **values, most=limit + 1))
        return page_of(kind.rows(rows), limit, lambda row: row.id)

    async def _one(self, kind: Codec[R], row_id: str) -> R | None:
        return kind.first(await self._about(_by_id(kind.table.name), "row_id", row_id))

    async def _about(self, statement: Statement, name: str, row_id: str) -> list[Values]:
        if not is_id(row_id):
            return []
        (rows,) = await self._database.read(ask(statement, **{name: row_id}))
        return rows


@lru_cache(maxsize=16)
def _by_id(name: str) -> Statement:
    kind = CATEGORY if name == CATEGORY.table.name else _KINDS[name]
    return compiled(select(*kind.columns).where(kind.table.c.id == bindparam("row_id", type_=ID)))


def _facts(values: Values) -> ProductFacts:
    width = len(PRODUCT.names)
    listed = values[width:]
    return ProductFacts(
        PRODUCT.row(values[:width]), None if listed[0] is None else LISTING.row(listed)
    )


def _told(shape: type[S], values: Values) -> S:
    return shape(**dict(zip(shape.__struct_fields__, values, strict=True)))


def _literally(text: str) -> str:
    """The text as part of a pattern that means nothing but itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
