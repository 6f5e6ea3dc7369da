"""Rules, costs, fees and caps as the tests of prices draw them."""

from decimal import Decimal

import msgspec
from hypothesis import strategies as st

from bitloot.domain.price_derivation import Derivation
from bitloot.domain.pricing_rules import AppliedRule, Rounding

FEE = Decimal("0.01")

# Few and near each other as well as wide apart: caps, floors and costs must meet.
COSTS = st.decimals("0", "20", places=4) | st.decimals("0", "99999", places=8)
FEES = st.decimals("0", "0.20", places=3) | st.decimals("0", "0.9", places=8)
CAPS = st.none() | st.decimals("0.01", "30", places=8) | st.decimals("0.01", "99999", places=2)
ROUNDINGS: st.SearchStrategy[Rounding] = st.sampled_from(["cent", "99", "95", "whole"])
PRICES = st.none() | st.decimals("0", "30", places=2)


def applied(**fields: object) -> AppliedRule:
    plain = AppliedRule(id="r1", version=1, scope="global", kind="margin", value=Decimal("0.1"))
    return msgspec.structs.replace(plain, **fields)


@st.composite
def applied_rules(draw: st.DrawFn) -> AppliedRule:
    kind = draw(st.sampled_from(["margin", "fixed", "override"]))
    lowest, highest = {"margin": ("0", "10"), "fixed": ("0", "20")}.get(kind, ("0.01", "30"))
    return applied(
        kind=kind,
        value=draw(st.decimals(lowest, highest, places=draw(st.sampled_from([2, 8])))),
        cap=draw(CAPS),
        rounding=draw(ROUNDINGS),
        loss_signed_by=draw(st.sampled_from([None, None, "ada"])) if kind == "override" else None,
    )


def price_of(derivation: Derivation) -> Decimal:
    assert derivation.price is not None
    return derivation.price
