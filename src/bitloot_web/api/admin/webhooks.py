"""Stored webhooks: looked through, and applied once more."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar.params import FromPath, JSONBody, QueryParameter

from bitloot.domain.errors import Refused
from bitloot.domain.webhook import WebhookClass
from bitloot.ports.views.desk import WebhookView
from bitloot_web.api.fields import Reason, ShortText
from bitloot_web.dependencies import TheActor, TheRepeatable, TheShop
from bitloot_web.once import act_once
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.problems import FieldError, ProblemError
from bitloot_web.routes import get, post
from bitloot_web.security.access import Staff
from bitloot_web.shop import Shop


class WebhookShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A stored webhook; `body` as text for a single one only."""

    id: str
    provider: str
    classification: str
    signature_ok: bool
    subject: str | None
    status: str | None
    order_number: str | None
    order_id: str | None
    attempts: int
    note: str
    received_at: datetime
    handled_at: datetime | None
    body: str | None


class ReplayReason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is applied once more."""

    reason: Reason


class BulkReplay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which webhooks are applied once more, and why."""

    ids: Annotated[tuple[ShortText, ...], msgspec.Meta(min_length=1, max_length=100)]
    reason: Reason


class Replayed(msgspec.Struct, frozen=True):
    """What became of one webhook: `queued`, or the code of the refusal."""

    id: str
    outcome: str


class BulkReplayed(msgspec.Struct, frozen=True):
    """In the order asked for."""

    items: tuple[Replayed, ...]


def webhook_shown(view: WebhookView) -> WebhookShown:
    """The webhook as it is answered."""
    return WebhookShown(
        id=view.id,
        provider=view.provider,
        classification=view.classification,
        signature_ok=view.signature_ok,
        subject=view.subject,
        status=view.status,
        order_number=view.order_number,
        order_id=view.order_id,
        attempts=view.attempts,
        note=view.note,
        received_at=view.received_at,
        handled_at=view.handled_at,
        body=view.body,
    )


@get("/webhooks", access=Staff("webhooks.read"), operation_id="adminListWebhooks")
async def webhooks(
    *,
    shop: TheShop,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    provider: Annotated[str | None, QueryParameter(max_length=64)] = None,
    classification: Annotated[WebhookClass | None, QueryParameter()] = None,
) -> PageOf[WebhookShown]:
    """Stored webhooks, newest first, without bodies."""
    paging = Paging(shop, f"webhooks|{provider}|{classification}", limit, cursor)
    page = await shop.views.desk.webhooks(
        provider=provider,
        classification=classification,
        limit=paging.size,
        after=paging.after,
    )
    return paging.page(page, webhook_shown)


@get("/webhooks/{webhook_id:uuid}", access=Staff("webhooks.read"), operation_id="adminGetWebhook")
async def webhook(shop: TheShop, webhook_id: FromPath[UUID]) -> WebhookShown:
    """One stored webhook with its body."""
    view = await shop.views.desk.webhook(str(webhook_id))
    if view is None:
        raise ProblemError("not-found")
    return webhook_shown(view)


@post(
    "/webhooks/{webhook_id:uuid}/replay",
    access=Staff("webhooks.replay"),
    status_code=202,
    operation_id="adminReplayWebhook",
)
async def replay(
    shop: TheShop, actor: TheActor, webhook_id: FromPath[UUID], data: JSONBody[ReplayReason]
) -> Replayed:
    """Have a well-signed webhook applied once more; harmless when it was applied already."""
    await shop.webhook_replay.replay(str(webhook_id), by=actor.name, reason=data.reason)
    return Replayed(str(webhook_id), "queued")


@post(
    "/webhooks/bulk-replay",
    access=Staff("webhooks.replay"),
    status_code=202,
    operation_id="adminBulkReplayWebhooks",
)
async def bulk_replay(
    shop: TheShop,
    actor: TheActor,
    data: JSONBody[BulkReplay],
    repeatable: TheRepeatable,
) -> BulkReplayed:
    """Have some webhooks applied once more; each stands for itself."""
    if len(data.ids) > shop.limits.bulk_max:
        detail = f"Name at most {shop.limits.bulk_max} at once."
        raise ProblemError("invalid-input", errors=(FieldError("ids", detail),))
    ids = [_id(text, n) for n, text in enumerate(data.ids)]
    once = await repeatable.once(actor.name)

    async def act() -> BulkReplayed:
        return BulkReplayed(
            tuple([await _replay(shop, one, actor.name, data.reason) for one in ids])
        )

    return await act_once(shop, once, BulkReplayed, act)


async def _replay(shop: Shop, webhook_id: str, actor: str, reason: str) -> Replayed:
    try:
        await shop.webhook_replay.replay(webhook_id, by=actor, reason=reason)
    except Refused as no:
        return Replayed(webhook_id, no.code)
    return Replayed(webhook_id, "queued")


def _id(text: str, n: int) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        fault = FieldError(f"ids[{n}]", "Write the id of a webhook.")
        raise ProblemError("invalid-input", errors=(fault,)) from None
