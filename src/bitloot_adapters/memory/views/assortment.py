"""What the people behind the counter see of the goods, from the memory tables."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from bitloot.domain.catalogue_sync import CatalogueRefusal, CatalogueSync
from bitloot.domain.category import Category
from bitloot.domain.decision import Row
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.money import Eur
from bitloot.domain.order import Order, OrderItem
from bitloot.domain.price_derivation import PriceRecord
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import Listing, Offer, Product, Sellable
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
from bitloot_adapters.memory.assortment import media_of, members_of
from bitloot_adapters.memory.questions import MemoryCheckout
from bitloot_adapters.memory.tables import Tables
from bitloot_adapters.memory.unit_of_work import MemoryStore

R = TypeVar("R", bound=Row)


class MemoryAssortmentViews:
    """The port `AssortmentViews`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    @property
    def _tables(self) -> Tables:
        self._store.reach()
        return self._store.tables

    async def products(
        self, only: ProductFilter, *, limit: int, after: str | None
    ) -> Page[ProductFacts]:
        """Products in any state."""
        before, tables = id_after(after), self._tables
        found = (
            facts
            for row in tables.all(Product)
            if (before is None or row.id < before)
            and _fits(facts := ProductFacts(row, tables.get(Listing, row.id)), only)
        )
        newest = sorted(found, key=lambda facts: facts.product.id, reverse=True)
        return page_of(newest, limit, lambda facts: facts.product.id)

    async def product(self, product_id: str) -> ProductFacts | None:
        """One product."""
        row = self._tables.get(Product, product_id)
        return None if row is None else ProductFacts(row, self._tables.get(Listing, product_id))

    async def media(self, product_id: str) -> tuple[ProductMedia, ...]:
        """The media of a product."""
        return media_of(self._tables, product_id)

    async def offers(self, product_id: str) -> tuple[Offer, ...]:
        """The offers of a product."""
        found = (row for row in self._tables.all(Offer) if row.product_id == product_id)
        return tuple(sorted(found, key=lambda row: (row.stock <= row.held, row.cost, row.id)))

    async def price_history(
        self, product_id: str, *, limit: int, after: str | None
    ) -> Page[PriceRecord]:
        """Every price that a product had."""
        return self._newest(PriceRecord, lambda row: row.product_id == product_id, limit, after)

    async def price_record(self, record_id: str) -> PriceRecord | None:
        """One line of a history."""
        return self._tables.get(PriceRecord, record_id)

    async def rules(
        self, *, scope: str | None, subject: str | None, limit: int, after: str | None
    ) -> Page[PricingRule]:
        """Pricing rules."""
        return self._newest(
            PricingRule,
            lambda row: scope in {None, row.scope} and subject in {None, row.subject},
            limit,
            after,
        )

    async def rule(self, rule_id: str) -> PricingRule | None:
        """One pricing rule."""
        return self._tables.get(PricingRule, rule_id)

    async def costed(
        self, *, category: str | None, product_id: str | None, limit: int, after: str | None
    ) -> Page[Costed]:
        """What prices are worked out from."""
        behind = id_after(after) or ""
        ids = sorted(
            row.id
            for row in self._tables.all(Product)
            if row.id > behind and category in {None, row.category} and product_id in {None, row.id}
        )
        found = await self._sellables(ids[: limit + 1])
        return page_of([_costed(each) for each in found], limit, lambda each: each.id)

    async def categories(self) -> tuple[Category, ...]:
        """All categories."""
        return tuple(sorted(self._tables.all(Category), key=lambda row: (row.position, row.slug)))

    async def category(self, category_id: str) -> Category | None:
        """One category."""
        return self._tables.get(Category, category_id)

    async def groups(self, *, limit: int, after: str | None) -> Page[ProductGroup]:
        """Groups."""
        return self._newest(ProductGroup, lambda _: True, limit, after)

    async def group(self, group_id: str) -> GroupFile | None:
        """One group with its members."""
        group = self._tables.get(ProductGroup, group_id)
        return None if group is None else GroupFile(group, members_of(self._tables, group_id))

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
        """Own stock of a product."""
        tables = self._tables
        page = self._newest(
            InventoryKey,
            lambda row: (
                row.product_id == product_id
                and state in {None, row.state}
                and kind in {None, _sealed(tables, row).kind}
                and is_reported in {None, _sealed(tables, row).reported_at is not None}
            ),
            limit,
            after,
        )
        return Page(tuple(_key_line(tables, row) for row in page.items), page.after)

    async def key(self, key_id: str) -> KeyLine | None:
        """One key of own stock."""
        row = self._tables.get(InventoryKey, key_id)
        return None if row is None else _key_line(self._tables, row)

    async def stock(self, product_id: str) -> StockCounts:
        """Keys by state."""
        now = self._store.clock()
        keys = [row for row in self._tables.all(InventoryKey) if row.product_id == product_id]
        free = [
            row
            for row in keys
            if row.state == "available" and (row.expires_at is None or row.expires_at > now)
        ]
        states = [row.state for row in keys]
        sold = [row for row in keys if row.state == "sold"]
        zero = StockCounts().value
        return StockCounts(
            available=len(free),
            reserved=states.count("reserved"),
            sold=states.count("sold"),
            burned=states.count("burned"),
            expired=states.count("expired") + states.count("available") - len(free),
            value=sum((row.cost for row in free), start=zero),
            sold_for=sum((_sold_for(self._tables, row) or zero for row in sold), start=zero),
            sold_cost=sum((row.cost for row in sold), start=zero),
        )

    async def reports(
        self, only: ReportFilter, *, limit: int, after: str | None
    ) -> Page[UnitReport]:
        """What buyers said of units."""
        told = [
            report
            for row in self._tables.all(SealedKey)
            if (report := _report(self._tables, row)) is not None and _is_meant(report, only)
        ]
        told.sort(key=lambda report: (report.reported_at, report.id), reverse=True)
        last = self._tables.get(SealedKey, id_after(after) or "")
        if after is not None:
            at = None if last is None else last.reported_at
            told = [each for each in told if at and (each.reported_at, each.id) < (at, after)]
        return page_of(told, limit, lambda report: report.id)

    async def low_stock(self, *, limit: int, after: str | None) -> Page[LowStock]:
        """Products of which few are left."""
        behind = id_after(after) or ""
        watched = [
            row
            for row in self._tables.all(Product)
            if row.low_stock_at is not None and row.is_published and row.id > behind
        ]
        found: list[LowStock] = []
        for row in sorted(watched, key=lambda row: row.id):
            assert row.low_stock_at is not None
            free = (await self.stock(row.id)).available + sum(
                max(0, offer.stock - offer.held) for offer in await self.offers(row.id)
            )
            if free <= row.low_stock_at:
                found.append(
                    LowStock(
                        id=row.id,
                        slug=row.slug,
                        title=row.title,
                        source=row.source,
                        available=free,
                        low_stock_at=row.low_stock_at,
                    )
                )
        return page_of(found[: limit + 1], limit, lambda line: line.id)

    async def syncs(
        self, *, supplier: str | None, state: str | None, limit: int, after: str | None
    ) -> Page[CatalogueSync]:
        """Runs."""
        return self._newest(
            CatalogueSync,
            lambda row: supplier in {None, row.supplier} and state in {None, row.state},
            limit,
            after,
        )

    async def refusals(
        self, sync_id: str, *, limit: int, after: str | None
    ) -> Page[CatalogueRefusal]:
        """What a run could not take over."""
        return self._newest(CatalogueRefusal, lambda row: row.sync_id == sync_id, limit, after)

    async def reprice_work(self) -> RepriceWork:
        """What is still to be priced anew."""
        self._store.reach()
        jobs = [job for job in self._store.jobs.all() if job.kind == "reprice"]
        waiting = [job for job in jobs if job.state == "pending"]
        return RepriceWork(
            pending=len(waiting),
            dead=sum(job.state == "dead" for job in jobs),
            oldest=min((job.created_at for job in waiting), default=None),
        )

    def _newest(
        self, kind: type[R], fits: Callable[[R], bool], limit: int, after: str | None
    ) -> Page[R]:
        before = id_after(after)
        found: Iterable[R] = (
            row
            for row in self._tables.all(kind)
            if (before is None or row.id < before) and fits(row)
        )
        newest = sorted(found, key=lambda row: row.id, reverse=True)
        return page_of(newest, limit, lambda row: row.id)

    async def _sellables(self, ids: list[str]) -> Iterable[Sellable]:
        return await MemoryCheckout(self._tables, self._store.jobs, self._store.clock).sellables(
            ids
        )


