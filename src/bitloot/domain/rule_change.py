"""A person writes, changes or takes away a pricing rule; the prices it touches are made anew."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from bitloot.domain.decision import AuditEntry, Decision, JobRequest, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.money import plain
from bitloot.domain.pricing_rules import PricingRule, RuleTerms, checked_terms, new_rule

EVERYTHING: Final = "all"
_TERMS: Final = RuleTerms.__struct_fields__


def reprice(product_id: str | None) -> JobRequest:
    """Work that brings the price of a product, or of all (None), to what the rules say."""
    return JobRequest(kind="reprice", ref=product_id or EVERYTHING)


def repriced_by(rule: PricingRule) -> JobRequest:
    """Work for the prices that a rule may touch: a pass over all writes only what changed."""
    return reprice(rule.subject if rule.scope == "product" else None)


def added(terms: RuleTerms, *, rule_id: str, actor: str, at: datetime) -> Decision:
    """A new rule. Raises Refused `invalid-input`."""
    change = insert(new_rule(terms, rule_id=rule_id, at=at))
    assert isinstance(change.after, PricingRule)
    return Decision(
        save=(change,),
        jobs=(repriced_by(change.after),),
        audit=(_entry("rule.created", change.after, actor, at),),
    )


def terms_of(rule: PricingRule) -> RuleTerms:
    """The rule as it would be written again."""
    return RuleTerms(**{name: getattr(rule, name) for name in _TERMS})


def in_place_of(rule: PricingRule | None, draft: PricingRule) -> PricingRule:
    """The draft as `changed` would leave the rule: of equal ones it counts as old as that.

    Raises Refused `invalid-input` where there is no such rule.
    """
    if rule is None:
        raise Refused("invalid-input", "There is no such rule.", field="replaces")
    if (rule.scope, rule.subject) != (draft.scope, draft.subject):
        # Of whom a rule speaks never changes: this one would be taken away, and another written.
        return draft
    return msgspec.structs.replace(draft, id=rule.id, created_at=rule.created_at)


def changed(
    rule: PricingRule,
    fields: Mapping[str, object],
    *,
    expected_version: int,
    actor: str,
    at: datetime,
) -> Decision:
    """The rule with other terms; of whom it speaks stays. A loss that was signed for another price
    is signed no more unless `fields` sign it anew. Raises Refused `version-conflict` or
    `invalid-input`.
    """
    demand_version(rule.version, expected_version)
    terms = msgspec.structs.replace(terms_of(rule), **fields)
    if "loss_signed_by" not in fields and _asked_by(terms) != _asked_by(terms_of(rule)):
        terms = msgspec.structs.replace(terms, loss_signed_by=None)
    change = update(rule, **msgspec.structs.asdict(checked_terms(terms)), updated_at=at)
    assert isinstance(change.after, PricingRule)
    return Decision(
        save=(change,),
        jobs=(repriced_by(rule),),
        audit=(_entry("rule.changed", change.after, actor, at),),
    )


def removed(rule: PricingRule, *, expected_version: int, actor: str, at: datetime) -> Decision:
    """The rule is gone; prices keep its snapshot. Raises Refused `version-conflict`."""
    demand_version(rule.version, expected_version)
    return Decision(
        remove=(rule,),
        jobs=(repriced_by(rule),),
        audit=(_entry("rule.removed", rule, actor, at),),
    )


def demand_version(version: int, expected: int) -> None:
    """Raise Refused `version-conflict` unless the row is the one that the person looked at."""
    if version != expected:
        raise Refused("version-conflict")


def _asked_by(terms: RuleTerms) -> tuple[object, ...]:
    """What the price of an override comes from: who signs a loss signs this."""
    return terms.kind, terms.value, terms.cap, terms.rounding


def _entry(action: str, rule: PricingRule, actor: str, at: datetime) -> AuditEntry:
    return AuditEntry(
        at=at,
        actor=actor,
        action=action,
        subject=rule.id,
        facts={
            "scope": rule.scope,
            "of": rule.subject,
            "kind": rule.kind,
            "value": plain(rule.value),
            "priority": rule.priority,
            "enabled": int(rule.is_enabled),
            "loss_signed_by": rule.loss_signed_by,
        },
    )
