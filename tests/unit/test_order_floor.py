"""No order is below its floor, and no unit is bought above what its price leaves.

Through the rules that make a price, the quote, a discount at the quote, the order that is placed
after costs moved, and the ceiling that is sent to the supplier.
"""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count

import msgspec
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from tests.unit.price_model import COSTS, FEES, applied_rules, price_of

from bitloot.domain import routing
from bitloot.domain.address import parse_address
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment_plan import plan
from bitloot.domain.limits import Limits
from bitloot.domain.money import CENT, cost_floor
from bitloot.domain.order import Order, OrderFile, OrderItem
from bitloot.domain.placing import Buyer, place
from bitloot.domain.price_derivation import derive
from bitloot.domain.pricing import PricedLine, fixed_discounts, percent_discounts
from bitloot.domain.pricing_rules import AppliedRule
from bitloot.domain.product import Product, Sellable, WholesaleTier
from bitloot.domain.quote import Quote, Wanted, price_basket
from bitloot.domain.supply import SupplierOffer
from bitloot.testing.rows import Rows
from bitloot.testing.virtual_time import START

NEXT = count(1)
ROWS = Rows(clock=lambda: START, new_id=lambda: f"id-{next(NEXT):08d}")
BUYER = Buyer(address=parse_address("ada@example.org"), placed_from="203.0.113.7")
PRODUCTS = tuple(ROWS.goods() for _ in range(3))


class Line(msgspec.Struct, frozen=True):
    """A product that is priced at one cost, quoted at the next and ordered at the last."""

    rule: AppliedRule
    costs: tuple[Decimal, Decimal, Decimal]
    quantity: int
    # What else its list price became meanwhile: a rule was changed.
    repriced: bool

    @property
    def is_signed(self) -> bool:
        """Whether a person lets it be sold below its floor."""
        return self.rule.is_loss_signed


# Costs move by a cent or by a lot, and mostly a little.
MOVES = st.sampled_from(["0", "0.01", "-0.01", "0.3", "-0.3", "5", "-5"]).map(Decimal)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    first = draw(COSTS)
    then = max(Decimal(0), first + draw(MOVES))
    last = max(Decimal(0), then + draw(MOVES))
    return Line(
        rule=draw(applied_rules()),
        costs=(first, then, last),
        quantity=draw(st.integers(1, 12)),
        repriced=draw(st.booleans()),
    )


BASKETS = st.lists(lines(), min_size=1, max_size=len(PRODUCTS))


def sellable(product: Product, line: Line, fee: Decimal, *, stage: int) -> Sellable:
    """The product as it stands at a stage: priced at its first cost unless it was priced anew."""
    priced_at = line.costs[stage if stage == 2 and line.repriced else 0]
    made = derive(priced_at, fee, line.rule, None)
    offer = next(goods.offer for goods in PRODUCTS if goods.product.id == product.id)
    return Sellable(
        product=product,
        offer=offer,
        available=100,
        unit_cost=line.costs[stage],
        price=price_of(made),
        is_loss_signed=made.is_loss_signed,
    )


def quoted(basket: list[Line], fee: Decimal, limits: Limits) -> Quote:
    products = [goods.product for goods in PRODUCTS[: len(basket)]]
    at_quote = [sellable(p, n, fee, stage=1) for p, n in zip(products, basket, strict=True)]
    wanted = [
        Wanted(product=p.id, quantity=n.quantity) for p, n in zip(products, basket, strict=True)
    ]
    return price_basket(
        wanted,
        at_quote,
        quote_id="q",
        country=None,
        asset=None,
        at=START,
        limits=limits,
    )


def placed(basket: list[Line], fee: Decimal) -> OrderFile | None:
    """The order, or None where the quote or the order is refused."""
    limits = msgspec.structs.replace(Limits(), gateway_fee=fee)
    products = [goods.product for goods in PRODUCTS[: len(basket)]]
    today = [sellable(p, n, fee, stage=2) for p, n in zip(products, basket, strict=True)]
    try:
        decision = place(
            quoted(basket, fee, limits),
            today,
            {},
            BUYER,
            number="BL2345678",
            at=START + timedelta(minutes=1),
            new_id=ROWS.new_id,
            limits=limits,
        ).decision
    except Refused as refused:
        event(refused.code)
        return None
    rows = [change.after for change in decision.save]
    (order,) = (row for row in rows if isinstance(row, Order))
    return OrderFile(order=order, items=tuple(row for row in rows if isinstance(row, OrderItem)))