def _fits(facts: ProductFacts, only: ProductFilter) -> bool:
    row, listing = facts.product, facts.listing
    return (
        only.source in {None, row.source}
        and only.category in {None, row.category}
        and only.is_published in {None, row.is_published}
        and only.is_available in {None, listing is not None and listing.is_available}
        and (only.title is None or only.title.lower() in row.title.lower())
        and only.supplier_product_id in {None, row.supplier_product_id}
    )


def _costed(each: Sellable) -> Costed:
    return Costed(
        id=each.product.id,
        slug=each.product.slug,
        title=each.product.title,
        category=each.product.category,
        cost=each.unit_cost,
        price=each.price,
    )


def _report(tables: Tables, key: SealedKey) -> UnitReport | None:
    item = tables.get(OrderItem, key.order_item_id or "")
    order = tables.get(Order, key.order_id or "")
    if key.reported_at is None or key.report_reason is None or item is None or order is None:
        return None
    return UnitReport(
        id=key.id,
        order_id=order.id,
        order_number=order.number,
        order_item_id=item.id,
        product_id=item.product_id,
        title=item.title,
        unit=key.slot or 0,
        supplier=key.supplier,
        kind=key.kind,
        key_state=key.state,
        reason=key.report_reason,
        note=key.report_note,
        first_download_at=key.first_download_at,
        reported_at=key.reported_at,
    )


def _is_meant(report: UnitReport, only: ReportFilter) -> bool:
    return all(
        wanted in {None, getattr(report, name)}
        for name, wanted in msgspec.structs.asdict(only).items()
    )


def _sealed(tables: Tables, row: InventoryKey) -> SealedKey:
    sealed = tables.get(SealedKey, row.id)
    assert sealed is not None
    return sealed


def _sold_for(tables: Tables, row: InventoryKey) -> Eur | None:
    item = tables.get(OrderItem, row.order_item_id) if row.order_item_id else None
    return None if item is None else item.unit_price


def _key_line(tables: Tables, row: InventoryKey) -> KeyLine:
    sealed = _sealed(tables, row)
    return KeyLine(
        id=row.id,
        product_id=row.product_id,
        kind=sealed.kind,
        sold_for=_sold_for(tables, row),
        reported_at=sealed.reported_at,
        batch=row.batch,
        cost=row.cost,
        expires_at=row.expires_at,
        state=row.state,
        order_item_id=row.order_item_id,
        created_at=row.created_at,
        version=row.version,
    )
