"""What is sold, and one supplier's price and stock for it."""

from datetime import datetime
from decimal import Decimal

import msgspec

from bitloot.domain.decision import Row
from bitloot.domain.money import Eur


class WholesaleTier(msgspec.Struct, frozen=True):
    """From `from_units` units on, each costs `price` EUR."""

    from_units: int
    price: Eur


class Product(Row, frozen=True, kw_only=True):
    """A thing on sale. `source` is `custom` for own stock, else the supplier plugin's name.

    `excluded_countries` are ISO-2 codes where it cannot be activated. `price` in EUR a unit.
    """

    slug: str
    title: str
    source: str
    supplier_product_id: str | None = None
    description: str = ""
    platform: str | None = None
    region: str | None = None
    excluded_countries: tuple[str, ...] = ()
    is_preorder: bool = False
    release_date: str | None = None
    instructions: str | None = None
    cover_url: str | None = None
    price: Eur
    is_published: bool = True
    created_at: datetime
    updated_at: datetime


class Offer(Row, frozen=True, kw_only=True):
    """One supplier's price (`cost`, EUR) and stock of text keys for a product.

    `held` counts units kept by reservations; what can still be sold is `stock - held`.
    `supplier_product_id` is what the supplier's order call wants to be told.
    """

    product_id: str
    supplier: str
    supplier_product_id: str
    offer_id: str
    cost: Eur
    stock: int
    held: int = 0
    wholesale: tuple[WholesaleTier, ...] = ()
    updated_at: datetime


class Sellable(msgspec.Struct, frozen=True, kw_only=True):
    """A product with what can be had of it now: the facts that pricing and quoting need.

    Own stock: `offer` is None, `available` counts free keys, `unit_cost` is their highest cost.
    """

    product: Product
    offer: Offer | None
    available: int
    unit_cost: Eur | None
    margin: Decimal = Decimal(0)
