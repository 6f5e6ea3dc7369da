"""Pricing rules: read, written, changed and taken away, and tried out before they are."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import UNSET, UnsetType

from bitloot.domain.money import plain
from bitloot.domain.pricing_rules import (
    HIGHEST_PRIORITY,
    AppliedRule,
    PricingRule,
    Rounding,
    RuleKind,
    RuleScope,
    RuleTerms,
)
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot.usecases.assortment.rules import Effect
from bitloot_web.api.fields import Money, Name, eur, eur_or_none, given
from bitloot_web.dependencies import TheActor, TheAtWill, TheShop
from bitloot_web.once import make_once
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.problems import ProblemError
from bitloot_web.routes import delete, get, patch, post
from bitloot_web.security.access import Staff
from bitloot_web.shop import Shop
from bitloot_web.versions import IfMatch, expected_version, versioned

NDJSON: Final = "application/x-ndjson"

Priority: TypeAlias = Annotated[int, msgspec.Meta(ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY)]
Value: TypeAlias = Annotated[
    Money,
    msgspec.Meta(
        description="Of a margin the fraction on top of the cost (0.25 is 25 %), of a fixed rule "
        "EUR on top, of an override the price itself."
    ),
]


class NewRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A rule. `subject` is the slug of a category or the id of a product; `cap` in EUR.

    `lossSigned` lets an override sell below its floor, signed by whoever sends it.
    """

    scope: RuleScope
    kind: RuleKind
    value: Value
    subject: Name | None = None
    cap: Money | None = None
    rounding: Rounding = "cent"
    priority: Priority = 0
    is_enabled: bool = True
    loss_signed: bool = False


class RuleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is to be different. Of whom a rule speaks never changes."""

    kind: RuleKind | UnsetType = UNSET
    value: Value | UnsetType = UNSET
    cap: Money | UnsetType | None = UNSET
    rounding: Rounding | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    is_enabled: bool | UnsetType = UNSET
    loss_signed: bool | UnsetType = UNSET


class DraftRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A rule that is only tried out, in the place of the one with the id `replaces` if given.

    `onlyChanges` leaves out products whose price would stay.
    """

    rule: NewRule
    replaces: UUID | None = None
    only_changes: bool = False


class AppliedShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A rule as it stood when it made a price."""

    id: str
    version: int
    scope: str
    subject: str | None
    kind: str
    value: str
    cap: str | None
    rounding: str
    priority: int
    loss_signed_by: str | None


class RuleShown(AppliedShown, frozen=True, kw_only=True, rename="camel"):
    """A rule. `version` goes into `If-Match`."""

    is_enabled: bool
    created_at: datetime
    updated_at: datetime


class EffectShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the draft would do to a product, EUR a unit. `decidedBy` had the last word:
    the rule, its cap, the floor, the price before, or nothing.
    """

    product_id: str
    slug: str
    title: str
    old_price: str | None
    new_price: str | None
    floor: str
    currency: str = "EUR"
    decided_by: str
    is_loss_signed: bool
    applied: bool


