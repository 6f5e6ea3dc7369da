"""Whoever writes, changes or takes away a rule has the prices made anew that it may touch."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bitloot.domain import rule_change
from bitloot.domain.decision import Decision
from bitloot.domain.errors import Refused
from bitloot.domain.pricing_rules import PricingRule, RuleTerms, new_rule

AT = datetime(2026, 3, 1, tzinfo=UTC)
SPOKEN_OF = [
    ("global", None, "all"),
    ("category", "action", "all"),
    ("product", "p-1", "p-1"),
]


def terms(scope: str, subject: str | None) -> RuleTerms:
    return RuleTerms(scope=scope, subject=subject, kind="fixed", value=Decimal(1))


def rule(scope: str, subject: str | None) -> PricingRule:
    return new_rule(terms(scope, subject), rule_id="r1", at=AT)


def jobs(decision: Decision) -> list[tuple[str, str]]:
    return [(each.kind, each.ref) for each in decision.jobs]


@pytest.mark.parametrize(("scope", "subject", "touched"), SPOKEN_OF)
def test_the_prices_that_a_rule_touches_are_asked_for(
    scope: str, subject: str | None, touched: str
) -> None:
    row, expected = rule(scope, subject), [("reprice", touched)]
    added = rule_change.added(terms(scope, subject), rule_id="r1", actor="ada", at=AT)
    changed = rule_change.changed(
        row, {"value": Decimal(2)}, expected_version=row.version, actor="ada", at=AT
    )
    removed = rule_change.removed(row, expected_version=row.version, actor="ada", at=AT)
    assert [jobs(each) for each in (added, changed, removed)] == [expected] * 3


def test_a_rule_that_was_changed_meanwhile_is_left_alone() -> None:
    row = rule("global", None)
    with pytest.raises(Refused, match="version-conflict"):
        rule_change.changed(row, {}, expected_version=row.version + 1, actor="ada", at=AT)
    with pytest.raises(Refused, match="version-conflict"):
        rule_change.removed(row, expected_version=row.version + 1, actor="ada", at=AT)


def signed(**fields: object) -> PricingRule:
    """An override of 5.00 that ada signed the loss of, with these changes by bob."""
    told = RuleTerms(
        scope="product", subject="p-1", kind="override", value=Decimal(5), loss_signed_by="ada"
    )
    row = new_rule(told, rule_id="r1", at=AT)
    decision = rule_change.changed(row, fields, expected_version=0, actor="bob", at=AT)
    after = decision.save[0].after
    assert isinstance(after, PricingRule)
    return after


@pytest.mark.parametrize(
    "fields",
    [
        {"value": Decimal(1)},
        {"cap": Decimal(1)},
        {"rounding": "99"},
        {"kind": "margin", "value": Decimal("0.1")},
    ],
)
def test_a_loss_that_was_signed_for_one_price_is_signed_for_no_other(
    fields: dict[str, object],
) -> None:
    assert signed(**fields).loss_signed_by is None


def test_a_signature_stays_with_its_price_and_can_be_given_anew() -> None:
    assert signed(priority=3, is_enabled=False, value=Decimal("5.00")).loss_signed_by == "ada"
    assert signed(value=Decimal(1), loss_signed_by="bob").loss_signed_by == "bob"


def test_a_draft_stands_where_the_rule_stands_that_it_replaces() -> None:
    later = AT + timedelta(days=1)
    row, draft = (
        rule("category", "action"),
        new_rule(terms("category", "action"), rule_id="r2", at=later),
    )
    placed = rule_change.in_place_of(row, draft)
    assert (placed.id, placed.created_at) == (row.id, AT)
    elsewhere = new_rule(terms("global", None), rule_id="r2", at=later)
    assert rule_change.in_place_of(row, elsewhere) == elsewhere
    with pytest.raises(Refused, match="invalid-input"):
        rule_change.in_place_of(None, draft)
