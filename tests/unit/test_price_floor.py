"""A price never goes below what leaves no loss.

Rules, costs, fees, caps, roundings, discounts and costs that move after the price was set.
"""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.price_model import (
    CAPS,
    COSTS,
    FEE,
    FEES,
    PRICES,
    ROUNDINGS,
    amounts,
    applied,
    applied_rules,
    price_of,
)

from bitloot.domain.money import CENT, ZERO, BadMoney, cost_floor
from bitloot.domain.price_derivation import (
    Derivation,
    derive,
    rounded_up,
    standing_price,
)
from bitloot.domain.pricing import PricedLine, fixed_discounts, percent_discounts
from bitloot.domain.pricing_rules import AppliedRule, PricingRule, Rounding, choose

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def exact(amount: Decimal) -> Fraction:
    return Fraction(amount)


def next_ending(amount: Fraction, ending: Fraction) -> Fraction:
    return ceil(amount - ending) + ending


def slowly(cost: Decimal, fee: Decimal, rule: AppliedRule) -> Fraction:
    """The price in fractions without an end, each step spelled out."""
    raw = {
        "margin": exact(cost) * (1 + exact(rule.value)),
        "fixed": exact(cost) + exact(rule.value),
        "override": exact(rule.value),
    }[rule.kind]
    rounded = {
        "cent": Fraction(ceil(raw * 100), 100),
        "99": next_ending(raw, Fraction(99, 100)),
        "95": next_ending(raw, Fraction(95, 100)),
        "whole": Fraction(ceil(raw)),
    }[rule.rounding]
    if rule.cap is not None:
        rounded = min(rounded, Fraction(floor(exact(rule.cap) * 100), 100))
    if rule.kind == "override" and rule.loss_signed_by is not None:
        return rounded
    return max(rounded, Fraction(ceil(exact(cost) / (1 - exact(fee)) * 100), 100))


# --- the arithmetic --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "price", "decided_by"),
    [
        ({"value": Decimal("0.101")}, "9.91", "rule"),
        ({"value": Decimal(0)}, "9.10", "floor"),
        ({"value": Decimal("0.5"), "cap": Decimal(12)}, "12.00", "cap"),
        ({"value": Decimal("0.5"), "cap": Decimal("12.00999999")}, "12.00", "cap"),
        ({"value": Decimal("0.5"), "cap": Decimal(8)}, "9.10", "floor"),
        ({"value": Decimal("0.5"), "rounding": "99"}, "13.99", "rule"),
        ({"value": Decimal("0.11"), "rounding": "99"}, "9.99", "rule"),
        ({"value": Decimal("0.1101"), "rounding": "99"}, "10.99", "rule"),
        ({"value": Decimal("0.5"), "rounding": "95"}, "13.95", "rule"),
        ({"value": Decimal("0.5"), "rounding": "whole"}, "14.00", "rule"),
        ({"kind": "fixed", "value": Decimal("2.005")}, "11.01", "rule"),
        ({"kind": "override", "value": Decimal(25)}, "25.00", "rule"),
        ({"kind": "override", "value": Decimal(5)}, "9.10", "floor"),
        ({"kind": "override", "value": Decimal(5), "loss_signed_by": "ada"}, "5.00", "rule"),
        ({"kind": "margin", "value": Decimal(0), "loss_signed_by": "ada"}, "9.10", "floor"),
    ],
)
def test_a_cost_of_nine_at_one_percent_fee_is_sold_for(
    fields: dict[str, object], price: str, decided_by: str
) -> None:
    made = derive(Decimal("9.00"), FEE, applied(**fields), None)
    assert (made.price, made.decided_by) == (Decimal(price), decided_by)
    assert made.floor == Decimal("9.10")


def test_a_derivation_tells_every_step() -> None:
    rule = applied(value=Decimal("0.5"), cap=Decimal(12), rounding="99")
    assert derive(Decimal(9), FEE, rule, Decimal("11.50")) == Derivation(
        cost=Decimal(9),
        gateway_fee=FEE,
        rule=rule,
        previous=Decimal("11.50"),
        raw=Decimal("13.5"),
        rounded=Decimal("13.99"),
        capped=Decimal(12),
        floor=Decimal("9.10"),
        price=Decimal(12),
        decided_by="cap",
        is_loss_signed=False,
    )


@given(amount=COSTS, rounding=ROUNDINGS)
def test_rounding_goes_up_to_the_nearest_price_of_its_ending(
    amount: Decimal, rounding: Rounding
) -> None:
    step = CENT if rounding == "cent" else Decimal(1)
    ending = {"cent": ZERO, "99": Decimal("0.99"), "95": Decimal("0.95"), "whole": ZERO}[rounding]
    rounded = rounded_up(amount, rounding)
    assert rounded >= amount
    assert (rounded - ending) % step == 0
    assert rounded - step < amount


