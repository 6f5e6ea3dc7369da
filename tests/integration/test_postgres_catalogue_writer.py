"""The database comes to the same catalogue as the memory store, whatever the supplier says."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import msgspec
import pytest
from sqlalchemy import select

from bitloot.domain.decision import Row
from bitloot.domain.limits import Limits
from bitloot.domain.price_derivation import PriceRecord, agrees
from bitloot.domain.product import Listing, Offer, Product
from bitloot.domain.product_media import ProductMedia
from bitloot.ports.catalogue_writer import CatalogueBatch, CatalogueWriter
from bitloot.testing.catalogue_writer import TERMS
from bitloot.testing.invented_supplier import InventedSupplier
from bitloot_adapters.clock import new_id
from bitloot_adapters.memory.catalogue_writer import MemoryCatalogueWriter
from bitloot_adapters.memory.rigs import MemoryStoreRig
from bitloot_adapters.postgres.catalogue_writer import CatalogueWriter as PostgresWriter
from bitloot_adapters.postgres.catalogue_writer import slug
from bitloot_adapters.postgres.pool import open_database
from bitloot_adapters.postgres.rows import codec
from bitloot_adapters.postgres.statements import ask, compiled

AT = datetime(2026, 11, 1, tzinfo=UTC)
R = TypeVar("R", bound=Row)


class Look(Protocol):
    async def __call__(self, row: type[R], /) -> Sequence[R]: ...


def without(row: Row, *names: str) -> dict[str, object]:
    fields = msgspec.structs.asdict(row)
    return {name: value for name, value in fields.items() if name not in {"id", *names}}


async def told(look: Look) -> dict[str, object]:
    """All rows in words that do not name their ids."""
    products = {row.id: row.slug for row in await look(Product)}
    offers = {row.id: row.offer_id for row in await look(Offer)}

    def by(rows: Iterable[tuple[str, dict[str, object]]]) -> list[tuple[str, dict[str, object]]]:
        return sorted(rows, key=lambda each: (each[0], str(sorted(each[1].items()))))

    return {
        "products": by((row.slug, without(row)) for row in await look(Product)),
        "offers": by((products[r.product_id], without(r, "product_id")) for r in await look(Offer)),
        "listings": by((products[row.id], without(row)) for row in await look(Listing)),
        "media": by(
            (products[r.product_id], without(r, "product_id")) for r in await look(ProductMedia)
        ),
        "history": by(
            (
                products[row.product_id] + offers.get(row.offer_row_id or "", "-"),
                without(row, "product_id", "offer_row_id"),
            )
            for row in await look(PriceRecord)
        ),
    }


async def merged(writer: CatalogueWriter, there: InventedSupplier) -> object:
    return await writer.merge(
        there.name, CatalogueBatch(products=tuple(there.now())), terms=TERMS, new_id=new_id, at=AT
    )


async def test_both_stores_come_to_the_same_catalogue(shop_url: str) -> None:
    memory = MemoryStoreRig()
    async with open_database(shop_url, Limits()) as database:

        async def stored(row: type[R], /) -> Sequence[R]:
            built = codec(row)
            (rows,) = await database.read(ask(compiled(select(*built.columns))))
            return built.rows(rows)

        async def kept(row: type[R], /) -> Sequence[R]:
            return memory.store.rows(row)

        there = InventedSupplier(11, 400)
        for epoch in (None, "prices", "texts", "vanish", "nothing"):
            if epoch is not None:
                there.pass_epoch(epoch, 0.5)
            counts = await merged(PostgresWriter(database), there)
            assert counts == await merged(MemoryCatalogueWriter(memory.store), there)
            assert await told(stored) == await told(kept)
        assert all(agrees(record) for record in await stored(PriceRecord))


@pytest.mark.parametrize("title", ["Élite: Dangerous™ — Deluxe", "龍"])
def test_a_slug_is_plain_and_differs_for_each_product(title: str) -> None:
    one, other = slug(title, "kinguin/1"), slug(title, "kinguin/2")
    assert one != other
    assert one.replace("-", "").isalnum()
    assert one.isascii()
