"""Rules, costs, fees and caps as the tests of prices draw them."""

from decimal import Decimal

import msgspec
from hypothesis import strategies as st

from bitloot.domain.price_derivation import Derivation
from bitloot.domain.pricing_rules import AppliedRule, Rounding

FEE = Decimal("0.01")

# What lies on, just before and just behind a rounding point.
TAILS = tuple(
    Decimal(tail)
    for tail in ("0", "0", "0.00000001", "0.0049", "0.005", "0.00500001", "0.00999999")
)


def amounts(lowest: str, highest: str) -> st.SearchStrategy[Decimal]:
    """Amounts spread evenly over the whole range; those of eight decimals sit at the edges."""
    return st.builds(
        lambda cents, tail: cents + tail,
        st.decimals(lowest, highest, places=2),
        st.sampled_from(TAILS),
    )


# Mostly near each other, so that costs, caps and floors meet, and sometimes wide apart.
COSTS = amounts("0", "20") | amounts("0", "20") | amounts("0", "99999")
FEES = st.decimals("0", "0.20", places=3) | st.decimals("0", "0.9", places=6)
CAPS = amounts("0.01", "30")
ROUNDINGS: st.SearchStrategy[Rounding] = st.sampled_from(["cent", "99", "95", "whole"])
PRICES = st.none() | st.decimals("0", "30", places=2)


def applied(**fields: object) -> AppliedRule:
    plain = AppliedRule(id="r1", version=1, scope="global", kind="margin", value=Decimal("0.1"))
    return msgspec.structs.replace(plain, **fields)


@st.composite
def applied_rules(draw: st.DrawFn) -> AppliedRule:
    kind = draw(st.sampled_from(["margin", "fixed", "override"]))
    lowest, highest = {"margin": ("0", "9.98"), "fixed": ("0", "20")}.get(kind, ("0.01", "30"))
    return applied(
        kind=kind,
        value=draw(amounts(lowest, highest)),
        cap=draw(st.none() | CAPS),
        rounding=draw(ROUNDINGS),
        loss_signed_by=draw(st.sampled_from([None, "ada"])) if kind == "override" else None,
    )


def price_of(derivation: Derivation) -> Decimal:
    assert derivation.price is not None
    return derivation.price
