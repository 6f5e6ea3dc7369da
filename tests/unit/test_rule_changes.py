"""Whoever writes, changes or takes away a rule has the prices made anew that it may touch."""

from datetime import UTC, datetime
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
