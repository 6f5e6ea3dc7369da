"""Pricing rules: what a price is made from, and which rule a product gets.

A rule speaks of one product, of one category or of the whole shop, and turns a cost into a price.
Of all the rules that concern a product one is applied: a product's over a category's over the
shop's, then the higher priority, then the newest. The others are told with the reason why not.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from bitloot.domain.decision import Row
from bitloot.domain.errors import Refused
from bitloot.domain.money import CENT, BadMoney, Eur, eur_number

RuleScope: TypeAlias = Literal["global", "category", "product"]
RuleKind: TypeAlias = Literal["margin", "fixed", "override"]
Rounding: TypeAlias = Literal["cent", "99", "95", "whole"]
TriedOutcome: TypeAlias = Literal[
    "applied", "disabled", "outranked by scope", "outranked by priority", "older"
]

# How many rules a price tells of at most. The applied one is always among them.
TRIED_LISTED: Final = 20

HIGHEST_MARGIN: Final = Decimal(10)
LOWEST_CAP: Final = CENT
LOWEST_OVERRIDE: Final = CENT
HIGHEST_PRIORITY: Final = 1_000_000
NAME_LENGTH: Final = 200

_SCOPE_RANK: Final[dict[RuleScope, int]] = {"global": 0, "category": 1, "product": 2}
_NAME: Final = re.compile(rf"[\x21-\x7e]{{1,{NAME_LENGTH}}}")


class RuleTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a person writes as a rule, before anything of it is believed.

    `subject` is a category's slug or a product's id. `value`: of a margin the fraction put on top
    of the cost (0.25 is 25 %), of a fixed rule EUR put on top, of an override the price itself.
    `loss_signed_by` names the admin who lets an override sell below its floor.
    """

    scope: str
    subject: str | None = None
    kind: str
    value: Decimal
    cap: Eur | None = None
    rounding: str = "cent"
    priority: int = 0
    is_enabled: bool = True
    loss_signed_by: str | None = None


class AppliedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it stood when it made a price: kept with that price, whatever becomes of it."""

    id: str
    version: int
    scope: RuleScope
    subject: str | None = None
    kind: RuleKind
    value: Decimal
    cap: Eur | None = None
    rounding: Rounding = "cent"
    priority: int = 0
    loss_signed_by: str | None = None

    @property
    def is_loss_signed(self) -> bool:
        """Whether this is an override that may sell below the floor."""
        return self.kind == "override" and self.loss_signed_by is not None


class PricingRule(Row, frozen=True, kw_only=True):
    """A rule in force or put aside. The fields are those of `RuleTerms`, checked."""

    scope: RuleScope
    subject: str | None = None
    kind: RuleKind
    value: Decimal
    cap: Eur | None = None
    rounding: Rounding = "cent"
    priority: int = 0
    is_enabled: bool = True
    loss_signed_by: str | None = None
    created_at: datetime
    updated_at: datetime

    def concerns(self, *, category: str | None, product_id: str | None) -> bool:
        """Whether the rule speaks of this product. None: of no category, of no one product."""
        if self.scope == "global":
            return True
        wanted = category if self.scope == "category" else product_id
        return wanted is not None and self.subject == wanted

    def snapshot(self) -> AppliedRule:
        """The rule as a price keeps it."""
        return AppliedRule(
            id=self.id,
            version=self.version,
            scope=self.scope,
            subject=self.subject,
            kind=self.kind,
            value=self.value,
            cap=self.cap,
            rounding=self.rounding,
            priority=self.priority,
            loss_signed_by=self.loss_signed_by,
        )


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that was looked at, and what became of it."""

    rule_id: str
    outcome: TriedOutcome


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that makes the price, if any, and the rules looked at, the strongest first."""

    applied: AppliedRule | None
    tried: tuple[Tried, ...]


# --- writing a rule --------------------------------------------------------------------------


def new_rule(terms: RuleTerms, *, rule_id: str, at: datetime) -> PricingRule:
    """The rule that the terms ask for. Raises Refused `invalid-input` as `checked_terms` does."""
    good = checked_terms(terms)
    return msgspec.convert(
        {**msgspec.structs.asdict(good), "id": rule_id, "created_at": at, "updated_at": at},
        PricingRule,
    )


def checked_terms(terms: RuleTerms) -> RuleTerms:
    """The terms, if every one of them can be accepted.

    Raises Refused `invalid-input` that names the field: a word that is not known, an amount that
    is negative, not finite or has more than 12 digits before the point or 8 after, a margin above
    `HIGHEST_MARGIN`, an override or a cap below a cent, a loss signed on anything but an override,
    a subject that is missing or superfluous, a priority beyond `HIGHEST_PRIORITY` either way.
    """
    _check_word("scope", terms.scope, get_args(RuleScope))
    _check_word("kind", terms.kind, get_args(RuleKind))
    _check_word("rounding", terms.rounding, get_args(Rounding))
    _check_subject(terms)
    value = _amount("value", terms.value)
    if terms.kind == "margin" and value > HIGHEST_MARGIN:
        raise _bad("value", f"A margin is at most {HIGHEST_MARGIN}, which is 1000 %.")
    if terms.kind == "override" and value < LOWEST_OVERRIDE:
        raise _bad("value", f"A price that is set is at least {LOWEST_OVERRIDE}.")
    cap = None if terms.cap is None else _amount("cap", terms.cap)
    if cap is not None and cap < LOWEST_CAP:
        raise _bad("cap", f"A cap is at least {LOWEST_CAP}.")
    if not -HIGHEST_PRIORITY <= terms.priority <= HIGHEST_PRIORITY:
        raise _bad("priority", f"A priority lies within {HIGHEST_PRIORITY} of zero.")
    if terms.loss_signed_by is not None:
        if terms.kind != "override":
            raise _bad("loss_signed_by", "A loss can only be signed for an override.")
        if not terms.loss_signed_by.strip() or not terms.loss_signed_by.isprintable():
            raise _bad("loss_signed_by", "A loss is signed with a name.")
        if len(terms.loss_signed_by) > NAME_LENGTH:
            raise _bad("loss_signed_by", f"A name has at most {NAME_LENGTH} characters.")
    return msgspec.structs.replace(terms, value=value, cap=cap)


def _check_word(field: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise _bad(field, f"Write one of: {', '.join(known)}.")


def _check_subject(terms: RuleTerms) -> None:
    if terms.scope == "global":
        if terms.subject is not None:
            raise _bad("subject", "A global rule speaks of everything; leave the subject out.")
    elif terms.subject is None:
        raise _bad("subject", f"Name the {terms.scope} that the rule speaks of.")
    elif _NAME.fullmatch(terms.subject) is None:
        raise _bad("subject", f"Write the {terms.scope} as plain letters without spaces.")


def _amount(field: str, amount: Decimal) -> Decimal:
    try:
        return eur_number(amount)
    except BadMoney as fault:
        raise _bad(field, f"Write another {field}: {fault}.") from fault


def _bad(field: str, detail: str) -> Refused:
    return Refused("invalid-input", detail, field=field)


# --- choosing a rule -------------------------------------------------------------------------


def choose(rules: Iterable[PricingRule], *, category: str | None, product_id: str | None) -> Choice:
    """The strongest rule in force for a product, and every rule of it with why it was not taken.

    `product_id` None asks for a product of the category that has no rule of its own. At most
    `TRIED_LISTED` rules are told, the strongest first, the applied one always.
    """
    looked_at = sorted(
        (rule for rule in rules if rule.concerns(category=category, product_id=product_id)),
        key=_strength,
        reverse=True,
    )
    best = next((rule for rule in looked_at if rule.is_enabled), None)
    told = looked_at[:TRIED_LISTED]
    if best is not None and best not in told:
        told = [*told[:-1], best]
    return Choice(
        applied=None if best is None else best.snapshot(),
        tried=tuple(Tried(rule_id=rule.id, outcome=_outcome(rule, best)) for rule in told),
    )


def _strength(rule: PricingRule) -> tuple[int, int, datetime, str]:
    return _SCOPE_RANK[rule.scope], rule.priority, rule.created_at, rule.id


def _outcome(rule: PricingRule, best: PricingRule | None) -> TriedOutcome:
    if not rule.is_enabled or best is None:
        return "disabled"
    if rule.id == best.id:
        return "applied"
    if rule.scope != best.scope:
        return "outranked by scope"
    return "older" if rule.priority == best.priority else "outranked by priority"
