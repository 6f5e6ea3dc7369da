"""Holds: decisions that wait for a person."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar.params import FromPath, JSONBody, QueryParameter

from bitloot.domain.hold import Hold
from bitloot.usecases.payments.desk import RuledOrder, Ruling
from bitloot_web.api.fields import OrderStatusText, Reason
from bitloot_web.dependencies import TheActor, TheRepeatable, TheShop
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.routes import get, post
from bitloot_web.security.access import Staff


class HoldShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A hold on an order, an item or a payment (`subjectId`)."""

    id: str
    order_id: str
    subject: str
    subject_id: str
    reason: str
    state: str
    opened_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    decision_reason: str | None


class HoldDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`orderVersion` is that of the order that was looked at; `signedLoss` accepts a loss."""

    accept: bool
    reason: Reason
    order_version: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    signed_loss: bool = False


class RuledOrderShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The order after a decision."""

    id: str
    status: OrderStatusText
    failure_reason: str | None
    version: int


def hold_shown(hold: Hold) -> HoldShown:
    """The hold as it is answered."""
    return HoldShown(
        id=hold.id,
        order_id=hold.order_id,
        subject=hold.subject,
        subject_id=hold.subject_id,
        reason=hold.reason,
        state=hold.state,
        opened_at=hold.opened_at,
        decided_at=hold.decided_at,
        decided_by=hold.decided_by,
        decision_reason=hold.decision_reason,
    )


def ruled_shown(ruled: RuledOrder) -> RuledOrderShown:
    """The order after a decision as it is answered."""
    return RuledOrderShown(
        id=ruled.order_id,
        status=ruled.status,
        failure_reason=ruled.failure_reason,
        version=ruled.version,
    )


@get("/holds", access=Staff("holds.read"), operation_id="adminListHolds")
async def holds(
    *,
    shop: TheShop,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    hold_state: Annotated[
        Literal["open", "accepted", "rejected"] | None, QueryParameter(name="state")
    ] = None,
) -> PageOf[HoldShown]:
    """Holds, newest first."""
    paging = Paging(shop, f"holds|{hold_state}", limit, cursor)
    page = await shop.views.desk.holds(state=hold_state, limit=paging.size, after=paging.after)
    return paging.page(page, hold_shown)


@post(
    "/holds/{hold_id:uuid}/decision",
    access=Staff("holds.decide"),
    status_code=200,
    operation_id="adminDecideHold",
)
async def decide(
    *,
    shop: TheShop,
    actor: TheActor,
    hold_id: FromPath[UUID],
    data: JSONBody[HoldDecision],
    repeatable: TheRepeatable,
) -> RuledOrderShown:
    """Accept or reject what a hold keeps waiting."""
    once = await repeatable.once(actor.name)
    ruling = Ruling(by=actor.name, reason=data.reason, expected_version=data.order_version)
    ruled = await shop.money_desk.decide_hold(
        str(hold_id), ruling, accept=data.accept, signed_loss=data.signed_loss, once=once
    )
    return ruled_shown(ruled)
