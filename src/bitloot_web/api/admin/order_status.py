"""Setting an order's status by hand."""

import re
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar.params import FromPath, HeaderParameter, JSONBody

from bitloot.domain.order import FailureReason, OrderStatus
from bitloot.usecases.payments.desk import Ruling
from bitloot_web.api.admin.holds import RuledOrderShown, ruled_shown
from bitloot_web.api.fields import Reason
from bitloot_web.dependencies import TheActor, TheShop
from bitloot_web.problems import FieldError, ProblemError
from bitloot_web.routes import patch
from bitloot_web.security.access import Staff

# An entity tag, and one that is a version (RFC 9110, section 8.8.3).
_TAG: Final = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_VERSION: Final = re.compile(r"[0-9]{1,9}")
# That of nothing: tags that are none of ours were never those of what is there now.
NO_VERSION: Final = -1


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
    if_match: Annotated[str | None, HeaderParameter(name="If-Match")] = None,
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


def expected_version(if_match: str | None) -> int:
    """The version in an `If-Match` header. Raises ProblemError."""
    if if_match is None:
        raise ProblemError("precondition-required")
    tag = _TAG.fullmatch(if_match.strip())
    if tag is None:
        fault = FieldError("If-Match", 'Send the version that you read, such as "7".')
        raise ProblemError("invalid-request", errors=(fault,))
    return int(tag[1]) if _VERSION.fullmatch(tag[1]) else NO_VERSION
