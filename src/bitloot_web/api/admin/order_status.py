"""Setting an order's status by hand."""

from uuid import UUID

import msgspec
from litestar.params import FromPath, JSONBody

from bitloot.domain.order import FailureReason, OrderStatus
from bitloot.usecases.payments.desk import Ruling
from bitloot_web.api.admin.holds import RuledOrderShown, ruled_shown
from bitloot_web.api.fields import Reason
from bitloot_web.dependencies import TheActor, TheShop
from bitloot_web.routes import patch
from bitloot_web.security.access import Staff
from bitloot_web.versions import IfMatch, expected_version


class NewStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A status set by hand, on record. `confirmed` says it a second time."""

    to: OrderStatus
    reason: Reason
    confirmed: bool = False
    failure_reason: FailureReason | None = None


@patch(
    "/orders/{order_id:uuid}/status",
    access=Staff("orders.write"),
    operation_id="adminSetOrderStatus",
)
async def set_status(
    *,
    shop: TheShop,
    actor: TheActor,
    order_id: FromPath[UUID],
    data: JSONBody[NewStatus],
    if_match: IfMatch = None,
) -> RuledOrderShown:
    """Set an order's status by hand, within the table of its life and with evidence."""
    ruling = Ruling(by=actor.name, reason=data.reason, expected_version=expected_version(if_match))
    ruled = await shop.money_desk.override(
        str(order_id),
        data.to,
        ruling,
        confirmed=data.confirmed,
        failure_reason=data.failure_reason,
    )
    return ruled_shown(ruled)
