"""A quote: a basket priced and frozen for a buyer, used at most once."""

from datetime import datetime

import msgspec

from bitloot.domain.decision import Row
from bitloot.domain.money import Eur


class QuoteLine(msgspec.Struct, frozen=True, kw_only=True):
    """A priced line. EUR a unit; `unit_floor` is the lowest price that does not lose money."""

    product_id: str
    slug: str
    title: str
    source: str
    supplier: str
    supplier_product_id: str | None
    offer_row_id: str | None
    offer_id: str | None
    quantity: int
    unit_price: Eur
    unit_cost: Eur
    unit_floor: Eur
    is_preorder: bool = False
    is_wholesale: bool = False
    instructions: str | None = None


class Quote(Row, frozen=True, kw_only=True):
    """`gateway_fee` is the fraction in force when it was priced; `total` the sum of its lines."""

    lines: tuple[QuoteLine, ...]
    country: str | None
    asset: str | None
    gateway_fee: Eur
    total: Eur
    frozen_until: datetime
    created_at: datetime
    used_by: str | None = None
