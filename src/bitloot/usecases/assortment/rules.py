"""Pricing rules: written, changed, taken away, and tried out before they are."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from bitloot.domain import rule_change
from bitloot.domain.decision import Decision
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.money import BadMoney, Eur
from bitloot.domain.price_contexts import PriceContexts
from bitloot.domain.price_derivation import DecidedBy, derive
from bitloot.domain.pricing_rules import PricingRule, RuleTerms, new_rule
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.ports.views.assortment import AssortmentViews, Costed

RULES_READ: Final = 500
PRODUCTS_READ: Final = 500
# A dry run looks at so many products and no more.
PRODUCTS_TRIED: Final = 1_000_000


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a draft would do to one product. EUR a unit; `applied` says whether it is the draft
    that makes the price, or a stronger rule.
    """

    product_id: str
    slug: str
    title: str
    old_price: Eur | None
    new_price: Eur | None
    floor: Eur
    decided_by: DecidedBy
    is_loss_signed: bool
    applied: bool


@dataclass(frozen=True, kw_only=True)
class Rules:
    """`margin` is that of the settings, for products that no rule speaks of. `actor` signs."""

    uow: UnitOfWork
    goods: AssortmentViews
    margin: Decimal
    limits: Limits
    clock: Clock
    new_id: NewId

    async def add(self, terms: RuleTerms, *, actor: str) -> str:
        """Write a rule; gives its id. Raises Refused `invalid-input`, also where the subject of the
        rule is not there.
        """
        rule_id = self.new_id()

        async def attempt(tx: Transaction) -> None:
            await _demand_subject(tx, terms)
            await tx.record(rule_change.added(terms, rule_id=rule_id, actor=actor, at=self.clock()))

        await decide(self.uow, attempt)
        return rule_id

    async def change(
        self, rule_id: str, fields: Mapping[str, object], *, expected_version: int, actor: str
    ) -> None:
        """Change terms. Raises Refused `not-found`, `version-conflict`, `invalid-input`."""

        def decision(rule: PricingRule, at: datetime) -> Decision:
            return rule_change.changed(
                rule, fields, expected_version=expected_version, actor=actor, at=at
            )

        async def attempt(tx: Transaction) -> None:
            await tx.record(decision(await _rule(tx, rule_id), self.clock()))

        await decide(self.uow, attempt)

    async def remove(self, rule_id: str, *, expected_version: int, actor: str) -> None:
        """Take a rule away. Raises Refused `not-found`, `version-conflict`."""

        async def attempt(tx: Transaction) -> None:
            rule = await _rule(tx, rule_id)
            await tx.record(
                rule_change.removed(
                    rule, expected_version=expected_version, actor=actor, at=self.clock()
                )
            )

        await decide(self.uow, attempt)

    async def simulate(
        self, terms: RuleTerms, *, replaces: str | None = None
    ) -> AsyncGenerator[Effect, None]:
        """What the draft would do to each product it speaks of; nothing is written.

        `replaces` is the id of a rule that the draft would stand in for. The prices are those of
        the moment at which each product is read. Raises Refused `invalid-input` before the first
        effect, StoreUnavailable.
        """
        draft = new_rule(terms, rule_id=self.new_id(), at=self.clock())
        async with self.uow.begin() as tx:
            await _demand_subject(tx, terms)
        rules = {rule.id: rule async for rule in self._all_rules()}
        if replaces is not None:
            draft = rule_change.in_place_of(rules.pop(replaces, None), draft)
        contexts = PriceContexts([*rules.values(), draft], margin=self.margin)
        category = draft.subject if draft.scope == "category" else None
        product_id = draft.subject if draft.scope == "product" else None
        after: str | None = None
        for _ in range(0, PRODUCTS_TRIED, PRODUCTS_READ):
            page = await self.goods.costed(
                category=category, product_id=product_id, limit=PRODUCTS_READ, after=after
            )
            for each in page.items:
                yield self._effect(each, contexts, draft.id)
            after = page.after
            if after is None:
                return

    def _effect(self, each: Costed, contexts: PriceContexts, draft_id: str) -> Effect:
        applied, fee = contexts.choice(each.id, each.category).applied, self.limits.gateway_fee
        try:
            derived = derive(each.cost, fee, applied, each.price)
        except BadMoney:
            # What no price can be kept of is not priced anew: the one before stays.
            derived = derive(None, fee, None, each.price)
        return Effect(
            product_id=each.id,
            slug=each.slug,
            title=each.title,
            old_price=each.price,
            new_price=derived.price,
            floor=derived.floor,
            decided_by=derived.decided_by,
            is_loss_signed=derived.is_loss_signed,
            applied=applied is not None and applied.id == draft_id,
        )

    async def _all_rules(self) -> AsyncIterator[PricingRule]:
        after: str | None = None
        while True:
            page = await self.goods.rules(scope=None, subject=None, limit=RULES_READ, after=after)
            for rule in page.items:
                yield rule
            after = page.after
            if after is None:
                return


async def _rule(tx: Transaction, rule_id: str) -> PricingRule:
    rule = await tx.assortment.rule(rule_id)
    if rule is None:
        raise Refused("not-found")
    return rule


async def _demand_subject(tx: Transaction, terms: RuleTerms) -> None:
    if terms.subject is None:
        return
    found: object = True
    if terms.scope == "product":
        found = await tx.assortment.product(terms.subject)
    elif terms.scope == "category":
        found = await tx.assortment.category_by_slug(terms.subject)
    if found is None:
        raise Refused("invalid-input", f"There is no such {terms.scope}.", field="subject")
