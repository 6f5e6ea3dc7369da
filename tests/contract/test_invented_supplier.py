"""The invented supplier keeps the contract about goods, and its own history to the letter."""

import time
from collections import Counter

import pytest

from bitloot.domain.money import Eur
from bitloot.ports.supplier import RefusedProduct, Supplier, SupplierProduct
from bitloot.testing.invented_catalogue import Epoch, EpochKind, vocabulary
from bitloot.testing.invented_supplier import InventedSupplier
from bitloot.testing.supplier_catalogue import SupplierCatalogueContract

SIZE = 350


class InventedRig:
    """Its products are there already; one after the other is given a price."""

    def __init__(self) -> None:
        self.provider = InventedSupplier(7, SIZE)

    @property
    def supplier(self) -> Supplier:
        return self.provider

    async def sell(self, price: Eur, stock: int) -> str:
        return self.provider.sell(price, stock)


class TestInventedSupplier(SupplierCatalogueContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> InventedRig:
        return InventedRig()


def shelf(*epochs: Epoch, seed: int = 7) -> dict[str, SupplierProduct]:
    supplier = InventedSupplier(seed, SIZE, epochs=epochs)
    return {each.supplier_product_id: each for each in supplier.now()}


def changed_fields(before: SupplierProduct, after: SupplierProduct) -> set[str]:
    names = before.__struct_fields__
    return {name for name in names if getattr(before, name) != getattr(after, name)}


def test_the_same_seed_and_history_make_the_same_catalogue_and_another_seed_another() -> None:
    history = (Epoch("prices", 0.3), Epoch("texts", 0.1), Epoch("vanish", 0.05))
    assert shelf(*history) == shelf(*history)
    assert shelf().keys().isdisjoint(shelf(seed=8))
    assert Counter(p.title for p in shelf().values()) != Counter(
        p.title for p in shelf(seed=8).values()
    )


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("prices", {"price", "stock", "updated_at"}),
        ("texts", {"description", "updated_at"}),
        ("nothing", set()),
    ],
)
def test_an_epoch_changes_what_it_says_and_nothing_else(kind: EpochKind, fields: set[str]) -> None:
    before, after = shelf(), shelf(Epoch(kind))
    assert before.keys() == after.keys()
    found: set[str] = set()
    for identity, product in before.items():
        assert changed_fields(product, after[identity]) <= fields
        found |= changed_fields(product, after[identity])
    assert found == fields


def test_a_share_of_the_products_is_touched_by_an_epoch() -> None:
    before, after = shelf(), shelf(Epoch("prices", 0.2))
    touched = [one for one, product in before.items() if product != after[one]]
    assert SIZE * 0.1 < len(touched) < SIZE * 0.3


def test_what_vanishes_is_gone_until_it_returns() -> None:
    gone, back = Epoch("vanish", 0.3), Epoch("return")
    assert SIZE * 0.55 < len(shelf(gone)) < SIZE * 0.85
    assert shelf(gone).keys() < shelf().keys()
    assert shelf(gone, back).keys() == shelf().keys()
    assert shelf(gone, Epoch("vanish", 0)) == shelf(gone)


async def test_the_incremental_read_holds_exactly_what_an_epoch_touched() -> None:
    supplier = InventedSupplier(7, SIZE)
    first = {each.supplier_product_id: each for each in supplier.now()}
    newest = max(each.updated_at for each in first.values())
    supplier.pass_epoch("prices", 0.2)
    pages = [page async for page in supplier.catalogue(updated_since=newest.replace(hour=12))]
    read = {each.supplier_product_id for page in pages for each in page.products}
    now = {each.supplier_product_id: each for each in supplier.now()}
    assert read == {one for one, product in now.items() if product != first[one]}


async def test_entries_that_cannot_be_read_are_on_the_first_page() -> None:
    refused = RefusedProduct(supplier_product_id="x", reason="name is missing")
    supplier = InventedSupplier(7, SIZE, unreadable=[refused])
    pages = [page async for page in supplier.catalogue(updated_since=None)]
    assert [page.refused for page in pages] == [(refused,), (), (), ()]


def test_titles_have_common_words_and_rare_ones() -> None:
    words = vocabulary()
    assert len(words) == len(set(words)) == 20_000
    supplier = InventedSupplier(1, 5_000)
    used = Counter(w for p in supplier.now() for w in set((p.original_name or "").split()))
    counts = sorted(used.values(), reverse=True)
    assert counts[0] > 500
    assert sum(1 for count in counts if count == 1) > 1_000


def test_ten_thousand_products_are_made_in_a_moment() -> None:
    begun = time.perf_counter()
    assert sum(1 for _ in InventedSupplier(3, 10_000).now()) == 10_000
    assert time.perf_counter() - begun < 10
