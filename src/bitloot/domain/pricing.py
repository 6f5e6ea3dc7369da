"""Prices: from cost to unit price, and discounts that never go below the floor.

Rounding happens here and nowhere else: a unit price up to the cent, a discount down to the cent.
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Final

import msgspec

from bitloot.domain.money import (
    CENT,
    ZERO,
    Eur,
    cost_floor,
    down_to_cent,
    money_context,
    up_to_cent,
)
from bitloot.domain.price_derivation import standing_price
from bitloot.domain.product import Sellable

_HUNDRED: Final = Decimal(100)


class PricedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line before discounts. EUR a unit; `matches` whether a discount applies to it."""

    quantity: int
    unit_price: Eur
    unit_floor: Eur
    matches: bool = True

    @property
    def total(self) -> Eur:
        """What the line costs without a discount."""
        return self.unit_price * self.quantity

    @property
    def room(self) -> Eur:
        """The most that can be taken off without going below the floor."""
        return max(ZERO, self.total - self.unit_floor * self.quantity)


def unit_price(cost: Eur, margin: Decimal, gateway_fee: Decimal) -> Eur:
    """Cost x (1 + margin), up to the cent, at least the cost floor of the unit."""
    with localcontext(money_context()):
        return max(up_to_cent(cost * (1 + margin)), cost_floor(cost, gateway_fee))


def price_today(sellable: Sellable, gateway_fee: Decimal) -> Eur | None:
    """What a unit is sold for now: the price listed, or the floor of today's cost if that is more.

    The price listed also where it is below, if a person signed that loss. None when there is no
    price, or no cost, because there is nothing to sell.
    """
    if sellable.unit_cost is None or sellable.price is None:
        return None
    return standing_price(
        up_to_cent(sellable.price),
        sellable.unit_cost,
        gateway_fee,
        is_loss_signed=sellable.is_loss_signed,
    )


def floor_today(sellable: Sellable, gateway_fee: Decimal) -> Eur:
    """The lowest price of a unit now: its cost floor, or what a person let it be sold for below.

    0 when there is no cost.
    """
    floor = cost_floor(sellable.unit_cost or ZERO, gateway_fee)
    if not sellable.is_loss_signed or sellable.price is None:
        return floor
    return min(floor, up_to_cent(sellable.price))


def percent_discounts(lines: Sequence[PricedLine], percent: Decimal) -> tuple[Eur, ...]:
    """What `percent` (10 is ten percent) takes off each line: down to the cent, within the floor.

    Raises ValueError unless 0 <= percent <= 100.
    """
    if not 0 <= percent <= _HUNDRED:
        raise ValueError("a percentage lies between 0 and 100")
    with localcontext(money_context()):
        return tuple(
            min(down_to_cent(line.total * percent / _HUNDRED), down_to_cent(line.room))
            if line.matches
            else ZERO
            for line in lines
        )


def fixed_discounts(lines: Sequence[PricedLine], amount: Eur) -> tuple[Eur, ...]:
    """What a fixed `amount` takes off each line, within the floor.

    At most the total of the matching lines, split in proportion to them, down to the cent; the
    left-over cents go one by one to the largest line first. What the floor of a line refuses is
    not moved to another line. Raises ValueError for a negative amount.
    """
    if amount < 0:
        raise ValueError("a discount is never negative")
    matching = [n for n, line in enumerate(lines) if line.matches and line.total > 0]
    with localcontext(money_context()):
        whole = sum((lines[n].total for n in matching), ZERO)
        given = down_to_cent(min(amount, whole))
        shares = {n: down_to_cent(given * lines[n].total / whole) for n in matching}
        left = given - sum(shares.values(), ZERO)
        for n in sorted(matching, key=lambda n: (-lines[n].total, n)):
            if left < CENT:
                break
            shares[n] += CENT
            left -= CENT
        return tuple(
            min(shares.get(n, ZERO), down_to_cent(line.room)) for n, line in enumerate(lines)
        )
