"""Frozen quotes of one line each, by COPY: an order uses one up."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec
import psycopg
import uuid_utils

from bench.shelves import COST, PRICE, PRODUCTS, SLUG, offer_row_id, product_id
from bitloot.domain.limits import Limits
from bitloot.domain.money import cost_floor
from bitloot.domain.quote import QuoteLine

FROZEN: Final = timedelta(hours=6)
# Far from its neighbour, so that two orders in a row touch no page in common.
STRIDE: Final = 7919
FEE: Final[Decimal] = Limits().gateway_fee


def freeze(url: str, count: int, products: int = PRODUCTS) -> list[str]:
    """So many quotes, each of another product while there are enough; gives their ids."""
    at = datetime.now(UTC)
    made = [str(uuid_utils.uuid7()) for _ in range(count)]
    with (
        psycopg.connect(url, autocommit=True) as connection,
        connection.cursor() as cursor,
        cursor.copy(
            "COPY quotes (id, version, lines, asset, gateway_fee, total, frozen_until,"
            " created_at) FROM STDIN"
        ) as rows,
    ):
        for place, quote_id in enumerate(made):
            lines = msgspec.json.encode([_line(place * STRIDE % products)]).decode()
            rows.write_row((quote_id, 1, lines, "ltc", FEE, PRICE, at + FROZEN, at))
    return made


def _line(number: int) -> QuoteLine:
    return QuoteLine(
        product_id=product_id(number),
        slug=f"{SLUG}-{number:06}",
        title=f"Game {number} of the great catalogue",
        source="kinguin",
        supplier="kinguin",
        supplier_product_id=f"z{number}",
        offer_row_id=offer_row_id(number),
        offer_id=f"zo{number}",
        quantity=1,
        unit_price=PRICE,
        unit_cost=COST,
        unit_floor=cost_floor(COST, FEE),
    )
