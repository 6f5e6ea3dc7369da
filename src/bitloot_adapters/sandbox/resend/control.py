"""The control door: everything a test or a demonstration can order. JSON in, JSON out.

``GET /_control/health``
    ``{"status": "ok", "now": ISO}``; needs no key.
``POST /_control/reset``
    Forgets mails, keys, quotas, suppressions, scenarios, faults; configured endpoints return.
``GET /_control/state``
    Counts, mode, armed faults and the time of the stand-in.
``POST /_control/advance`` ``{"seconds": 3600}``
    Moves time on, doing all that falls due at its own moment; gives ``{"steps", "now"}``.
``POST /_control/run``
    Does what is due now, without moving time; gives ``{"steps", "now"}``.
``POST /_control/faults`` ``{"op": "emails.send", "fault": "drop_after", "times": 1, "skip": 0,
"seconds": 0, "name": "application_error", "message": "...", "retry_after": true}``
    ``op``: ``emails.send``, ``emails.batch``, ``emails.get``, ``emails.list``,
    ``emails.update``, ``emails.cancel``, ``suppressions.*``, ``webhooks.*`` or ``*`` for any.
    ``fault``: ``500_before``, ``503_before``, ``drop_before`` (nothing is done); ``500_after``,
    ``503_after``, ``drop_after``, ``garbage`` (done, and the answer spoiled); ``429``;
    ``error`` (any error of the API by ``name``); ``slow`` (``seconds`` before the work, inside
    the idempotency key). ``DELETE /_control/faults`` disarms all.
``POST /_control/scenarios`` ``{"address": "a@b.example", "outcome": "bounced",
"extra": {"bounce": {"type": "Transient"}}}``
    What becomes of later mail to this address; outcomes: see `outcomes.OUTCOMES`.
``POST /_control/events`` ``{"email_id": "...", "type": "email.opened", "extra": {},
"after_seconds": 0}``
    One event of any type, known or unknown, for a mail.
``POST /_control/suppressions`` ``{"email": "...", "origin": "bounce", "team": "..."}``
    Puts an address on the suppression list with any origin.
``POST /_control/mode`` any of ``{"duplicates": 1, "out_of_order": true, "legacy_tags": true,
"decoy_signature": true, "wrong_signature": true, "paused": true,
"timestamp_skew_seconds": -600, "header_style": "svix" | "webhook" | "both"}``
    How webhooks are sent from now on; what is left out stays.
``POST /_control/endpoints`` ``{"url": "...", "secrets": ["whsec_..."], "events": []}``
    One more receiver.
``GET /_control/endpoints``
    Every receiver with its secrets and status.
``POST /_control/rotate`` ``{"secret": "whsec_..."}`` or ``{"finish": true}``
    Starts a rotation on every endpoint (new secret first, old one signs too), or ends it.
``GET /_control/notices``
    Every webhook message with its body, status and attempts.
``POST /_control/resend`` ``{"id": "msg_..."}``
    Sends one message again under its own id.
``GET`` and ``DELETE /_control/mailbox``: see `mailbox`.
"""

from datetime import timedelta
from typing import Final, TypeVar

import msgspec
from litestar import Request, delete, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency

from bitloot_adapters.sandbox.resend.clock import fresh_token, fresh_uuid
from bitloot_adapters.sandbox.resend.config import WebhookEndpoint
from bitloot_adapters.sandbox.resend.errors import WireError, invalid
from bitloot_adapters.sandbox.resend.faults import Fault
from bitloot_adapters.sandbox.resend.outcomes import OUTCOMES, default_extra
from bitloot_adapters.sandbox.resend.records import PlannedEvent, Scenario
from bitloot_adapters.sandbox.resend.signature import check_secret
from bitloot_adapters.sandbox.resend.stand_in import StandIn
from bitloot_adapters.sandbox.resend.suppressions import ORIGINS, suppress
from bitloot_adapters.sandbox.resend.suppressions import written as written_suppression
from bitloot_adapters.sandbox.resend.webhooks import wire_moment

