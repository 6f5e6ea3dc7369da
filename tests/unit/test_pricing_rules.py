"""Pricing rules: what may be written as one, and which of them a product gets."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloot.domain.decision import insert, logged
from bitloot.domain.errors import Refused
from bitloot.domain.pricing_rules import (
    HIGHEST_PRIORITY,
    TRIED_LISTED,
    AppliedRule,
    PricingRule,
    RuleTerms,
    Tried,
    checked_terms,
    choose,
    new_rule,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOOD = RuleTerms(scope="product", subject="p1", kind="override", value=Decimal("9.99"))


def rule(rule_id: str, **fields: object) -> PricingRule:
    plain = PricingRule(
        id=rule_id,
        version=1,
        scope="global",
        kind="margin",
        value=Decimal("0.1"),
        created_at=NOW,
        updated_at=NOW,
    )
    return msgspec.structs.replace(plain, **fields)


def outcomes(tried: Sequence[Tried]) -> dict[str, str]:
    return {each.rule_id: each.outcome for each in tried}


# --- what may be written ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"scope": "global", "subject": None, "kind": "margin", "value": Decimal(0)},
        {"kind": "margin", "value": Decimal(10)},
        {"kind": "margin", "value": Decimal("0.00000001")},
        {"kind": "fixed", "value": Decimal("999999999999.99999999")},
        {"kind": "fixed", "value": Decimal("1E+3")},
        {"value": Decimal("0.01")},
        {"cap": Decimal("0.01")},
        {"scope": "category", "subject": "role-playing"},
        {"priority": HIGHEST_PRIORITY},
        {"priority": -HIGHEST_PRIORITY},
        {"rounding": "99"},
        {"rounding": "95"},
        {"rounding": "whole"},
        {"loss_signed_by": "ada@example.org"},
        {"is_enabled": False},
    ],
)
def test_a_rule_that_makes_sense_is_taken_as_it_is_written(fields: dict[str, object]) -> None:
    terms = msgspec.structs.replace(GOOD, **fields)
    assert checked_terms(terms) == terms
    made = new_rule(terms, rule_id="r1", at=NOW)
    assert (made.id, made.version, made.created_at, made.updated_at) == ("r1", 0, NOW, NOW)
    assert {
        name: getattr(made, name) for name in terms.__struct_fields__
    } == msgspec.structs.asdict(terms)


NOT_MONEY = [
    "-0.01",
    "-1",
    "NaN",
    "sNaN",
    "Infinity",
    "-Infinity",
    "0.000000001",
    "1E-9",
    "1000000000000",
    "1E+12",
    "1E+999999",
]


@pytest.mark.parametrize("field", ["value", "cap"])
@pytest.mark.parametrize("kind", ["margin", "fixed", "override"])
@pytest.mark.parametrize("amount", NOT_MONEY)
def test_what_is_no_amount_of_money_is_refused_by_its_field(
    field: str, kind: str, amount: str
) -> None:
    good = {"kind": kind, "value": Decimal(1), "cap": Decimal(5)}
    terms = msgspec.structs.replace(GOOD, **{**good, field: Decimal(amount)})
    with pytest.raises(Refused) as no:
        checked_terms(terms)
    assert (no.value.code, no.value.field) == ("invalid-input", field)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("value", {"kind": "margin", "value": Decimal("10.00000001")}),
        ("value", {"value": Decimal(0)}),
        ("value", {"value": Decimal("0.00999999")}),
        ("cap", {"cap": Decimal(0)}),
        ("cap", {"cap": Decimal("0.00999999")}),
        ("scope", {"scope": "shop"}),
        ("scope", {"scope": ""}),
        ("kind", {"kind": "percent"}),
        ("rounding", {"rounding": "0.99"}),
        ("subject", {"scope": "global"}),
        ("subject", {"scope": "global", "subject": ""}),
        ("subject", {"subject": None}),
        ("subject", {"scope": "category", "subject": None}),
        ("subject", {"subject": ""}),
        ("subject", {"subject": " p1"}),
        ("subject", {"subject": "p1\n"}),
        ("subject", {"subject": "p\x001"}),
        ("subject", {"subject": "p" * 201}),
        ("priority", {"priority": HIGHEST_PRIORITY + 1}),
        ("priority", {"priority": -HIGHEST_PRIORITY - 1}),
        ("loss_signed_by", {"kind": "margin", "loss_signed_by": "ada"}),
        ("loss_signed_by", {"kind": "fixed", "loss_signed_by": "ada"}),
        ("loss_signed_by", {"loss_signed_by": ""}),
        ("loss_signed_by", {"loss_signed_by": "  "}),
        ("loss_signed_by", {"loss_signed_by": "a\x00da"}),
        ("loss_signed_by", {"loss_signed_by": "a" * 201}),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_its_field(
    field: str, fields: dict[str, object]
) -> None:
    with pytest.raises(Refused) as no:
        new_rule(msgspec.structs.replace(GOOD, **fields), rule_id="r1", at=NOW)
    assert (no.value.code, no.value.field) == ("invalid-input", field)
    assert no.value.detail


@given(
    value=st.decimals(allow_nan=True, allow_infinity=True),
    cap=st.none() | st.decimals(allow_nan=True, allow_infinity=True),
    kind=st.sampled_from(["margin", "fixed", "override"]),
)
def test_any_number_makes_a_rule_that_fits_its_columns_or_is_refused(
    value: Decimal, cap: Decimal | None, kind: str
) -> None:
    terms = msgspec.structs.replace(GOOD, value=value, cap=cap, kind=kind)
    refused_field = None
    made = None
    try:
        made = new_rule(terms, rule_id="r1", at=NOW)
    except Refused as no:
        refused_field = no.field
    assert refused_field in ({"value", "cap"} if made is None else {None})
    for amount in (made.value, made.cap) if made is not None else ():
        if amount is not None:
            assert 0 <= amount < 10**12
            assert amount == amount.quantize(Decimal("1E-8"))


def test_a_rule_and_its_snapshot_are_kept_as_json_and_come_back_the_same() -> None:
    made = new_rule(msgspec.structs.replace(GOOD, loss_signed_by="ada"), rule_id="r1", at=NOW)
    kept = msgspec.json.encode(made.snapshot())
    assert b'"value":"9.99"' in kept
    assert msgspec.json.decode(kept, type=AppliedRule) == made.snapshot()
    assert logged(insert(made))["value"] == "9.99"


def test_a_snapshot_keeps_every_field_of_the_rule_that_has_a_say_in_the_price() -> None:
    left_out = set(PricingRule.__struct_fields__) - set(AppliedRule.__struct_fields__)
    assert left_out == {"is_enabled", "created_at", "updated_at"}
    full = rule(
        "r1",
        version=7,
        scope="category",
        subject="rpg",
        kind="override",
        value=Decimal(5),
        cap=Decimal(6),
        rounding="95",
        priority=3,
        loss_signed_by="ada",
    )
    snapshot = full.snapshot()
    for name, value in msgspec.structs.asdict(snapshot).items():
        assert value == getattr(full, name), name


@pytest.mark.parametrize("kind", ["margin", "fixed"])
def test_a_signature_under_anything_but_an_override_signs_no_loss(kind: str) -> None:
    signed = rule("r1", kind=kind, loss_signed_by="ada").snapshot()
    assert not signed.is_loss_signed


# --- which one a product gets ----------------------------------------------------------------


def test_a_rule_of_the_product_goes_before_its_categorys_before_the_shops() -> None:
    rules = [
        rule("shop", priority=9),
        rule("category", scope="category", subject="rpg", priority=5),
        rule("product", scope="product", subject="p1", priority=-5),
    ]
    choice = choose(rules, category="rpg", product_id="p1")
    assert choice.applied == rules[2].snapshot()
    assert outcomes(choice.tried) == {
        "product": "applied",
        "category": "outranked by scope",
        "shop": "outranked by scope",
    }
    assert [each.rule_id for each in choice.tried] == ["product", "category", "shop"]
    without = choose(rules, category="rpg", product_id=None)
    assert without.applied == rules[1].snapshot()
    assert choose(rules, category=None, product_id="p2").applied == rules[0].snapshot()


def test_within_a_scope_the_higher_priority_goes_first_then_the_newest_then_the_higher_id() -> None:
    later = NOW + timedelta(seconds=1)
    rules = [
        rule("a", priority=1, created_at=NOW),
        rule("b", priority=1, created_at=later),
        rule("c", priority=1, created_at=later),
        rule("d", priority=0, created_at=later + timedelta(days=1)),
    ]
    assert outcomes(choose(rules, category=None, product_id=None).tried) == {
        "c": "applied",
        "b": "older",
        "a": "older",
        "d": "outranked by priority",
    }


def test_a_rule_that_is_put_aside_is_told_but_never_applied() -> None:
    rules = [
        rule("off", scope="product", subject="p1", is_enabled=False),
        rule("on"),
    ]
    choice = choose(rules, category=None, product_id="p1")
    assert choice.applied == rules[1].snapshot()
    assert outcomes(choice.tried) == {"off": "disabled", "on": "applied"}
    nothing = choose(rules[:1], category=None, product_id="p1")
    assert nothing.applied is None
    assert outcomes(nothing.tried) == {"off": "disabled"}


def test_a_rule_of_another_product_or_category_is_not_even_looked_at() -> None:
    rules = [
        rule("other", scope="product", subject="p2"),
        rule("else", scope="category", subject="p1"),
        rule("none", scope="category", subject=None),
    ]
    choice = choose(rules, category=None, product_id="p1")
    assert (choice.applied, choice.tried) == (None, ())


def test_of_very_many_rules_the_strongest_are_told_and_the_applied_one_always() -> None:
    rules = [
        rule(f"r{n:03}", priority=-n, is_enabled=n >= 2 * TRIED_LISTED)
        for n in range(3 * TRIED_LISTED)
    ]
    choice = choose(rules, category=None, product_id=None)
    assert len(choice.tried) == TRIED_LISTED
    assert [each.rule_id for each in choice.tried][:-1] == [
        f"r{n:03}" for n in range(TRIED_LISTED - 1)
    ]
    assert choice.tried[-1] == Tried(rule_id=f"r{2 * TRIED_LISTED:03}", outcome="applied")
    assert choice.applied == rules[2 * TRIED_LISTED].snapshot()


# Mostly rules that concern the product asked for, and now and then one of another.
SCOPES = st.sampled_from(
    [("global", None), ("category", "rpg"), ("product", "p1")] * 3
    + [("category", "fps"), ("product", "p2")]
)
RULES = st.lists(
    st.tuples(SCOPES, st.integers(-1, 1), st.integers(0, 2), st.sampled_from([True, True, False])),
    max_size=30,
).map(
    lambda drawn: [
        rule(
            f"r{n}",
            scope=scope,
            subject=subject,
            priority=priority,
            created_at=NOW + timedelta(hours=hours),
            is_enabled=is_enabled,
        )
        for n, ((scope, subject), priority, hours, is_enabled) in enumerate(drawn)
    ]
)


def slowly(rules: list[PricingRule], category: str | None, product: str | None) -> str | None:
    """The choice, told step by step: the first scope with a rule in force, then the contest."""
    for scope, subject in (("product", product), ("category", category), ("global", None)):
        if scope != "global" and subject is None:
            continue
        left = [r for r in rules if r.scope == scope and r.subject == subject and r.is_enabled]
        if left:
            highest = max(r.priority for r in left)
            left = [r for r in left if r.priority == highest]
            newest = max(r.created_at for r in left)
            return max(r.id for r in left if r.created_at == newest)
    return None


@settings(max_examples=300)
@given(
    rules=RULES,
    category=st.sampled_from(["rpg", "rpg", "fps", None]),
    product=st.sampled_from(["p1", "p1", "p2", "p3", None]),
)
def test_the_choice_is_that_of_a_slow_and_obvious_model_in_whatever_order_rules_come(
    rules: list[PricingRule], category: str | None, product: str | None
) -> None:
    choice = choose(rules, category=category, product_id=product)
    assert (choice.applied.id if choice.applied else None) == slowly(rules, category, product)
    assert choose(rules[::-1], category=category, product_id=product) == choice
    assert len(choice.tried) <= TRIED_LISTED
    applied = [each.rule_id for each in choice.tried if each.outcome == "applied"]
    assert applied == ([choice.applied.id] if choice.applied else [])
    for rule_id, outcome in outcomes(choice.tried).items():
        (looked_at,) = (r for r in rules if r.id == rule_id)
        assert looked_at.subject in {None, category, product}
        assert (outcome == "disabled") == (not looked_at.is_enabled)
        if outcome.startswith("outranked") or outcome == "older":
            assert choice.applied is not None
            same_scope = looked_at.scope == choice.applied.scope
            same_priority = looked_at.priority == choice.applied.priority
            assert (outcome == "outranked by scope") == (not same_scope)
            assert (outcome == "older") == (same_scope and same_priority)


@given(rules=RULES)
def test_a_rule_of_a_product_wins_over_all_of_its_category_and_the_shop(
    rules: list[PricingRule],
) -> None:
    own = rule("own", scope="product", subject="p1", kind="override", priority=2)
    choice = choose([*rules, own], category="rpg", product_id="p1")
    assert choice.applied == own.snapshot()
