"""`python -m bench.syncing DATABASE`: a supplier's whole catalogue, all of it changed, on command.

Each line of the standard input is a number of seconds. So long batches are merged one after the
other, as a synchronisation does it that never waits for its supplier; the line of the output that
answers it is how many products those were.
"""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Final

import psycopg
import uvloop
from psycopg.rows import TupleRow

from bench.shelves import COST, PRODUCTS, SLUG, STOCK
from bitloot.domain.limits import Limits
from bitloot.domain.price_contexts import PricingTerms
from bitloot.ports.catalogue_writer import BATCH_PRODUCTS, CatalogueBatch
from bitloot.ports.supplier_catalogue import SupplierProduct
from bitloot_adapters.clock import new_id
from bitloot_adapters.postgres.catalogue_writer import CatalogueWriter
from bitloot_adapters.postgres.pool import open_database

TERMS: Final = PricingTerms(margin=Decimal("0.10"), gateway_fee=Decimal("0.01"))
_SOLD: Final = """
SELECT supplier_product_id, title, platform, region, cover_url, genres, metacritic FROM products
WHERE slug >= %s ORDER BY slug LIMIT %s
"""


def batches(connection: psycopg.Connection[TupleRow]) -> Iterator[list[SupplierProduct]]:
    """The catalogue over and over; each time everything costs a cent more and is told anew."""
    for turn in count(1):
        for first in range(0, PRODUCTS, BATCH_PRODUCTS):
            sold = connection.execute(_SOLD, (f"{SLUG}-{first:06}", BATCH_PRODUCTS))
            yield [
                SupplierProduct(
                    supplier_product_id=name,
                    title=title,
                    description=f"A game that is described in a sentence or two. Version {turn}.",
                    platform=platform,
                    region=region,
                    excluded_countries=(),
                    is_preorder=False,
                    release_date=None,
                    instructions=None,
                    cover_url=cover,
                    offer_id=name.replace("z", "zo"),
                    price=COST + Decimal(turn).scaleb(-2),
                    stock=STOCK - turn,
                    wholesale=(),
                    updated_at=datetime.now(UTC),
                    genres=tuple(genres),
                    metacritic=metacritic,
                )
                for name, title, platform, region, cover, genres, metacritic in sold
            ]


async def follow(database_url: str) -> None:
    """Until the standard input ends."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        async with open_database(database_url, Limits()) as database:
            writer, whole = CatalogueWriter(database), batches(connection)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            for line in sys.stdin:
                merged, until = 0, time.monotonic() + float(line)
                while time.monotonic() < until:
                    batch = CatalogueBatch(products=next(whole))
                    at = datetime.now(UTC)
                    await writer.merge("kinguin", batch, terms=TERMS, new_id=new_id, at=at)
                    merged += len(batch.products)
                sys.stdout.write(f"{merged}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(follow(sys.argv[1]))
