"""Getting an order's goods going again, and other keys for its units."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar.params import FromPath, JSONBody

from bitloot.domain.decision import Decision
from bitloot.domain.errors import Refused
from bitloot.domain.reveal import Grant
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot.usecases.aftercare import Aftercare
from bitloot_web.api.fields import Reason
from bitloot_web.dependencies import TheActor, TheRepeatable, TheShop
from bitloot_web.once import decide_once
from bitloot_web.routes import post
from bitloot_web.security.access import Staff
from bitloot_web.shop import Shop

# The order may still turn out to be paid: its gateway is asked before the refusal stands.
_ASK_GATEWAY = frozenset({"payment-not-settled", "underpaid-non-refundable"})


class Because(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for the record."""

    reason: Reason


class MaybeBecause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for the record, where there is more to say than that it was asked for."""

    reason: Reason | None = None

    @property
    def told(self) -> str:
        """The reason; an empty one is none."""
        return self.reason or ""


NO_REASON: Final = MaybeBecause()


class Replacement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which unit of the item gets another key, and why."""

    slot: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    reason: Reason


class Accepted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was asked for is on its way; `events` say what it means for the order."""

    order_id: str
    events: tuple[str, ...]


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """How many links were ended."""

    revoked: int


@post(
    "/orders/{order_id:uuid}/retry-fulfillment",
    access=Staff("orders.write"),
    status_code=202,
    operation_id="adminRetryFulfillment",
)
async def retry(
    *,
    shop: TheShop,
    actor: TheActor,
    order_id: FromPath[UUID],
    repeatable: TheRepeatable,
    data: JSONBody[MaybeBecause] = NO_REASON,
) -> Accepted:
    """Take up every open fulfilment again; an order is never fulfilled unpaid."""
    once = await repeatable.once(actor.name)

    async def act(uow: UnitOfWork) -> Decision:
        return await _retry(
            shop, replace(shop.aftercare, uow=uow), str(order_id), actor.name, data.told
        )

    return await decide_once(shop, once, Accepted, partial(accepted, str(order_id)), act)


async def _retry(
    shop: Shop, aftercare: Aftercare, order_id: str, actor: str, reason: str
) -> Decision:
    try:
        return await aftercare.retry(order_id, actor=actor, reason=reason)
    except Refused as no:
        if no.code not in _ASK_GATEWAY:
            raise
    just_paid = await shop.applying.settle_order(order_id, actor=actor, reason=reason)
    return await aftercare.retry(order_id, actor=actor, reason=reason, just_paid=just_paid)


@post(
    "/orders/{order_id:uuid}/resend-keys",
    access=Staff("keys.resend"),
    status_code=202,
    operation_id="adminResendKeys",
)
async def resend_keys(
    *,
    shop: TheShop,
    actor: TheActor,
    order_id: FromPath[UUID],
    repeatable: TheRepeatable,
    data: JSONBody[MaybeBecause] = NO_REASON,
) -> Accepted:
    """Mail the buyer of a fulfilled order once more how to come to the keys; never a key."""
    once = await repeatable.once(actor.name)

    async def act(uow: UnitOfWork) -> Decision:
        return await replace(shop.aftercare, uow=uow).resend_keys(
            str(order_id), actor=actor.name, reason=data.told
        )

    return await decide_once(shop, once, Accepted, partial(accepted, str(order_id)), act)


@post(
    "/orders/{order_id:uuid}/items/{item_id:uuid}/replace-key",
    access=Staff("keys.replace"),
    status_code=202,
    operation_id="adminReplaceKey",
)
async def replace_key(
    *,
    shop: TheShop,
    actor: TheActor,
    order_id: FromPath[UUID],
    item_id: FromPath[UUID],
    data: JSONBody[Replacement],
    repeatable: TheRepeatable,
) -> Accepted:
    """Get another key for a unit."""
    once = await repeatable.once(actor.name)

    async def act(uow: UnitOfWork) -> Decision:
        return await replace(shop.aftercare, uow=uow).replace_key(
            str(order_id), str(item_id), data.slot, actor=actor.name, reason=data.reason
        )

    return await decide_once(shop, once, Accepted, partial(accepted, str(order_id)), act)


@post(
    "/orders/{order_id:uuid}/items/{item_id:uuid}/revoke",
    access=Staff("keys.replace"),
    status_code=200,
    operation_id="adminRevokeLinks",
)
async def revoke(
    *,
    shop: TheShop,
    actor: TheActor,
    order_id: FromPath[UUID],
    item_id: FromPath[UUID],
    data: JSONBody[Because],
    repeatable: TheRepeatable,
) -> Revoked:
    """End every download link of an item now."""
    once = await repeatable.once(actor.name)

    async def act(uow: UnitOfWork) -> int:
        return await replace(shop.reveal, uow=uow).revoke(
            str(order_id), str(item_id), actor=actor.name, reason=data.reason
        )

    return await decide_once(shop, once, Revoked, _revoked, act)


def _revoked(decision: Decision) -> Revoked:
    return Revoked(revoked=sum(isinstance(change.after, Grant) for change in decision.save))


def accepted(order_id: str, decision: Decision) -> Accepted:
    """What a decision means for its order."""
    return Accepted(order_id=order_id, events=tuple(event.kind for event in decision.events))