@settings(max_examples=200)
@given(basket=BASKETS, fee=FEES)
def test_no_order_is_placed_below_its_floor_unless_its_losses_are_signed(
    basket: list[Line], fee: Decimal
) -> None:
    file = placed(basket, fee)
    assume(file is not None)
    assert file is not None
    event("placed")
    lowest = sum(Fraction(line.costs[2]) * line.quantity for line in basket if not line.is_signed)
    unsigned = [not line.is_signed for line in basket]
    if all(unsigned):
        floors = sum(cost_floor(line.costs[2], fee) * line.quantity for line in basket)
        assert file.order.total >= floors
        assert Fraction(file.order.total) * (1 - Fraction(fee)) >= lowest
    assert file.order.total == sum(item.unit_price * item.quantity for item in file.items)
    for item in file.items:
        assert item.unit_price >= item.unit_floor


@settings(max_examples=200)
@given(basket=BASKETS, fee=FEES, ceilings=st.lists(COSTS, min_size=1, max_size=4))
def test_no_unit_is_bought_above_what_its_price_leaves_after_the_gateway(
    basket: list[Line], fee: Decimal, ceilings: list[Decimal]
) -> None:
    file = placed(basket, fee)
    assume(file is not None)
    assert file is not None
    parts = plan(file, at=START, new_id=ROWS.new_id, limits=Limits(), wholesale_units={"offer": 99})
    signed = {item.id: line.is_signed for item, line in zip(file.items, basket, strict=True)}
    costs = {item.id: line.costs[2] for item, line in zip(file.items, basket, strict=True)}
    prices = {item.id: item.unit_price for item in file.items}
    for part in parts:
        left = Fraction(prices[part.order_item_id]) * (1 - Fraction(fee))
        most = Fraction(part.max_unit_price)
        if signed[part.order_item_id]:
            assert most <= max(left, Fraction(costs[part.order_item_id]))
        elif prices[part.order_item_id] >= cost_floor(costs[part.order_item_id], fee):
            assert most <= left
        offers = [
            SupplierOffer(
                supplier_product_id="p",
                offer_id=f"o{place}",
                price=price,
                stock=100,
                wholesale=(WholesaleTier(from_units=10, price=max(CENT, price - CENT)),),
            )
            for place, price in enumerate((*ceilings, part.max_unit_price))
        ]
        found = [routing.Found(part.supplier, offer) for offer in offers]
        chosen = routing.choose(part, found, limits=Limits())
        assert isinstance(chosen, routing.Found)
        assert routing.unit_price(chosen.offer, part.quantity) <= part.max_unit_price


@settings(max_examples=150)
@given(
    basket=BASKETS,
    fee=FEES,
    percent=st.decimals("0", "100", places=2),
    amount=st.decimals("0", "500", places=2),
)
def test_no_discount_takes_a_quote_below_its_floor_of_the_moment(
    basket: list[Line], fee: Decimal, percent: Decimal, amount: Decimal
) -> None:
    limits = msgspec.structs.replace(Limits(), gateway_fee=fee)
    try:
        quote = quoted(basket, fee, limits)
    except Refused:
        return
    priced = [
        PricedLine(quantity=n.quantity, unit_price=n.unit_price, unit_floor=n.unit_floor)
        for n in quote.lines
    ]
    for discounts in (percent_discounts(priced, percent), fixed_discounts(priced, amount)):
        for line, row, off in zip(basket, quote.lines, discounts, strict=True):
            paid = row.unit_price * row.quantity - off
            if not line.is_signed:
                assert paid >= cost_floor(line.costs[1], fee) * row.quantity
                assert Fraction(paid) * (1 - Fraction(fee)) >= Fraction(line.costs[1]) * (
                    row.quantity
                )
            else:
                assert paid >= min(row.unit_price, cost_floor(line.costs[1], fee)) * row.quantity
