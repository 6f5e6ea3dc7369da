"""A hundred thousand products, by COPY: what every figure is measured over."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import NAMESPACE_OID, uuid5

import psycopg

PRODUCTS: Final = 100_000
STOCK: Final = 1000
COST: Final = Decimal("8.00")
PRICE: Final = Decimal("9.99")
FLOOR: Final = Decimal("8.09")
# Behind the goods that the stand-ins sell, so that those come first on every list.
SLUG: Final = "z-game"


def product_id(number: int) -> str:
    """The id of one of the products."""
    return str(uuid5(NAMESPACE_OID, f"product {number}"))


def offer_row_id(number: int) -> str:
    """The id of its offer."""
    return str(uuid5(NAMESPACE_OID, f"offer {number}"))


def fill(url: str, products: int = PRODUCTS) -> None:
    """So many products and an offer for each; statistics are up to date afterwards."""
    at = datetime.now(UTC)
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        with cursor.copy(
            "COPY products (id, version, slug, title, source, supplier_product_id, description,"
            " platform, genres, tags, languages, developers, publishers, system_requirements,"
            " excluded_countries, pinned, is_preorder, hides_when_sold_out, is_published,"
            " created_at, updated_at) FROM STDIN"
        ) as rows:
            for n in range(products):
                rows.write_row(
                    (
                        product_id(n),
                        1,
                        f"{SLUG}-{n:06}",
                        f"Game {n} of the great catalogue",
                        "kinguin",
                        f"z{n}",
                        "A game that is described in a sentence or two, as most of them are.",
                        "PC Steam",
                        *([], [], [], [], []),
                        "[]",
                        *([], []),
                        *(False, False, True),
                        *(at, at),
                    )
                )
        with cursor.copy(
            "COPY listings (id, version, is_listed, is_available, price, floor, is_loss_signed,"
            " rank, platform, source, updated_at) FROM STDIN"
        ) as rows:
            for n in range(products):
                listed = (product_id(n), 1, True, True, PRICE, FLOOR, False, 0)
                rows.write_row((*listed, "PC Steam", "kinguin", at))
        with cursor.copy(
            "COPY product_offers (id, version, product_id, supplier, supplier_product_id,"
            " offer_id, cost, stock, held, wholesale, updated_at) FROM STDIN"
        ) as rows:
            for n in range(products):
                rows.write_row(
                    (
                        offer_row_id(n),
                        1,
                        product_id(n),
                        "kinguin",
                        f"z{n}",
                        f"zo{n}",
                        COST,
                        STOCK,
                        0,
                        "[]",
                        at,
                    )
                )
        connection.execute("VACUUM ANALYZE")
