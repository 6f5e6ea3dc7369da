"""The suite of suppliers, its part about goods: a catalogue read whole, in parts, and by name."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final, Protocol

import pytest

from bitloot.domain.money import Eur
from bitloot.ports.errors import Rejected
from bitloot.ports.supplier import CataloguePage, Supplier, SupplierProduct
from bitloot.testing.contract import Contract, needs

PRICE: Final = Decimal("9.99")
# More than a page of any supplier would be slow to put on sale; a page of some is 25.
MANY: Final = 30


class ShelfRig(Protocol):
    """A supplier whose shelf can be filled."""

    @property
    def supplier(self) -> Supplier: ...

    async def sell(self, price: Eur, stock: int) -> str:
        """Put a product on sale with exactly one offer, and give its id."""
        ...


async def pages_of(pages: AsyncIterator[CataloguePage]) -> list[CataloguePage]:
    """Every page."""
    return [page async for page in pages]


def products_of(pages: list[CataloguePage]) -> Mapping[str, SupplierProduct]:
    """Every product by its id."""
    return {each.supplier_product_id: each for page in pages for each in page.products}


class SupplierCatalogueContract(Contract):
    """Fixture `rig`: a `ShelfRig`. Lever that may be missing: `search`."""

    async def test_the_catalogue_is_read_to_its_end(self, rig: ShelfRig) -> None:
        ours = {await rig.sell(PRICE, 3) for _ in range(MANY)}
        pages = await pages_of(rig.supplier.catalogue(updated_since=None))
        found = [each.supplier_product_id for page in pages for each in page.products]
        listed = products_of(pages)
        assert ours <= listed.keys()
        assert len(found) == len(listed)
        assert {(listed[one].price, listed[one].stock) for one in ours} == {(PRICE, 3)}

    async def test_pages_are_numbered_and_only_the_last_says_so(self, rig: ShelfRig) -> None:
        await rig.sell(PRICE, 3)
        pages = await pages_of(rig.supplier.catalogue(updated_since=None))
        assert [page.number for page in pages] == list(range(1, len(pages) + 1))
        assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]

    async def test_a_full_read_goes_on_from_any_page_as_if_it_had_not_stopped(
        self, rig: ShelfRig
    ) -> None:
        for _ in range(MANY):
            await rig.sell(PRICE, 3)
        pages = await pages_of(rig.supplier.catalogue(updated_since=None))
        for first in range(1, len(pages) + 1):
            rest = rig.supplier.catalogue(updated_since=None, first_page=first)
            both = pages[: first - 1] + await pages_of(rest)
            assert products_of(both) == products_of(pages)
            assert both[-1].is_last

    async def test_an_incremental_read_holds_what_changed_and_ends(self, rig: ShelfRig) -> None:
        ours = await rig.sell(PRICE, 3)
        (sold,) = [
            listed[ours]
            for listed in [products_of(await pages_of(rig.supplier.catalogue(updated_since=None)))]
        ]
        pages = await pages_of(rig.supplier.catalogue(updated_since=sold.updated_at))
        assert products_of(pages)[ours] == sold
        assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
        later = rig.supplier.catalogue(updated_since=sold.updated_at + timedelta(days=1))
        assert ours not in products_of(await pages_of(later))

    async def test_an_incremental_read_goes_on_from_where_a_page_says(self, rig: ShelfRig) -> None:
        ours = {await rig.sell(PRICE, 3) for _ in range(MANY)}
        full = products_of(await pages_of(rig.supplier.catalogue(updated_since=None)))
        since = min(full[one].updated_at for one in ours)
        pages = await pages_of(rig.supplier.catalogue(updated_since=since))
        for stopped in range(1, len(pages)):
            rest = rig.supplier.catalogue(
                updated_since=pages[stopped - 1].up_to or since, first_page=stopped + 1
            )
            assert products_of(pages[:stopped] + await pages_of(rest)) == products_of(pages)

    async def test_texts_are_trimmed_and_addresses_are_of_the_web(self, rig: ShelfRig) -> None:
        await rig.sell(PRICE, 3)
        found = products_of(await pages_of(rig.supplier.catalogue(updated_since=None)))
        for each in found.values():
            texts = [each.title, each.description, each.platform or "", each.region or ""]
            texts += [*each.genres, *each.tags, *each.languages, *each.developers]
            assert all(text == text.strip() and "\r" not in text for text in texts)
            for shown in each.media:
                for url in (shown.url, shown.thumbnail_url or shown.url):
                    assert url.startswith(("https://", "http://"))
            assert each.metacritic is None or 0 < each.metacritic <= 100
            assert each.updated_at.tzinfo is not None

    async def test_a_product_is_read_alone_as_in_the_catalogue(self, rig: ShelfRig) -> None:
        ours = await rig.sell(PRICE, 3)
        found = products_of(await pages_of(rig.supplier.catalogue(updated_since=None)))
        assert await rig.supplier.product(ours) == found[ours]

    async def test_a_product_that_is_sold_out_has_no_stock_or_is_not_there(
        self, rig: ShelfRig
    ) -> None:
        found = await rig.supplier.product(await rig.sell(PRICE, 0))
        assert found is None or found.stock == 0

    async def test_a_product_that_nobody_knows_is_not_there(self, rig: ShelfRig) -> None:
        assert await rig.supplier.product("000000000000000000000000") is None

    @needs("search")
    async def test_products_are_found_by_a_part_of_their_name(self, rig: ShelfRig) -> None:
        ours = await rig.supplier.product(await rig.sell(PRICE, 3))
        assert ours is not None
        found = await rig.supplier.search(ours.title, limit=5)
        assert 1 <= len(found) <= 5
        assert all(ours.title.casefold() in each.title.casefold() for each in found)
        assert len(await rig.supplier.search(ours.title, limit=1)) == 1
        assert list(await rig.supplier.search("no title has these words", limit=5)) == []

    async def test_a_name_that_is_too_short_to_be_searched_for_is_refused(
        self, rig: ShelfRig
    ) -> None:
        letters = rig.supplier.capabilities.search_letters
        for name in ("a" * (letters - 1), " ") if letters else ("any name",):
            with pytest.raises(Rejected) as refused:
                await rig.supplier.search(name, limit=5)
            assert refused.value.reason == "invalid"
