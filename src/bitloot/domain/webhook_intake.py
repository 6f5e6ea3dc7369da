"""Taking in a webhook: stored first, looked into by a job, counted when it comes again."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from bitloot.domain.decision import AuditEntry, Decision, JobRequest, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.reactions import JobKind
from bitloot.domain.webhook import Webhook, WebhookClass

HEAD_BYTES = 512


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a well-signed webhook says: a hint, and the job that follows it up."""

    provider: str
    dedupe_key: str
    subject: str | None
    status: str | None
    order_number: str | None
    job: JobKind


def take_in(hint: Verified, body: bytes, *, at: datetime, new_id: Callable[[], str]) -> Decision:
    """Store a verified webhook with its job."""
    webhook = Webhook(
        id=new_id(),
        provider=hint.provider,
        dedupe_key=hint.dedupe_key,
        signature_ok=True,
        classification="received",
        subject=hint.subject,
        status=hint.status,
        order_number=hint.order_number,
        body=body,
        received_at=at,
    )
    return Decision(save=(insert(webhook),), jobs=(JobRequest(kind=hint.job, ref=webhook.id),))


def turn_away(
    provider: str,
    classification: Literal["invalid_signature", "malformed"],
    body: bytes,
    note: str,
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """Keep the head of a webhook that is forged or cannot be read; it is never acted on."""
    return Decision(
        save=(
            insert(
                Webhook(
                    id=new_id(),
                    provider=provider,
                    dedupe_key=hashlib.sha256(body).hexdigest(),
                    signature_ok=False,
                    classification=classification,
                    body=body[:HEAD_BYTES],
                    note=note,
                    received_at=at,
                    handled_at=at,
                )
            ),
        ),
        reason=classification,
    )


def handled(
    webhook: Webhook,
    classification: WebhookClass,
    *,
    at: datetime,
    order_id: str | None = None,
    body: bytes | None = None,
) -> Decision:
    """Note what became of a webhook; `body` in place of its own, where that is not to be kept."""
    change = update(
        webhook,
        classification=classification,
        handled_at=at,
        order_id=order_id,
        body=webhook.body if body is None else body,
    )
    return Decision(save=(change,), reason=classification)


def replayed(
    webhook: Webhook, job: JobKind | None, *, at: datetime, by: str, reason: str
) -> Decision:
    """Have it followed up once more by `job`; None: nobody does, its provider is not configured.

    Raises Refused `webhook-not-replayable`, always for a bad signature.
    """
    if not webhook.signature_ok:
        raise Refused("webhook-not-replayable")
    if job is None:
        detail = f"The shop is not set up for {webhook.provider}; set it up, then replay."
        raise Refused("webhook-not-replayable", detail)
    return Decision(
        save=(update(webhook, classification="received", handled_at=None),),
        jobs=(JobRequest(kind=job, ref=webhook.id),),
        audit=(
            AuditEntry(at=at, actor=by, action="webhook.replay", subject=webhook.id, reason=reason),
        ),
    )