MAX_ADVANCE_SECONDS: Final = 400 * 86400.0

ControlRequest = Request[None, None, State]
T = TypeVar("T")


class Advance(msgspec.Struct):
    seconds: float


class ScenarioOrder(msgspec.Struct):
    address: str
    outcome: str
    extra: dict[str, object] = {}


class EventOrder(msgspec.Struct):
    email_id: str
    type: str
    extra: dict[str, object] | None = None
    after_seconds: float = 0.0


class SuppressionOrder(msgspec.Struct):
    email: str
    origin: str = "manual"
    team: str = "team_sandbox"


class Rotation(msgspec.Struct):
    secret: str | None = None
    finish: bool = False


class NoticeOrder(msgspec.Struct):
    id: str


class ModeOrder(msgspec.Struct):
    duplicates: int | None = None
    out_of_order: bool | None = None
    legacy_tags: bool | None = None
    decoy_signature: bool | None = None
    wrong_signature: bool | None = None
    paused: bool | None = None
    timestamp_skew_seconds: int | None = None
    header_style: str | None = None


async def _order(request: ControlRequest, order_type: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.body(), type=order_type)
    except msgspec.DecodeError as unreadable:
        raise invalid(f"control: {unreadable}") from unreadable


@get("/_control/health")
async def health(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    return {"status": "ok", "now": wire_moment(stand_in.clock.now())}


@post("/_control/reset", status_code=200)
async def reset(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    stand_in.reset()
    return {"status": "reset"}


@get("/_control/state")
async def dump_state(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    state = stand_in.state
    return {
        "now": wire_moment(stand_in.clock.now()),
        "mails": len(state.mails),
        "planned_events": len(state.planned),
        "notices": len(state.notices),
        "pending_notices": sum(1 for notice in state.notices if notice.next_at is not None),
        "idempotency_keys": len(state.remembered),
        "suppressions": [written_suppression(row) for row in state.suppressions],
        "usage": {row.id: row.mails for row in state.usage},
        "mode": msgspec.to_builtins(state.mode),
        "faults": msgspec.to_builtins(stand_in.faults.armed),
    }


@post("/_control/advance", status_code=200)
async def advance(request: ControlRequest, stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    order = await _order(request, Advance)
    if not 0 <= order.seconds <= MAX_ADVANCE_SECONDS:
        raise invalid(f"control: seconds must be 0 to {MAX_ADVANCE_SECONDS}")
    steps = await stand_in.schedule.advance(order.seconds)
    return {"steps": steps, "now": wire_moment(stand_in.clock.now())}


@post("/_control/run", status_code=200)
async def run_due(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    steps = await stand_in.schedule.run_due()
    return {"steps": steps, "now": wire_moment(stand_in.clock.now())}


@post("/_control/faults", status_code=200)
async def arm_fault(
    request: ControlRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    fault = await _order(request, Fault)
    try:
        stand_in.faults.arm(fault)
    except ValueError as full:
        raise invalid(f"control: {full}") from full
    return {"armed": len(stand_in.faults.armed)}


@delete("/_control/faults", status_code=200)
async def disarm_faults(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    stand_in.faults.clear()
    return {"armed": 0}


@post("/_control/scenarios", status_code=200)
async def set_scenario(
    request: ControlRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    order = await _order(request, ScenarioOrder)
    if order.outcome not in OUTCOMES:
        raise invalid(f"control: outcome must be one of {', '.join(OUTCOMES)}")
    stand_in.state.scenarios.put(
        Scenario(id=order.address.lower(), outcome=order.outcome, extra=order.extra)
    )
    stand_in.state.commit()
    return {"address": order.address.lower(), "outcome": order.outcome}


@post("/_control/events", status_code=200)
async def plan_event(
    request: ControlRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    order = await _order(request, EventOrder)
    if stand_in.state.mails.get(order.email_id) is None:
        raise WireError("not_found", "control: no such mail")
    if not 0 <= order.after_seconds <= MAX_ADVANCE_SECONDS:
        raise invalid(f"control: after_seconds must be 0 to {MAX_ADVANCE_SECONDS}")
    due = stand_in.clock.now() + timedelta(seconds=order.after_seconds)
    extra = default_extra(order.type, due) if order.extra is None else order.extra
    event = PlannedEvent(
        id=fresh_uuid(),
        number=stand_in.state.next_number(),
        mail_id=order.email_id,
        type=order.type,
        due=due,
        extra=extra,
    )
    stand_in.state.planned.put(event)
    stand_in.state.commit()
    stand_in.schedule.wake()
    return {"id": event.id, "due": wire_moment(due)}


@post("/_control/suppressions", status_code=200)
async def put_suppression(
    request: ControlRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    order = await _order(request, SuppressionOrder)
    if order.origin not in ORIGINS:
        raise invalid("control: origin must be bounce, complaint or manual")
    row = suppress(stand_in, order.team, order.email, order.origin)
    stand_in.state.commit()
    return written_suppression(row)


@post("/_control/mode", status_code=200)
async def set_mode(
    request: ControlRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    order = await _order(request, ModeOrder)
    mode = stand_in.state.mode
    if order.header_style not in {None, "svix", "webhook", "both"}:
        raise invalid("control: header_style must be svix, webhook or both")
    changes = {
        field: value for field, value in msgspec.structs.asdict(order).items() if value is not None
    }
    mode = msgspec.structs.replace(mode, **changes)
    stand_in.state.modes.put(mode)
    stand_in.state.commit()
    stand_in.schedule.wake()
    return {"mode": msgspec.to_builtins(mode)}


@post("/_control/endpoints", status_code=200)
async def add_endpoint(
    request: ControlRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    wanted = await _order(request, WebhookEndpoint)
    try:
        endpoint = stand_in.add_endpoint(wanted)
    except ValueError as unusable:
        raise invalid(f"control: {unusable}") from unusable
    stand_in.state.commit()
    return {"id": endpoint.id, "secrets": endpoint.secrets}


@get("/_control/endpoints")
async def list_endpoints(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    return {"endpoints": msgspec.to_builtins(list(stand_in.state.endpoints))}


@post("/_control/rotate", status_code=200)
async def rotate(request: ControlRequest, stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    order = await _order(request, Rotation)
    fresh = order.secret or "whsec_" + fresh_token("")
    try:
        check_secret(fresh)
    except ValueError as unusable:
        raise invalid(f"control: {unusable}") from unusable
    for endpoint in stand_in.state.endpoints:
        kept = endpoint.secrets[:1]
        endpoint.secrets = kept if order.finish else [fresh, *kept]
        stand_in.state.endpoints.put(endpoint)
    stand_in.state.commit()
    return {"endpoints": msgspec.to_builtins(list(stand_in.state.endpoints))}


@get("/_control/notices")
async def list_notices(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    return {"notices": msgspec.to_builtins(list(stand_in.state.notices))}


@post("/_control/resend", status_code=200)
async def send_again(
    request: ControlRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    order = await _order(request, NoticeOrder)
    notice = stand_in.state.notices.get(order.id)
    if notice is None:
        raise WireError("not_found", "control: no such message")
    notice.status, notice.next_at = "pending", stand_in.clock.now()
    stand_in.state.notices.put(notice)
    stand_in.state.commit()
    stand_in.schedule.wake()
    return {"id": notice.id}


ROUTES: Final = (
    health,
    reset,
    dump_state,
    advance,
    run_due,
    arm_fault,
    disarm_faults,
    set_scenario,
    plan_event,
    put_suppression,
    set_mode,
    add_endpoint,
    list_endpoints,
    rotate,
    list_notices,
    send_again,
)
