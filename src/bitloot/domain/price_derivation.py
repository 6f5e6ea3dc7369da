"""From cost to price, every step kept, so that any price can be explained and worked out again.

price = max(floor, min(cap, raw rounded up)). The floor is what the cost and the gateway's fee
leave no loss under. Only an override whose loss was signed goes below it.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Final, Literal, TypeAlias, assert_never

import msgspec

from bitloot.domain.decision import Row
from bitloot.domain.money import (
    ZERO,
    Eur,
    cost_floor,
    down_to_cent,
    eur_number,
    money_context,
    up_to_cent,
)
from bitloot.domain.pricing_rules import AppliedRule, Rounding, Tried

PriceReason: TypeAlias = Literal["sync", "rule", "import", "own", "manual"]
DecidedBy: TypeAlias = Literal["rule", "cap", "floor", "previous", "nothing"]

_ENDINGS: Final[dict[Rounding, Decimal]] = {
    "99": Decimal("0.99"),
    "95": Decimal("0.95"),
    "whole": ZERO,
}


class Derivation(msgspec.Struct, frozen=True, kw_only=True):
    """How a price came about, step by step. EUR a unit.

    `cost`, `gateway_fee` (a fraction), `rule` and `previous` went in. `raw` is what the rule makes
    of the cost, `rounded` that with the rule's rounding, `capped` that within the cap; all three
    are None where no rule can speak. `floor` is 0 while no cost is known. `price` is None where
    there never was one. `decided_by` names the step that had the last word.
    """

    cost: Eur | None
    gateway_fee: Decimal
    rule: AppliedRule | None
    previous: Eur | None
    raw: Eur | None
    rounded: Eur | None
    capped: Eur | None
    floor: Eur
    price: Eur | None
    decided_by: DecidedBy
    is_loss_signed: bool

    @property
    def is_change(self) -> bool:
        """Whether there is a price, and it is another than before: then history gets a row."""
        return self.price is not None and self.price != self.previous


class PriceRecord(Row, frozen=True, kw_only=True):
    """A change of a product's price with all it was worked out from: never changed afterwards.

    `offer_row_id` is the offer whose cost it was, None for own stock and for no cost at all.
    """

    product_id: str
    at: datetime
    reason: PriceReason
    price: Eur
    previous: Eur | None = None
    floor: Eur
    cost: Eur | None = None
    gateway_fee: Decimal
    offer_row_id: str | None = None
    rule: AppliedRule | None = None
    tried: tuple[Tried, ...] = ()


def rounded_up(amount: Decimal, rounding: Rounding) -> Eur:
    """`amount` up to the cent, to the next x.99 or x.95, or to the next whole EUR."""
    if rounding == "cent":
        return up_to_cent(amount)
    ending = _ENDINGS[rounding]
    with localcontext(money_context()):
        return up_to_cent((amount - ending).to_integral_value(rounding=ROUND_CEILING) + ending)


def derive(
    cost: Eur | None, gateway_fee: Decimal, applied: AppliedRule | None, previous: Eur | None
) -> Derivation:
    """What a product sells for by the applied rule, and how that came about.

    Without a rule the previous price stays, raised to the floor. Without a cost an override gives
    its value and anything else leaves the previous price as it was. A cap that is not whole cents
    counts as the cents below it. Raises ValueError for a fee that is not a fraction below 1, and
    BadMoney for a cost, a floor or a price that does not fit `numeric(20,8)`.
    """
    if not (gateway_fee.is_finite() and 0 <= gateway_fee < 1):
        raise ValueError("a gateway fee is a fraction from 0 to below 1")
    floor = ZERO if cost is None else eur_number(cost_floor(eur_number(cost), gateway_fee))
    raw = None if applied is None else _raw(cost, applied)
    rounded = capped = None
    is_loss_signed = False
    price: Eur | None
    decided_by: DecidedBy
    if applied is None or raw is None:
        price, decided_by = _kept(cost, floor, previous)
    else:
        rounded = rounded_up(raw, applied.rounding)
        capped = rounded if applied.cap is None else min(rounded, down_to_cent(applied.cap))
        is_loss_signed = applied.is_loss_signed
        price = capped if is_loss_signed else max(floor, capped)
        decided_by = "floor" if price > capped else "cap" if capped < rounded else "rule"
    return Derivation(
        cost=cost,
        gateway_fee=gateway_fee,
        rule=applied,
        previous=previous,
        raw=raw,
        rounded=rounded,
        capped=capped,
        floor=floor,
        price=None if price is None else eur_number(price),
        decided_by=decided_by,
        is_loss_signed=is_loss_signed,
    )


def _raw(cost: Eur | None, rule: AppliedRule) -> Decimal | None:
    if rule.kind == "override":
        return rule.value
    if cost is None:
        return None
    with localcontext(money_context()):
        match rule.kind:
            case "margin":
                return cost * (1 + rule.value)
            case "fixed":
                return cost + rule.value
            case _ as never:
                assert_never(never)


def _kept(cost: Eur | None, floor: Eur, previous: Eur | None) -> tuple[Eur | None, DecidedBy]:
    if cost is None:
        return previous, "nothing" if previous is None else "previous"
    if previous is not None and (stays := up_to_cent(previous)) >= floor:
        return stays, "previous"
    return floor, "floor"


def standing_price(price: Eur, cost: Eur, gateway_fee: Decimal, *, is_loss_signed: bool) -> Eur:
    """What a listed price comes to at today's cost: never below its floor unless that was signed.

    The cost may have moved since the price was worked out.
    """
    return price if is_loss_signed else max(price, cost_floor(cost, gateway_fee))


def price_record(
    derivation: Derivation,
    *,
    record_id: str,
    product_id: str,
    at: datetime,
    reason: PriceReason,
    offer_row_id: str | None = None,
    tried: Sequence[Tried] = (),
) -> PriceRecord | None:
    """The row that history gets for a price, None when the price is what it was."""
    if derivation.price is None or not derivation.is_change:
        return None
    return PriceRecord(
        id=record_id,
        product_id=product_id,
        at=at,
        reason=reason,
        price=derivation.price,
        previous=derivation.previous,
        floor=derivation.floor,
        cost=derivation.cost,
        gateway_fee=derivation.gateway_fee,
        offer_row_id=offer_row_id,
        rule=derivation.rule,
        tried=tuple(tried),
    )


def explain(record: PriceRecord) -> Derivation:
    """The price of a record worked out again, from nothing but what the record keeps."""
    return derive(record.cost, record.gateway_fee, record.rule, record.previous)


def agrees(record: PriceRecord) -> bool:
    """Whether the price and the floor of a record are what comes out of what it keeps.

    A record that nothing can be worked out from, because its figures make no sense, does not agree.
    """
    try:
        again = explain(record)
    except (ValueError, ArithmeticError):
        return False
    return (again.price, again.floor) == (record.price, record.floor)