@settings(max_examples=300)
@given(cost=COSTS, fee=FEES, rule=applied_rules(), previous=PRICES)
def test_the_price_is_that_of_a_slow_model_in_exact_fractions(
    cost: Decimal, fee: Decimal, rule: AppliedRule, previous: Decimal | None
) -> None:
    made = derive(cost, fee, rule, previous)
    assert exact(price_of(made)) == slowly(cost, fee, rule)
    assert exact(made.floor) == Fraction(ceil(exact(cost) / (1 - exact(fee)) * 100), 100)


@given(cost=COSTS, fee=FEES, value=amounts("0.01", "30"), previous=PRICES)
def test_an_override_whose_loss_is_signed_sets_the_price_below_the_floor_too(
    cost: Decimal, fee: Decimal, value: Decimal, previous: Decimal | None
) -> None:
    rule = applied(kind="override", value=value, loss_signed_by="ada")
    made = derive(cost, fee, rule, previous)
    assert made.price == rounded_up(value, "cent")
    assert made.is_loss_signed


@settings(max_examples=300)
@given(cost=COSTS, fee=FEES, rule=st.none() | applied_rules(), previous=PRICES)
def test_no_price_is_below_its_floor_or_leaves_less_than_its_cost_unless_a_loss_is_signed(
    cost: Decimal, fee: Decimal, rule: AppliedRule | None, previous: Decimal | None
) -> None:
    made = derive(cost, fee, rule, previous)
    if not made.is_loss_signed:
        assert price_of(made) >= made.floor
        assert exact(price_of(made)) * (1 - exact(fee)) >= exact(cost)
    assert made.is_loss_signed == (rule is not None and rule.loss_signed_by is not None)


@given(cost=st.none() | COSTS, fee=FEES, rule=st.none() | applied_rules(), previous=PRICES)
def test_a_price_and_its_floor_are_whole_cents(
    cost: Decimal | None, fee: Decimal, rule: AppliedRule | None, previous: Decimal | None
) -> None:
    made = derive(cost, fee, rule, previous)
    assert exact(made.floor) * 100 % 1 == 0
    assert made.price is None or exact(made.price) * 100 % 1 == 0


@settings(max_examples=300)
@given(low=COSTS, more=COSTS, fee=FEES, rule=st.none() | applied_rules(), previous=PRICES)
def test_a_higher_cost_never_makes_a_lower_price(
    low: Decimal, more: Decimal, fee: Decimal, rule: AppliedRule | None, previous: Decimal | None
) -> None:
    dear, cheap = derive(low + more, fee, rule, previous), derive(low, fee, rule, previous)
    assert price_of(dear) >= price_of(cheap)


@settings(max_examples=300)
@given(cost=COSTS, fee=FEES, rule=applied_rules(), cap=CAPS)
def test_a_cap_is_kept_unless_the_floor_is_above_it(
    cost: Decimal, fee: Decimal, rule: AppliedRule, cap: Decimal
) -> None:
    made = derive(cost, fee, msgspec.structs.replace(rule, cap=cap), None)
    assert price_of(made) <= cap or price_of(made) == made.floor
    assert (made.decided_by == "floor") == (price_of(made) == made.floor != made.capped)


def in_force(rule_id: str, rule: AppliedRule, **fields: object) -> PricingRule:
    row = PricingRule(
        id=rule_id,
        version=1,
        scope=rule.scope,
        kind=rule.kind,
        value=rule.value,
        cap=rule.cap,
        rounding=rule.rounding,
        created_at=NOW,
        updated_at=NOW,
    )
    return msgspec.structs.replace(row, **fields)


@given(cost=COSTS, fee=FEES, rule=applied_rules(), value=st.decimals("0.01", "30", places=2))
def test_an_override_of_the_product_sets_the_price_whatever_other_rules_say(
    cost: Decimal, fee: Decimal, rule: AppliedRule, value: Decimal
) -> None:
    override = applied(kind="override", value=value)
    rules = [
        in_force("shop", rule, priority=9),
        in_force("category", rule, scope="category", subject="rpg", priority=7),
        in_force("own", override, scope="product", subject="p1"),
    ]
    chosen = choose(rules, category="rpg", product_id="p1").applied
    made = derive(cost, fee, chosen, None)
    assert price_of(made) == max(value, made.floor)


# --- no rule, no cost ------------------------------------------------------------------------


def test_without_a_rule_the_price_stays_until_the_floor_passes_it() -> None:
    kept = derive(Decimal(9), FEE, None, Decimal("12.34"))
    assert (kept.price, kept.decided_by, kept.is_change) == (Decimal("12.34"), "previous", False)
    raised = derive(Decimal(20), FEE, None, Decimal("12.34"))
    assert (raised.price, raised.decided_by) == (Decimal("20.21"), "floor")
    first = derive(Decimal(9), FEE, None, None)
    assert (first.price, first.decided_by) == (Decimal("9.10"), "floor")


