"""A quote: a basket priced and frozen for a buyer, used at most once."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from bitloot.domain.decision import Row
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.money import ZERO, BadMoney, Eur, eur_number
from bitloot.domain.pricing import floor_today, price_today
from bitloot.domain.product import Sellable

MAX_ASSET: Final = 32


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


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A line as it is asked for. `product` is an id or a slug; a price is never asked for."""

    product: str
    quantity: int


UNDERPAYMENT_POLICY: Final = (
    "Send exactly the amount shown, in one transfer, within the time shown. Fees of your wallet or"
    " exchange come on top. If less arrives the order fails and nothing is delivered: what was sent"
    " is not refunded, because the network and the gateway have taken their part of it. If more"
    " arrives the order is delivered and the surplus is noted with it."
)


def merged(wanted: Iterable[Wanted], limits: Limits) -> tuple[Wanted, ...]:
    """The lines with each product once, in the order of their first mention.

    Raises Refused `invalid-input` for an empty basket, too many lines, or a quantity that is not
    1 to `limits.units_per_line`, also after adding up.
    """
    units: dict[str, int] = {}
    for n, line in enumerate(wanted):
        if n >= limits.basket_lines:
            raise _bad("lines", f"A basket has at most {limits.basket_lines} lines.")
        if line.quantity < 1:
            raise _bad(f"lines[{n}].quantity", "Ask for at least one unit.")
        units[line.product] = units.get(line.product, 0) + line.quantity
        if units[line.product] > limits.units_per_line:
            most = limits.units_per_line
            raise _bad(f"lines[{n}].quantity", f"A line has at most {most} units.")
    if not units:
        raise _bad("lines", "A basket has at least one line.")
    return tuple(Wanted(product=product, quantity=count) for product, count in units.items())


def price_basket(
    wanted: Sequence[Wanted],
    sellables: Sequence[Sellable],
    *,
    quote_id: str,
    country: str | None,
    asset: str | None,
    at: datetime,
    limits: Limits,
) -> Quote:
    """Price a basket at today's facts and freeze it.

    `wanted` may name a product by id and by slug: those lines become one. Raises Refused
    `invalid-input`, `not-for-sale`, `country-locked`, `preorder-mixed` or `out-of-stock`.
    """
    where = checked_country(country)
    by_name = {name: s for s in sellables for name in (s.product.id, s.product.slug)}
    for line in wanted:
        if line.product not in by_name:
            raise Refused("not-for-sale", field="lines", facts={"product": line.product[:100]})
    renamed = (
        Wanted(product=by_name[line.product].product.id, quantity=line.quantity) for line in wanted
    )
    lines = tuple(
        _priced(by_name[line.product], line.quantity, where, limits)
        for line in merged(renamed, limits)
    )
    if len(lines) > 1 and any(line.is_preorder for line in lines):
        raise Refused("preorder-mixed", field="lines")
    total = sum((line.unit_price * line.quantity for line in lines), ZERO)
    if total <= 0:
        raise Refused("not-for-sale", "These products have no price yet.", field="lines")
    try:
        eur_number(total)
    except BadMoney:
        raise _bad("lines", "So much money cannot be asked for; take fewer units.") from None
    return Quote(
        id=quote_id,
        lines=lines,
        country=where,
        asset=None if asset is None else checked_asset(asset),
        gateway_fee=limits.gateway_fee,
        total=total,
        frozen_until=at + limits.quote_freeze,
        created_at=at,
    )


def checked_country(country: str | None) -> str | None:
    """An ISO 3166 code of two letters, upper-case. Raises Refused `invalid-input`."""
    if country is None:
        return None
    if len(country) != 2 or not (country.isascii() and country.isalpha()):
        raise _bad("country", "Write the country as two letters, such as DE.")
    return country.upper()


def checked_asset(asset: str) -> str:
    """The ticker of an asset, lower-case. Raises Refused `invalid-input`."""
    ticker = asset.strip().lower()
    if not ticker or len(ticker) > MAX_ASSET or not (ticker.isascii() and ticker.isalnum()):
        raise _bad("asset", "Name an asset by its ticker, such as btc.")
    return ticker


def _priced(sellable: Sellable, quantity: int, country: str | None, limits: Limits) -> QuoteLine:
    product, offer = sellable.product, sellable.offer
    slug: dict[str, str | int | None] = {"product": product.slug}
    if not product.is_published:
        raise Refused("not-for-sale", field="lines", facts=slug)
    if country is not None and country in product.excluded_countries:
        raise Refused("country-locked", field="country", facts=slug)
    if sellable.price is None:
        raise Refused("not-for-sale", "It has no price yet.", field="lines", facts=slug)
    price = price_today(sellable, limits.gateway_fee)
    if sellable.unit_cost is None or price is None or sellable.available < quantity:
        raise Refused(
            "out-of-stock", field="lines", facts={**slug, "available": max(0, sellable.available)}
        )
    first_tier = min((t.from_units for t in offer.wholesale), default=None) if offer else None
    return QuoteLine(
        product_id=product.id,
        slug=product.slug,
        title=product.title,
        source=offer.supplier if offer else product.source,
        supplier=offer.supplier if offer else product.source,
        supplier_product_id=offer.supplier_product_id if offer else None,
        offer_row_id=offer.id if offer else None,
        offer_id=offer.offer_id if offer else None,
        quantity=quantity,
        unit_price=price,
        unit_cost=sellable.unit_cost,
        unit_floor=floor_today(sellable, limits.gateway_fee),
        is_preorder=product.is_preorder,
        is_wholesale=first_tier is not None and quantity >= first_tier,
        instructions=product.instructions,
    )


def _bad(field: str, detail: str) -> Refused:
    return Refused("invalid-input", detail, field=field)
