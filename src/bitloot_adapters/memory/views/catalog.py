"""What buyers see of the shelves, from the memory tables."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from bitloot.domain.category import Category
from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.money import up_to_cent
from bitloot.domain.product import Listing, Offer, Product, Sellable
from bitloot.domain.product_group import GroupMember, ProductGroup
from bitloot.domain.product_media import ProductMedia
from bitloot.domain.search_text import words_of
from bitloot.ports.views.catalog import (
    COUNT_EXACT,
    FACET_VALUES,
    SIBLINGS,
    CategoryView,
    FacetValue,
    Fences,
    Filters,
    GroupDetail,
    GroupOfProduct,
    GroupView,
    MediaView,
    MemberView,
    OfferView,
    ProductDetail,
    ProductView,
    Shelf,
    ShelfQuery,
    SiblingView,
)
from bitloot.ports.views.paging import Page, page_of
from bitloot.ports.views.shelf import ShelfKey, key_after, key_text, product_view, shown_price
from bitloot_adapters.memory.questions import MemoryCheckout, free_keys
from bitloot_adapters.memory.unit_of_work import MemoryStore
from bitloot_adapters.memory.views.shelf_search import Found, search, weighed_among_acclaimed

_FENCES: Final = Fences()


class MemoryCatalogViews:
    """The port `CatalogViews`. `gateway_fee` is the share that prices have to carry; what lists can
    be narrowed by is counted up to `count_exact`.
    """

    def __init__(
        self,
        store: MemoryStore,
        *,
        gateway_fee: Decimal,
        count_exact: int = COUNT_EXACT,
        fences: Fences = _FENCES,
    ) -> None:
        self._store = store
        self._gateway_fee = gateway_fee
        self._count_exact = count_exact
        self._fences = fences
        self._heard = 0

    @property
    def version(self) -> int:
        """How often anything was written or heard of."""
        return self._store.tables.writes + self._heard

    def changed(self) -> None:
        """Something was heard of that may change what is shown."""
        self._heard += 1

    async def products(self, query: ShelfQuery, *, limit: int, after: str | None) -> Shelf:
        """Listed products, a page at a time."""
        self._store.reach()
        key = key_after(after)
        found = Found({}, ())
        if query.text is not None:
            found = self._found(words_of(query.text), query)
        entries = (
            _Entry(listing, product, found.weights.get(product.id, 0))
            for listing in self._store.tables.all(Listing)
            if _passes(listing, query)
            and (product := self._store.tables.get(Product, listing.id)) is not None
            and (query.text is None or product.id in found.weights)
        )
        ordered = sorted(entries, key=lambda each: each.place(query), reverse=_is_down(query))
        rest = [each for each in ordered if key is None or _is_after(each, key, query)]
        page = [await self._view(each.product) for each in rest[: limit + 1]]
        by_id = {each.product.id: each.key() for each in rest[: limit + 1]}
        return Shelf(
            page=page_of(page, limit, lambda view: key_text(by_id[view.id])),
            readings=found.readings if page else (),
        )

    async def product(self, slug: str) -> ProductDetail | None:
        """One published product."""
        self._store.reach()
        product = self._store.tables.by_key(Product, "products_slug", slug)
        if product is None or not product.is_published:
            return None
        if self._store.tables.get(Listing, product.id) is None:
            return None
        view = await self._view(product)
        return ProductDetail(
            **msgspec.structs.asdict(view),
            description=product.description,
            original_name=product.original_name,
            genres=product.genres,
            tags=product.tags,
            languages=product.languages,
            developers=product.developers,
            publishers=product.publishers,
            age_rating=product.age_rating,
            metacritic=product.metacritic,
            system_requirements=product.system_requirements,
            media=self._media(product.id),
            offers=self._offers(view),
            groups=self._groups_of(product.id),
        )

    async def filters(self) -> Filters:
        """What is listed, by what it can be narrowed by."""
        self._store.reach()
        listed = [each for each in self._store.tables.all(Listing) if each.is_listed]
        prices = [each.price for each in listed]
        return Filters(
            categories=self._facets(each.category for each in listed),
            platforms=self._facets(each.platform for each in listed),
            regions=self._facets(each.region for each in listed),
            price_from=min(prices, default=None),
            price_to=max(prices, default=None),
        )

    async def categories(self, *, homepage: bool = False) -> tuple[CategoryView, ...]:
        """The categories that are shown."""
        self._store.reach()
        shown = [each for each in self._store.tables.all(Category) if each.is_shown]
        places = {each.slug: each.home_position if homepage else each.position for each in shown}
        rows = sorted(
            (each for each in shown if places[each.slug] is not None),
            key=lambda each: (places[each.slug] or 0, each.slug),
        )
        counts = Counter(
            each.category for each in self._store.tables.all(Listing) if each.is_listed
        )
        return tuple(
            CategoryView(
                slug=each.slug,
                title=each.title,
                home_position=each.home_position,
                count=min(counts[each.slug], self._count_exact),
                is_more=counts[each.slug] > self._count_exact,
            )
            for each in rows[:FACET_VALUES]
        )

    async def groups(self, *, limit: int, after: str | None) -> Page[GroupView]:
        """The groups that are shown, by slug."""
        self._store.reach()
        rows = sorted(
            (
                group
                for group in self._store.tables.all(ProductGroup)
                if group.is_shown and (after is None or group.slug > after)
            ),
            key=lambda group: group.slug,
        )
        found = [
            GroupView(
                slug=group.slug,
                title=group.title,
                description=group.description,
                cover_url=group.cover_url,
                products=len(self._members(group.id)),
            )
            for group in rows[: limit + 1]
        ]
        return page_of(found, limit, lambda group: group.slug)

    async def group(self, slug: str) -> GroupDetail | None:
        """One group that is shown."""
        self._store.reach()
        group = self._store.tables.by_key(ProductGroup, "product_groups_slug", slug)
        if group is None or not group.is_shown:
            return None
        members = [
            MemberView(label=member.label, product=await self._view(product))
            for member, product, _ in self._members(group.id)[:SIBLINGS]
        ]
        return GroupDetail(
            slug=group.slug,
            title=group.title,
            description=group.description,
            cover_url=group.cover_url,
            members=tuple(members),
        )

    async def sellables(self, product_ids: Sequence[str]) -> tuple[Sellable, ...]:
        """What quoting needs to know."""
        self._store.reach()
        store = self._store
        checkout = MemoryCheckout(store.tables, store.jobs, store.clock)
        return tuple(await checkout.sellables(product_ids))

    def _found(self, words: Sequence[str], query: ShelfQuery) -> Found:
        """What is hit; of many hits only those weighed by their words that any store can weigh."""
        published = [each for each in self._store.tables.all(Product) if each.is_published]
        found = search(published, words) if words else Found({}, ())
        if len(found.weights) <= self._fences.hits:
            return found
        if _is_collected(query):
            passing = sum(_passes(each, query) for each in self._store.tables.all(Listing))
            return found if passing <= self._fences.candidates else found.unweighed()
        if query.source is not None:
            return found.unweighed()
        return weighed_among_acclaimed(found, published, self._fences.hits)

    async def _view(self, product: Product) -> ProductView:
        (facts,) = await self.sellables([product.id])
        price = shown_price(
            facts.price, facts.unit_cost, self._gateway_fee, is_loss_signed=facts.is_loss_signed
        )
        return product_view(product, price=price, available=facts.available)

    def _facets(self, values: Iterable[str | None]) -> tuple[FacetValue, ...]:
        counts = Counter(value for value in values if value is not None)
        most = self._count_exact
        return tuple(
            FacetValue(value=value, count=min(count, most), is_more=count > most)
            for value, count in sorted(counts.items())[:FACET_VALUES]
        )

    def _media(self, product_id: str) -> tuple[MediaView, ...]:
        rows = [each for each in self._store.tables.all(ProductMedia) if _is_of(each, product_id)]
        return tuple(
            MediaView(kind=each.kind, url=each.url, thumbnail_url=each.thumbnail_url, alt=each.alt)
            for each in sorted(rows, key=lambda each: (each.position, each.id))
        )

    def _offers(self, view: ProductView) -> tuple[OfferView, ...]:
        rows = [each for each in self._store.tables.all(Offer) if _is_of(each, view.id)]
        ordered = sorted(rows, key=lambda one: (one.stock <= one.held, one.cost, one.id))
        theirs = tuple(
            OfferView(source=each.supplier, available=max(0, each.stock - each.held))
            for each in ordered
        )
        if view.source != OWN_STOCK:
            return theirs
        free = free_keys(self._store.tables, view.id, at=self._store.clock())
        return (OfferView(source=OWN_STOCK, available=len(free)), *theirs)

    def _members(self, group_id: str) -> list[tuple[GroupMember, Product, Listing]]:
        tables = self._store.tables
        rows = [each for each in tables.all(GroupMember) if each.group_id == group_id]
        return [
            (member, product, listing)
            for member in sorted(rows, key=lambda each: (each.position, each.id))
            if (listing := tables.get(Listing, member.product_id)) is not None
            and listing.is_listed
            and (product := tables.get(Product, member.product_id)) is not None
        ]

    def _groups_of(self, product_id: str) -> tuple[GroupOfProduct, ...]:
        tables = self._store.tables
        own = {each.group_id for each in tables.all(GroupMember) if _is_of(each, product_id)}
        rows = [each for each in tables.all(ProductGroup) if each.id in own and each.is_shown]
        return tuple(
            GroupOfProduct(
                slug=group.slug,
                title=group.title,
                products=tuple(
                    SiblingView(
                        slug=product.slug,
                        title=product.title,
                        label=member.label,
                        platform=product.platform,
                        region=product.region,
                        price=up_to_cent(listing.price),
                        is_available=listing.is_available,
                    )
                    for member, product, listing in self._members(group.id)[:SIBLINGS]
                ),
            )
            for group in sorted(rows, key=lambda each: each.slug)
        )


class _Entry(msgspec.Struct, frozen=True):
    """A listing with its product, and how well it has the words of a search."""

    listing: Listing
    product: Product
    weight: int

    def key(self) -> ShelfKey:
        return ShelfKey(
            way="few",
            id=self.listing.id,
            rank=self.listing.rank,
            weight=self.weight,
            price=self.listing.price,
            slug=self.product.slug,
        )

    def place(self, query: ShelfQuery) -> tuple[int | str | Decimal, ...]:
        return _place(self.key(), query)


_PLACES: dict[str, Callable[[ShelfKey], tuple[int | str | Decimal, ...]]] = {
    "popular": lambda key: (key.rank, key.weight, key.id),
    "price": lambda key: (key.price, key.id),
    "-price": lambda key: (key.price, key.id),
    "newest": lambda key: (key.id,),
    "title": lambda key: (key.slug,),
}


def _place(key: ShelfKey, query: ShelfQuery) -> tuple[int | str | Decimal, ...]:
    return _PLACES[query.sort](key)


def _is_down(query: ShelfQuery) -> bool:
    return query.sort in {"popular", "-price", "newest"}


def _is_after(entry: _Entry, key: ShelfKey, query: ShelfQuery) -> bool:
    here, there = entry.place(query), _place(key, query)
    return here < there if _is_down(query) else here > there


def _is_collected(query: ShelfQuery) -> bool:
    """There is an index by which those that pass the filters are collected."""
    names = ("category", "platform", "region", "price_from", "price_to")
    return query.source == OWN_STOCK or any(getattr(query, name) is not None for name in names)


def _passes(listing: Listing, query: ShelfQuery) -> bool:
    same = ("category", "platform", "region", "source")
    return (
        listing.is_listed
        and all(getattr(query, name) in {None, getattr(listing, name)} for name in same)
        and (query.price_from is None or listing.price >= query.price_from)
        and (query.price_to is None or listing.price <= query.price_to)
        and (listing.is_available or not query.in_stock)
    )


def _is_of(row: ProductMedia | Offer | GroupMember, product_id: str) -> bool:
    return row.product_id == product_id