def test_without_a_cost_an_override_gives_its_value_and_anything_else_changes_nothing() -> None:
    override = applied(kind="override", value=Decimal("7.5"), rounding="99", cap=Decimal("7.75"))
    made = derive(None, FEE, override, Decimal("12.34"))
    assert (made.price, made.floor, made.decided_by) == (Decimal("7.75"), ZERO, "cap")
    for rule in (None, applied(), applied(kind="fixed")):
        kept = derive(None, FEE, rule, Decimal("12.34"))
        assert (kept.price, kept.decided_by, kept.is_change) == (
            Decimal("12.34"),
            "previous",
            False,
        )
        nothing = derive(None, FEE, rule, None)
        assert (nothing.price, nothing.decided_by, nothing.is_change) == (None, "nothing", False)


@pytest.mark.parametrize("fee", ["-0.01", "1", "1.5", "NaN", "Infinity"])
def test_a_fee_that_is_no_fraction_is_a_mistake_of_the_caller(fee: str) -> None:
    with pytest.raises(ValueError, match="fraction"):
        derive(Decimal(9), Decimal(fee), applied(), None)


@pytest.mark.parametrize("cost", ["-0.01", "NaN", "Infinity", "0.000000001", "1E+12"])
def test_a_cost_that_is_no_amount_of_money_makes_no_price(cost: str) -> None:
    with pytest.raises(BadMoney):
        derive(Decimal(cost), FEE, applied(), None)


def test_a_price_too_large_for_its_column_is_never_made() -> None:
    with pytest.raises(BadMoney, match="12 digits before"):
        derive(Decimal(900_000_000_000), FEE, applied(value=Decimal(1)), None)


def test_a_floor_beyond_all_amounts_is_no_price_even_where_a_loss_is_signed() -> None:
    rule = applied(kind="override", value=Decimal(5), loss_signed_by="ada")
    with pytest.raises(BadMoney, match="12 digits before"):
        derive(Decimal(999_999_999_999), FEE, rule, None)


# --- discounts, and costs that move ----------------------------------------------------------

BASKETS = st.lists(
    st.tuples(COSTS, COSTS, st.none() | applied_rules(), st.integers(1, 90), st.booleans()),
    min_size=1,
    max_size=6,
)


def basket(
    drawn: list[tuple[Decimal, Decimal, AppliedRule | None, int, bool]], fee: Decimal
) -> tuple[list[PricedLine], list[bool]]:
    """Lines priced at an earlier cost and sold at today's, with whose loss is signed."""
    lines, signed = [], []
    for cost_then, cost_now, rule, quantity, matches in drawn:
        made = derive(cost_then, fee, rule, None)
        price = standing_price(price_of(made), cost_now, fee, is_loss_signed=made.is_loss_signed)
        lines.append(
            PricedLine(
                quantity=quantity,
                unit_price=price,
                unit_floor=cost_floor(cost_now, fee),
                matches=matches,
            )
        )
        signed.append(made.is_loss_signed)
    return lines, signed


@given(
    drawn=BASKETS,
    fee=FEES,
    percent=st.decimals("0", "100", places=2),
    amount=st.decimals("0", "5000", places=2),
)
def test_no_discount_and_no_cost_that_moved_sells_a_line_below_its_floor_of_today(
    drawn: list[tuple[Decimal, Decimal, AppliedRule | None, int, bool]],
    fee: Decimal,
    percent: Decimal,
    amount: Decimal,
) -> None:
    lines, signed = basket(drawn, fee)
    for discounts in (percent_discounts(lines, percent), fixed_discounts(lines, amount)):
        for line, off, is_signed, (_, cost_now, _, _, _) in zip(
            lines, discounts, signed, drawn, strict=True
        ):
            assert off >= 0
            net = exact(line.total - off) * (1 - exact(fee))
            if not is_signed or line.unit_price >= line.unit_floor:
                assert line.total - off >= line.unit_floor * line.quantity
                assert net >= exact(cost_now) * line.quantity
            else:
                assert off == 0


@given(
    price=st.decimals("0.01", "20", places=2),
    under=st.decimals("0", "20", places=2),
    quantity=st.integers(1, 90),
    percent=st.decimals("0", "100", places=2),
    amount=st.decimals("0", "5000", places=2),
)
def test_a_line_sold_at_a_signed_loss_has_no_room_for_any_discount(
    price: Decimal, under: Decimal, quantity: int, percent: Decimal, amount: Decimal
) -> None:
    at_a_loss = PricedLine(quantity=quantity, unit_price=price, unit_floor=price + under)
    other = PricedLine(quantity=1, unit_price=Decimal(10), unit_floor=Decimal(5))
    lines = [at_a_loss, other]
    assert at_a_loss.room == 0
    assert percent_discounts(lines, percent)[0] == 0
    assert fixed_discounts(lines, amount)[0] == 0
