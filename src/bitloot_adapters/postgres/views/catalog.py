"""What buyers see of the shelves, one statement for each question."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.money import up_to_cent
from bitloot.domain.product import Sellable, SystemRequirements
from bitloot.domain.search_text import words_of
from bitloot.ports.views.catalog import (
    COUNT_EXACT,
    FACET_VALUES,
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
    Reading,
    Shelf,
    ShelfQuery,
)
from bitloot.ports.views.paging import Page, page_of
from bitloot.ports.views.shelf import ShelfKey, Way, key_after, key_text
from bitloot_adapters.postgres.checkout_reads import sellable, sellables_of
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.statements import Rows, Values, ask
from bitloot_adapters.postgres.views import product_statements as statements
from bitloot_adapters.postgres.views.shelf_statements import ShelfForm, shelf

_FILTERS: Final = ("category", "platform", "region", "source", "in_stock")
_PRICES: Final = ("price_from", "price_to")
_GROUP_WIDTH: Final = 4
_NOTHING: Final = Shelf(page=Page((), None))
_FENCES: Final = Fences()


class _Card(ProductView, frozen=True, array_like=True):
    """The array `CARD`."""


class _Found(msgspec.Struct, frozen=True, array_like=True):
    """A card of a page, and what its key is made of."""

    card: _Card
    way: Way
    rank: int
    weight: int
    price: Decimal


class _Details(msgspec.Struct, frozen=True, array_like=True):
    """The columns `DETAILS`, what hangs on a product, as JSON, and how many own keys are free."""

    description: str
    original_name: str | None
    genres: tuple[str, ...]
    tags: tuple[str, ...]
    languages: tuple[str, ...]
    developers: tuple[str, ...]
    publishers: tuple[str, ...]
    age_rating: str | None
    metacritic: Decimal | None
    system_requirements: str
    media: str
    offers: str
    groups: str
    free_keys: int


class _Counted(msgspec.Struct, frozen=True, array_like=True):
    name: str
    value: str | None
    count: int


class _Shelf(msgspec.Struct, frozen=True, array_like=True):
    slug: str
    title: str
    home_position: int | None
    count: int


_CARD: Final = msgspec.json.Decoder(_Card)
_PAGE: Final = msgspec.json.Decoder(tuple[_Found, ...])
_READINGS: Final = msgspec.json.Decoder(tuple[Reading, ...])
_MEDIA: Final = msgspec.json.Decoder(tuple[MediaView, ...])
_OFFERS: Final = msgspec.json.Decoder(tuple[OfferView, ...])
_GROUPS: Final = msgspec.json.Decoder(tuple[GroupOfProduct, ...])
_REQUIREMENTS: Final = msgspec.json.Decoder(tuple[SystemRequirements, ...])


class PostgresCatalogViews:
    """The port `CatalogViews`. `gateway_fee` is the share that prices have to carry; what lists can
    be narrowed by is counted up to `count_exact`.
    """

    def __init__(
        self,
        database: Database,
        *,
        gateway_fee: Decimal,
        count_exact: int = COUNT_EXACT,
        fences: Fences = _FENCES,
    ) -> None:
        self._database = database
        self._gateway_fee = gateway_fee
        self._count_exact = count_exact
        self._fences = fences
        self.version = 0

    def changed(self) -> None:
        """Something was heard of that may change what is shown."""
        self.version += 1

    async def products(self, query: ShelfQuery, *, limit: int, after: str | None) -> Shelf:
        key = key_after(after)
        words = () if query.text is None else words_of(query.text)
        if query.text is not None and not words:
            return _NOTHING
        form = ShelfForm(
            given=_given(query),
            sort=query.sort,
            is_search=bool(words),
            way=None if key is None else key.way,
            limit=limit,
            fences=self._fences,
        )
        values = _values(query, key, words)
        (rows,) = await self._database.read(ask(shelf(form), fee=self._gateway_fee, **values))
        told, readings = rows[0]
        if told is None:
            return _NOTHING
        found = _PAGE.decode(str(told))
        is_more = len(found) > limit
        return Shelf(
            page=Page(
                tuple(each.card for each in found[:limit]),
                _key(found[limit - 1]) if is_more else None,
            ),
            readings=() if readings is None else _READINGS.decode(str(readings)),
        )

    async def product(self, slug: str) -> ProductDetail | None:
        if "\x00" in slug:
            return None
        (rows,) = await self._database.read(
            ask(statements.PRODUCT, slug=slug, fee=self._gateway_fee)
        )
        return self._detail(rows[0]) if rows else None

    async def filters(self) -> Filters:
        (rows,) = await self._database.read(ask(statements.FILTERS, most=self._count_exact + 1))
        found: dict[str, list[FacetValue]] = {name: [] for name in statements.FACETS}
        ends: dict[str, Decimal | None] = {}
        for row in rows:
            counted = msgspec.convert(row, _Counted)
            if counted.name in found and counted.value is not None:
                found[counted.name].append(self._facet(counted.value, counted.count))
            elif counted.name not in found:
                ends[counted.name] = None if counted.value is None else Decimal(counted.value)
        return Filters(
            categories=tuple(found["category"]),
            platforms=tuple(found["platform"]),
            regions=tuple(found["region"]),
            price_from=ends["price_from"],
            price_to=ends["price_to"],
        )

    async def categories(self, *, homepage: bool = False) -> tuple[CategoryView, ...]:
        statement = statements.SECTIONS if homepage else statements.CATEGORIES
        (rows,) = await self._database.read(
            ask(statement, most=self._count_exact + 1, limit=FACET_VALUES)
        )
        counted = (msgspec.convert(row, _Shelf) for row in rows)
        facets = ((each, self._facet(each.slug, each.count)) for each in counted)
        return tuple(
            CategoryView(
                slug=each.slug,
                title=each.title,
                home_position=each.home_position,
                count=facet.count,
                is_more=facet.is_more,
            )
            for each, facet in facets
        )

    async def groups(self, *, limit: int, after: str | None) -> Page[GroupView]:
        question = (
            ask(statements.GROUPS, limit=limit + 1)
            if after is None
            else ask(statements.GROUPS_AFTER, limit=limit + 1, after=after)
        )
        (rows,) = await self._database.read(question)
        names = GroupView.__struct_fields__
        found = [msgspec.convert(dict(zip(names, row, strict=True)), GroupView) for row in rows]
        return page_of(found, limit, lambda group: group.slug)

    async def group(self, slug: str) -> GroupDetail | None:
        if "\x00" in slug:
            return None
        (rows,) = await self._database.read(ask(statements.GROUP, slug=slug, fee=self._gateway_fee))
        return self._group(rows) if rows else None

    async def sellables(self, product_ids: Sequence[str]) -> tuple[Sellable, ...]:
        (rows,) = await self._database.read(sellables_of(product_ids))
        return tuple(sellable(row) for row in rows)

    def _facet(self, value: str, count: int) -> FacetValue:
        most = self._count_exact
        return FacetValue(value=value, count=min(count, most), is_more=count > most)

    def _detail(self, row: Values) -> ProductDetail:
        view = _CARD.decode(str(row[0]))
        more = msgspec.convert(row[1:], _Details)
        offers = _OFFERS.decode(more.offers)
        if view.source == OWN_STOCK:
            offers = (OfferView(source=OWN_STOCK, available=more.free_keys), *offers)
        return ProductDetail(
            **msgspec.structs.asdict(view),
            description=more.description,
            original_name=more.original_name,
            genres=more.genres,
            tags=more.tags,
            languages=more.languages,
            developers=more.developers,
            publishers=more.publishers,
            age_rating=more.age_rating,
            metacritic=more.metacritic,
            system_requirements=_REQUIREMENTS.decode(more.system_requirements),
            media=_MEDIA.decode(more.media),
            offers=offers,
            groups=tuple(map(_rounded, _GROUPS.decode(more.groups))),
        )

    def _group(self, rows: Rows) -> GroupDetail:
        slug, title, description, cover_url = rows[0][:_GROUP_WIDTH]
        members = tuple(
            MemberView(label=str(label), product=_CARD.decode(str(card)))
            for *_, label, card in rows
            if label is not None
        )
        return msgspec.convert(
            {
                "slug": slug,
                "title": title,
                "description": description,
                "cover_url": cover_url,
                "members": members,
            },
            GroupDetail,
        )


def _rounded(group: GroupOfProduct) -> GroupOfProduct:
    shown = tuple(
        msgspec.structs.replace(each, price=up_to_cent(each.price)) for each in group.products
    )
    return msgspec.structs.replace(group, products=shown)


def _given(query: ShelfQuery) -> frozenset[str]:
    """The names of the filters, own goods apart from those of a supplier."""
    given = {name for name in _FILTERS if getattr(query, name)}
    given |= {name for name in _PRICES if getattr(query, name) is not None}
    if query.source == OWN_STOCK:
        given = given - {"source"} | {"own"}
    return frozenset(given)


def _values(query: ShelfQuery, key: ShelfKey | None, words: Sequence[str]) -> dict[str, object]:
    exact = " & ".join(f"'{word}'" for word in words) + ":*"
    values = {name: getattr(query, name) for name in (*_FILTERS, *_PRICES)}
    values |= {"words": list(words), "exact": exact}
    if key is not None:
        values |= msgspec.structs.asdict(key)
    return values


def _key(last: _Found) -> str:
    """Where a page ends that ends with this product."""
    card = last.card
    return key_text(
        ShelfKey(
            way=last.way,
            id=card.id,
            rank=last.rank,
            weight=last.weight,
            price=last.price,
            slug=card.slug,
        )
    )
