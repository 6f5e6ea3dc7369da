"""The e-mail calls. Source: Resend documentation, API reference, "Emails"."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

from litestar import Request, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath

from bitloot_adapters.sandbox.resend.config import ApiKey
from bitloot_adapters.sandbox.resend.errors import WireError, invalid, missing_field
from bitloot_adapters.sandbox.resend.fields import (
    as_array,
    decode_json,
    decode_object,
    moment_field,
)
from bitloot_adapters.sandbox.resend.paging import page_of
from bitloot_adapters.sandbox.resend.payload import Draft, read_mail
from bitloot_adapters.sandbox.resend.records import Mail
from bitloot_adapters.sandbox.resend.stand_in import StandIn

MAX_BATCH: Final = 100
ApiRequest = Request[None, ApiKey, State]


def stored_moment(moment: datetime) -> str:
    """A time as the GET calls write it: ``2026-01-15 08:30:00.123456+00``, not ISO."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") + "+00"


def summary_of(mail: Mail) -> dict[str, object]:
    return {
        "id": mail.id,
        "message_id": mail.message_id,
        "to": mail.to,
        "from": mail.sender,
        "created_at": stored_moment(mail.created_at),
        "subject": mail.subject,
        "bcc": mail.bcc,
        "cc": mail.cc,
        "reply_to": mail.reply_to,
        "last_event": mail.last_event,
        "scheduled_at": None if mail.scheduled_at is None else stored_moment(mail.scheduled_at),
    }


def find_mail(stand_in: StandIn, key: ApiKey, mail_id: str) -> Mail:
    """Raises:
    WireError: 422 when the id is no UUID, 404 when the team has no such mail.
    """
    try:
        wanted = str(uuid.UUID(mail_id))
    except ValueError as malformed:
        raise WireError("invalid_parameter", "The `id` must be a valid UUID.") from malformed
    mail = stand_in.state.mails.get(wanted)
    if mail is None or mail.team != key.team:
        raise WireError("not_found", "Email not found")
    return mail


@post("/emails", status_code=200)
async def send_email(request: ApiRequest, stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    payload = decode_object(await request.body())
    draft = read_mail(payload, key=request.auth, config=stand_in.config, at=stand_in.clock.now())
    accepted = stand_in.accept(
        [draft], key=request.auth, idempotency_key=request.headers.get("idempotency-key")
    )
    return {"id": accepted[0].id}


@post("/emails/batch", status_code=200)
async def send_batch(request: ApiRequest, stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    items = as_array(decode_json(await request.body()))
    if items is None:
        raise invalid("The request body must be an array of emails.")
    if not 1 <= len(items) <= MAX_BATCH:
        raise invalid(f"The batch must have between 1 and {MAX_BATCH} emails.")
    strictness = request.headers.get("x-batch-validation", "strict")
    if strictness not in {"strict", "permissive"}:
        raise invalid("The `x-batch-validation` header must be `strict` or `permissive`.")
    drafts: list[Draft] = []
    errors: list[dict[str, object]] = []
    for index, item in enumerate(items):
        try:
            drafts.append(
                read_mail(
                    item,
                    key=request.auth,
                    config=stand_in.config,
                    at=stand_in.clock.now(),
                    in_batch=True,
                )
            )
        except WireError as refusal:
            if strictness == "strict":
                raise
            errors.append({"index": index, "message": refusal.message})
    accepted = stand_in.accept(
        drafts, key=request.auth, idempotency_key=request.headers.get("idempotency-key")
    )
    reply: dict[str, object] = {"data": [{"id": mail.id} for mail in accepted]}
    if strictness == "permissive":
        reply["errors"] = errors
    return reply


@get("/emails")
async def list_emails(request: ApiRequest, stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    rows = [mail for mail in stand_in.state.mails if mail.team == request.auth.team]
    rows.reverse()
    query = request.query_params
    data, has_more = page_of(
        rows, limit=query.get("limit"), after=query.get("after"), before=query.get("before")
    )
    return {"object": "list", "has_more": has_more, "data": [summary_of(mail) for mail in data]}


@get("/emails/{email_id:str}")
async def get_email(
    request: ApiRequest, stand_in: NamedDependency[StandIn], email_id: FromPath[str]
) -> dict[str, object]:
    mail = find_mail(stand_in, request.auth, email_id)
    return {"object": "email", **summary_of(mail), "html": mail.html, "text": mail.text}


@patch("/emails/{email_id:str}")
async def reschedule_email(
    request: ApiRequest, stand_in: NamedDependency[StandIn], email_id: FromPath[str]
) -> dict[str, object]:
    mail = find_mail(stand_in, request.auth, email_id)
    moment = moment_field(
        decode_object(await request.body()),
        "scheduled_at",
        at=stand_in.clock.now(),
        latest=timedelta(days=stand_in.config.max_schedule_days),
    )
    if moment is None:
        raise missing_field("scheduled_at")
    _must_be_waiting(mail)
    mail.scheduled_at = moment
    stand_in.state.mails.put(mail)
    return {"object": "email", "id": mail.id}


@post("/emails/{email_id:str}/cancel", status_code=200)
async def cancel_email(
    request: ApiRequest, stand_in: NamedDependency[StandIn], email_id: FromPath[str]
) -> dict[str, object]:
    mail = find_mail(stand_in, request.auth, email_id)
    _must_be_waiting(mail)
    mail.released, mail.last_event = True, "canceled"
    stand_in.state.mails.put(mail)
    return {"object": "email", "id": mail.id}


def _must_be_waiting(mail: Mail) -> None:
    if mail.released:
        raise invalid("Only scheduled emails can be changed or canceled.")


ROUTES: Final = (
    send_email,
    send_batch,
    list_emails,
    get_email,
    reschedule_email,
    cancel_email,
)