class Tried(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The last line of a dry run: how many products were looked at, and how many would change.

    A stream without it was cut off.
    """

    done: bool
    products: int
    changes: int


@get("/catalog/rules", access=Staff("prices.read"), operation_id="adminListRules")
async def rules(
    *,
    shop: TheShop,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    of_scope: Annotated[RuleScope | None, QueryParameter(name="scope")] = None,
    subject: Annotated[str | None, QueryParameter(max_length=200)] = None,
) -> PageOf[RuleShown]:
    """Pricing rules, newest first."""
    paging = Paging(shop, f"rules|{of_scope}|{subject}", limit, cursor)
    page = await shop.views.assortment.rules(
        scope=of_scope,
        subject=subject,
        limit=paging.size,
        after=paging.after,
    )
    return paging.page(page, rule_shown)


@post("/catalog/rules", access=Staff("prices.write"), operation_id="adminCreateRule")
async def create_rule(
    shop: TheShop, actor: TheActor, data: JSONBody[NewRule], at_will: TheAtWill
) -> Response[RuleShown]:
    """Write a rule; the prices that it touches are made anew."""
    terms = _terms(data, actor.name)

    async def make(uow: UnitOfWork) -> str:
        return await replace(shop.rules, uow=uow).add(terms, actor=actor.name)

    return await _answer(shop, await make_once(shop, at_will, actor.name, PricingRule, make))


@get("/catalog/rules/{rule_id:uuid}", access=Staff("prices.read"), operation_id="adminGetRule")
async def rule(shop: TheShop, rule_id: FromPath[UUID]) -> Response[RuleShown]:
    """One rule."""
    return await _answer(shop, str(rule_id))


@patch(
    "/catalog/rules/{rule_id:uuid}", access=Staff("prices.write"), operation_id="adminChangeRule"
)
async def change_rule(
    *,
    shop: TheShop,
    actor: TheActor,
    rule_id: FromPath[UUID],
    data: JSONBody[RuleChange],
    if_match: IfMatch = None,
) -> Response[RuleShown]:
    """Change a rule; the prices that it touches are made anew."""
    fields = given(data, "loss_signed")
    for name in ("value", "cap"):
        if isinstance(text := fields.get(name), str):
            fields[name] = eur(text, name)
    if data.loss_signed is not UNSET:
        fields["loss_signed_by"] = actor.name if data.loss_signed else None
    await shop.rules.change(
        str(rule_id), fields, expected_version=expected_version(if_match), actor=actor.name
    )
    return await _answer(shop, str(rule_id))


@delete(
    "/catalog/rules/{rule_id:uuid}", access=Staff("prices.write"), operation_id="adminDeleteRule"
)
async def delete_rule(
    shop: TheShop, actor: TheActor, rule_id: FromPath[UUID], if_match: IfMatch = None
) -> None:
    """Take a rule away; prices keep what they were made from."""
    await shop.rules.remove(
        str(rule_id), expected_version=expected_version(if_match), actor=actor.name
    )


@post(
    "/catalog/rules/simulate",
    access=Staff("prices.read"),
    status_code=200,
    operation_id="adminSimulateRule",
)
async def simulate(shop: TheShop, actor: TheActor, data: JSONBody[DraftRule]) -> Stream:
    """What a draft would do to each product it speaks of, a line of JSON each. Writes nothing."""
    replaces = None if data.replaces is None else str(data.replaces)
    effects = shop.rules.simulate(_terms(data.rule, actor.name), replaces=replaces)
    # What is wrong with the draft is said before the first line.
    first = await anext(effects, None)
    lines = _lines(effects, first, only_changes=data.only_changes)
    return Stream(lines, media_type=NDJSON, headers={"cache-control": "no-store"})


async def _lines(
    effects: AsyncGenerator[Effect, None], first: Effect | None, *, only_changes: bool
) -> AsyncIterator[bytes]:
    products = changes = 0
    async with aclosing(effects), aclosing(_all(effects, first)) as every:
        async for effect in every:
            is_change = effect.new_price != effect.old_price
            products += 1
            changes += is_change
            if is_change or not only_changes:
                yield msgspec.json.encode(_effect_shown(effect)) + b"\n"
    yield msgspec.json.encode(Tried(done=True, products=products, changes=changes)) + b"\n"


async def _all(
    effects: AsyncIterator[Effect], first: Effect | None
) -> AsyncGenerator[Effect, None]:
    if first is not None:
        yield first
        async for effect in effects:
            yield effect


def _terms(data: NewRule, actor: str) -> RuleTerms:
    return RuleTerms(
        scope=data.scope,
        subject=data.subject,
        kind=data.kind,
        value=eur(data.value, "value"),
        cap=None if data.cap is None else eur(data.cap, "cap"),
        rounding=data.rounding,
        priority=data.priority,
        is_enabled=data.is_enabled,
        loss_signed_by=actor if data.loss_signed else None,
    )


async def _answer(shop: Shop, rule_id: str) -> Response[RuleShown]:
    found = await shop.views.assortment.rule(rule_id)
    if found is None:
        raise ProblemError("not-found")
    return versioned(rule_shown(found), found.version)


def rule_shown(row: PricingRule) -> RuleShown:
    """The rule as it is answered."""
    return RuleShown(
        **msgspec.structs.asdict(applied_shown(row.snapshot())),
        is_enabled=row.is_enabled,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def applied_shown(rule: AppliedRule) -> AppliedShown:
    """The rule behind a price as it is answered."""
    return AppliedShown(
        id=rule.id,
        version=rule.version,
        scope=rule.scope,
        subject=rule.subject,
        kind=rule.kind,
        value=plain(rule.value),
        cap=eur_or_none(rule.cap),
        rounding=rule.rounding,
        priority=rule.priority,
        loss_signed_by=rule.loss_signed_by,
    )


def _effect_shown(effect: Effect) -> EffectShown:
    return EffectShown(
        product_id=effect.product_id,
        slug=effect.slug,
        title=effect.title,
        old_price=eur_or_none(effect.old_price),
        new_price=eur_or_none(effect.new_price),
        floor=eur_or_none(effect.floor) or "0.00",
        decided_by=effect.decided_by,
        is_loss_signed=effect.is_loss_signed,
        applied=effect.applied,
    )
