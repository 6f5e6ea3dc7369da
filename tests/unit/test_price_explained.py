"""Every price keeps what it was worked out from, and comes out the same when worked out again."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.price_model import COSTS, FEE, FEES, PRICES, applied, applied_rules

from bitloot.domain.money import CENT
from bitloot.domain.price_derivation import (
    Derivation,
    PriceRecord,
    agrees,
    derive,
    explain,
    price_record,
)
from bitloot.domain.pricing_rules import AppliedRule, PricingRule, Tried, choose

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def kept_and_read(record: PriceRecord) -> PriceRecord:
    """The record as a store gives it back: JSON for the rule, amounts filled up with zeros."""
    eight = Decimal("0.00000001")
    return msgspec.structs.replace(
        record,
        price=record.price.quantize(eight),
        floor=record.floor.quantize(eight),
        previous=None if record.previous is None else record.previous.quantize(eight),
        cost=None if record.cost is None else record.cost.quantize(eight),
        rule=msgspec.json.decode(msgspec.json.encode(record.rule), type=AppliedRule | None),
        tried=msgspec.json.decode(msgspec.json.encode(record.tried), type=tuple[Tried, ...]),
    )


def recorded(made: Derivation) -> PriceRecord | None:
    return price_record(made, record_id="h1", product_id="p1", at=NOW, reason="rule")


@given(cost=st.none() | COSTS, fee=FEES, rule=st.none() | applied_rules(), previous=PRICES)
def test_history_gets_a_row_only_for_another_price_and_the_row_explains_it_exactly(
    cost: Decimal | None, fee: Decimal, rule: AppliedRule | None, previous: Decimal | None
) -> None:
    made = derive(cost, fee, rule, previous)
    record = recorded(made)
    assert (record is None) == (made.price is None or made.price == previous)
    if record is not None:
        kept = kept_and_read(record)
        assert kept == record
        assert explain(kept) == made
        assert agrees(kept)


@given(cost=COSTS, rule=applied_rules(), cents=st.sampled_from([-1, 1]))
def test_a_record_whose_price_or_floor_was_tampered_with_does_not_agree(
    cost: Decimal, rule: AppliedRule, cents: int
) -> None:
    record = recorded(derive(cost, FEE, rule, None))
    assert record is not None
    replace = msgspec.structs.replace
    assert not agrees(replace(record, price=record.price + cents * CENT))
    assert not agrees(replace(record, floor=record.floor + cents * CENT))


@pytest.mark.parametrize(
    "fields",
    [
        {"cost": Decimal("8.80")},
        {"cost": Decimal(-9)},
        {"cost": Decimal("NaN")},
        {"cost": None},
        {"gateway_fee": Decimal("0.02")},
        {"gateway_fee": Decimal(1)},
        {"rule": None},
        {"rule": applied(value=Decimal("0.5"))},
        {"rule": applied(value=Decimal("NaN"))},
        {"rule": applied(value=Decimal("1E+60"))},
        {"rule": applied(value=Decimal("0.21"), cap=Decimal(10))},
        {"rule": applied(value=Decimal("0.21"), rounding="99")},
    ],
)
def test_a_record_whose_facts_were_tampered_with_does_not_agree(fields: dict[str, object]) -> None:
    record = recorded(derive(Decimal(9), FEE, applied(value=Decimal("0.21")), None))
    assert record is not None
    assert agrees(record)
    assert not agrees(msgspec.structs.replace(record, **fields))


class Shelf:
    """Twenty products whose costs, fees and rules move at random; every price change is kept."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.fee = FEE
        self.costs: dict[str, Decimal | None] = {f"p{n}": Decimal(n) for n in range(20)}
        self.rules: dict[str, PricingRule] = {}
        self.prices: dict[str, Decimal | None] = dict.fromkeys(self.costs)
        self.history: list[PriceRecord] = []

    def amount(self, highest: int, places: int) -> Decimal:
        return Decimal(self.chance.randint(1, highest * 10**places)).scaleb(-places)

    def change(self, at: datetime) -> None:
        """One thing changes; the prices that it touches are worked out anew."""
        product = self.chance.choice(list(self.costs))
        match self.chance.randint(0, 9):
            case 0:
                self.fee = self.amount(1, 3) / 5
            case 1:
                self.costs[product] = None
            case 2 | 3:
                self.write_rule(product, at)
            case 4 if self.rules:
                self.rules.pop(self.chance.choice(list(self.rules)))
            case _:
                self.costs[product] = self.amount(30, self.chance.choice([2, 4, 8]))
        self.reprice(product, at)

    def write_rule(self, product: str, at: datetime) -> None:
        scope, subject = self.chance.choice(
            [("global", None), ("category", "even"), ("category", "odd"), ("product", product)]
        )
        kind = self.chance.choice(["margin", "fixed", "override"])
        row = PricingRule(
            id=f"r{self.chance.randint(0, 40)}",
            scope="global",
            kind="margin",
            value=self.amount(3 if kind == "margin" else 30, self.chance.choice([2, 8])),
            created_at=at,
            updated_at=at,
        )
        self.rules[row.id] = msgspec.structs.replace(
            row,
            scope=scope,
            subject=subject,
            kind=kind,
            cap=self.chance.choice([None, self.amount(30, 2)]),
            rounding=self.chance.choice(["cent", "99", "95", "whole"]),
            priority=self.chance.randint(-1, 1),
            is_enabled=self.chance.random() < 0.8,
            loss_signed_by="ada" if kind == "override" and self.chance.random() < 0.3 else None,
        )

    def reprice(self, product: str, at: datetime) -> None:
        choice = choose(
            self.rules.values(),
            category="odd" if int(product[1:]) % 2 else "even",
            product_id=product,
        )
        made = derive(self.costs[product], self.fee, choice.applied, self.prices[product])
        record = price_record(
            made,
            record_id=f"h{len(self.history)}",
            product_id=product,
            at=at,
            reason="rule",
            offer_row_id=f"o-{product}",
            tried=choice.tried,
        )
        if record is not None:
            self.history.append(kept_and_read(record))
        self.prices[product] = made.price


def test_after_ten_thousand_random_changes_every_record_explains_its_price() -> None:
    shelf = Shelf(Random(20260301))
    for n in range(10_000):
        shelf.change(NOW + timedelta(seconds=n))
    assert len(shelf.history) > 3_000
    last: dict[str, Decimal] = {}
    for record in shelf.history:
        again = explain(record)
        assert (again.price, again.floor) == (record.price, record.floor)
        assert agrees(record)
        assert record.previous == last.get(record.product_id)
        assert record.price >= record.floor or again.is_loss_signed
        told = [each.rule_id for each in record.tried if each.outcome == "applied"]
        assert told == ([] if record.rule is None else [record.rule.id])
        last[record.product_id] = record.price
    assert last == {name: price for name, price in shelf.prices.items() if price is not None}
    assert {explain(record).decided_by for record in shelf.history} >= {"rule", "cap", "floor"}
    assert any(record.price < record.floor for record in shelf.history)
    assert any(record.rule is None for record in shelf.history)
